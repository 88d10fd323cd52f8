"""How a gateway serves TLS, and what is wrong with its certificate, in plain words. Pure.

Whatever is wrong, what was served before still is: Envoy keeps the last good pair, and an Envoy
without one takes nobody's place.
"""

import re

from paddock.api.reasons import Reason
from paddock.certificates import CertificateReport
from paddock.facts import GatewayFacts, PodFact, TlsState
from paddock.plan.gateway.certificate import certificate_pool, secret_of
from paddock.plan.gateway.plan import living_pools, ready_pods
from paddock.status.pod_diagnosis import NO_SECRET

_NO_KEY = re.compile(r"references non-existent secret key: ([-._a-zA-Z0-9]+)")
_MOUNT = "FailedMount"


def tls_of(facts: GatewayFacts) -> TlsState | None:
    """Return how the gateway serves TLS; None where no pool asks for it."""
    pool = certificate_pool(living_pools(facts))
    secret = secret_of(pool) if pool is not None else None
    if pool is None or secret is None:
        return None
    serving = [facts.certificates.get(pod.uid, CertificateReport()) for pod in ready_pods(facts)]
    times = [report.served.until for report in serving if report.served is not None]
    return TlsState(
        secret,
        pool.metadata.name,
        until=min(times) if times and len(times) == len(serving) else None,
        trouble=_trouble(facts, secret),
    )


def _trouble(facts: GatewayFacts, secret: str) -> tuple[Reason, str] | None:
    pods = sorted((pod for pod in facts.pods if not pod.deleting), key=lambda pod: pod.name)
    for pod in pods:
        report = facts.certificates.get(pod.uid)
        missing = _missing(facts, pod, secret) if report is None else None
        if missing is not None:
            return Reason.CREDENTIALS_MISSING, f"{missing} What was served before still is."
        if report is not None and not report.is_taken:
            return Reason.CERTIFICATE_INVALID, _unusable(secret, report)
    for report in facts.certificates.values():
        if report.served is not None and report.served.until <= facts.now:
            day = report.served.until.date().isoformat()
            words = f"The certificate of Secret {secret} expired on {day}: put a new one there."
            return Reason.CERTIFICATE_INVALID, words
    return None


def _missing(facts: GatewayFacts, pod: PodFact, secret: str) -> str | None:
    """Word what the kubelet misses when it is to bring the Secret into a pod."""
    for event in facts.events:
        if event.object != f"Pod/{pod.name}" or event.reason != _MOUNT:
            continue
        absent, part = NO_SECRET.search(event.message), _NO_KEY.search(event.message)
        if absent and absent[1] == secret:
            return (
                f"The Secret {secret} does not exist: create it with kubectl create secret tls, "
                "or correct gateway.tls.secretName."
            )
        if part:
            return (
                f"The Secret {secret} has no {part[1]}: make it anew with kubectl create secret "
                "tls, or correct gateway.tls.secretName."
            )
    return None


def _unusable(secret: str, report: CertificateReport) -> str:
    words = (
        f"tls.crt and tls.key of Secret {secret} are no certificate and key that belong together: "
        "put a pair there."
    )
    if report.served is None:
        return words
    day = report.served.until.date().isoformat()
    return f"{words} The certificate before it is served, which is good until {day}."
