"""Small makers of objects for the pure tests: everything has a default, tests name what matters."""

from datetime import UTC, datetime
from typing import Any

from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.pull import PullReport, PullResult

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
SOURCE = "https://models.example.com/tiny.gguf"


def model(name: str = "tiny", *, ready: bool = False, **spec: Any) -> LocalModel:
    """Make a LocalModel; a ready one has an artifact of one GGUF file of 1000 bytes."""
    status = ready_status(spec.get("source", SOURCE)) if ready else {}
    return LocalModel.model_validate(
        {
            "metadata": metadata(name),
            "spec": {"source": SOURCE, **spec},
            "status": status,
        }
    )


def metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "team",
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "7",
    }


def ready_status(source: str) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "The weights are in the claim, verified.",
        "lastTransitionTime": "2026-11-21T11:00:00Z",
        "observedGeneration": 1,
    }
    artifact = {
        "digest": DIGEST,
        "format": "gguf",
        "bytes": 1000,
        "files": [{"name": "tiny.gguf", "digest": DIGEST, "bytes": 1000}],
    }
    return {
        "observedGeneration": 1,
        "conditions": [condition],
        "artifact": artifact,
        "source": source,
    }


def pool(engine: str = "LlamaCpp", models: list[Any] | None = None, **spec: Any) -> InferencePool:
    """Make an InferencePool of one model named tiny."""
    return InferencePool.model_validate(
        {
            "metadata": metadata("chat"),
            "spec": {"engine": {"name": engine}, "models": models or [{"name": "tiny"}], **spec},
        }
    )


def result_text(digest: str = DIGEST, revision: str | None = None) -> str:
    """Return a pull Job's last words after success."""
    result = PullResult.model_validate(
        {
            "digest": digest,
            "bytes": 1000,
            "fetchedBytes": 1000,
            "format": "gguf",
            "files": [{"name": "tiny.gguf", "digest": digest, "bytes": 1000}],
            "revision": revision,
        }
    )
    return PullReport(result=result).model_dump_json(by_alias=True)
