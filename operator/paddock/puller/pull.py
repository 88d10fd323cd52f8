"""One pull from plan to result: resolve, fetch, verify, then the views."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from paddock.api.chat_templates import ChatTemplate, detect_template
from paddock.api.localmodel import ArtifactFile
from paddock.api.pull import PullPlan, PullReason, PullResult
from paddock.api.source import ClaimSource, Source, SourceError, parse_source
from paddock.puller.claim import Importer, find_files, revision_of
from paddock.puller.fetch import TRIES, Fetcher, StoredFile
from paddock.puller.gguf import GgufHeader
from paddock.puller.meter import Meter
from paddock.puller.ollama_manifest import build_manifest
from paddock.puller.problems import PullError
from paddock.puller.sources import check_weights, resolve_source
from paddock.puller.store import Entry, Store
from paddock.puller.web import Web
from paddock.wire import Manifest

TAG = "latest"
REPORTED_FILES = 16
"""Files named in the report; the termination message has 4 KiB."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a source has: how each file is brought, and layers beside the weights by their kind."""

    files: Sequence[Callable[[], StoredFile]]
    revision: str | None
    layers: Sequence[tuple[str, Callable[[], StoredFile]]] = ()


def pull(plan: PullPlan, store: Store, meter: Meter) -> PullResult:
    """Bring the model into the store; raise PullError with the reason if it cannot be."""
    try:
        source = parse_source(plan.source)
    except SourceError as error:
        raise PullError(PullReason.INVALID_SPEC, str(error)) from error
    offer = _offer(plan, source, store, meter)
    for _ in range(TRIES):
        standing = meter.standing()
        files = [bring() for bring in offer.files]
        digest = _checked(plan, files)
        manifest, layers = _ollama(plan, store, offer, files)
        if _published(plan, store, files, manifest, layers):
            return _result(digest, files, meter, offer.revision or files[0].etag)
        meter.back_to(standing)
    raise PullError(
        PullReason.STORAGE_ERROR, "Blobs of the model go from the volume while it is pulled."
    )


def _offer(plan: PullPlan, source: Source, store: Store, meter: Meter) -> _Offer:
    """Learn what the source has: a claim is looked at, everything else is asked."""
    if isinstance(source, ClaimSource):
        found = find_files(store.root, source, plan)
        check_weights([file.name for file in found])
        bring = Importer(store, meter, plan).bring
        return _Offer([partial(bring, file) for file in found], revision_of(found))
    web = Web(plan.access, meter.tell)
    resolved = resolve_source(web, source, plan)
    fetch = Fetcher(web, store, meter, plan).fetch
    return _Offer(
        [partial(fetch, file) for file in resolved.files],
        resolved.revision,
        [(kind, partial(fetch, file)) for kind, file in resolved.layers],
    )


def _checked(plan: PullPlan, files: Sequence[StoredFile]) -> str:
    """Return the digest of the whole, if it is the expected one."""
    if len({file.name for file in files}) != len(files):
        raise PullError(PullReason.SOURCE_REFUSED, "Two files of the model have the same name.")
    digest = digest_of(files)
    if plan.digest not in (None, digest):
        raise PullError(
            PullReason.DIGEST_MISMATCH,
            f"The model has digest {digest} and {plan.digest} was expected.",
        )
    return digest


def digest_of(files: Sequence[StoredFile]) -> str:
    """Return one file's digest, or that of the sorted lines `DIGEST NAME` of several."""
    if len(files) == 1:
        return files[0].digest
    lines = "".join(sorted(f"{file.digest} {file.name}\n" for file in files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _ollama(
    plan: PullPlan,
    store: Store,
    offer: _Offer,
    files: Sequence[StoredFile],
) -> tuple[Manifest | None, Sequence[str]]:
    """Return Ollama's manifest where one GGUF file is the model, and the digests it names."""
    if len(files) != 1 or files[0].header is None:
        return None, ()
    said_by_source = any(kind.endswith(".template") for kind, _ in offer.layers)
    template = None if said_by_source else _template(files[0].header)
    add = partial(store.add_bytes, plan.model)
    manifest, digests = build_manifest(add, files[0], plan.modelfile, template)
    own = manifest["layers"]
    given = {kind.rpartition(".")[2]: kind for kind, _ in offer.layers}
    layers = list(own) if isinstance(own, list) else []
    said = {str(layer["mediaType"]).rpartition(".")[2] for layer in layers}
    extra: list[str] = []
    for kind, bring in offer.layers:
        if kind.rpartition(".")[2] in said or kind not in given.values():
            continue
        stored = bring()
        layers.append({"mediaType": kind, "digest": stored.digest, "size": stored.size})
        extra.append(stored.digest)
    return {**manifest, "layers": layers}, [*digests, *extra]


def _template(header: GgufHeader) -> ChatTemplate | None:
    jinja = header.own_template
    return detect_template(jinja) if jinja else header.missing_template


def _published(
    plan: PullPlan,
    store: Store,
    files: Sequence[StoredFile],
    manifest: Manifest | None,
    layers: Sequence[str],
) -> bool:
    """Name the blobs, if all are still there: another model's deletion may have freed one."""
    entries = [Entry(file.name, file.digest, file.size) for file in files]
    blobs = sorted({*(entry.digest for entry in entries), *layers})
    with store.publishing():
        if not all(store.has(blob) for blob in blobs):
            return False
        if manifest is not None:
            store.write_manifest(plan.model, TAG, manifest)
        store.write_view(plan.model, entries, {"source": plan.source, "blobs": blobs})
    return True


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
        chat_template=first.missing_template.name if first and first.missing_template else None,
        revision=revision,
    )
