"""Certificates of tests, and the folder of a Secret as a kubelet lays and swaps it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HOST = "models.example.com"


def pair(days: int = 30) -> dict[str, str]:
    """Return a new certificate for the host, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "tls.crt": certificate.public_bytes(Encoding.PEM).decode(),
        "tls.key": private.decode(),
    }


def serial_of(files: Mapping[str, str]) -> int:
    return x509.load_pem_x509_certificate(files["tls.crt"].encode()).serial_number


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """Lay the files beside the old ones and swap the link `..data`, as a kubelet does."""
    folder.mkdir(exist_ok=True)
    turn = len(list(folder.glob("..[0-9]*")))
    (fresh := folder / f"..{turn}").mkdir()
    for name, text in files.items():
        (fresh / name).write_text(text)
        if not (link := folder / name).is_symlink():
            link.symlink_to(f"..data/{name}")
    (part := folder / "..tmp").symlink_to(fresh.name)
    part.rename(folder / "..data")
