"""`paddock ps`: which model is loaded where, as the engines answered. I/O."""

import click

from paddock import kinds
from paddock.api.inferencepool import InferencePool
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.ls import all_namespaces_option
from paddock.cli.show import output_option, show_lines, show_value
from paddock.cli.tables import loaded_table
from paddock.wire import Json, Manifest


@click.command("ps")
@all_namespaces_option
@output_option
@target_options
def ps(target: Target, form: str | None, *, everywhere: bool) -> None:
    """Show which model is loaded where."""

    async def read(session: Session) -> tuple[Manifest, ...]:
        place = None if everywhere else session.namespace
        return await session.user.cluster.list(kinds.INFERENCE_POOLS, place)

    pools = [InferencePool.model_validate(each) for each in with_cluster(target, read)]
    if form is not None:
        show_value([_value(pool) for pool in pools], form)
    elif any(pool.status.models for pool in pools):
        show_lines(loaded_table(pools, with_namespace=everywhere))
    else:
        click.echo("No pool serves a model; `paddock run SOURCE` makes one that does.")


def _value(pool: InferencePool) -> Json:
    served = [each.model_dump(by_alias=True, mode="json") for each in pool.status.models]
    return {
        "namespace": pool.metadata.namespace,
        "pool": pool.metadata.name,
        "engine": pool.spec.engine.name.value,
        "models": served,
        "fit": pool.status.fit.model_dump(by_alias=True, mode="json") if pool.status.fit else None,
    }
