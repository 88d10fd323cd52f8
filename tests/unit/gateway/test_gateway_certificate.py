"""TLS of a gateway: whose Secret it serves, what its pods get, and what its pools are told."""

from dataclasses import replace
from datetime import timedelta

from paddock.api.exposure import Tls
from paddock.api.gateway import Gateway as DeclaredGateway
from paddock.api.inferencepool import InferencePool
from paddock.certificates import Certificate, CertificateReport
from paddock.facts import EventFact, GatewayFacts, PoolFacts, Wait
from paddock.observe.certificate import read_certificates
from paddock.plan.gateway.plan import GatewayPlan, plan_gateway, render_gateway, wanted_secret
from paddock.raw import at, items, text
from paddock.status.gateway import gateway_verdict, state_of_gateway
from paddock.wire import Manifest
from support.gateways import CPP, OLLAMA, SETTINGS, envoy_pod, gateway_facts, settled_gateway
from support.pools import NOW
from support.typed import as_typed, without_empty

GOOD = Certificate(7, NOW + timedelta(days=90))
TAKEN = CertificateReport(GOOD, GOOD)
WAITING = replace(envoy_pod(ready=False), name="paddock-gateway-2", uid="uid-new", ip=None)


def asking(pool: InferencePool, secret: str, made: str = "2026-01-01T00:00:00Z") -> InferencePool:
    declared = DeclaredGateway(tls=Tls(secret_name=secret))
    status = pool.status.model_copy(update={"replicas": 1, "ready_replicas": 1})
    return pool.model_copy(
        update={
            "metadata": pool.metadata.model_copy(update={"creation_timestamp": made}),
            "spec": pool.spec.model_copy(update={"gateway": declared}),
            "status": status,
        }
    )


FRONT = asking(CPP, "front")


def planned(facts: GatewayFacts) -> GatewayPlan:
    return plan_gateway(facts, render_gateway(facts, SETTINGS), SETTINGS)


def wanted(facts: GatewayFacts, kind: str) -> Manifest:
    (found,) = (each for each in planned(facts).wanted if each["kind"] == kind)
    return found


def serving(*pools: InferencePool, report: CertificateReport = TAKEN) -> GatewayFacts:
    return replace(settled_gateway(gateway_facts(*pools)), certificates={"uid-envoy": report})


def told(facts: GatewayFacts, pool: InferencePool) -> tuple[str, str, str]:
    state = state_of_gateway(facts, planned(facts), (), None)
    verdict = gateway_verdict(PoolFacts(pool=pool, now=NOW, gateway=state))
    return verdict.status, verdict.reason.value, verdict.message


def stuck(message: str) -> GatewayFacts:
    """Return a gateway that serves while its next Envoy waits for its Secret."""
    facts = serving(FRONT)
    events = (EventFact(f"Pod/{WAITING.name}", "FailedMount", message),)
    return replace(facts, pods=(*facts.pods, WAITING), events=events)


def test_oldest_pool_decides_whose_certificate_is_served() -> None:
    younger = asking(OLLAMA, "other", "2026-01-02T00:00:00Z")

    assert wanted_secret(gateway_facts(CPP, OLLAMA)) is None
    assert wanted_secret(gateway_facts(CPP, younger)) == "other"
    assert wanted_secret(gateway_facts(younger, FRONT)) == "front"


def test_younger_pool_of_another_secret_is_told_of_the_conflict() -> None:
    younger = asking(OLLAMA, "other", "2026-01-02T00:00:00Z")
    facts = serving(FRONT, younger)

    assert told(facts, FRONT)[0] == "True"
    assert told(facts, younger) == (
        "False",
        "GatewayConflict",
        (
            "All pools of a namespace have one gateway, which serves the certificate of Secret "
            "front for the older InferencePool cpp: name that Secret, or none."
        ),
    )


def test_kubelet_brings_the_secret_and_an_envoy_starts_by_serving_it() -> None:
    facts = gateway_facts(FRONT)
    pod = at(wanted(facts, "Deployment"), "spec", "template", "spec")
    (container,) = items(pod, "containers")
    (volume,) = (each for each in items(pod, "volumes") if text(each, "name") == "certificate")

    assert text(volume, "secret", "secretName") == "front"
    assert at(container, "startupProbe", "httpGet", "scheme") == "HTTPS"
    assert [text(each, "name") for each in items(wanted(facts, "Service"), "spec", "ports")] == [
        "http",
        "https",
    ]
    for manifest in planned(facts).wanted:
        assert as_typed(manifest) == without_empty(manifest)


