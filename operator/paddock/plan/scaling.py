"""Who owns the number of replicas of a pool that scales by demand, and how it is written.

Pure. The Deployment's replicas are then no part of what we apply: they are written through its
scale subresource, so that the activator may wake a pool with this operator gone, and nobody fights.
"""

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.facts import Change, Scale
from paddock.plan.changes import is_deleting
from paddock.raw import mapping
from paddock.wire import Manifest

_SCALED = "by-demand"


def handed_over(pool: InferencePool, deployment: Manifest, live: Manifest | None) -> Manifest:
    """Return the Deployment as it is applied: without replicas where demand decides them.

    A new one is made with its replicas, or Kubernetes would make one of them.
    """
    if pool.spec.scaling is None or live is None:
        return deployment
    metadata, spec = mapping(deployment, "metadata"), mapping(deployment, "spec")
    annotations = {**mapping(metadata, "annotations"), names.SCALED_ANNOTATION: _SCALED}
    return {
        **deployment,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {key: value for key, value in spec.items() if key != "replicas"},
    }


def plan_scale(pool: InferencePool, live: Manifest | None, replicas: int) -> tuple[Change, ...]:
    """Return the write of the scale subresource, if one is due; it goes before any other.

    It is due too while our own apply still owns the number: to leave a field out that nobody else
    owns is to reset it.
    """
    if pool.spec.scaling is None or live is None or is_deleting(live):
        return ()
    metadata = mapping(live, "metadata")
    mark = mapping(metadata, "annotations").get(names.SCALED_ANNOTATION)
    if mark == _SCALED and mapping(live, "spec").get("replicas") == replicas:
        return ()
    return (
        Scale(
            str(metadata["namespace"]),
            str(metadata["name"]),
            replicas,
            str(metadata["resourceVersion"]),
        ),
    )
