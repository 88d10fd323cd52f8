"""What a caller with an issuer's token sees in the lists: the models its token is for. Pure.

Which these are is known only when the token is there, so a Lua script picks them, by the same
conditions as the routes do.
"""

from collections.abc import Callable, Sequence

from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.guards import JWT_FILTER
from paddock.plan.gateway.issuers import Trust, accepted_by, identity_of
from paddock.plan.gateway.key_ring import EVERY_MODEL
from paddock.plan.gateway.xds import lua_of_route
from paddock.wire import Json

LISTS = "lists"
LISTS_SCRIPT = """
local function holds(value, wanted)
  local listed = type(value) == "table" and value or {value}
  for _, said in ipairs(listed) do
    for _, each in ipairs(wanted) do
      if said == each then return true end
    end
  end
  return false
end

local function is_seen(token, model)
  for _, each in ipairs(model.demands) do
    local who = token[each.identity]
    if type(who) ~= "string" or who == "" or who:find("\\n", 1, true) then return false end
    if not holds(token.aud, each.audiences) then return false end
    if each.models and not holds(token[each.models], {model.name, "*"}) then return false end
  end
  return true
end

function envoy_on_request(handle)
  local asked = handle:filterContext()
  local found = handle:streamInfo():dynamicMetadata():get("FILTER")
  local token, seen = found[asked:get("place")], {}
  for _, model in ipairs(asked:get("models") or {}) do
    if is_seen(token, model) then seen[#seen + 1] = model.text end
  end
  local body = asked:get("head") .. table.concat(seen, ",") .. asked:get("tail")
  handle:respond({[":status"] = "200", ["content-type"] = "application/json"}, body)
end
""".replace("FILTER", JWT_FILTER).replace('"*"', f'"{EVERY_MODEL}"')


def list_for(
    trust: Trust, served: Sequence[Served], listed: Callable[[Sequence[Served]], str]
) -> Json:
    """Return what makes a route answer with the list of those models that a token is for."""
    head, empty, tail = listed([]).partition("[]")
    if not empty:
        raise ValueError("this is no list")
    models: list[Json] = [
        {
            "name": each.name,
            "demands": _demands(trust, each),
            "text": shown.removeprefix(f"{head}[").removesuffix(f"]{tail}"),
        }
        for each in served
        if (shown := listed([each])) != listed([])
        and (not each.is_guarded or _demands(trust, each))
    ]
    context: Json = {"place": trust.place, "models": models, "head": f"{head}[", "tail": f"]{tail}"}
    return lua_of_route(LISTS, filter_context=context)


def _demands(trust: Trust, served: Served) -> list[Json]:
    return [
        {
            "identity": identity_of(issuer),
            "audiences": list(issuer.audiences),
            **({"models": issuer.models_claim} if issuer.models_claim is not None else {}),
        }
        for issuer in accepted_by(served).get(trust, ())
    ]
