"""A real Envoy ends TLS, for HTTP/1.1 and 2, and takes each new pair of its Secret meanwhile."""

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from paddock.api.exposure import Tls
from paddock.api.gateway import Gateway as DeclaredGateway
from paddock.api.gateway import Limits
from paddock.api.inferencepool import InferencePool
from paddock.certificates import CertificateReport
from paddock.observe.certificate import read_certificates
from paddock.observe.envoy import Judge
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.certificate import CERTIFICATE_PAGE
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from support.answering import Answering, answering
from support.certificates import mount, pair, serial_of
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, CPP

pytestmark = pytest.mark.contract
SECONDS = 60.0
BODY = {"model": "alpha", "prompt": "hi"}


def secured(limits: Limits | None = None) -> InferencePool:
    declared = DeclaredGateway(tls=Tls(secret_name="front"), limits=limits)
    return CPP.model_copy(update={"spec": CPP.spec.model_copy(update={"gateway": declared})})


@pytest.fixture
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server
        server.open.set()


@contextmanager
def front(folder: Path, backend: Answering, files: Mapping[str, str]) -> Iterator[Gateway]:
    place = free_place(folder)
    mount(Path(place.certificate), files)
    with gateway(rendered(place), place, folder, backends(backend)) as running:
        yield running


def rendered(place: Place, limits: Limits | None = None) -> Rendering:
    return render("team", [secured(limits)], {"alpha": ALPHA}, Surroundings(place=place))


def backends(backend: Answering) -> Mapping[str, str]:
    return {"cpp.team": backend.address}


def trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def connected(running: Gateway) -> Iterator[ssl.SSLSocket]:
    address = "127.0.0.1", running.place.tls_port
    with (
        socket.create_connection(address, timeout=SECONDS) as plain,
        trusting_all().wrap_socket(plain) as tls,
    ):
        yield tls


def shown(running: Gateway) -> int | None:
    """Return the serial number of the certificate that a new caller is shown, if any."""
    try:
        with connected(running) as tls:
            der = tls.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(der or b"").serial_number


def told(running: Gateway) -> CertificateReport:
    answer = httpx.get(f"{running.status_url}{CERTIFICATE_PAGE}", timeout=SECONDS)
    return read_certificates(answer.json())


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/completions", json=BODY)


def caller(running: Gateway, **transport: str) -> httpx.Client:
    """Return a client that keeps its connections."""
    return httpx.Client(
        base_url=f"https://127.0.0.1:{running.place.tls_port}",
        transport=httpx.HTTPTransport(verify=trusting_all(), **transport),  # type: ignore[arg-type]  # an address
        timeout=SECONDS,
    )


async def test_envoy_accepts_what_is_rendered_though_the_certificate_is_elsewhere(
    tmp_path: Path,
) -> None:
    assert await Judge().refusal("team", rendered(free_place(tmp_path))) is None


def test_callers_over_tls_get_the_same_routes_under_their_own_address(
    backend: Answering, tmp_path: Path
) -> None:
    files = pair()
    with front(tmp_path, backend, files) as running, caller(running) as client:
        listed = client.get("/v1/models").json()["data"]
        refused = client.post("/api/pull", json={"model": "alpha"}).status_code
        first = ask(client)
        for own in ("127.0.0.2", "127.0.0.3"):
            with caller(running, local_address=own) as other:
                ask(other)
        report = told(running)

    assert [each["id"] for each in listed] == ["alpha"]
    assert (refused, first.status_code) == (403, 200)
    addresses = [each["x-forwarded-for"] for each in backend.headers]
    assert addresses[1:] == ["127.0.0.2", "127.0.0.3"]
    assert report.is_taken
    assert report.served is not None
    assert report.served.serial == serial_of(files)


