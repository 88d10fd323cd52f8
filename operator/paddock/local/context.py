"""A cluster of the user's own, by the name of its context in the user's kubeconfig.

Only what `up` put there is taken out by `down`; claims with kept weights are no part of that.
"""

import json

from paddock import kinds, names
from paddock.facts import Kind
from paddock.local.install import NAME, NAMESPACE
from paddock.local.kubectl import Kubectl
from paddock.local.problems import LocalError
from paddock.local.progress import Progress

TRIAL = "paddock-up"
"""The value of the managed-by label on all that `up` applies for a try."""
_PATIENCE = "--timeout=120s"


class ContextCluster(Kubectl):
    """Somebody's cluster; the same verbs as the embedded one."""

    def __init__(self, context: str, report: Progress) -> None:
        self.context = context
        super().__init__(("--context", context), report, own=True)

    def up(self) -> None:
        """Fail with a sentence unless the cluster answers and lets us install."""
        allowed = self.kubectl("auth", "can-i", "create", "customresourcedefinitions").strip()
        if allowed != "yes":
            raise LocalError(
                f"The user of context {self.context} may not create CustomResourceDefinitions; "
                "name a context of an administrator."
            )

    def remove(self) -> None:
        """Remove what `up` applied, the operator and the two kinds.

        Raises LocalError, with nothing removed, while others' models or pools need the operator.
        """
        others = self._listed(f"{names.MANAGED_BY_LABEL}!={TRIAL}")
        if others:
            raise LocalError(
                f"{len(others)} models or pools in context {self.context} are not of `paddock up`, "
                f"the first is {others[0]}. Delete them, then run this again; nothing was removed."
            )
        self._remove_objects()
        for kind in self._known():
            self.kubectl("delete", "customresourcedefinition", kind)
        self._remove_operator()
        accounts = (NAME, names.ACTIVATOR)
        self.kubectl("delete", "clusterrole,clusterrolebinding", *accounts, "--ignore-not-found")

    def _remove_objects(self) -> None:
        """Remove all of our kinds with what is made for them, before the kinds themselves go.

        Kubernetes' garbage collector looks for new kinds every 30 s, and of a kind that it never
        knew, or that is gone before it looks, children stay for ever. In the foreground an object
        goes only once the collector has seen it.
        """
        whole = ("--all", "--all-namespaces", "--cascade=foreground", _PATIENCE)
        for kind in self._known():
            self.kubectl("delete", kind, *whole)
        ours = ("--selector", f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}")
        running = ",".join(full_name(kind) for kind in (kinds.DEPLOYMENTS, kinds.JOBS))
        self.kubectl("wait", "--for=delete", running, "--all-namespaces", *ours, _PATIENCE)

    def _remove_operator(self) -> None:
        """Remove the operator's namespace, its programs first.

        A namespace with pods in it is looked at again only after half of the longest grace that
        they have, and the activator has nine minutes of it, though it ends at once.
        """
        programs = full_name(kinds.DEPLOYMENTS)
        self.kubectl("-n", NAMESPACE, "delete", programs, "--all", "--cascade=foreground")
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")

    def _known(self) -> list[str]:
        """Return our kinds as far as the cluster knows them, users first."""
        known = self.kubectl("api-resources", f"--api-group={names.GROUP}", "-o", "name").split()
        return [name for kind in reversed(kinds.OWN) if (name := full_name(kind)) in known]

    def _listed(self, selector: str) -> list[str]:
        found = []
        for kind in self._known():
            text = self.kubectl("get", kind, "-A", "-l", selector, "-o", "json")
            for item in json.loads(text)["items"]:
                metadata = item["metadata"]
                found.append(f"{item['kind']} {metadata['namespace']}/{metadata['name']}")
        return found


def full_name(kind: Kind) -> str:
    """Return a kind's plural with its group, as kubectl and CRDs name it."""
    return f"{kind.plural}.{kind.group}"
