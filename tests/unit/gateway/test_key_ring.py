"""The public half of API keys: read tolerantly, and never more than what is public."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from paddock.callers import KeyRing, KeyScope
from paddock.cli.signing import (
    KeyRecord,
    lifetime_of,
    new_private_key,
    new_record,
    public_key,
    revoked,
    without_old,
)
from paddock.plan.gateway.key_ring import JWKS_FIELD, KEYS_FIELD, key_ring
from paddock.wire import Json

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def config_map(jwks: Json, keys: Json) -> dict[str, Json]:
    return {"data": {JWKS_FIELD: json.dumps(jwks), KEYS_FIELD: json.dumps(keys)}}


def test_ring_tells_revoked_ids_and_the_scopes_in_use() -> None:
    keys: Json = [
        {"id": "a", "models": ["*"]},
        {"id": "b", "models": ["x", "y"]},
        {"id": "c", "models": ["y", "x"]},
        {"id": "d", "models": ["x"], "revoked": True},
    ]

    assert key_ring(config_map({"keys": []}, keys)) == KeyRing(
        '{"keys":[]}',
        frozenset({"d"}),
        (KeyScope(frozenset({"x", "y"}), frozenset({"b", "c"})),),
    )


def test_private_parts_that_somebody_put_there_are_left_out() -> None:
    public = public_key(new_private_key())
    found = key_ring(config_map({"keys": [{**public, "d": "secret", "k": "secret"}]}, []))

    assert found is not None
    assert json.loads(found.jwks) == {"keys": [public]}


@pytest.mark.parametrize(
    "broken",
    [{}, {"data": None}, {"data": {JWKS_FIELD: "{"}}, {"data": {JWKS_FIELD: "[]"}},
     {"data": {JWKS_FIELD: "{}", KEYS_FIELD: '[{"name": "x", "revoked": true}]'}},
     {"data": {JWKS_FIELD: "{}", KEYS_FIELD: "[3]"}}, {"data": {JWKS_FIELD: "null"}}],
)  # fmt: skip
def test_what_is_not_as_written_is_no_ring(broken: dict[str, Json]) -> None:
    assert key_ring(broken) is None
    assert key_ring(None) is None


def test_lifetimes_are_read_or_refused() -> None:
    assert lifetime_of("30d") == timedelta(days=30)
    assert lifetime_of("12h") == timedelta(hours=12)
    assert lifetime_of("never") is None
    for wrong in ("", "0d", "-1d", "1w", "30", "99999999d"):
        with pytest.raises(ValueError, match="is no lifetime"):
            lifetime_of(wrong)


def test_record_is_kept_a_day_longer_than_its_key() -> None:
    ended = new_record("x", ["*"], timedelta(hours=1), NOW)
    lasting = new_record("y", ["*"], None, NOW)

    assert without_old([ended, lasting], NOW + timedelta(hours=24)) == (ended, lasting)
    assert without_old([ended, lasting], NOW + timedelta(hours=26)) == (lasting,)


def test_revoking_marks_one_key_and_knows_no_stranger() -> None:
    one, two = (new_record(name, ["*"], None, NOW) for name in ("one", "two"))
    after = revoked([one, two], one.id)

    assert after is not None
    assert [each.revoked for each in after] == [True, False]
    assert revoked([one], "nobody") is None


def test_record_reads_as_it_was_written() -> None:
    record = new_record("x", ["alpha"], timedelta(days=1), NOW)

    assert KeyRecord.of(json.loads(json.dumps(record.value()))) == record
