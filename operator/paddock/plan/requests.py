"""What a user asks for now by an annotation of an object: done once for each new value.

Pure. No spec changes and nothing is written into the object, so a GitOps tool has nothing to undo,
and an annotation that is removed again asks for nothing.
"""

from paddock.api.base import ObjectMeta

_LENGTH = 64
"""Only so much of a value counts: it is kept in other objects."""


def asked(metadata: ObjectMeta, annotation: str) -> str | None:
    """Return what an annotation asks for, or None."""
    return metadata.annotations.get(annotation, "")[:_LENGTH] or None


def is_due(metadata: ObjectMeta, annotation: str, done: str | None) -> bool:
    """Tell whether an annotation asks for something else than what was done last."""
    return asked(metadata, annotation) not in (None, done)
