"""`paddock key`: make, list and revoke the API keys of a namespace. I/O.

What signs them is in a Secret that only the user of this command reads; the operator is given the
public half and the ids of revoked keys, in a ConfigMap.
"""

import base64
import json
from collections.abc import Callable, Sequence

import click

from paddock import kinds, names
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.exits import CommandError, MissingError
from paddock.cli.paint import Line, Word, table_lines
from paddock.cli.show import output_option, show_lines, show_value
from paddock.cli.signing import (
    KeyRecord,
    lifetime_of,
    new_private_key,
    new_record,
    public_key,
    revoked,
    token_of,
    without_old,
)
from paddock.cli.wanted import asks_for_keys
from paddock.clock import SystemClock
from paddock.errors import ConflictError
from paddock.facts import Kind
from paddock.plan.gateway.key_ring import EVERY_MODEL, JWKS_FIELD, KEYS_FIELD, issuer
from paddock.raw import items, text
from paddock.wire import Json, Manifest

SECRETS = Kind("", "v1", "secrets", "Secret")
_PRIVATE_FIELD = "private.pem"
_TRIES = 5
_LABELS: dict[str, Json] = {
    names.MANAGED_BY_LABEL: names.MANAGED_BY,
    names.COMPONENT_LABEL: names.KEYS_COMPONENT,
}


@click.group("key")
def key() -> None:
    """Make, list and revoke API keys of a namespace's gateway."""


@key.command("create")
@click.argument("name")
@click.option("--expires", default="90d", show_default=True, help="30d, 12h, 45m or never.")
@click.option("--model", "models", multiple=True, help="For these models only; by default all.")
@target_options
def create(target: Target, name: str, expires: str, models: tuple[str, ...]) -> None:
    """Make a key and print it, once.

    NAME says who it is for. The key itself is kept nowhere: print another if it is lost.
    """
    try:
        lifetime = lifetime_of(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    record = new_record(name, models or (EVERY_MODEL,), lifetime, SystemClock().now())
    token, is_asked_for = with_cluster(target, lambda session: _create(session, record))
    until = f"until {record.expires}" if record.expires else "for ever"
    click.echo(f"Key {record.id} for {name}, good {until}. It is shown only now.", err=True)
    if not is_asked_for:
        click.echo(
            "No pool of this namespace asks for keys; `paddock run --keys` makes one that does.",
            err=True,
        )
    click.echo(token)


@key.command("list")
@output_option
@target_options
def list_(target: Target, form: str | None) -> None:
    """List the keys; what they are is not known any more."""
    records = with_cluster(target, _read)
    if form is not None:
        show_value([each.value() for each in records], form)
        return
    if not records:
        click.echo("There are no keys.")
        return
    show_lines(keys_table(records))


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@target_options
def revoke(target: Target, key_id: str) -> None:
    """Make a key good no more, within seconds. ID is the one that `list` shows."""

    def change(records: Sequence[KeyRecord]) -> Sequence[KeyRecord]:
        after = revoked(records, key_id)
        if after is None:
            raise MissingError(f"There is no key {key_id}; `paddock key list` shows them.")
        return after

    with_cluster(target, lambda session: _change(session, change, None))
    click.echo(f"Revoked {key_id}.")


def keys_table(records: Sequence[KeyRecord]) -> list[Line]:
    """Lay the keys out, newest last."""
    rows = [
        [
            Word(each.id), Word(each.name), Word(", ".join(each.models)), Word(each.created),
            Word(each.expires or "never"), Word("revoked" if each.revoked else "good"),
        ]
        for each in sorted(records, key=lambda each: (each.created, each.id))
    ]  # fmt: skip
    return table_lines(["ID", "NAME", "MODELS", "CREATED", "EXPIRES", "STATE"], rows)


async def _create(session: Session, record: KeyRecord) -> tuple[str, bool]:
    """Make a key; return it, and whether any pool asks for one.

    The pools are read first: nothing may go wrong between making a key and printing it.
    """
    pools = await session.user.cluster.list(kinds.INFERENCE_POOLS, session.namespace)
    private = await _private_key(session)
    await _change(session, lambda records: (*records, record), public_key(private))
    return token_of(record, issuer(session.namespace), private), any(map(asks_for_keys, pools))


async def _private_key(session: Session) -> bytes:
    """Return what signs the namespace's keys, making it the first time."""
    cluster, place = session.user.cluster, session.namespace
    for _ in range(_TRIES):
        secret = await cluster.get(SECRETS, place, names.KEYS)
        if secret is not None:
            encoded = text(secret, "data", _PRIVATE_FIELD)
            if encoded is None:
                raise CommandError(f"The Secret {names.KEYS} is not one of ours; rename it.")
            return base64.b64decode(encoded)
        content = base64.b64encode(new_private_key()).decode()
        body: Manifest = {
            "apiVersion": "v1",
            "kind": SECRETS.kind,
            "metadata": {"name": names.KEYS, "namespace": place, "labels": _LABELS},
            "data": {_PRIVATE_FIELD: content},
        }
        try:
            await cluster.create(SECRETS, place, body)
        except ConflictError:
            continue
    raise CommandError("Somebody else makes and removes the same Secret; try again.")


async def _read(session: Session) -> tuple[KeyRecord, ...]:
    found = await session.user.cluster.get(kinds.CONFIG_MAPS, session.namespace, names.KEYS)
    return _records(found) if found is not None else ()


def _records(config_map: Manifest) -> tuple[KeyRecord, ...]:
    listed: Json = {"keys": json.loads(text(config_map, "data", KEYS_FIELD) or "[]")}
    return tuple(map(KeyRecord.of, items(listed, "keys")))


async def _change(
    session: Session,
    change: Callable[[Sequence[KeyRecord]], Sequence[KeyRecord]],
    public: dict[str, Json] | None,
) -> None:
    """Change the records as they are now; somebody else's change in between is kept."""
    cluster, place = session.user.cluster, session.namespace
    for _ in range(_TRIES):
        found = await cluster.get(kinds.CONFIG_MAPS, place, names.KEYS)
        before = _records(found) if found is not None else ()
        records = without_old(tuple(change(before)), SystemClock().now())
        body = _config_map(place, found, records, public)
        try:
            if found is None:
                await cluster.create(kinds.CONFIG_MAPS, place, body)
            else:
                await cluster.replace(kinds.CONFIG_MAPS, place, names.KEYS, body)
        except ConflictError:
            continue
        return
    raise CommandError("Somebody else changes the keys all the time; try again.")


def _config_map(
    namespace: str,
    found: Manifest | None,
    records: Sequence[KeyRecord],
    public: dict[str, Json] | None,
) -> Manifest:
    known = json.loads(text(found, "data", JWKS_FIELD) or '{"keys":[]}')["keys"]
    added = [public] if public is not None and public not in known else []
    version = text(found, "metadata", "resourceVersion")
    return {
        "apiVersion": "v1",
        "kind": kinds.CONFIG_MAPS.kind,
        "metadata": {
            "name": names.KEYS,
            "namespace": namespace,
            "labels": _LABELS,
            **({"resourceVersion": version} if version is not None else {}),
        },
        "data": {
            JWKS_FIELD: json.dumps({"keys": [*known, *added]}),
            KEYS_FIELD: json.dumps([each.value() for each in records]),
        },
    }
