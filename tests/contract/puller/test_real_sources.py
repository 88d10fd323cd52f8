"""Pulls from real servers: a registry with Ollama's and OCI's layouts, and an S3 object store."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from paddock.api.pull import Access, PullPlan, PullReason, PullResult
from paddock.api.source import BucketSource, parse_source
from paddock.puller import buckets, credentials
from paddock.puller.journal import BLOCK
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store, blob_name
from paddock.puller.upstream import ask_upstream
from support.source_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    push_blob,
    push_manifest,
    serving_object_store,
    serving_registry,
)
from support.tiny_model import write_tiny_model

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.1/32",), http=True)
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OLLAMA = "application/vnd.ollama.image"
TEMPLATE, PARAMETERS = b"{{ .Prompt }}!", b'{"stop":["<end>"]}'


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = write_tiny_model(tmp_path_factory.mktemp("real") / "m.gguf")
    return file.read_bytes() + os.urandom(21 * BLOCK + 77)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> Iterator[str]:
    with serving_object_store(folder := tmp_path_factory.mktemp("s3")) as address:
        (folder / "objects" / "models").mkdir()
        obstore.put(_client(address), "team/m.gguf", weights)
        yield address


def _client(address: str) -> S3Store:
    return S3Store(
        "models",
        endpoint=f"http://{address}",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def plan_of(source: str, **more: object) -> PullPlan:
    return PullPlan.model_validate(
        {"model": "tiny", "source": source, "access": LOOPBACK, "parallelism": 4, **more}
    )


def run(folder: Path, source: str, **more: object) -> PullResult:
    return pull(plan_of(source, **more), Store(folder), Meter())


def pushed(registry: str, repository: str, layers: dict[str, bytes], kind: str = DOCKER) -> str:
    """Push a model of these layers as `latest` and return the manifest's digest."""
    config = b"{}"
    records = []
    for media_type, content in layers.items():
        digest = digest_of(content)
        push_blob(registry, repository, digest, content)
        records.append({"mediaType": media_type, "digest": digest, "size": len(content)})
    push_blob(registry, repository, digest_of(config), config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": records,
    }
    return push_manifest(registry, repository, "latest", json.dumps(manifest).encode(), kind)


def ollama_layers(folder: Path) -> dict[str, bytes]:
    """Return the layers of the manifest that was written for Ollama, by media type."""
    file = folder / "manifests/registry.ollama.ai/library/tiny/latest"
    manifest = json.loads(file.read_text())
    blobs = folder / "blobs"
    return {
        layer["mediaType"]: (blobs / blob_name(layer["digest"])).read_bytes()
        for layer in manifest["layers"]
    }


def test_model_of_an_ollama_registry_keeps_its_texts(
    registry: str, tmp_path: Path, weights: bytes
) -> None:
    layers = {
        f"{OLLAMA}.model": weights,
        f"{OLLAMA}.template": TEMPLATE,
        f"{OLLAMA}.params": PARAMETERS,
        f"{OLLAMA}.license": b"Do as you like.",
    }
    pushed(registry, "library/tiny", layers)
    result = run(tmp_path, f"ollama://{registry}/tiny")
    assert result.digest == digest_of(weights)
    assert result.fetched_bytes == sum(map(len, layers.values()))
    assert ollama_layers(tmp_path) == layers
    again = run(tmp_path, f"ollama://{registry}/tiny")
    assert (again.digest, again.fetched_bytes) == (result.digest, 0)
    assert ask_upstream(plan_of(f"ollama://{registry}/tiny"), tmp_path).digest == result.digest


def test_modelfile_goes_before_the_registrys_texts(
    registry: str, tmp_path: Path, weights: bytes
) -> None:
    pushed(registry, "library/own", {f"{OLLAMA}.model": weights, f"{OLLAMA}.template": TEMPLATE})
    run(tmp_path, f"ollama://{registry}/own", modelfile={"template": "mine"})
    assert ollama_layers(tmp_path)[f"{OLLAMA}.template"] == b"mine"


