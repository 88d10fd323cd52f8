"""TLS of a gateway: whose Secret, and how Envoy serves its certificate and takes the next. Pure.

A listener of its own ends TLS and hands the bytes on to the loopback, where the rest of the filters
are. So the listener with the certificate never changes while Envoy runs: one that did could not
after a bad certificate, and would go on with filters of before.
"""

from collections.abc import Iterable, Mapping

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.catalog import age_of
from paddock.plan.gateway.xds import address, from_file, http_filter, typed
from paddock.wire import Json

CERTIFICATE_FILE = "certificate.json"
CERTIFICATE_PAGE = "/certificate"
VOLUME = "certificate"
_CHAIN, _KEY = "tls.crt", "tls.key"
_SECRET, _INNER = "certificate", "gateway-inner"
_LOOPBACK = "127.0.0.1"
_HANDSHAKE_SECONDS = "10s"
_BUFFER_BYTES, _CONNECTIONS = 256 * 1024, 20_000
_SCRIPT = """\
local block = "%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-[%w+/=%s]+%-%-%-%-%-END CERTIFICATE%-%-%-%-%-"

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":path") ~= "PAGE" or headers:get(":method") ~= "GET" then return end
  local asked = {[":method"] = "GET", [":path"] = "/certs", [":authority"] = "ADMIN"}
  local _, served = handle:httpCall("ADMIN", asked, nil, 2000)
  local file = io.open("FILE", "r")
  local found = file and file:read("*a"):match(block) or ""
  if file then file:close() end
  local mounted = found:gsub("%s", function(space) return space == " " and " " or "\\\\n" end)
  handle:respond({[":status"] = "200", ["content-type"] = "application/json"},
    '{"mounted":"' .. mounted .. '","served":' .. (served or "{}") .. "}")
end
"""


def certificate_pool(pools: Iterable[InferencePool]) -> InferencePool | None:
    """Return the pool whose Secret the namespace's gateway serves: the oldest that names one."""
    asking = [pool for pool in pools if secret_of(pool) is not None]
    return min(asking, key=age_of, default=None)


def secret_of(pool: InferencePool) -> str | None:
    """Return the Secret that a pool names for the gateway's certificate."""
    gateway = pool.spec.gateway
    return gateway.tls.secret_name if gateway is not None and gateway.tls is not None else None


def certificate_resource(folder: str) -> dict[str, Json]:
    """Return where Envoy finds the pair, which it reads anew when the folder's link is swapped."""
    return typed(
        "extensions.transport_sockets.tls.v3.Secret",
        name=_SECRET,
        tls_certificate={
            "certificate_chain": {"filename": f"{folder}/{_CHAIN}"},
            "private_key": {"filename": f"{folder}/{_KEY}"},
            "watched_directory": {"path": folder},
        },
    )


def tls_listener(config_folder: str, port: int) -> Json:
    """Return the listener that ends TLS."""
    source = from_file(config_folder, CERTIFICATE_FILE)
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [{"name": _SECRET, "sds_config": source}],
        },
    )
    proxy = typed(
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="tls",
        cluster=_INNER,
        idle_timeout="0s",
    )
    return {
        "name": "gateway-tls",
        "address": address(port),
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [
            {
                "transport_socket_connect_timeout": _HANDSHAKE_SECONDS,
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": context,
                },
                "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
            }
        ],
    }


def inner_cluster(port: int) -> Json:
    """Return the way from there to the filters, on which each connection says whose it is."""
    raw = typed("extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    told = typed(
        "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": "V2"},
        transport_socket={"name": "envoy.transport_sockets.raw_buffer", "typed_config": raw},
    )
    endpoint: Json = {"endpoint": {"address": address(port, _LOOPBACK)}}
    most: Json = {"max_connections": _CONNECTIONS, "max_pending_requests": _CONNECTIONS}
    return {
        "name": _INNER,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [most]},
        "transport_socket": {
            "name": "envoy.transport_sockets.upstream_proxy_protocol",
            "typed_config": told,
        },
        "load_assignment": {
            "cluster_name": _INNER,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def inner_listener(front: Mapping[str, Json], port: int) -> dict[str, Json]:
    """Return the front listener once more, on the loopback, where callers come out of TLS."""
    whose = typed("extensions.filters.listener.proxy_protocol.v3.ProxyProtocol")
    return {
        **front,
        "name": _INNER,
        "address": address(port, _LOOPBACK),
        "listener_filters": [
            {"name": "envoy.filters.listener.proxy_protocol", "typed_config": whose}
        ],
    }


def certificate_filter(admin: str, folder: str) -> Json:
    """Return the status listener's filter that shows the certificate that is served, and the file.

    Envoy says nowhere whether it took the newest pair; both are what every caller may see.
    """
    script = _SCRIPT
    for word, value in (
        ("PAGE", CERTIFICATE_PAGE), ("ADMIN", admin), ("FILE", f"{folder}/{_CHAIN}"),
    ):  # fmt: skip
        script = script.replace(word, value)
    return http_filter("certificate", "lua.v3.Lua", default_source_code={"inline_string": script})


def certificate_volume(secret: str) -> Json:
    """Return the volume; the kubelet alone reads the Secret, and says which part is missing."""
    items: list[Json] = [{"key": each, "path": each} for each in (_CHAIN, _KEY)]
    return {
        "name": VOLUME,
        "secret": {"secretName": secret, "items": items, "defaultMode": 0o440},
    }


def certificate_mount() -> Json:
    """Return where the pair is in the pod."""
    return {"name": VOLUME, "mountPath": names.CERTIFICATE_PATH, "readOnly": True}
