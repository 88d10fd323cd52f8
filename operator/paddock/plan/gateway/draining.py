"""How an Envoy goes without failing anybody: a page that answers when nothing is left to do. Pure.

The kubelet asks for it before it ends the container. From then on callers are told to open new
connections, which reach other Envoys, and the page is held until the last request is answered.
"""

from paddock.plan.gateway.xds import http_filter, typed
from paddock.wire import Json

DRAIN_PATH, PAUSE_PATH = "/drain", "/pause"
LEAST_SECONDS, MOST_SECONDS = 10, 600
"""At least until everybody has heard that the pod goes; at most so long for one request."""
_FAULT = "pause"
_SCRIPT = """\
local least, most = LEAST, MOST

local function call(handle, cluster, method, path)
  local headers = {[":method"] = method, [":path"] = path, [":authority"] = cluster}
  return handle:httpCall(cluster, headers, nil, 5000)
end

local function active(handle)
  local _, said = call(handle, "ADMIN", "GET", "/stats?filter=GAUGE")
  return tonumber((said or ""):match(": (%d+)"))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":path") ~= "DRAIN" or headers:get(":method") ~= "GET" then return end
  call(handle, "ADMIN", "POST", "/healthcheck/fail")
  for second = 1, most do
    call(handle, "OWN", "GET", "PAUSE")
    if second >= least and active(handle) == 0 then break end
  end
  call(handle, "ADMIN", "POST", "/healthcheck/ok")
  handle:respond({[":status"] = "200"}, "drained")
end
"""


def drain_filters(admin: str, own: str, listener: str) -> list[Json]:
    """Return the filters that hold the page; clusters, the own one too, and a listener by name."""
    words = {
        "LEAST": str(LEAST_SECONDS), "MOST": str(MOST_SECONDS), "ADMIN": admin, "OWN": own,
        "GAUGE": f"^http.{listener}.downstream_rq_active$", "DRAIN": DRAIN_PATH,
        "PAUSE": PAUSE_PATH,
    }  # fmt: skip
    script = _SCRIPT
    for word, value in words.items():
        script = script.replace(word, value)
    return [
        http_filter("drain", "lua.v3.Lua", default_source_code={"inline_string": script}),
        http_filter(_FAULT, "fault.v3.HTTPFault"),
    ]


def pause_route() -> Json:
    """Return the route whose answer takes a second."""
    delay: Json = {"fixed_delay": "1s", "percentage": {"numerator": 100}}
    return {
        "match": {"path": PAUSE_PATH},
        "direct_response": {"status": 200},
        "typed_per_filter_config": {
            _FAULT: typed("extensions.filters.http.fault.v3.HTTPFault", delay=delay)
        },
    }
