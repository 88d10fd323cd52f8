"""The one listener: limits of a connection, the filters a request passes, the wording of errors.

Pure. The first filter lets only listed methods and paths through, before any body is read.
"""

from collections.abc import Sequence

from paddock import names
from paddock.plan.gateway.affinity import conversation_filter
from paddock.plan.gateway.buckets import HEADERS
from paddock.plan.gateway.limits import BODY_BYTES, count_requests
from paddock.plan.gateway.reading import read_model
from paddock.plan.gateway.replies import local_replies
from paddock.plan.gateway.routes import GET_PATTERN, POST_PATHS, READY_PATH
from paddock.plan.gateway.signals import access_logs, tracing
from paddock.plan.gateway.spending import charge_tokens
from paddock.plan.gateway.tokens import Access, verified_tokens
from paddock.plan.gateway.usage import read_usage
from paddock.plan.gateway.xds import address, http_filter, typed
from paddock.wire import Json

LISTENER = "gateway"
_HEADERS_SECONDS, _REQUEST_SECONDS = "10s", "120s"
_IDLE_CONNECTION_SECONDS, _IDLE_STREAM_SECONDS = "300s", "600s"
_HEADER_KILOBYTES, _HEADER_COUNT = 32, 100
_CONNECTION_BYTES = 256 * 1024
_STREAMS, _STREAM_WINDOW, _CONNECTION_WINDOW = 100, 256 * 1024, 1024 * 1024


def listener(
    routes: Json,
    access: Access | None = None,
    port: int = names.GATEWAY_PORT,
    *,
    traced: int | None = None,
    recorders: Sequence[Json] = (),
) -> dict[str, Json]:
    """Return the listener; `routes` is either a source of the table or the table itself.

    `traced` is the percent of requests of which a trace begins; without it nothing is measured.
    `recorders` are the filters that keep prompts and answers, where some pool asks for that.
    """
    return typed(
        "config.listener.v3.Listener",
        name=LISTENER,
        address=address(port),
        per_connection_buffer_limit_bytes=_CONNECTION_BYTES,
        filter_chains=[
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(
                            routes, access, traced=traced, recorders=recorders
                        ),
                    }
                ]
            }
        ],
    )


def _connection_manager(
    routes: Json, access: Access | None, *, traced: int | None, recorders: Sequence[Json]
) -> Json:
    told: dict[str, Json] = {}
    if traced is not None:
        content = bool(recorders)
        told = {"access_log": access_logs(content=content), "tracing": tracing(traced)}
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **(routes if isinstance(routes, dict) else {}),
        stat_prefix=LISTENER,
        server_name="paddock",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        max_request_headers_kb=_HEADER_KILOBYTES,
        request_headers_timeout=_HEADERS_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        stream_idle_timeout=_IDLE_STREAM_SECONDS,
        common_http_protocol_options={
            "idle_timeout": _IDLE_CONNECTION_SECONDS,
            "max_headers_count": _HEADER_COUNT,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        http2_protocol_options={
            "max_concurrent_streams": _STREAMS,
            "initial_stream_window_size": _STREAM_WINDOW,
            "initial_connection_window_size": _CONNECTION_WINDOW,
        },
        local_reply_config=local_replies(),
        http_filters=_filters(access, recorders),
        **told,
    )


def _filters(access: Access | None, recorders: Sequence[Json]) -> Sequence[Json]:
    return [
        _listed_paths_only(),
        *(verified_tokens(access, READY_PATH) if access is not None else ()),
        _without_our_headers(),
        read_model(),
        http_filter("whole-body", "buffer.v3.Buffer", max_request_bytes=BODY_BYTES),
        *(access.identity if access is not None else ()),
        conversation_filter(),
        count_requests(),
        read_usage(),
        charge_tokens(),
        *recorders,
        http_filter("router", "router.v3.Router", dynamic_stats=False, suppress_envoy_headers=True),
    ]


def _listed_paths_only() -> Json:
    """Refuse every other method and path by 403, before its body is read."""
    posts: list[Json] = [_path({"exact": path}) for path in POST_PATHS]
    permissions: list[Json] = [
        _allowed("POST", {"or_rules": {"rules": posts}}),
        _allowed("GET", _path({"safe_regex": {"regex": GET_PATTERN}})),
        _allowed("HEAD", _path({"exact": "/"})),
    ]
    policy: Json = {"permissions": permissions, "principals": [{"any": True}]}
    return http_filter(
        "listed-paths", "rbac.v3.RBAC", rules={"action": "ALLOW", "policies": {"listed": policy}}
    )


def _allowed(method: str, paths: Json) -> Json:
    return {
        "and_rules": {
            "rules": [{"header": {"name": ":method", "string_match": {"exact": method}}}, paths]
        }
    }


def _path(match: Json) -> Json:
    return {"url_path": {"path": match}}


def _without_our_headers() -> Json:
    """Take out what engines must not see, what only the gateway may say, and buckets' words."""
    ours = (names.POOL_HEADER, names.CONVERSATION_HEADER, "authorization")
    removed: list[Json] = [{"remove": name} for name in ours]
    unsaid: list[Json] = [{"remove": name} for name in HEADERS]
    return http_filter(
        "without-our-headers",
        "header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": removed, "response_mutations": unsaid},
    )
