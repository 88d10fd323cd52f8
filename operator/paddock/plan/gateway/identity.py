"""Who a caller is, as limits, logs and metrics may know it: a hash, made by Envoy itself. Pure.

A Lua script hashes issuer and identity of a token that was verified. A key has an id of its own,
which says nothing of anybody.
"""

from collections.abc import Mapping, Sequence

from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.guards import ACCOUNT, JWT_FILTER, SUBJECT
from paddock.plan.gateway.issuers import identity_of, named_by
from paddock.plan.gateway.visible import LISTS, LISTS_SCRIPT
from paddock.plan.gateway.xds import METADATA, http_filter, text
from paddock.wire import Json

CALLER_FILTER = "caller"
CALLER = "caller"
"""Where the hash is, in the metadata of a request."""
_SHA256 = """
local bit = require("bit")
local band, bxor, bnot, ror, shr = bit.band, bit.bxor, bit.bnot, bit.ror, bit.rshift
local K, START = {}, {}

local function fraction(root)
  return bit.tobit(math.floor((root - math.floor(root)) * 4294967296))
end

local candidate = 2
while #K < 64 do
  local prime = true
  for divisor = 2, math.floor(math.sqrt(candidate)) do
    if candidate % divisor == 0 then prime = false break end
  end
  if prime then
    K[#K + 1] = fraction(candidate ^ (1 / 3))
    if #START < 8 then START[#START + 1] = fraction(math.sqrt(candidate)) end
  end
  candidate = candidate + 1
end

local function compress(state, text, at)
  local w = {}
  for i = 1, 16 do
    local b1, b2, b3, b4 = text:byte(at + i * 4 - 4, at + i * 4 - 1)
    w[i] = bit.tobit(b1 * 16777216 + b2 * 65536 + b3 * 256 + b4)
  end
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), shr(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), shr(y, 10))
    w[i] = bit.tobit(w[i - 16] + s0 + w[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  for i = 1, 64 do
    local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
    local t1 = bit.tobit(h + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i] + w[i])
    local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
    local t2 = bit.tobit(s0 + bxor(band(a, b), band(a, c), band(b, c)))
    a, b, c, d, e, f, g, h = bit.tobit(t1 + t2), a, b, c, bit.tobit(d + t1), e, f, g
  end
  local added = {a, b, c, d, e, f, g, h}
  for i = 1, 8 do added[i] = bit.tobit(state[i] + added[i]) end
  return added
end

local function sha256(text)
  local length = #text
  local padding = string.rep("\\0", (55 - length) % 64)
  local size = ""
  for shift = 24, 0, -8 do size = size .. string.char(band(shr(length * 8, shift), 255)) end
  text = text .. "\\128" .. padding .. "\\0\\0\\0\\0" .. size
  local state = START
  for at = 1, #text, 64 do state = compress(state, text, at) end
  return bit.tohex(state[1]) .. bit.tohex(state[2])
end
"""
"""The first 64 bits of SHA-256; its constants are made of primes, as the standard says."""
_CALLER = """
function envoy_on_request(handle)
  local found = handle:streamInfo():dynamicMetadata():get("FILTER")
  if not found then return end
  for place, claims in pairs(PLACES) do
    local token = found[place] or {}
    for _, claim in ipairs(claims) do
      local who = token[claim]
      if type(who) == "string" and who ~= "" and type(token.iss) == "string" then
        local hash = sha256(token.iss .. "\\n" .. who)
        handle:streamInfo():dynamicMetadata():set("NAMESPACE", "CALLER", hash)
        return
      end
    end
  end
end
"""


def caller_filters(served: Sequence[Served]) -> list[Json]:
    """Return the filter, where some token's identity is a word of somebody."""
    claims: dict[str, list[str]] = {}
    if any(each.accounts for each in served):
        claims[ACCOUNT] = [SUBJECT]
    for trust, said in named_by(served).items():
        claims[trust.place] = sorted({identity_of(issuer) for issuer in said})
    if not claims:
        return []
    source: Json = {"inline_string": caller_script(claims)}
    lists: Json = {LISTS: {"inline_string": LISTS_SCRIPT}}
    return [
        http_filter(CALLER_FILTER, "lua.v3.Lua", default_source_code=source, source_codes=lists)
    ]


def caller_script(claims: Mapping[str, Sequence[str]]) -> str:
    """Return the script that hashes who a caller is, by the first of a place's claims."""
    places = ", ".join(
        f"[{text(place)}] = {{{', '.join(map(text, named))}}}" for place, named in claims.items()
    )
    own = _CALLER.replace("PLACES", "places").replace("FILTER", JWT_FILTER)
    own = own.replace("NAMESPACE", METADATA).replace("CALLER", CALLER)
    return f"{_SHA256}\nlocal places = {{{places}}}\n{own}"
