"""kubectl against one cluster: the machine's own program, or ours, built once."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from paddock.local import builds
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.wire import Manifest


class Target(Protocol):
    """A cluster that things are installed into, wherever it runs."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return its output."""
        ...

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests as the administrator."""
        ...


class Kubectl:
    """The program with the options that name its cluster."""

    def __init__(self, options: Sequence[str | Path], report: Progress, *, own: bool) -> None:
        """Take ours, or with `own` the machine's where it has one."""
        self._options = options
        self._report = report
        self._own = own

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output."""
        found = shutil.which("kubectl") if self._own else None
        program = found or builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"
        return run([program, *self._options, *arguments], stdin=stdin)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests."""
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=paddock-up", "-f", "-",
            stdin=body,
        )  # fmt: skip
