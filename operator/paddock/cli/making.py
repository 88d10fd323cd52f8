"""What `run` and `pull` share: their options, making the objects, and the wait. I/O."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass

import click

from paddock import kinds
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.source import SourceError, parse_source
from paddock.cli.access import Session
from paddock.cli.bar import Bar
from paddock.cli.causes import is_ready
from paddock.cli.exits import CommandError, MissingError, NotReadyError
from paddock.cli.moments import End, Moment, StallWatch, moment_of, pulled
from paddock.cli.wanted import Wish, hint_of, name_of
from paddock.clock import SystemClock
from paddock.errors import ConflictError
from paddock.facts import Kind
from paddock.raw import at, text
from paddock.wire import Manifest

_POLL = 0.5
_OPTIONS = (
    click.argument("source"),
    click.option("--name", help="Of what is made; by default after the source."),
    click.option("-q", "--quantization", help="Of a GGUF repository, such as Q4_K_M."),
    click.option("--secret", help="A Secret of the namespace with the source's credentials."),
    click.option("--claim", help="An existing claim for the weights, instead of one of its own."),
    click.option("--size", help="Of the claim that is made for the weights, such as 40Gi."),
    click.option("--wait/--no-wait", default=True, help="Wait until it is ready; the default."),
    click.option("--timeout", type=float, help="Wait so many seconds at most."),
    click.option("--dry-run", is_flag=True, help="Print what would be made, and make nothing."),
    click.option(
        "-o", "--output", "form", type=click.Choice(("yaml", "json")), default="yaml",
        show_default=True, help="How --dry-run prints.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that `run` and `pull` share."""

    source: str
    name: str
    quantization: str | None
    secret: str | None
    claim: str | None
    size: str | None
    wait: bool
    timeout: float | None
    dry_run: bool
    form: str

    def wish(
        self,
        namespace: str | None,
        *,
        engine: EngineName | None = None,
        gpus: int | None = None,
        memory: str | None = None,
        replicas: int | None = None,
        keys: bool = False,
    ) -> Wish:
        """Return the wish, in a namespace, with what only a pool needs."""
        return Wish(
            source=self.source, name=self.name, namespace=namespace,
            quantization=self.quantization, secret=self.secret, claim=self.claim, size=self.size,
            engine=engine, gpus=gpus, memory=memory, replicas=replicas, keys=keys,
        )  # fmt: skip


def asked_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options, handed over as one `asked`; a bad source is refused."""

    @functools.wraps(command)
    def called(**options: object) -> None:
        own = {name: options.pop(name) for name in Asked.__slots__}
        source = str(own["source"])
        try:
            parse_source(source)
        except SourceError as error:
            hint = hint_of(source)
            more = f" Did you mean {hint}?" if hint else ""
            raise click.BadParameter(f"{error}{more}", param_hint="SOURCE") from error
        own["name"] = own["name"] or name_of(source)
        command(asked=Asked(**own), **options)  # type: ignore[arg-type]  # click's own values

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


async def make(session: Session, kind: Kind, manifest: Manifest) -> Manifest:
    """Create the object; one that is there already is taken if it asks for the same."""
    namespace, name = session.namespace, text(manifest, "metadata", "name") or ""
    try:
        return await session.user.cluster.create(kind, namespace, manifest)
    except ConflictError:
        known = await session.user.cluster.get(kind, namespace, name)
    if known is None:
        raise CommandError(f"{kind.kind} {name} went away as it was made; try again.")
    same = ("spec", "source") if kind is kinds.LOCAL_MODELS else ("spec", "models")
    if at(known, *same) != at(manifest, *same):
        raise CommandError(
            f"{kind.kind} {name} is there already with another {same[-1]}; choose another --name."
        )
    return known


async def wait(session: Session, asked: Asked, bar: Bar, *, pool: bool) -> Moment:
    """Show moments until the model, and the pool over it, are ready, stalled, or time is up."""
    clock, stall = SystemClock(), StallWatch()
    began, has_pulled = clock.monotonic(), False
    while True:
        model = LocalModel.model_validate(await _read(session, kinds.LOCAL_MODELS, asked.name))
        read = await _read(session, kinds.INFERENCE_POOLS, asked.name) if pool else None
        moment = moment_of(model, InferencePool.model_validate(read) if read else None)
        if is_ready(model) and not has_pulled:
            bar.show(pulled(model))
            has_pulled = True
        bar.show(moment)
        now = clock.monotonic()
        if stall.has_ended(moment, now):
            return moment
        if asked.timeout is not None and now - began >= asked.timeout:
            return moment
        await asyncio.sleep(_POLL)


async def _read(session: Session, kind: Kind, name: str) -> Manifest:
    found = await session.user.cluster.get(kind, session.namespace, name)
    if found is None:
        raise MissingError(f"{kind.kind} {name} was deleted.")
    return found


def end_of(moment: Moment) -> None:
    """Raise NotReadyError unless the wait ended well."""
    if moment.end is End.READY:
        return
    if moment.end is End.STALLED:
        raise NotReadyError("It stays as it is; correct what the tree names, or delete it.")
    raise NotReadyError(f"{moment.subject} is not ready yet; it goes on in the cluster.")
