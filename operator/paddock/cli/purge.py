"""`paddock purge`: delete weights that `storage.retain: Retain` kept, on purpose. I/O.

A claim goes only if it is still the one that was shown: by its uid.
"""

import sys

import click

from paddock import kinds, names
from paddock.api.localmodel import LocalModel
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.exits import CommandError, MissingError
from paddock.cli.kept import claims_table, kept_claims
from paddock.cli.show import show_lines
from paddock.facts import ClaimFact
from paddock.observe.objects import claim_fact
from paddock.raw import items, text

_OURS = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"


@click.command("purge")
@click.argument("models", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted.")
@target_options
def purge(target: Target, models: tuple[str, ...], *, yes: bool, dry_run: bool) -> None:
    """Delete kept weights that no model names any more.

    MODELS are the names of models that are gone; without any, all that were kept. Claims that you
    made yourself are never touched.
    """
    claims = with_cluster(target, _read)
    chosen = [claim for claim in claims if not models or claim.made_for in models]
    unknown = set(models) - {claim.made_for for claim in chosen}
    if unknown:
        raise MissingError(f"No weights are kept of {', '.join(sorted(unknown))}.")
    if not chosen:
        click.echo("No weights are kept without a model.")
        return
    show_lines(claims_table(chosen))
    if dry_run:
        return
    if not yes:
        _ask(len(chosen))
    with_cluster(target, lambda session: _delete(session, chosen))
    click.echo(f"Deleted {len(chosen)}.")


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise CommandError("Nothing was deleted: nobody can be asked here; say --yes.")
    click.confirm(f"Delete {count} for ever?", abort=True)


async def _read(session: Session) -> tuple[ClaimFact, ...]:
    cluster, place = session.user.cluster, session.namespace
    claims = await cluster.list(kinds.CLAIMS, place, label_selector=_OURS)
    models = await cluster.list(kinds.LOCAL_MODELS, place)
    pods = await cluster.list(kinds.PODS, place)
    mounted = [
        name
        for pod in pods
        for volume in items(pod, "spec", "volumes")
        if (name := text(volume, "persistentVolumeClaim", "claimName")) is not None
    ]
    parsed = [LocalModel.model_validate(each) for each in models]
    return kept_claims(map(claim_fact, claims), parsed, mounted)


async def _delete(session: Session, claims: list[ClaimFact]) -> None:
    for claim in claims:
        await session.user.cluster.delete(
            kinds.CLAIMS, session.namespace, claim.name, uid=claim.uid
        )
