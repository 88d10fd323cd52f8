"""How an Envoy learns what a request used: a Lua script over the answer's beginning and end. Pure.

It keeps at most 25 KiB of an answer, reads numbers only, and passes every byte on as it came. A
string of an answer cannot pass for these numbers: its quotes are escaped.
"""

from collections.abc import Mapping

from paddock.plan.gateway.spending import BILL, SPENDING_SCRIPT
from paddock.plan.gateway.xds import METADATA, http_filter, lua_of_route
from paddock.wire import Json

INPUT, OUTPUT, PER_TOKEN = "input_tokens", "output_tokens", "microseconds_per_token"
STREAMED = "streamed"
USAGE_FILTER = "read-usage"
_PAID, _MEASURED = "paid", "measured"
_WITHOUT_PRICE = "envoy_on_request = nil\n"
"""Where tokens are free, nothing has to be done of a request but of its answer."""
HEAD_BYTES, TAIL_BYTES = 1024, 8192
"""The first bytes that are kept, and the fewest of the last; of these up to three times as many."""

_SCRIPT = """\
local function last(text, key, value)
  local pattern, found, at = "^%s*:%s*(" .. value .. ")", nil, 1
  while true do
    local _, ending = text:find(key, at, true)
    if not ending then return found end
    local _, told, said = text:find(pattern, ending + 1)
    at, found = (told or ending) + 1, said or found
  end
end

local function number(text, key)
  return text and tonumber(text:match('"' .. key .. '"%s*:%s*(%d+)'))
end

local function of_openai(text)
  local usage = last(text, '"usage"', "%b{}")
  local input = number(usage, "prompt_tokens") or number(usage, "input_tokens")
  return input, number(usage, "completion_tokens") or number(usage, "output_tokens")
end

local function of_ollama(text)
  local input = tonumber(last(text, '"prompt_eval_count"', "%d+"))
  return input, tonumber(last(text, '"eval_count"', "%d+"))
end

local function of_llama_cpp(text)
  local timings = last(text, '"timings"', "%b{}")
  local new, cached = number(timings, "prompt_n"), number(timings, "cache_n")
  return new and new + (cached or 0), number(timings, "predicted_n")
end

local function used(text)
  local input, output = of_openai(text)
  if not (input or output) then input, output = of_ollama(text) end
  if not (input or output) then input, output = of_llama_cpp(text) end
  return input, output
end

function envoy_on_response(handle)
  local known, headers = metadata_of(handle):get("NAMESPACE"), handle:headers()
  if not (known and known["model"]) then return end
  local bill = known["BILL"]
  if headers:get(":status") ~= "200" then
    if bill then give_back(headers, bill) end
    return
  end
  local kind = headers:get("content-type") or ""
  local length = tonumber(headers:get("content-length") or "")
  local lines = kind:find("ndjson", 1, true)
  local streams = lines or kind:find("event-stream", 1, true)
  local head, before, tail, first, final, heard = "", "", "", nil, nil, 0
  local more = handle:bodyChunks()
  while heard ~= length do
    local chunk = more()
    if not chunk then break end
    local size = chunk:length()
    if size > 0 then
      heard = heard + size
      if streams then final = handle:timestamp() end
      if heard == size then
        first, head = final, chunk:getBytes(0, math.min(size, HEAD))
        if streams then metadata_of(handle):set("NAMESPACE", "STREAMED", true) end
      end
      if bill and streams then charge_as_told(bill, chunk:getBytes(0, size), lines) end
      local kept = math.min(size, TAIL)
      tail = tail .. chunk:getBytes(size - kept, kept)
      if #tail >= TAIL then before, tail = tail, "" end
    end
  end
  local input, output = used(before .. tail)
  if not (input or output) then input, output = used(head) end
  if not (input or output) then return end
  if bill then settle(bill, (input or 0) + (output or 0)) end
  local metadata = metadata_of(handle)
  metadata:set("NAMESPACE", "INPUT", input or 0)
  metadata:set("NAMESPACE", "OUTPUT", output or 0)
  if streams and output and output > 1 then
    local each = math.floor((final - first) * 1000 / (output - 1))
    metadata:set("NAMESPACE", "PER_TOKEN", each)
  end
end
"""


def script() -> str:
    """Return the script with its names and bounds."""
    words = {
        "NAMESPACE": METADATA, "INPUT": INPUT, "OUTPUT": OUTPUT, "PER_TOKEN": PER_TOKEN,
        "STREAMED": STREAMED, "BILL": BILL,
    }  # fmt: skip
    text = SPENDING_SCRIPT + _SCRIPT
    for word, value in words.items():
        text = text.replace(f'"{word}"', f'"{value}"')
    return text.replace("HEAD", str(HEAD_BYTES)).replace("TAIL", str(TAIL_BYTES))


def read_usage() -> Json:
    """Return the filter; it reads the answers of routes that ask for it, and no others."""
    scripts: Json = {
        _PAID: {"inline_string": script()},
        _MEASURED: {"inline_string": script() + _WITHOUT_PRICE},
    }
    return http_filter(USAGE_FILTER, "lua.v3.Lua", source_codes=scripts)


def usage_of_route(spending: Mapping[str, Json]) -> dict[str, Json]:
    """Return what makes a route have its answers read, and what its tokens cost the caller."""
    if not spending:
        return {USAGE_FILTER: lua_of_route(_MEASURED)}
    return {USAGE_FILTER: lua_of_route(_PAID, filter_context={BILL: dict(spending)})}
