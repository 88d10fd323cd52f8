"""`paddock run`: a LocalModel and an InferencePool over it, the bar, then the endpoint. I/O."""

import click

from paddock import kinds
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.bar import open_bar
from paddock.cli.exits import CommandError
from paddock.cli.explain import show_tree
from paddock.cli.making import Asked, asked_options, end_of, make, wait
from paddock.cli.moments import Moment
from paddock.cli.show import show_objects
from paddock.cli.wanted import Wish, asks_for_keys, build_model, build_pool


@click.command("run")
@asked_options
@click.option(
    "--engine", type=click.Choice([each.value for each in EngineName], case_sensitive=False),
    help="By default one that suits the source.",
)  # fmt: skip
@click.option("--gpus", type=click.IntRange(0, 64), help="GPUs of each replica.")
@click.option("--memory", help="Of each replica; by default what the model needs.")
@click.option("--replicas", type=click.IntRange(0, 1000), help="How many; 1 by default.")
@click.option("--keys", is_flag=True, help="Answer only callers with a key of `key create`.")
@target_options
def run(
    target: Target,
    asked: Asked,
    *,
    engine: str | None,
    gpus: int | None,
    memory: str | None,
    replicas: int | None,
    keys: bool,
) -> None:
    """Pull a model and serve it, then say where it answers.

    SOURCE is hf://ORG/REPO[/FILE][@REVISION], ollama://NAME[:TAG], https://..., s3://BUCKET/KEY,
    gs://BUCKET/KEY, oci://REGISTRY/NAME[:TAG|@DIGEST] or pvc://CLAIM/PATH.
    """

    def wish(namespace: str | None) -> Wish:
        chosen = EngineName(engine) if engine else None
        return asked.wish(
            namespace, engine=chosen, gpus=gpus, memory=memory, replicas=replicas, keys=keys
        )

    if asked.dry_run:
        own = wish(target.namespace)
        show_objects([build_model(own), build_pool(own)], asked.form)
        return
    moment = with_cluster(
        target, lambda session: _run(session, asked, wish(session.namespace), target)
    )
    if moment is not None:
        end_of(moment)


async def _run(session: Session, asked: Asked, wish: Wish, target: Target) -> Moment | None:
    await make(session, kinds.LOCAL_MODELS, build_model(wish))
    pool = await make(session, kinds.INFERENCE_POOLS, build_pool(wish))
    if wish.keys and not asks_for_keys(pool):
        raise CommandError(
            f"InferencePool {wish.name} is there already and answers without a key; set its"
            " spec.gateway.auth, or choose another --name."
        )
    if not asked.wait:
        return None
    with open_bar() as bar:
        moment = await wait(session, asked, bar, pool=True)
    if await show_tree(session, f"pool/{asked.name}", moment):
        return moment
    served = await session.user.cluster.get(kinds.INFERENCE_POOLS, session.namespace, asked.name)
    for line in closing_lines(InferencePool.model_validate(served), target.namespace):
        click.echo(line)
    return moment


def closing_lines(pool: InferencePool, namespace: str | None) -> list[str]:
    """Say where the pool answers, and how to talk to it; `namespace` as it was asked for."""
    name, endpoint = pool.metadata.name, pool.status.endpoint
    place = f" -n {namespace}" if namespace else ""
    where = [f"OpenAI  {endpoint.openai}"] if endpoint else []
    where += [f"Ollama  {endpoint.ollama}"] if endpoint and endpoint.ollama else []
    return [*where, f"chat    paddock chat {name}{place}"]
