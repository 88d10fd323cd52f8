"""One pull from plan to result: resolve, fetch, verify, then the views."""

import hashlib
from collections.abc import Sequence

from paddock.api.localmodel import ArtifactFile
from paddock.api.pull import PullPlan, PullReason, PullResult
from paddock.api.source import SourceError, parse_source
from paddock.puller.chat_templates import CHAT_TEMPLATE, detect_template
from paddock.puller.fetch import Fetcher, StoredFile
from paddock.puller.meter import Meter
from paddock.puller.ollama_manifest import build_manifest
from paddock.puller.problems import PullError
from paddock.puller.sources import Resolved, resolve_source
from paddock.puller.store import Entry, Store
from paddock.puller.web import Web

TAG = "latest"
REPORTED_FILES = 16
"""Files named in the report; the termination message has 4 KiB."""


def pull(plan: PullPlan, store: Store, meter: Meter) -> PullResult:
    """Bring the model into the store; raise PullError with the reason if it cannot be."""
    try:
        source = parse_source(plan.source)
    except SourceError as error:
        raise PullError(PullReason.INVALID_SPEC, str(error)) from error
    web = Web(plan.access, meter.tell)
    resolved = resolve_source(web, source, plan)
    fetcher = Fetcher(web, store, meter, plan.parallelism)
    files = [fetcher.fetch(file) for file in resolved.files]
    _check_names(files)
    digest = digest_of(files)
    if plan.digest is not None and plan.digest != digest:
        raise PullError(
            PullReason.DIGEST_MISMATCH,
            f"The model has digest {digest} and {plan.digest} was expected.",
        )
    layers = _write_ollama(plan, store, fetcher, resolved, files)
    _write_view(plan, store, files, layers)
    return _result(digest, files, meter, resolved.revision or files[0].etag)


def digest_of(files: Sequence[StoredFile]) -> str:
    """Return one file's digest, or that of the sorted lines `DIGEST NAME` of several."""
    if len(files) == 1:
        return files[0].digest
    lines = "".join(sorted(f"{file.digest} {file.name}\n" for file in files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _check_names(files: Sequence[StoredFile]) -> None:
    if len({file.name for file in files}) != len(files):
        raise PullError(PullReason.SOURCE_REFUSED, "Two files of the model have the same name.")


def _write_ollama(
    plan: PullPlan,
    store: Store,
    fetcher: Fetcher,
    resolved: Resolved,
    files: Sequence[StoredFile],
) -> Sequence[str]:
    """Write Ollama's manifest where one GGUF file is the model; return the digests it names."""
    if len(files) != 1 or files[0].header is None:
        return ()
    said_by_source = any(kind.endswith(".template") for kind, _ in resolved.layers)
    jinja = files[0].header.values.get(CHAT_TEMPLATE)
    template = None if said_by_source else detect_template(jinja)
    manifest, digests = build_manifest(store, files[0], plan.modelfile, template)
    own = manifest["layers"]
    given = {kind.rpartition(".")[2]: kind for kind, _ in resolved.layers}
    layers = list(own) if isinstance(own, list) else []
    said = {str(layer["mediaType"]).rpartition(".")[2] for layer in layers}
    extra: list[str] = []
    for kind, file in resolved.layers:
        if kind.rpartition(".")[2] in said or kind not in given.values():
            continue
        stored = fetcher.fetch(file)
        layers.append({"mediaType": kind, "digest": stored.digest, "size": stored.size})
        extra.append(stored.digest)
    store.write_manifest(plan.model, TAG, {**manifest, "layers": layers})
    return [*digests, *extra]


def _write_view(
    plan: PullPlan, store: Store, files: Sequence[StoredFile], layers: Sequence[str]
) -> None:
    entries = [Entry(file.name, file.digest, file.size) for file in files]
    blobs = sorted({*(entry.digest for entry in entries), *layers})
    store.write_view(plan.model, entries, {"source": plan.source, "blobs": blobs})


def _result(
    digest: str, files: Sequence[StoredFile], meter: Meter, revision: str | None
) -> PullResult:
    headers = [file.header for file in files if file.header is not None]
    first = headers[0] if headers else None
    return PullResult(
        digest=digest,
        bytes=sum(file.size for file in files),
        fetched_bytes=meter.fetched,
        format="gguf" if first else "safetensors",
        files=tuple(
            ArtifactFile(name=file.name, digest=file.digest, bytes=file.size)
            for file in files[:REPORTED_FILES]
        ),
        architecture=first.architecture if first else None,
        parameters=sum(header.parameters for header in headers) if first else None,
        quantization=first.quantization if first else None,
        context_length=first.context_length if first else None,
        cache_values_per_token=first.cache_values_per_token if first else None,
        revision=revision,
    )
