"""Names that resolve to places no pull may go, certificates nobody signed, and who gets a token."""

import datetime as dt
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from paddock.api.pull import Access, PullPlan, PullReason
from paddock.puller import credentials, retry
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store
from support.hostile import resolver_trial
from support.hostile.headers import WHOLE
from support.pull_process import start
from support.raw_server import RawSite, reply, serving_raw

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.1/32",), http=True)
NAMES = {
    "loopback.example": ("127.0.0.53",),
    "metadata.example": ("169.254.169.254",),
    "private.example": ("10.1.2.3",),
    "cluster.example": ("172.20.0.1",),
    "home.example": ("192.168.1.1",),
    "shared.example": ("100.100.100.200",),
    "nowhere.example": ("0.0.0.0",),  # noqa: S104 - an address to refuse
    "six.example": ("::1",),
    "unique-local.example": ("fd00::1",),
    "link-local.example": ("fe80::1",),
    "mapped.example": ("::ffff:10.0.0.1",),
    "translated.example": ("64:ff9b::a9fe:a9fe",),
    "half.example": ("127.0.0.1", "10.0.0.1"),
    "rebinding.example": ("8.8.8.8", "127.0.0.53"),
    "both.example": ("2606:4700::1", "fd00::1"),
    "localhost": ("127.0.0.2",),
    "MiXeD.example": ("10.0.0.1",),
}
"""What the resolver says of a name; one forbidden address among others forbids it."""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="its own hosts file needs root"
)
def test_names_that_resolve_to_private_addresses_are_refused(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    lines = [f"{address} {name}\n" for name, them in NAMES.items() for address in them]
    hosts.write_text("".join(lines))
    (store := tmp_path / "store").mkdir()
    program = [sys.executable, resolver_trial.__file__, str(hosts), str(store), *NAMES]
    done = subprocess.run(
        ["unshare", "--mount", *program], capture_output=True, text=True, check=True
    )
    refusals = dict(zip(NAMES, json.loads(done.stdout), strict=True))
    assert refusals == dict.fromkeys(NAMES, PullReason.SOURCE_FORBIDDEN.value)


def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate("authority", key.public_key(), None, key), key


def certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate | None,
    key: ec.EllipticCurvePrivateKey,
    *,
    days: int = 1,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        host = x509.IPAddress(ipaddress.ip_address(subject))
        builder = builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)
    return builder.sign(key, hashes.SHA256())


@contextmanager
def serving_tls(site: RawSite, folder: Path, *, subject: str, days: int) -> Iterator[Path]:
    """Serve over TLS; yield the authority's certificate."""
    root, root_key = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    own = certificate(subject, key.public_key(), root, root_key, days=days)
    chain, trusted = folder / "chain.pem", folder / "authority.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(own.public_bytes(pem) + private)
    trusted.write_bytes(root.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    with serving_raw(site, context):
        yield trusted


@pytest.mark.parametrize(
    ("name", "subject", "days", "trusted", "reason"),
    [
        ("good", "127.0.0.1", 1, True, None),
        ("of nobody", "127.0.0.1", 1, False, PullReason.SOURCE_FORBIDDEN),
        ("of another host", "127.0.0.2", 1, True, PullReason.SOURCE_FORBIDDEN),
        ("expired", "127.0.0.1", -1, True, PullReason.SOURCE_FORBIDDEN),
    ],
)
def test_certificate_is_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    subject: str,
    days: int,
    trusted: bool,  # noqa: FBT001 - same
    reason: PullReason | None,
) -> None:
    site = RawSite({"/m.gguf": reply(WHOLE)})
    (store := tmp_path / "store").mkdir()
    with serving_tls(site, tmp_path, subject=subject, days=days) as root:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(root))
        plan = PullPlan(model="m", source=f"https://{site.host}/m.gguf", access=LOOPBACK)
        report = start(plan, store, tmp_path).finished()
    assert (report.failure.reason if report.failure else None) is reason, name


def test_redirect_from_https_to_http_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaker = RawSite({"/m.gguf": reply(WHOLE)})
    (store := tmp_path / "store").mkdir()
    with serving_raw(weaker):
        site = RawSite({"/m.gguf": reply(status=302, Location=f"http://{weaker.host}/m.gguf")})
        with serving_tls(site, tmp_path, subject="127.0.0.1", days=1) as root:
            monkeypatch.setenv("SSL_CERT_FILE", str(root))
            plan = PullPlan(model="m", source=f"https://{site.host}/m.gguf", access=LOOPBACK)
            report = start(plan, store, tmp_path).finished()
    assert report.failure is not None
    assert report.failure.reason is PullReason.SOURCE_FORBIDDEN
    assert weaker.asked == []


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mount a token as the Secret would be."""
    (folder := tmp_path / "credentials").mkdir()
    (folder / "token").write_text("secret-canary")
    monkeypatch.setattr(credentials, "FOLDER", folder)
    return "secret-canary"


def test_token_goes_to_its_host_and_to_no_other(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_backoff", lambda _state: 0.001)
    other = RawSite({"/m.gguf": reply(WHOLE)})
    with serving_raw(other):
        first = RawSite(
            {
                "/m.gguf": reply(status=307, Location="/n.gguf"),
                "/n.gguf": reply(status=307, Location=f"http://{other.host}/m.gguf"),
            }
        )
        with serving_raw(first):
            plan = PullPlan(model="m", source=f"http://{first.host}/m.gguf", access=LOOPBACK)
            pull(plan, Store(tmp_path), Meter())
    assert other.asked
    assert other.credentials == []
    assert len(first.credentials) == len(first.asked)
    assert all(token in each for each in first.credentials)


def test_token_is_in_no_message(tmp_path: Path, token: str) -> None:
    site = RawSite({"/m.gguf": reply(status=403)})
    with serving_raw(site):
        plan = PullPlan(model="m", source=f"http://{site.host}/m.gguf", access=LOOPBACK)
        with pytest.raises(PullError) as refused:
            pull(plan, Store(tmp_path), Meter())
    assert site.credentials
    assert token not in str(refused.value)
    assert token not in repr(refused.value)


def test_hosts_list_of_the_administrator_is_kept(tmp_path: Path) -> None:
    access = LOOPBACK.model_copy(update={"hosts": ("models.example", "*.mirror.example")})
    for name in ("evil.example", "xmodels.example", "models.example.evil.example", "127.0.0.1"):
        plan = PullPlan(model="m", source=f"http://{name}/m.gguf", access=access)
        with pytest.raises(PullError) as refused:
            pull(plan, Store(tmp_path), Meter())
        assert refused.value.cause is PullReason.SOURCE_FORBIDDEN