def test_artifact_is_pulled_by_the_digest_of_its_manifest(
    registry: str, tmp_path: Path, weights: bytes
) -> None:
    digest = pushed(registry, "team/art", {"application/vnd.x.gguf": weights}, OCI)
    source = f"oci://{registry}/team/art@{digest}"
    assert run(tmp_path, source).digest == digest_of(weights)
    missing = f"oci://{registry}/team/art@sha256:{'0' * 64}"
    with pytest.raises(PullError) as refused:
        run(tmp_path, missing)
    assert refused.value.cause is PullReason.SOURCE_NOT_FOUND


def test_new_manifest_under_a_tag_is_drift(registry: str, tmp_path: Path, weights: bytes) -> None:
    source = f"ollama://{registry}/moving"
    pushed(registry, "library/moving", {f"{OLLAMA}.model": weights})
    first = run(tmp_path, source)
    pushed(registry, "library/moving", {f"{OLLAMA}.model": weights + b"new"})
    assert ask_upstream(plan_of(source), tmp_path).digest != first.digest


@pytest.fixture
def secret(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mount the Secret of the bucket."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    values = {
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "region": "us-east-1",
        "endpoint": f"http://{bucket}",
    }
    for name, value in values.items():
        (folder / name).write_text(value)
    monkeypatch.setattr(credentials, "FOLDER", folder)
    return folder


def test_object_is_pulled_with_a_signature_and_once(
    secret: Path, tmp_path: Path, weights: bytes
) -> None:
    (store := tmp_path / "store").mkdir()
    result = run(store, "s3://models/team/m.gguf")
    assert (result.digest, result.fetched_bytes) == (digest_of(weights), len(weights))
    assert run(store, "s3://models/team/m.gguf").fetched_bytes == 0
    assert secret.is_dir()
    kept = [file.read_bytes() for file in store.rglob("*") if file.is_file()]
    assert not any(SECRET_KEY.encode() in content for content in kept)


class Held(Meter):
    """Holds a pull when its first bytes arrive until what is signed then has run out."""

    held = False

    def add(self, count: int, *, fetched: bool = True) -> None:
        super().add(count, fetched=fetched)
        if fetched and not self.held:
            self.held = True
            source = parse_source("s3://models/team/m.gguf")
            assert isinstance(source, BucketSource)
            url, deadline = buckets.signed_url(source), time.monotonic() + 60
            while httpx.get(url, headers={"Range": "bytes=0-0"}).is_success:
                assert time.monotonic() < deadline


@pytest.mark.usefixtures("secret")
def test_object_is_pulled_though_its_signature_runs_out_on_the_way(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_LIFE", timedelta(seconds=3))
    (store := tmp_path / "store").mkdir()
    result = pull(plan_of("s3://models/team/m.gguf", parallelism=1), Store(store), Held())

    assert (result.digest, result.fetched_bytes) == (digest_of(weights), len(weights))


@pytest.mark.parametrize(
    ("changed", "source", "reason"),
    [
        ({"secret_access_key": "wrong"}, "s3://models/team/m.gguf", PullReason.SOURCE_UNAUTHORIZED),
        ({}, "s3://models/team/missing.gguf", PullReason.SOURCE_NOT_FOUND),
        ({}, "s3://other/team/m.gguf", PullReason.SOURCE_NOT_FOUND),
        ({"access_key_id": None}, "s3://models/team/m.gguf", PullReason.CREDENTIALS_MISSING),
        ({"secret_access_key": None}, "s3://models/team/m.gguf", PullReason.CREDENTIALS_MISSING),
        ({}, "gs://models/team/m.gguf", PullReason.CREDENTIALS_MISSING),
    ],
)
def test_what_the_object_store_refuses_says_why(
    secret: Path, tmp_path: Path, changed: dict[str, str | None], source: str, reason: PullReason
) -> None:
    for name, value in changed.items():
        (secret / name).unlink()
        if value is not None:
            (secret / name).write_text(value)
    (store := tmp_path / "store").mkdir()
    with pytest.raises(PullError) as refused:
        run(store, source)
    assert refused.value.cause is reason, str(refused.value)
    assert SECRET_KEY not in str(refused.value)
