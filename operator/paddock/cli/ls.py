"""`paddock ls`: models and pools, with their states. I/O; the tables are made in `tables`."""

import click

from paddock import kinds
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.paint import Line
from paddock.cli.show import list_of, output_option, show_lines, show_value
from paddock.cli.tables import models_table, pools_table
from paddock.clock import SystemClock
from paddock.wire import Manifest

all_namespaces_option = click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces."
)


@click.command("ls")
@all_namespaces_option
@output_option
@target_options
def ls(target: Target, form: str | None, *, everywhere: bool) -> None:
    """List models and pools."""
    models, pools = with_cluster(target, lambda session: _read(session, everywhere=everywhere))
    if form is not None:
        show_value(list_of([*models, *pools]), form)
        return
    if not (models or pools):
        click.echo("There is no model and no pool; `paddock run SOURCE` makes one of each.")
        return
    now = SystemClock().now()
    tables: list[list[Line]] = []
    if models:
        parsed = [LocalModel.model_validate(each) for each in models]
        tables.append(models_table(parsed, now, with_namespace=everywhere))
    if pools:
        read = [InferencePool.model_validate(each) for each in pools]
        tables.append(pools_table(read, now, with_namespace=everywhere))
    for index, table in enumerate(tables):
        show_lines([(), *table] if index else table)


async def _read(
    session: Session, *, everywhere: bool
) -> tuple[tuple[Manifest, ...], tuple[Manifest, ...]]:
    cluster, place = session.user.cluster, None if everywhere else session.namespace
    models = await cluster.list(kinds.LOCAL_MODELS, place)
    return models, await cluster.list(kinds.INFERENCE_POOLS, place)
