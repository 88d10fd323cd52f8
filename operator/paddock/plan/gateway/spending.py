"""How many tokens a caller may use of a model in a minute; a script keeps what is owed. Pure.

What an answer uses is known at its end. So a caller's next request pays for those before it, out of
a bucket that all threads of the Envoy share; what each thread has let callers owe is its own.
"""

from collections.abc import Mapping, Sequence

from paddock.plan.gateway.buckets import (
    LEFT_HEADER,
    MINUTE,
    MOST_CALLERS,
    bucket,
    filled,
    limit,
    of_request,
    of_route,
    share,
)
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.guards import ID, JWT_FILTER, KEY
from paddock.plan.gateway.identity import CALLER
from paddock.plan.gateway.limits import least
from paddock.plan.gateway.xds import METADATA
from paddock.wire import Json

SPENDING_FILTER = "tokens-per-minute"
BILL, PAYER, PRICE = "bill", "payer", "price"
_MODEL = "model-by-payer"
_REFUSED = "x-paddock-refused"
"""By this header the script knows that the bucket held too little; it takes it away again."""

SPENDING_SCRIPT = f"""\
local owed, before, payers = {{}}, {{}}, 0

local function owe(payer, tokens)
  local was = owed[payer]
  if not was then
    was = before[payer] or 0
    if payers == {MOST_CALLERS} then before, owed, payers = owed, {{}}, 0 end
    payers = payers + 1
  end
  owed[payer] = was + tokens
  return owed[payer]
end

local function metadata_of(handle)
  return handle:streamInfo():dynamicMetadata()
end

local function caller_of(handle, by_token)
  if not by_token then
    return (handle:streamInfo():downstreamRemoteAddress():gsub(":%d+$", ""))
  end
  local token = metadata_of(handle):get("{JWT_FILTER}") or {{}}
  if token.{KEY} then return "{KEY} " .. tostring(token.{KEY}.{ID}) end
  local known = metadata_of(handle):get("{METADATA}") or {{}}
  return "{CALLER} " .. tostring(known.{CALLER})
end

function envoy_on_request(handle)
  local asked = handle:filterContext():get("{BILL}")
  local payer = asked.model .. " " .. caller_of(handle, asked.by_token)
  local price = math.max(1, math.min(owe(payer, 0), asked.tokens))
  local told = math.ceil((tonumber(handle:headers():get("content-length") or "") or 0) / 4)
  told = math.min(told, asked.longest or told)
  owe(payer, told - price)
  local bill = {{{PAYER} = payer, {PRICE} = string.format("%d", price), told = told,
                most = asked.tokens}}
  metadata_of(handle):set("{METADATA}", "{BILL}", bill)
end

local function give_back(headers, bill)
  owe(bill.{PAYER}, -bill.told)
  if not headers:get("{_REFUSED}") then return end
  headers:remove("{_REFUSED}")
  local price = tonumber(bill.{PRICE})
  owe(bill.{PAYER}, price)
  local lacking = price - (tonumber(headers:get("{LEFT_HEADER}")) or 0)
  local seconds = math.max(1, math.ceil({MINUTE} * lacking / bill.most))
  headers:replace("retry-after", string.format("%d", seconds))
end

local function charge_as_told(bill, text, lines)
  local events, word = 0, lines and "\\n" or "data:"
  local at = text:find(word, 1, true)
  while at do events, at = events + 1, text:find(word, at + 1, true) end
  bill.told = bill.told + events
  owe(bill.{PAYER}, events)
end

local function settle(bill, used)
  owe(bill.{PAYER}, used - bill.told)
end
"""
"""A prompt counts as a quarter of its bytes, and each event of a stream as one token, until the
engine has told what it was."""


def tokens_per_minute(served: Served) -> int | None:
    """Return how many tokens each caller may use of the model."""
    return least(offer.limits.tokens_per_minute for offer in served.offers)


def charged(served: Served) -> Mapping[str, Json]:
    """Return what a route's metadata says for its tokens to be paid; nothing where free."""
    return {} if tokens_per_minute(served) is None else {_MODEL: served.name}


def spending_of(served: Served, replicas: int) -> Mapping[str, Json]:
    """Return what the script has to know of a route; nothing where tokens are free."""
    most = tokens_per_minute(served)
    if most is None:
        return {}
    contexts = [offer.context for offer in served.offers]
    known = [context for context in contexts if context is not None]
    return {
        "model": served.name,
        "tokens": share(most, replicas),
        "by_token": served.is_guarded,
        **({"longest": max(known)} if len(known) == len(contexts) else {}),
    }


def charge_tokens() -> Json:
    """Return the filter, which takes the price that the script has set, where it has."""
    return limit(SPENDING_FILTER)


def purses(served: Sequence[Served], replicas: int) -> dict[str, Json]:
    """Return the route table's buckets of tokens: one for each model and caller."""
    descriptors = [
        bucket([{"key": _MODEL, "value": each.name}, {"key": PAYER}], share(most, replicas))
        for each in served
        if (most := tokens_per_minute(each)) is not None
    ]
    taken: Json = {
        "actions": [of_route(_MODEL), of_request(PAYER, METADATA, [{"key": BILL}, {"key": PAYER}])],
        "hits_addend": {"format": f"%DYNAMIC_METADATA({METADATA}:{BILL}:{PRICE})%"},
    }
    return filled(SPENDING_FILTER, descriptors, [taken], {_REFUSED: PRICE}, tells_rest=True)
