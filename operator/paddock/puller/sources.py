"""From a typed source to the files to fetch: asks hubs and registries, fetches no weights."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from paddock.api.pull import PullPlan, PullReason
from paddock.api.source import (
    BucketSource,
    ClaimSource,
    HubSource,
    RegistrySource,
    Source,
    WebSource,
)
from paddock.puller import credentials
from paddock.puller.choose import HubFile, choose_files, is_plain_path
from paddock.puller.fetch import SIDE_FILES, RemoteFile
from paddock.puller.problems import PullError
from paddock.puller.retry import retried
from paddock.puller.ticket import Place, Ticket, Way
from paddock.puller.web import Web, raise_for_status
from paddock.wire import Json

_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json,"
    "application/vnd.docker.distribution.manifest.v2+json"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_FORBIDDEN_LAYERS = ("pickle", "pytorch")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}\Z")
_COMMIT = re.compile(r"^[A-Za-z0-9]{1,64}\Z")
MAX_FILES = 1000
"""Of one model."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The files of a model at one revision; extra layers that belong to its Ollama manifest."""

    files: Sequence[RemoteFile]
    revision: str | None = None
    layers: Sequence[tuple[str, RemoteFile]] = ()


def resolve_source(web: Web, source: Source, plan: PullPlan) -> Resolved:
    """Return which files to fetch from where."""
    resolved = _resolve(web, source, plan)
    if len(resolved.files) + len(resolved.layers) > MAX_FILES:
        raise PullError(PullReason.SOURCE_REFUSED, f"The model has more than {MAX_FILES} files.")
    check_weights([file.name for file in resolved.files])
    return resolved


def check_weights(names: Sequence[str]) -> None:
    """Refuse files none of which can be weights."""
    if all(name.endswith(SIDE_FILES) for name in names):
        raise PullError(
            PullReason.UNSUPPORTED_FORMAT, "The source has neither GGUF nor safetensors files."
        )


def _resolve(web: Web, source: Source, plan: PullPlan) -> Resolved:
    match source:
        case WebSource():
            place = Place(source.url, credentials.authorization())
            return Resolved([RemoteFile(source.file, place, plan.digest)])
        case HubSource():
            return _resolve_hub(web, source, plan)
        case RegistrySource():
            return _resolve_registry(web, source, plan)
        case BucketSource():
            return _resolve_bucket(source, plan)
        case ClaimSource():
            raise PullError(PullReason.INVALID_SPEC, "A pvc:// source is not fetched.")


def _document(
    web: Web, url: str, headers: Mapping[str, str], digest: str | None = None
) -> Mapping[str, Json]:
    content = retried(lambda: web.document(url, headers), web.tell)
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if digest not in (None, found):
        raise PullError(
            PullReason.DIGEST_MISMATCH, f"The manifest has digest {found}, not {digest}."
        )
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PullError(PullReason.SOURCE_REFUSED, "The source's answer is not JSON.") from error
    if not isinstance(value, dict):
        raise PullError(PullReason.SOURCE_REFUSED, "The source's answer is not a JSON object.")
    return value


def _resolve_hub(web: Web, source: HubSource, plan: PullPlan) -> Resolved:
    """List a repository at a revision: GET /api/models/REPO/revision/REV?blobs=true."""
    endpoint = plan.access.hf_endpoint.rstrip("/")
    headers = credentials.authorization()
    revision = quote(source.revision, safe="")
    answer = _document(
        web, f"{endpoint}/api/models/{source.repository}/revision/{revision}?blobs=true", headers
    )
    siblings = answer.get("siblings")
    commit = answer.get("sha")
    if not isinstance(siblings, list) or not isinstance(commit, str) or not _COMMIT.match(commit):
        raise PullError(PullReason.SOURCE_REFUSED, "The hub does not list the repository's files.")
    files = [_hub_file(sibling) for sibling in siblings if isinstance(sibling, dict)]
    chosen = choose_files(
        files, wanted=source.file, quantization=plan.quantization, max_bytes=plan.max_bytes
    )
    base = f"{endpoint}/{source.repository}/resolve/{commit}"
    return Resolved(
        [
            RemoteFile(
                file.name.rpartition("/")[2],
                Place(f"{base}/{quote(file.name)}", headers),
                file.digest,
            )
            for file in chosen
        ],
        revision=commit,
    )