def test_http2_is_spoken_with_who_offers_it_and_http1_with_who_does_not(
    backend: Answering, tmp_path: Path
) -> None:
    with front(tmp_path, backend, pair()) as running:
        url = f"https://127.0.0.1:{running.place.tls_port}"
        backend.open.clear()
        with curl("--http2", "--parallel", url, times=3) as both:
            until(lambda: backend.asked == 3, "three streams of one connection are with the engine")
            backend.open.set()
            assert sorted(said(both)) == ["2 200 0", "2 200 0", "2 200 1"]
        with curl("--http2", "--interface", "127.0.0.2", url, times=1) as own:
            assert said(own) == ["2 200 1"]
        with curl("--http1.1", url, times=2) as older:
            assert said(older) == ["1.1 200 1", "1.1 200 0"]
        with curl("--http2", url, times=1, path="/api/pull", body=None) as admin:
            assert said(admin) == ["2 403 1"]

    assert backend.headers[3]["x-forwarded-for"] == "127.0.0.2"


@contextmanager
def curl(
    *options: str, times: int, path: str = "/v1/completions", body: Mapping[str, str] | None = BODY
) -> Iterator[subprocess.Popen[str]]:
    """Ask so many times by one real client; it tells version, status and new connections.

    A refusal may come before a body is sent, and this client then takes the stream's end for an
    error now and then: what is refused is asked for without one.
    """
    *options_, url = options
    asked = [part for _ in range(times) for part in (f"{url}{path}", "--output", "/dev/null")]
    told = "%{http_version} %{response_code} %{num_connects}\\n"
    sent = [] if body is None else ["--json", json.dumps(body)]
    command = [
        "curl", "--no-progress-meter", "--insecure", "--max-time", str(SECONDS), *options_,
        *sent, "--write-out", told, *asked,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process


def said(process: subprocess.Popen[str]) -> list[str]:
    return process.communicate(timeout=SECONDS)[0].splitlines()


def test_rotation_is_taken_without_ending_a_connection_or_a_request(
    backend: Answering, tmp_path: Path
) -> None:
    before, after = pair(), pair()
    with front(tmp_path, backend, before) as running, connected(running) as tls:
        backend.open.clear()
        body = b'{"model":"alpha","prompt":"hi"}'
        head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        tls.sendall(head.encode() + body)
        until(lambda: backend.asked == 1, "the engine is asked")
        mount(Path(running.place.certificate), after)
        until(lambda: shown(running) == serial_of(after), "the new certificate is served")
        backend.open.set()
        first = tls.recv(65_536)
        tls.sendall(head.encode() + body)
        second = tls.recv(65_536)

    assert (first[:15], second[:15]) == (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK")


def test_bad_pair_leaves_the_certificate_before_it_and_is_told(
    backend: Answering, tmp_path: Path
) -> None:
    good, other = pair(), pair()
    with front(tmp_path, backend, good) as running:
        folder = Path(running.place.certificate)
        for bad in ({**other, "tls.key": pair()["tls.key"]}, {**good, "tls.crt": "not one"}):
            mount(folder, bad)
            until(lambda: not told(running).is_taken, "the pair is refused")
            assert shown(running) == serial_of(good)
        mount(folder, other)
        until(lambda: told(running).is_taken, "the good pair is taken")
        assert shown(running) == serial_of(other)


def test_change_of_the_gateway_reaches_tls_also_after_a_bad_pair(
    backend: Answering, tmp_path: Path
) -> None:
    """A listener that holds the bad pair itself would refuse every change of its filters."""
    good = pair()
    with front(tmp_path, backend, good) as running, caller(running) as client:
        mount(Path(running.place.certificate), {**pair(), "tls.key": pair()["tls.key"]})
        until(lambda: not told(running).is_taken, "the pair is refused")
        small = rendered(running.place, Limits(body_bytes=1024))
        running.take(small)
        answer = client.post("/v1/completions", json={**BODY, "prompt": "x" * 2000})

    assert answer.status_code == 413


def test_envoy_that_starts_with_a_bad_pair_serves_no_tls_until_there_is_a_good_one(
    backend: Answering, tmp_path: Path
) -> None:
    good = pair()
    with front(tmp_path, backend, {**good, "tls.key": pair()["tls.key"]}) as running:
        assert shown(running) is None
        assert told(running).served is None
        assert httpx.get(f"{running.url}/healthz", timeout=SECONDS).status_code == 200
        mount(Path(running.place.certificate), good)
        until(lambda: shown(running) == serial_of(good), "the good pair is taken")
