"""A newcomer's first hour at the keyboard, on a full node: run, look, talk, measure, clean up."""

import json

import pytest

from paddock.local.cluster import EmbeddedCluster
from support.person import Person
from support.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def person(cluster: EmbeddedCluster, world: World) -> Person:
    return Person(cluster.kubeconfig, world.namespace, cluster.plane.client())


def test_newcomer_runs_chats_measures_and_cleans_up(
    person: Person, world: World, source: str
) -> None:
    command = person.starts("run", source, "--size", "1Gi")
    out, told = command.communicate(timeout=180)
    assert command.returncode == 0, told
    assert f"OpenAI  http://paddock-gateway.{world.namespace}.svc/v1" in out
    assert "model/tiny  pulled and verified: " in told
    assert told.splitlines()[-1] == "pool/tiny  ready, its model verified"

    chat = person.types("chat", "tiny", "Hello!", "--max-tokens", "8")
    assert (chat.exit_code, chat.stderr) == (0, "")
    assert chat.stdout.strip()
    secret = "the-word-nobody-may-log"
    asked = person.starts("chat", "tiny", "--max-tokens", "4")
    assert asked.communicate(secret, timeout=60)[1] == ""
    audit = "".join(
        file.read_text() for file in sorted(world.cluster.plane.folder.glob("audit*.log"))
    )
    assert "/portforward" in audit
    assert secret not in audit

    loaded = person.types("ps").stdout.splitlines()[1].split()
    assert loaded[:4] == ["tiny", "tiny", "LlamaCpp", "Loaded"]
    assert person.types("explain", "tiny").exit_code == 0

    load = ("--requests", "6", "-c", "2", "--max-tokens", "8", "--prompt-words", "8")
    bench = person.types("bench", "tiny", *load, "-o", "json")
    assert bench.exit_code == 0, bench.stderr
    report = json.loads(bench.stdout)
    assert (report["requests"], report["failed"]) == (6, 0)
    assert report["tokens"] >= 6
    assert report["first_token_ms"]["p50"] > 0

    top = json.loads(person.types("top", "--interval", "0.5", "-o", "json").stdout)
    assert [each["pool"] for each in top] == ["tiny"]
    assert top[0]["counters"]["generated"] > 0

    world.delete("inferencepool", "tiny")
    assert "No weights are kept" in person.types("purge", "--dry-run").stdout
    world.delete("localmodel", "tiny")
    world.delete("pods", "--all", "--grace-period=1")  # nobody is answered whom they wait for
    world.until("the pods are gone", lambda: not world.every("pods"))
    purge = person.types("purge", "tiny", "--yes")
    assert (purge.exit_code, "Deleted 1." in purge.stdout) == (0, True)
    world.until("the claim is gone", lambda: world.get("pvc", "tiny-weights") is None)
