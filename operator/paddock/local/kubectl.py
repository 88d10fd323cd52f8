"""kubectl as a cluster's administrator: the machine's own program, or ours, built once."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from paddock.local import builds
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.wire import Manifest


class Kubectl:
    """What its administrator does to a cluster, wherever it runs; clusters are ones of these."""

    def __init__(self, options: Sequence[str | Path], report: Progress, *, own: bool) -> None:
        """Take the options that name the cluster; `own` is to use the machine's program first."""
        self._options, self._own = options, own
        self._report = report

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output."""
        return run([self.program(own=self._own), *self._options, *arguments], stdin=stdin)

    def program(self, *, own: bool = True) -> str | Path:
        """Return the machine's own kubectl, or where ours is."""
        if own and shutil.which("kubectl"):
            return "kubectl"
        return builds.ensure(["kubectl"], self._report)["kubectl"] / "kubectl"

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests."""
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=paddock-up", "-f", "-",
            stdin=body,
        )  # fmt: skip

    def await_crds(self, *crds: str) -> None:
        """Wait until the apiserver serves these CRDs, as `crd/NAME`; all without any.

        Any condition is awaited first: to wait for one while there are none is an error.
        """
        for state in ("jsonpath={.status.conditions}", "condition=Established"):
            self.kubectl("wait", f"--for={state}", *(crds or ("crd", "--all")))
