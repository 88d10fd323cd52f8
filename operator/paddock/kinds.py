"""The resources the product reads or writes; a new child kind starts with a line here.

A leaf beside `facts`: pure data.
"""

from paddock import names
from paddock.facts import Kind
from paddock.wire import Manifest

LOCAL_MODELS = Kind(names.GROUP, names.VERSION, "localmodels", names.LOCAL_MODEL)
INFERENCE_POOLS = Kind(names.GROUP, names.VERSION, "inferencepools", names.INFERENCE_POOL)
CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SERVICES = Kind("", "v1", "services", "Service")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
PODS = Kind("", "v1", "pods", "Pod")
EVENTS = Kind("", "v1", "events", "Event")
JOBS = Kind("batch", "v1", "jobs", "Job")
DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment")
DISRUPTION_BUDGETS = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
INGRESSES = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
HTTP_ROUTES = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
EXPORTED_POOLS = Kind("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool")
"""The Gateway API Inference Extension's own kind, whose name is ours too."""
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")

OWN = (LOCAL_MODELS, INFERENCE_POOLS)
MODEL_CHILDREN = (CLAIMS, JOBS)
POOL_CHILDREN = (DEPLOYMENTS, SERVICES, CONFIG_MAPS, DISRUPTION_BUDGETS, NETWORK_POLICIES)
GATEWAY_CHILDREN = (*POOL_CHILDREN, INGRESSES)
WATCHED_CHILDREN = (*MODEL_CHILDREN, *GATEWAY_CHILDREN, PODS)
"""Watched with the managed-by label as a server-side selector."""
OPTIONAL = (HTTP_ROUTES, EXPORTED_POOLS)
"""Watched in the same way, where the administrator wants them and the cluster has them."""

ALL = (*OWN, *WATCHED_CHILDREN, *OPTIONAL, EVENTS, LEASES)
_BY_TYPE = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_of(manifest: Manifest) -> Kind:
    """Return the kind that a manifest says it is of."""
    return _BY_TYPE[str(manifest["apiVersion"]), str(manifest["kind"])]


def resource_of(kind: Kind) -> str:
    """Return a kind's full name, as kubectl takes it: no two kinds share it."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural
