"""The Cluster protocol: every request the product makes of an apiserver.

Decides nothing and caches nothing. The one real implementation is in `kube.real`; errors are those
of `paddock.errors`.
"""

from typing import Literal, Protocol

from paddock.facts import Kind
from paddock.wire import Manifest

Propagation = Literal["Background", "Foreground", "Orphan"]


class Cluster(Protocol):
    """Reads and writes of one apiserver as one user."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the live object, or None where there is none (404)."""
        ...

    async def document(self, path: str) -> Manifest:
        """Return what the apiserver answers at a path that is no object's."""
        ...

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[Manifest, ...]:
        """Return all objects, read in pages; a namespace of None means all namespaces."""
        ...

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply the object as our field manager, forced; return the live object."""
        ...

    async def apply_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply the status subresource; uid and resourceVersion are preconditions."""
        ...

    async def scale(
        self, kind: Kind, namespace: str, name: str, *, replicas: int, resource_version: str
    ) -> None:
        """Apply the scale subresource of exactly this version, and own the number from then on."""
        ...

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        """Delete the object if it still has this uid (and version); absent counts as success."""
        ...

    async def patch_finalizers(
        self, kind: Kind, manifest: Manifest, finalizers: tuple[str, ...]
    ) -> Manifest | None:
        """Replace the finalizers of exactly this uid and resourceVersion; None if it is gone."""
        ...

    async def create(self, kind: Kind, namespace: str, body: Manifest) -> Manifest:
        """Create an object (Lease, Event)."""
        ...

    async def replace(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Replace an object whose body carries its resourceVersion (Lease)."""
        ...