def _hub_file(sibling: Mapping[str, Json]) -> HubFile:
    lfs = sibling.get("lfs")
    digest = lfs.get("sha256") if isinstance(lfs, dict) else None
    name, size = sibling.get("rfilename"), sibling.get("size")
    hexadecimal = digest if isinstance(digest, str) else ""
    return HubFile(
        name=name if isinstance(name, str) else "",
        size=size if isinstance(size, int) and size > 0 else 0,
        digest=f"sha256:{hexadecimal}" if re.fullmatch(r"[0-9a-f]{64}", hexadecimal) else None,
    )


def _resolve_registry(web: Web, source: RegistrySource, plan: PullPlan) -> Resolved:
    """Read a manifest of the OCI distribution protocol and turn its layers into files."""
    registry = source.registry or plan.access.ollama_registry
    scheme = "http" if plan.access.http and ":" in registry else "https"
    base = f"{scheme}://{registry}/v2/{source.repository}"
    url = f"{base}/manifests/{source.reference}"
    ticket = Ticket(lambda: Way(_registry_login(web, url, source.repository)))
    pinned = source.reference if _DIGEST.match(source.reference) else None
    manifest = _document(web, url, {**ticket.way.headers, "Accept": _MANIFEST_TYPES}, pinned)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        raise PullError(PullReason.SOURCE_REFUSED, "The registry's manifest has no layers.")
    files: list[RemoteFile] = []
    extra: list[tuple[str, RemoteFile]] = []
    for layer in layers:
        kind, file = _layer_file(layer, base, ticket)
        if kind.startswith("application/vnd.ollama.image.") and not kind.endswith(".model"):
            extra.append((kind, file))
        else:
            files.append(file)
    if not files:
        raise PullError(PullReason.UNSUPPORTED_FORMAT, "The manifest has no layer with weights.")
    return Resolved(files, revision=source.reference, layers=extra)


def _layer_file(layer: Json, base: str, ticket: Ticket) -> tuple[str, RemoteFile]:
    record = layer if isinstance(layer, dict) else {}
    digest, kind = record.get("digest"), record.get("mediaType")
    if not isinstance(digest, str) or not _DIGEST.match(digest) or not isinstance(kind, str):
        raise PullError(PullReason.SOURCE_REFUSED, "The manifest names a layer without a digest.")
    if any(word in kind for word in _FORBIDDEN_LAYERS):
        raise PullError(PullReason.UNSUPPORTED_FORMAT, "Pickled weights are not pulled.")
    annotations = record.get("annotations")
    titled = annotations if isinstance(annotations, dict) else {}
    title = titled.get("org.opencontainers.image.title", _layer_name(kind))
    if not isinstance(title, str) or not is_plain_path(title):
        raise PullError(
            PullReason.SOURCE_REFUSED, "The manifest names a file as no file may be named."
        )
    place = Place(f"{base}/blobs/{digest}", ticket=ticket)
    return kind, RemoteFile(title.rpartition("/")[2], place, digest)


def _layer_name(kind: str) -> str:
    """Name a layer without a title by its kind; Ollama's small layers are texts."""
    is_ollama_text = kind.startswith("application/vnd.ollama.image.") and not kind.endswith(
        ".model"
    )
    return f"{kind.rpartition('.')[2]}.txt" if is_ollama_text else "model.gguf"


def _registry_login(web: Web, url: str, repository: str) -> dict[str, str]:
    """Answer the registry's Bearer challenge, if it makes one."""
    own = credentials.authorization()
    answer = retried(lambda: web.open(url, {**own, "Accept": _MANIFEST_TYPES}), web.tell)
    try:
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status != 401 or not challenge.lower().startswith("bearer "):  # noqa: PLR2004 - HTTP's Unauthorized
            raise_for_status(answer)
            return own
    finally:
        answer.close()
    fields = dict(_CHALLENGE.findall(challenge))
    realm = fields.get("realm", "")
    if url.startswith("https:") and not realm.startswith("https:"):
        raise PullError(
            PullReason.SOURCE_FORBIDDEN, "The registry sends credentials to something weaker."
        )
    query = {"service": fields.get("service", ""), "scope": f"repository:{repository}:pull"}
    token = _document(web, f"{realm}?{urlencode(query)}", own)
    value = token.get("token") or token.get("access_token")
    if not isinstance(value, str) or not value.isprintable():
        raise PullError(PullReason.SOURCE_UNAUTHORIZED, "The registry gives no token.")
    return {"Authorization": f"Bearer {value}"}


def _resolve_bucket(source: BucketSource, plan: PullPlan) -> Resolved:
    from paddock.puller.buckets import signed_url  # noqa: PLC0415 - obstore is large

    ticket = Ticket(lambda: Way({}, signed_url(source)))
    return Resolved([RemoteFile(source.file, Place(plan.source, ticket=ticket), plan.digest)])
