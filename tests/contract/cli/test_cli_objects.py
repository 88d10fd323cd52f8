"""Commands that make and read objects: what they print, what they leave, how they end."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock.local.control_plane import ControlPlane
from support.person import READY, Person, condition

pytestmark = pytest.mark.contract

SOURCE = "https://models.example.com/tiny.gguf"
STALLED = [
    condition("Ready", "False", "SourceNotFound", "There is no such file."),
    condition("Stalled", "True", "SourceNotFound", "There is no such file."),
]
DIGEST = "sha256:" + "a" * 64
Maker = Callable[[Path], Person]


def until(what: str, check: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def pool_spec(*models: str) -> dict[str, Any]:
    return {"engine": {"name": "LlamaCpp"}, "models": [{"name": each} for each in models]}


def test_run_shows_the_pull_then_the_endpoint(person: Person) -> None:
    command = person.starts("run", SOURCE)
    until("both objects are there", lambda: person.get("InferencePool", "tiny"))
    pulling = [condition("Ready", "False", "Pulling", "The model is being pulled.")]
    progress = {"bytes": 400, "totalBytes": 1000, "percent": 40}
    person.tell("LocalModel", "tiny", {"conditions": pulling, "progress": progress})
    assert command.stderr is not None
    said = ""
    while "40 %" not in said:
        said += command.stderr.readline()
    artifact = {"digest": DIGEST, "bytes": 1000}
    ready = {"conditions": READY, "progress": None, "artifact": artifact}
    person.tell("LocalModel", "tiny", ready)
    endpoint = {"openai": "http://tiny.team.svc/v1"}
    person.tell("InferencePool", "tiny", {"conditions": READY, "endpoint": endpoint})
    out, err = command.communicate(timeout=30)
    assert "model/tiny  pulling 40 %, 400 B of 1.0 KB" in said
    assert err.splitlines()[-2:] == [
        "model/tiny  pulled and verified: 1.0 KB, aaaaaaaaaaaa",
        "pool/tiny  ready, its model verified",
    ]
    assert out.splitlines() == [
        "OpenAI  http://tiny.team.svc/v1",
        f"chat    paddock chat tiny -n {person.namespace}",
    ]
    assert command.returncode == 0


def test_run_ends_with_the_tree_when_it_stalls(person: Person) -> None:
    command = person.starts("run", SOURCE)
    until("the model is there", lambda: person.get("LocalModel", "tiny"))
    cause = {
        "object": "LocalModel/tiny", "reason": "SourceNotFound", "cause": "There is no such file.",
        "fix": "Correct spec.source.",
    }  # fmt: skip
    person.tell("LocalModel", "tiny", {"conditions": STALLED, "diagnosis": [cause]})
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (3, "")
    assert "SourceNotFound  LocalModel/tiny: There is no such file." in err
    assert "fix  Correct spec.source." in err


def test_run_again_takes_what_is_there_and_refuses_another_source(person: Person) -> None:
    assert person.types("run", SOURCE, "--no-wait").exit_code == 0
    before = person.get("LocalModel", "tiny")["metadata"]
    assert person.types("run", SOURCE, "--no-wait").exit_code == 0
    assert person.get("LocalModel", "tiny")["metadata"] == before
    other = person.types("run", "https://models.example.com/b/tiny.gguf", "--no-wait")
    assert other.exit_code == 1
    assert "LocalModel tiny is there already with another source" in other.stderr


def test_time_that_is_up_is_said_and_leaves_the_objects(person: Person) -> None:
    result = person.types("pull", SOURCE, "--timeout", "0.1")
    assert result.exit_code == 3
    assert "model/tiny is not ready yet; it goes on in the cluster." in result.stderr
    assert person.get("LocalModel", "tiny")["spec"] == {"source": SOURCE}


def test_dry_run_makes_nothing_and_prints_what_the_apiserver_takes(person: Person) -> None:
    result = person.types("run", SOURCE, "--dry-run", "-o", "yaml", "--gpus", "1")
    assert person.get("LocalModel", "tiny") is None
    for each in yaml.safe_load_all(result.stdout):
        person.make(each["kind"], each["metadata"]["name"], each["spec"])
    assert person.get("InferencePool", "tiny")["spec"]["hardware"] == {"gpus": 1}


def test_spec_the_apiserver_refuses_is_told_in_its_words(person: Person) -> None:
    result = person.types("pull", SOURCE, "--claim", "shared", "--size", "1Gi")
    assert result.exit_code == 1
    assert "claimName names an existing claim" in result.stderr


def test_ls_is_a_table_and_a_list_that_kubectl_would_print(person: Person) -> None:
    assert "paddock run SOURCE" in person.types("ls").stdout
    person.make("LocalModel", "tiny", {"source": SOURCE})
    person.tell("LocalModel", "tiny", {"conditions": READY, "usedBy": ["chat"]})
    person.make("InferencePool", "chat", pool_spec("tiny"))
    lines = [line.split() for line in person.types("ls").stdout.splitlines()]
    assert lines[1][:3] == ["tiny", "True", "Ready"]
    assert lines[4][:4] == ["chat", "LlamaCpp", "Unknown", "NotSeen"]
    listed = json.loads(person.types("ls", "-o", "json").stdout)
    assert [each["kind"] for each in listed["items"]] == ["LocalModel", "InferencePool"]
    everywhere = person.types("ls", "-A").stdout
    assert f"\n{person.namespace} " in everywhere


def test_ps_says_what_is_loaded_where(person: Person) -> None:
    person.make("InferencePool", "chat", pool_spec("tiny"))
    assert "No pool serves" in person.types("ps").stdout
    served = {"name": "tiny", "servedAs": "tiny", "state": "Loaded", "loadedOn": ["chat-1"]}
    person.tell("InferencePool", "chat", {"models": [served]})
    assert person.types("ps").stdout.splitlines()[1].split()[:5] == [
        "chat", "tiny", "LlamaCpp", "Loaded", "chat-1",
    ]  # fmt: skip
    (pool,) = json.loads(person.types("ps", "-o", "json").stdout)
    assert pool["models"][0]["loadedOn"] == ["chat-1"]


def test_explain_follows_a_pool_to_the_cause(person: Person) -> None:
    person.make("LocalModel", "tiny", {"source": SOURCE})
    person.make("InferencePool", "tiny", pool_spec("tiny", "lost"))
    person.tell("LocalModel", "tiny", {"conditions": STALLED})
    person.tell("InferencePool", "tiny", {"conditions": STALLED})
    pool = person.types("explain", "tiny")
    assert pool.exit_code == 3
    assert pool.stdout.splitlines() == [
        "✗ InferencePool/tiny  SourceNotFound: There is no such file.",
        "├── ✗ LocalModel/tiny  SourceNotFound: There is no such file.",
        "└── ✗ LocalModel/lost  does not exist",
    ]
    told = json.loads(person.types("explain", "tiny", "-o", "json").stdout)
    assert [told["object"], told["ready"], told["stalled"]] == ["InferencePool/tiny", False, True]
    assert [each["reason"] for each in told["models"]] == ["SourceNotFound"]
    model = person.types("explain", "model/tiny")
    assert model.stdout == "✗ LocalModel/tiny  SourceNotFound: There is no such file.\n"
    person.tell("LocalModel", "tiny", {"conditions": READY})
    assert person.types("explain", "model/tiny").exit_code == 0


def test_missing_object_and_bad_name_have_their_codes(person: Person) -> None:
    missing = person.types("explain", "nothing")
    assert missing.exit_code == 4
    assert "There is no InferencePool or LocalModel nothing in namespace" in missing.stderr
    assert person.types("explain", "job/x").exit_code == 2


def test_namespace_is_the_context_s_when_none_is_given(
    person: Person, tmp_path: Path, make_person: Maker
) -> None:
    config = yaml.safe_load(person.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = person.namespace
    config["contexts"].append({**config["contexts"][0], "name": "other"})
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    person.make("LocalModel", "tiny", {"source": SOURCE})
    own = make_person(file)
    result = own.types_bare("ls", "--kubeconfig", str(file), "--context", "other")
    assert result.stdout.splitlines()[1].split()[0] == "tiny"


def test_kubeconfig_may_use_an_exec_plugin(
    person: Person,
    control_plane: ControlPlane,
    tmp_path: Path,
    make_person: Maker,
) -> None:
    pki = control_plane.folder / "pki"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": (pki / "admin.crt").read_text(),
            "clientKeyData": (pki / "admin.key").read_text(),
        },
    }
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"print({json.dumps(json.dumps(credential))})")
    config = yaml.safe_load(person.kubeconfig.read_text())
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
            "interactiveMode": "Never",
        }
    }
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    result = make_person(file).types("ls")
    assert (result.exit_code, result.stderr) == (0, "")


def test_no_rights_no_server_and_no_kubeconfig_have_one_code(
    person: Person,
    control_plane: ControlPlane,
    tmp_path: Path,
    make_person: Maker,
) -> None:
    stranger = make_person(control_plane.user_kubeconfig("stranger")).types("ls")
    assert (stranger.exit_code, "forbidden" in stranger.stderr) == (5, True)
    config = yaml.safe_load(person.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    nobody = make_person(file).types("ls")
    assert nobody.exit_code == 5
    assert "did not answer" in nobody.stderr
    absent = make_person(tmp_path / "absent").types("ls")
    assert absent.exit_code == 5
    assert "The kubeconfig cannot be used" in absent.stderr


def test_purge_deletes_only_what_no_model_names_and_asks_first(person: Person) -> None:
    person.make("LocalModel", "tiny", {"source": SOURCE})
    for name in ("tiny", "gone", "lost"):
        person.claim(f"{name}-weights", made_for=name)
    assert person.types("purge", "tiny").exit_code == 4
    unasked = person.types("purge")
    assert (unasked.exit_code, "say --yes" in unasked.stderr) == (1, True)
    assert person.types("purge", "--dry-run").stdout.splitlines()[1].split()[0] == "gone-weights"
    assert person.claims() == ["gone-weights", "lost-weights", "tiny-weights"]
    assert "Deleted 1." in person.types("purge", "gone", "--yes").stdout
    assert person.claims() == ["lost-weights", "tiny-weights"]
    assert "Deleted 1." in person.types("purge", "-y").stdout
    assert "No weights are kept" in person.types("purge").stdout
    assert person.claims() == ["tiny-weights"]


def test_chat_and_top_of_a_pool_without_replicas_say_so(person: Person) -> None:
    person.make("InferencePool", "chat", pool_spec("tiny"))
    chat = person.types("chat", "chat", "Hello!")
    assert chat.exit_code == 3
    assert chat.stderr == "No replica of chat is ready; `paddock explain pool/chat` says why.\n"
    assert person.types("bench", "nothing").exit_code == 4
    assert person.types("top").stdout == "No pool has a replica.\n"
