"""`paddock explain`: why a pool or a model is not ready, as a tree. I/O.

It reads what the operator wrote into the statuses, and the Jobs and pods they speak of.
"""

from collections.abc import Iterator, Mapping, Sequence

import click

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.causes import (
    Scene,
    explain_model,
    explain_pool,
    explanation_value,
    grouped_jobs,
    grouped_pods,
    is_ready,
)
from paddock.cli.exits import Exit, MissingError
from paddock.cli.moments import End, Moment
from paddock.cli.paint import Branch, tree_lines
from paddock.cli.show import output_option, show_lines, show_value
from paddock.facts import Kind
from paddock.observe.objects import deployment_fact, job_fact, pod_fact
from paddock.raw import text
from paddock.wire import Manifest

_OURS = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_PREFIXES: Mapping[str, tuple[Kind, ...]] = {
    "": (kinds.INFERENCE_POOLS, kinds.LOCAL_MODELS),
    **dict.fromkeys(("ipool", "pool", "inferencepool"), (kinds.INFERENCE_POOLS,)),
    **dict.fromkeys(("lmodel", "model", "localmodel"), (kinds.LOCAL_MODELS,)),
}


@click.command("explain")
@click.argument("name", metavar="POOL|MODEL")
@output_option
@target_options
def explain(target: Target, name: str, form: str | None) -> None:
    """Say why a pool or a model is not ready, as a tree.

    A pool goes before a model of the same name; model/NAME and pool/NAME tell them apart.
    """
    owner, scene = with_cluster(target, lambda session: read_scene(session, name))
    if form is not None:
        show_value(explanation_value(owner, scene), form)
    else:
        show_lines(tree_lines(_tree(owner, scene)))
    raise SystemExit(int(Exit.OK if is_ready(owner) else Exit.NOT_READY))


def _tree(owner: LocalModel | InferencePool, scene: Scene) -> Branch:
    if isinstance(owner, InferencePool):
        return explain_pool(owner, scene)
    return explain_model(owner, scene)


async def show_tree(session: Session, name: str, moment: Moment) -> bool:
    """Print the tree on standard error if a wait has not ended well; tell whether it did so."""
    if moment.end is End.READY:
        return False
    owner, scene = await read_scene(session, name)
    show_lines(tree_lines(_tree(owner, scene)), err=True)
    return True


async def read_scene(session: Session, name: str) -> tuple[LocalModel | InferencePool, Scene]:
    """Read one pool or model and all that its tree speaks of, or raise MissingError."""
    owner = await _find(session, name)
    cluster, place = session.user.cluster, session.namespace
    models = await cluster.list(kinds.LOCAL_MODELS, place)
    jobs = await cluster.list(kinds.JOBS, place, label_selector=_OURS)
    pods = await cluster.list(kinds.PODS, place, label_selector=_OURS)
    deployments = await cluster.list(kinds.DEPLOYMENTS, place, label_selector=_OURS)
    return owner, scene_of(models=models, jobs=jobs, pods=pods, deployments=deployments)


def scene_of(
    *,
    models: Sequence[Manifest],
    jobs: Sequence[Manifest],
    pods: Sequence[Manifest],
    deployments: Sequence[Manifest],
) -> Scene:
    """Read raw objects into a scene."""
    parsed = [LocalModel.model_validate(each) for each in models]
    facts = [deployment_fact(each) for each in deployments]
    return Scene(
        models={model.metadata.name: model for model in parsed},
        deployments={fact.name: fact for fact in facts},
        jobs=grouped_jobs((label, job_fact(job)) for label, job in _by(names.MODEL_LABEL, jobs)),
        pull_pods=grouped_pods(
            (fact.owner_uid, fact) for fact in map(pod_fact, pods) if fact.owner_uid is not None
        ),
        engine_pods=grouped_pods(
            (label, pod_fact(pod)) for label, pod in _by(names.POOL_LABEL, pods)
        ),
    )


def _by(label: str, manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for manifest in manifests:
        value = text(manifest, "metadata", "labels", label)
        if value is not None:
            yield value, manifest


async def _find(session: Session, name: str) -> LocalModel | InferencePool:
    prefix, _, bare = name.rpartition("/")
    if prefix.lower() not in _PREFIXES:
        raise click.BadParameter(f"{prefix} is neither pool nor model.")
    for kind in _PREFIXES[prefix.lower()]:
        found = await session.user.cluster.get(kind, session.namespace, bare)
        if found is not None:
            is_pool = kind is kinds.INFERENCE_POOLS
            parsed = InferencePool if is_pool else LocalModel
            return parsed.model_validate(found)
    wanted = " or ".join(kind.kind for kind in _PREFIXES[prefix.lower()])
    raise MissingError(f"There is no {wanted} {bare} in namespace {session.namespace}.")