def test_gateway_without_tls_has_nothing_of_it() -> None:
    rendering = render_gateway(gateway_facts(CPP), SETTINGS)

    assert "certificate.json" not in rendering.files
    assert len(rendering.listeners) == 1
    assert "startupProbe" not in str(wanted(gateway_facts(CPP), "Deployment"))


def test_settled_gateway_writes_nothing_and_looks_at_its_certificate_again() -> None:
    plan = planned(serving(FRONT))

    assert (plan.changes, plan.outcome) == ((), Wait(SETTINGS.delays.certificate_poll))


def test_pool_is_told_how_long_its_certificate_is_good() -> None:
    assert told(serving(FRONT), FRONT) == (
        "True",
        "Ready",
        (
            "http://paddock-gateway.team.svc and https://paddock-gateway.team.svc serve the pool's "
            "models. The certificate is good until 2026-04-01."
        ),
    )
    unknown = replace(serving(FRONT), certificates={})
    assert told(unknown, FRONT)[1:] == ("Progressing", "The gateway does not serve TLS yet.")


def test_pool_without_tls_is_served_whatever_the_certificate_of_others_is() -> None:
    plain = OLLAMA.model_copy(update={"status": FRONT.status})
    facts = serving(FRONT, plain, report=CertificateReport(GOOD, None))

    assert told(facts, FRONT)[1] == "CertificateInvalid"
    assert told(facts, plain)[0] == "True"


def test_absent_secret_and_key_are_named_as_the_kubelet_says() -> None:
    absent = 'MountVolume.SetUp failed for volume "certificate" : secret "front" not found'
    part = 'MountVolume.SetUp failed for volume "certificate" : references non-existent secret key: tls.key'  # noqa: E501 - as it is said

    assert told(stuck(absent), FRONT) == (
        "False",
        "CredentialsMissing",
        (
            "The Secret front does not exist: create it with kubectl create secret tls, or correct "
            "gateway.tls.secretName. What was served before still is."
        ),
    )
    assert told(stuck(part), FRONT)[2] == (
        "The Secret front has no tls.key: make it anew with kubectl create secret tls, or correct "
        "gateway.tls.secretName. What was served before still is."
    )


def test_first_gateway_whose_secret_is_absent_says_so_to_every_pool() -> None:
    facts = stuck('secret "front" not found')
    facts = replace(facts, pools=(FRONT, OLLAMA), pods=(WAITING,), certificates={}, reports={})

    assert told(facts, OLLAMA)[1] == "CredentialsMissing"


def test_bad_pair_is_told_with_what_is_served_meanwhile() -> None:
    kept = serving(FRONT, report=CertificateReport(GOOD, Certificate(8, GOOD.until)))
    none = replace(
        kept,
        pods=(replace(envoy_pod(ready=False), uid="uid-new"),),
        certificates={"uid-new": CertificateReport(None, GOOD)},
    )
    words = (
        "tls.crt and tls.key of Secret front are no certificate and key that belong together: put "
        "a pair there."
    )

    assert told(kept, FRONT) == (
        "False",
        "CertificateInvalid",
        f"{words} The certificate before it is served, which is good until 2026-04-01.",
    )
    assert told(none, FRONT)[2] == words


def test_expired_certificate_is_told() -> None:
    old = Certificate(7, NOW - timedelta(days=1))

    assert told(serving(FRONT, report=CertificateReport(old, old)), FRONT) == (
        "False",
        "CertificateInvalid",
        "The certificate of Secret front expired on 2025-12-31: put a new one there.",
    )


def test_answer_that_is_nonsense_is_no_certificate() -> None:
    nonsense = {
        "mounted": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "served": {"certificates": [{"cert_chain": [{"serial_number": "zz"}]}]},
    }

    assert read_certificates(nonsense) == CertificateReport()  # type: ignore[arg-type]  # plain JSON
    assert read_certificates([]) == CertificateReport()
