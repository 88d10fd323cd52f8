"""A small OIDC issuer: signs tokens, good ones and bad ones, and publishes its keys over real TLS.

It is asked by its name, which no DNS knows: only its endpoint is moved to this machine.
"""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from paddock.local.pki import Authority
from paddock.plan.gateway.rendering import Rendering
from paddock.plan.gateway.xds import address, text
from paddock.wire import Json
from support.ports import free_port

HOST = "issuer.test"
JWKS_PATH = "/keys"
_HTTPS_PORT = 443


@cache
def private_key(kid: str) -> rsa.RSAPrivateKey:
    """Return the key of this name; it is made once."""
    del kid
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key(kid: str) -> dict[str, Json]:
    numbers = private_key(kid).public_key().public_numbers()
    modulus = _encoded(numbers.n.to_bytes(256))
    return {"kty": "RSA", "use": "sig", "kid": kid, "n": modulus, "e": "AQAB"}


def public_pem(kid: str) -> bytes:
    return (
        private_key(kid)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def signed(claims: Mapping[str, Json], kid: str = "first", header: Json = None) -> str:
    """Return a token that the key of this name signs, whatever its header says."""
    told: Json = header or {"alg": "RS256", "typ": "JWT", "kid": kid}
    content = _parts(told, claims)
    signature = private_key(kid).sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{content}.{_encoded(signature)}"


def signed_by_public_key(claims: Mapping[str, Json], kid: str = "first") -> str:
    """Return a token whose secret is the issuer's public key, which everybody has."""
    content = _parts({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
    return f"{content}.{_encoded(hmac.digest(public_pem(kid), content.encode(), hashlib.sha256))}"


def unsigned(claims: Mapping[str, Json]) -> str:
    """Return a token that claims to need no signature."""
    return f"{_parts({'alg': 'none', 'typ': 'JWT'}, claims)}."


def _parts(header: Json, claims: Mapping[str, Json]) -> str:
    return ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(slots=True)
class Issuing:
    """One issuer; while it is down, nobody listens on its port."""

    port: int
    authority: str
    kids: dict[str, tuple[str, ...]] = field(default_factory=lambda: {JWKS_PATH: ("first",)})
    fetched: list[str] = field(default_factory=list)

    def moved(self, rendering: Rendering) -> Rendering:
        """Move the issuer's endpoint to this machine; its name and its TLS stay as they are."""
        old, new = text(address(_HTTPS_PORT, HOST)), text(address(self.port, "127.0.0.1"))
        clusters = json.loads(text(list(rendering.clusters)).replace(old, new))
        return replace(rendering, clusters=clusters)


def new_issuer(folder: Path, host: str = HOST) -> Issuing:
    """Make the authority and the certificate of an issuer that is still down."""
    authority = Authority(folder)
    authority.create()
    authority.issue("issuer", host, hosts=[host])
    return Issuing(free_port(), authority.certificate.read_text())


@contextmanager
def issuing(issuer: Issuing, folder: Path) -> Iterator[Issuing]:
    """Publish the issuer's keys until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetched.append(self.path)
            kids = issuer.kids.get(self.path, ())
            body = text({"keys": [public_key(kid) for kid in kids]}).encode()
            self.send_response(200 if kids else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Callers that do not believe the certificate hang up."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "issuer.crt", folder / "issuer.key")
    server = Server(("127.0.0.1", issuer.port), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
