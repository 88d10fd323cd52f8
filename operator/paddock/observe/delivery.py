"""What a pool's Collector has delivered, by its own counters: reads only.

I/O: never raises for a Collector that is not well. Keeps, for each pod, when its count last grew.
"""

import re
from collections.abc import Iterable

import httpx

from paddock import names
from paddock.facts import DeliveryFact, PodFact

_SENT = re.compile(r"^otelcol_exporter_sent_metric_points(?:_total|__total)?(?:\{.*\})? (\S+)$",
                   re.MULTILINE)  # fmt: skip
_SECONDS = 3.0


class Deliveries:
    """The deliveries of one pool's Collector, from look to look."""

    def __init__(self) -> None:
        self._pod = ""
        self._sent = 0.0
        self._since = 0.0
        self._grew = False

    async def of(
        self, client: httpx.AsyncClient, pods: Iterable[PodFact], now: float
    ) -> DeliveryFact | None:
        """Return what the Collector's ready pod says, or None where none answers."""
        pod = next((pod for pod in pods if pod.ready and pod.ip and not pod.deleting), None)
        sent = await _sent(client, pod.ip) if pod is not None and pod.ip else None
        if pod is None or sent is None:
            return None
        if pod.uid != self._pod:
            self._pod, self._sent, self._since, self._grew = pod.uid, sent, now, False
        elif sent > self._sent:
            self._sent, self._since, self._grew = sent, now, True
        return DeliveryFact(grew=self._grew, quiet_seconds=now - self._since)


async def _sent(client: httpx.AsyncClient, ip: str) -> float | None:
    host = f"[{ip}]" if ":" in ip else ip
    try:
        answer = await client.get(f"http://{host}:{names.COLLECTOR_PORT}/metrics", timeout=_SECONDS)
    except httpx.HTTPError:
        return None
    return sent_points(answer.text) if answer.is_success else None


def sent_points(text: str) -> float:
    """Return how many points a Collector says its exporters have delivered."""
    return sum(float(number) for number in _SENT.findall(text))
