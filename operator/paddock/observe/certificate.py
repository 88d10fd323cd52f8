"""Which certificate each Envoy of a gateway serves, and which its Secret's files hold. Reads only.

Both are what Envoy shows to every caller; the Secret itself is never read here.
"""

import asyncio
import re
from dataclasses import replace
from datetime import UTC

import httpx

from paddock import names
from paddock.certificates import Certificate, CertificateReport
from paddock.errors import EngineError
from paddock.facts import GatewayFacts, PodFact
from paddock.observe.asker import Asker
from paddock.plan.gateway.certificate import CERTIFICATE_PAGE
from paddock.raw import items, moment, text
from paddock.wire import Json

_SECONDS = 3.0
_SERIAL = re.compile(r"[0-9a-fA-F]+")


async def with_certificates(facts: GatewayFacts, client: httpx.AsyncClient) -> GatewayFacts:
    """Return the facts with what the Envoys say, also those that are not ready for want of one."""
    asked = [pod for pod in facts.pods if pod.ip and pod.phase == "Running" and not pod.deleting]
    reports = await asyncio.gather(*(_report(client, pod) for pod in asked))
    found = {
        pod.uid: report for pod, report in zip(asked, reports, strict=True) if report is not None
    }
    return replace(facts, certificates=found)


async def _report(client: httpx.AsyncClient, pod: PodFact) -> CertificateReport | None:
    """Ask one Envoy; None where it does not answer, or knows no such page."""
    asker = Asker(client, f"http://{pod.ip}:{names.GATEWAY_STATUS_PORT}")
    try:
        return read_certificates(await asker.get(CERTIFICATE_PAGE, seconds=_SECONDS))
    except EngineError:
        return None


def read_certificates(answer: Json) -> CertificateReport:
    """Read an Envoy's answer: its own account of what is served, and the file's first block."""
    shown = (chain for each in items(answer, "served", "certificates")
             for chain in items(each, "cert_chain"))  # fmt: skip
    return CertificateReport(
        served=next(map(_served, shown), None), mounted=_mounted(text(answer, "mounted") or "")
    )


def _served(chain: Json) -> Certificate | None:
    serial, until = text(chain, "serial_number") or "", moment(chain, "expiration_time")
    if until is None or not _SERIAL.fullmatch(serial):
        return None
    return Certificate(int(serial, 16), until.astimezone(UTC))


def _mounted(block: str) -> Certificate | None:
    if not block:
        return None
    from cryptography import x509  # noqa: PLC0415 - 8 MiB, where a gateway ends TLS alone

    try:
        found = x509.load_pem_x509_certificate(block.encode())
    except ValueError:
        return None
    return Certificate(found.serial_number, found.not_valid_after_utc)
