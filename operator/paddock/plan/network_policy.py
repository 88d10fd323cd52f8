"""The NetworkPolicy of a pool: in from the gateway and the operator, out to nobody. Pure.

The pool's own Collector is let in to ask for numbers. Engines that tell spans of their own may
bring them to the Collector of the gateway.
"""

from collections.abc import Sequence

from paddock import names
from paddock.api.inferencepool import InferencePool, tells_spans
from paddock.plan.deployment import child_metadata, selector
from paddock.plan.gateway.objects import gateway_selector
from paddock.plan.telemetry.collector import collector_selector, is_collected
from paddock.wire import Json, Manifest


def build_network_policy(
    pool: InferencePool, operator_namespace: str, more: Sequence[Json] = ()
) -> Manifest:
    """Build the NetworkPolicy; `more` are peers that may ask the engines too."""
    gateway = {"matchLabels": gateway_selector()}
    operator = {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}
    peers: list[Json] = [{"podSelector": gateway}, {"namespaceSelector": operator}, *more]
    if is_collected(pool):
        peers.append({"podSelector": {"matchLabels": collector_selector(pool)}})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(pool),
        "spec": {
            "podSelector": {"matchLabels": selector(pool)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": peers,
                    "ports": [{"port": names.ENGINE_PORT, "protocol": "TCP"}],
                }
            ],
            **({"egress": _to_the_collector()} if tells_spans(pool.spec) else {}),
        },
    }


def _to_the_collector() -> list[Json]:
    """Let names be asked for, and spans go to the Collector of the gateway."""
    dns: list[Json] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    labels = {**gateway_selector(), names.COMPONENT_LABEL: names.GATEWAY_COLLECTOR_COMPONENT}
    return [
        {"ports": dns},
        {
            "to": [{"podSelector": {"matchLabels": labels}}],
            "ports": [{"port": names.OTLP_PORT, "protocol": "TCP"}],
        },
    ]
