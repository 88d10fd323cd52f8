"""`paddock key` against a real apiserver: made once, listed without secrets, revoked."""

import base64
import json
from typing import Any

import pytest

from paddock.plan.gateway.key_ring import key_ring
from support.person import Person

pytestmark = pytest.mark.contract


def read(person: Person, plural: str) -> Any:
    path = f"/api/v1/namespaces/{person.namespace}/{plural}/paddock-keys"
    return person.client.request("GET", path)


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def test_key_is_printed_once_and_kept_nowhere(person: Person) -> None:
    made = person.types("key", "create", "ci", "--model", "alpha", "--expires", "2h")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    claims = claims_of(token)
    assert (claims["iss"], claims["aud"]) == (f"paddock/{person.namespace}", "paddock-gateway")
    assert (claims["sub"], claims["models"]) == ("ci", ["alpha"])
    assert claims["exp"] - claims["iat"] == 7200

    public = read(person, "configmaps")
    kept = json.dumps([public, read(person, "secrets")])
    assert token not in kept
    assert token.split(".")[2] not in kept
    assert "PRIVATE" not in json.dumps(public)
    ring = key_ring(public)
    assert ring is not None
    assert [scope.ids for scope in ring.scopes] == [frozenset({claims["jti"]})]
    listed = person.types("key", "list").stdout
    assert claims["jti"] in listed
    assert token not in listed
    (told,) = json.loads(person.types("key", "list", "-o", "json").stdout)
    assert (told["id"], told["models"], told["revoked"]) == (claims["jti"], ["alpha"], False)


def test_pool_that_asks_for_keys_is_made_or_said_to_be_missing(person: Person) -> None:
    hint = "No pool of this namespace asks for keys;"
    assert hint in person.types("key", "create", "early").stderr
    run = ("run", "ollama://tiny", "--no-wait")
    assert person.types(*run, "--name", "open").exit_code == 0
    refused = person.types(*run, "--name", "open", "--keys")
    assert (refused.exit_code, "answers without a key" in refused.stderr) == (1, True)
    assert person.types(*run, "--name", "closed", "--keys").exit_code == 0
    assert person.types(*run, "--name", "closed", "--keys").exit_code == 0
    pool = person.get("InferencePool", "closed")
    assert pool["spec"]["gateway"] == {"auth": {"apiKeys": "Accepted"}}
    made = person.types("key", "create", "ci")
    assert (made.exit_code, hint in made.stderr) == (0, False)


def test_keys_of_a_namespace_have_one_signature_and_revoking_takes_one(person: Person) -> None:
    tokens = [person.types("key", "create", name).stdout.strip() for name in ("one", "two")]
    first, second = (claims_of(token)["jti"] for token in tokens)
    done = person.types("key", "revoke", first)
    assert (done.exit_code, done.output) == (0, f"Revoked {first}.\n")

    public = read(person, "configmaps")
    ring = key_ring(public)
    assert ring is not None
    assert ring.revoked == {first}
    assert len(json.loads(ring.jwks)["keys"]) == 1
    rows = person.types("key", "list").stdout.splitlines()
    assert [row.split()[-1] for row in rows if second in row] == ["good"]
    assert [row.split()[-1] for row in rows if first in row] == ["revoked"]


def test_what_cannot_be_done_is_a_sentence(person: Person) -> None:
    assert person.types("key", "list").output == "There are no keys.\n"
    unknown = person.types("key", "revoke", "nobody")
    assert unknown.exit_code == 4
    assert unknown.output == "There is no key nobody; `paddock key list` shows them.\n"
    wrong = person.types("key", "create", "x", "--expires", "soon")
    assert wrong.exit_code == 2
    assert "soon is no lifetime" in wrong.output
