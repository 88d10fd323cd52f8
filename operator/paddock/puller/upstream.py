"""What the source offers now, asked without fetching any weights."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from paddock.api.pull import PullPlan, PullReason, Upstream
from paddock.api.source import ClaimSource, SourceError, parse_source
from paddock.puller.claim import find_files, revision_of
from paddock.puller.download import probe
from paddock.puller.fetch import RemoteFile
from paddock.puller.problems import PullError
from paddock.puller.sources import resolve_source
from paddock.puller.web import Web


def ask_upstream(plan: PullPlan, place: Path) -> Upstream:
    """Return the digest the source tells, or the version of its files; `place` is the claim."""
    try:
        source = parse_source(plan.source)
    except SourceError as error:
        raise PullError(PullReason.INVALID_SPEC, str(error)) from error
    if isinstance(source, ClaimSource):
        return Upstream(revision=revision_of(find_files(place, source, plan)))
    web = Web(plan.access, lambda _: None)
    resolved = resolve_source(web, source, plan.model_copy(update={"digest": None}))
    digest = _digest(resolved.files)
    if digest is not None:
        return Upstream(digest=digest, revision=resolved.revision)
    first = resolved.files[0]
    return Upstream(revision=probe(web, first.place).etag)


def _digest(files: Sequence[RemoteFile]) -> str | None:
    """Return the model's digest by the rule of `pull.digest_of`, if every file's is known."""
    if any(file.digest is None for file in files):
        return None
    if len(files) == 1:
        return files[0].digest
    lines = "".join(sorted(f"{file.digest} {file.name}\n" for file in files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
