"""`paddock pull`: a LocalModel, and the bar of its pull. I/O."""

import click

from paddock import kinds
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.bar import open_bar
from paddock.cli.explain import show_tree
from paddock.cli.making import Asked, asked_options, end_of, make, wait
from paddock.cli.moments import Moment
from paddock.cli.show import show_objects
from paddock.cli.wanted import build_model


@click.command("pull")
@asked_options
@target_options
def pull(target: Target, asked: Asked) -> None:
    """Pull a model into a volume, and show how far it is.

    SOURCE is hf://ORG/REPO[/FILE][@REVISION], ollama://NAME[:TAG], https://..., s3://BUCKET/KEY,
    gs://BUCKET/KEY, oci://REGISTRY/NAME[:TAG|@DIGEST] or pvc://CLAIM/PATH.
    """
    if asked.dry_run:
        show_objects([build_model(asked.wish(target.namespace))], asked.form)
        return
    moment = with_cluster(target, lambda session: _pull(session, asked))
    if moment is not None:
        end_of(moment)


async def _pull(session: Session, asked: Asked) -> Moment | None:
    model = build_model(asked.wish(session.namespace))
    await make(session, kinds.LOCAL_MODELS, model)
    if not asked.wait:
        return None
    with open_bar() as bar:
        moment = await wait(session, asked, bar, pool=False)
    await show_tree(session, f"model/{asked.name}", moment)
    return moment
