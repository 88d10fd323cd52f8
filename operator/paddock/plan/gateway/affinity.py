"""The same conversation to the same replica, so that an engine finds its prompt in its cache. Pure.

Envoy hashes where a conversation begins onto a ring of the pool's pods, and passes over a pod that
has more than its share of requests. A pod that comes or goes moves its own conversations only.
"""

from collections.abc import Sequence

from paddock import names
from paddock.api.gateway import Balancing
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.catalog import Offer
from paddock.plan.gateway.xds import http_filter, lua_of_route
from paddock.wire import Json

LUA_FILTER = "conversation"
_SCRIPT = "conversation"
_MOST_PERCENT = 125
"""No pod gets more than this part of the mean of requests in flight, rounded up."""
CONVERSATION_SCRIPT = f"""
local LOOKED_AT, COUNTED = 65536, 1024

local function after_string(text, at)
  local stop = text:find('["\\\\]', at + 1)
  while stop and text:byte(stop) == 92 do stop = text:find('["\\\\]', stop + 2) end
  return stop and stop + 1 or #text + 1
end

local function first_of_user(text, at)
  local depth, start, place = 0, at, at
  while true do
    place = text:find('["{{}}%[%]]', place)
    if not place then return start, #text end
    local sign = text:byte(place)
    if sign == 34 then
      place = after_string(text, place)
    else
      if sign == 123 or sign == 91 then
        depth = depth + 1
        if depth == 2 then start = place end
      else
        depth = depth - 1
        if depth == 0 then return start, place end
        local object = depth == 1 and text:sub(start, place)
        if object and object:find('"role"%s*:%s*"user"') then return start, place end
      end
      place = place + 1
    end
  end
end

local function beginning(text)
  local _, list = text:find('"messages"%s*:%s*%[')
  if not list then _, list = text:find('"input"%s*:%s*%[') end
  if list then return first_of_user(text, list) end
  local _, colon = text:find('"prompt"%s*:%s*')
  if not colon then _, colon = text:find('"input"%s*:%s*') end
  if colon then return colon + 1, colon + 256 end
end

function envoy_on_request(handle)
  local body = handle:body()
  if not body or body:length() == 0 then return end
  local text = body:getBytes(0, math.min(body:length(), LOOKED_AT))
  local first, last = beginning(text)
  if not first then return end
  local hash = 5381
  for place = first, math.min(last, first + COUNTED - 1, #text) do
    hash = bit.bxor(bit.tobit(hash * 33), text:byte(place))
  end
  handle:headers():replace("{names.CONVERSATION_HEADER}", bit.tohex(hash))
end
"""
"""Hashes the user's first message, or the first 256 bytes of a prompt that is no list."""


def is_affine(pool: InferencePool) -> bool:
    """Tell whether the pool keeps conversations on their replicas."""
    gateway = pool.spec.gateway
    return gateway is not None and gateway.balancing is Balancing.PREFIX_AFFINITY


def conversation_filter() -> Json:
    """Return the filter, which looks at no request but those of routes that ask for it."""
    source: Json = {"inline_string": CONVERSATION_SCRIPT}
    return http_filter(LUA_FILTER, "lua.v3.Lua", source_codes={_SCRIPT: source})


def script_of_route(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return what makes a route tell conversations apart, where a pool behind it asks for it."""
    if not _any_affine(offers):
        return {}
    return {LUA_FILTER: lua_of_route(_SCRIPT)}


def hash_of_route(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return by what a route's requests are put on the ring of a pool."""
    if not _any_affine(offers):
        return {}
    return {"hash_policy": [{"header": {"header_name": names.CONVERSATION_HEADER}}]}


def shares_of_route(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return by what requests are shared between pools: a conversation stays in its pool."""
    return {"use_hash_policy": True} if _any_affine(offers) else {}


def _any_affine(offers: Sequence[Offer]) -> bool:
    return any(is_affine(offer.pool) for offer in offers)


def affinity_of_cluster(pool: InferencePool) -> dict[str, Json]:
    """Return what makes a cluster choose among its pods by conversation."""
    if not is_affine(pool):
        return {}
    return {
        "lb_policy": "RING_HASH",
        "common_lb_config": {
            "consistent_hashing_lb_config": {"hash_balance_factor": _MOST_PERCENT}
        },
    }
