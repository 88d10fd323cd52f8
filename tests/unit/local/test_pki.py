"""The cluster's certificates: accepted by the strictest checker, refused from another cluster."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from paddock.local.pki import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "pki")
    authority.create()
    authority.issue("server", "server", hosts=["127.0.0.1", "localhost"])
    authority.issue("client", "jane", groups=["team"])
    return authority


@contextmanager
def served(authority: Authority) -> Iterator[int]:
    """Serve one handshake that demands a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(str(secure.getpeercert()).encode())

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    thread.join()
    listener.close()


def strict(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
    context.load_cert_chain(authority.folder / "client.crt", authority.folder / "client.key")
    return context


def test_both_sides_accept_each_other_under_strict_checks(authority: Authority) -> None:
    with (
        served(authority) as port,
        socket.create_connection(("127.0.0.1", port)) as connection,
        strict(authority).wrap_socket(connection, server_hostname="localhost") as secure,
    ):
        seen = secure.recv(4096).decode()
    assert "('commonName', 'jane')" in seen
    assert "('organizationName', 'team')" in seen


def test_another_cluster_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.create()
    other.issue("client", "jane")
    with (
        served(authority) as port,
        socket.create_connection(("127.0.0.1", port)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        strict(other).wrap_socket(connection, server_hostname="localhost")


def test_private_keys_are_for_their_owner_alone(authority: Authority) -> None:
    authority.create_account_key()
    authority.kubeconfig(authority.folder / "admin.kubeconfig", "https://127.0.0.1:1", "admin")
    secret = [*authority.folder.glob("*.key"), authority.folder / "admin.kubeconfig"]
    assert {file.stat().st_mode & 0o777 for file in secret} == {0o600}


def test_second_create_keeps_the_authority(authority: Authority) -> None:
    before = authority.certificate.read_bytes()
    authority.create()
    assert authority.certificate.read_bytes() == before
