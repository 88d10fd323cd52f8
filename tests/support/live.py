"""Reads a namespace's objects as kubectl prints them, without a process for each look.

A kubectl takes 0.14 s of CPU: a wait that looks five times a second took most of a core from what
it waited for.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from paddock.facts import Kind
from paddock.kinds import ALL
from paddock.local.api_client import ApiError
from paddock.local.control_plane import ControlPlane

_SHORT = {"pvc": "PersistentVolumeClaim", "pdb": "PodDisruptionBudget"}


class Live:
    """The objects of one namespace, read as its cluster's administrator."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._client, self._namespace = plane.client(), namespace

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        try:
            return dict(self._client.request("GET", f"{self._path(kind)}/{name}"))
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return None

    def every(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind that a selector of labels chooses."""
        query = urlencode({"labelSelector": selector})
        answer: Any = self._client.request("GET", f"{self._path(kind)}?{query}")
        return list(answer["items"])

    def _path(self, word: str) -> str:
        kind = _named(word)
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return f"{root}/namespaces/{self._namespace}/{kind.plural}"


def _named(word: str) -> Kind:
    """Return the kind that a person means."""
    for kind in ALL:
        names = kind.kind.lower(), kind.plural, f"{kind.plural}.{kind.group}"
        if word in names or _SHORT.get(word) == kind.kind:
            return kind
    raise AssertionError(f"no kind is called {word}")
