"""Every page's objects are applied and its commands are run, in order, on a real apiserver.

No operator runs: what waits for one is told not to wait, and what needs a replica says that it has
none. Requests to an engine go to a real llama-server.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from paddock import names
from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.progress import Lines
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.puller.store import Store
from support.engine_servers import can_run, serving
from support.pages import ROOT, Block, Command, blocks, commands, pages
from support.person import Person
from support.stores import add_tiny_bert, add_tiny_model, pool_of

pytestmark = pytest.mark.contract
NOT_HERE = {"up", "down", "operator", "charts", "crds", "completion"}
"""Parsed by the unit test; run by others."""
ENDS = {"explain": {0, 3}, "chat": {3}, "bench": {3}, "purge": {0, 4}}
"""The codes with which commands end where no operator runs; 4 too where a page makes nothing."""
SECONDS = 60
OF_RELEASES = {"--create-namespace", "--install", "--reset-then-reuse-values"}
"""What `helm template` has no use for."""
OF_CLUSTERS = {"PersistentVolume", "DeviceClass"}


def in_order(page: Path) -> list[Block | Command]:
    """Return a page's objects and commands as a reader meets them."""
    applied: list[Block | Command] = [
        block for block in blocks("yaml") if block.file == page and not block.note
    ]
    typed = [command for command in commands() if command.block.file == page]
    return sorted(
        [*applied, *typed],
        key=lambda each: each.line if isinstance(each, Block) else each.block.line,
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_can_be_followed(
    page: Path, person: Person, control_plane: ControlPlane, tmp_path: Path
) -> None:
    desk = Desk(person, control_plane, tmp_path)
    for each in in_order(page):
        if isinstance(each, Block):
            desk.applies(each)
        else:
            desk.types(each)


class Desk:
    """Where one reader works: a namespace, and a folder with the files that pages speak of."""

    def __init__(self, person: Person, plane: ControlPlane, folder: Path) -> None:
        self._person, self._plane, self._folder = person, plane, folder
        self._is_empty = True
        self._releases: set[tuple[str, str]] = set()

    def types(self, command: Command) -> None:
        words = command.words
        if words[:2] == ["kubectl", "paddock"] or words[0].rpartition("/")[2] == "paddock":
            self._paddock(words[2 if words[0] == "kubectl" else 1 :], command)
        elif words[:3] == ["kubectl", "apply", "-k"]:
            self._applies_folder(ROOT / words[3], str(command))
        elif words[0] == "kubectl":
            self._make_files(words)
            if words[2:4] == ["serviceaccount", "default"]:
                self._await_account(str(command))
            self.kubectl(words[1:], command.typed, str(command))
        elif words[:2] in (["helm", "install"], ["helm", "upgrade"]):
            kept = [each for each in words[2:] if each not in OF_RELEASES]
            render(kept, str(command), command.typed)
            self._releases.add((words[2], namespace_of(words)))
        elif words[:2] in (["helm", "uninstall"], ["helm", "rollback"]):
            assert (words[2], namespace_of(words)) in self._releases, str(command)

    def applies(self, block: Block) -> None:
        """Apply a block's objects; what is not of a namespace is only tried."""
        self._is_empty = False
        for each in yaml.safe_load_all(block.text):
            trial = ["--dry-run=server"] if each["kind"] in OF_CLUSTERS else []
            self.kubectl(["apply", *trial, "-f", "-"], yaml.safe_dump(each), str(block))

    def _applies_folder(self, folder: Path, where: str) -> None:
        """Apply what Kustomize makes of a folder, but for kinds of other operators."""
        made = yaml.safe_load_all(self.kubectl(["kustomize", str(folder)], None, where))
        own = [each for each in made if each["apiVersion"] == "v1"]
        assert own
        self.kubectl(["apply", "-f", "-"], yaml.safe_dump_all(own), where)

    def _paddock(self, words: list[str], command: Command) -> None:
        if words[0] in NOT_HERE:
            return
        more = ["--no-wait"] if words[0] in {"run", "pull"} and "--dry-run" not in words else []
        more += ["--yes"] if words[0] == "purge" else []
        result = self._person.types(*words, *more, typed=command.typed)
        expected = ENDS.get(words[0], {0}) | ({4} if self._is_empty else set())
        self._is_empty &= words[0] not in {"run", "pull"}
        assert result.exit_code in expected, f"{command}: {result.output}"

    def kubectl(self, words: list[str], typed: str | None, where: str) -> str:
        binary = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
        if words[0] == "wait":
            words = [each for each in words if not each.startswith("--timeout")]
            words.append("--timeout=1ms")
        if words[0] == "delete":
            words = [*words, "--wait=false"]
        done = subprocess.run(
            [binary, "--kubeconfig", self._plane.kubeconfig, "-n", self._person.namespace, *words],
            input=typed, text=True, capture_output=True, check=False, timeout=SECONDS,
            cwd=self._folder,
        )  # fmt: skip
        late = words[0] == "wait" and "timed out waiting" in done.stderr
        assert done.returncode == 0 or late, f"{where}: {done.stderr}"
        return done.stdout

    def _await_account(self, where: str) -> None:
        """Wait for the account that Kubernetes makes a moment after the namespace."""
        words = ["get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"]
        deadline = time.monotonic() + SECONDS
        while not self.kubectl(words, None, where):
            assert time.monotonic() < deadline, where

    def _make_files(self, words: list[str]) -> None:
        """Make the files a Secret is made of."""
        for word in words:
            if word.startswith("--from-file="):
                (self._folder / word.rpartition("=")[2]).write_text("canary")


def namespace_of(words: list[str]) -> str:
    return words[words.index("--namespace") + 1] if "--namespace" in words else ""


def render(words: list[str], where: str, typed: str | None = None) -> None:
    """Render what Helm would install; the charts' own tests install it."""
    binary = builds.ensure(["helm"], Lines())["helm"] / "helm"
    done = subprocess.run(
        [binary, "template", *words],
        input=typed, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, f"{where}: {done.stderr}"


@pytest.mark.parametrize(
    "block", [each for each in blocks("yaml") if each.note == "values"], ids=str
)
def test_values_are_what_the_chart_takes(block: Block, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(block.text)
    own = block.file.parent.relative_to(ROOT)
    chart = own if own.parts[0] == "charts" else "charts/paddock"
    render(["paddock", str(chart), "-f", str(values)], str(block))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not can_run():
        pytest.skip("mounts of our own need root")
    folder = tmp_path_factory.mktemp("docs")
    folder.chmod(0o755)
    (folder / "store").mkdir()
    store = Store(folder / "store")
    models = (add_tiny_model(store, "qwen", seed=1), add_tiny_bert(store, "embedder"))
    pooled = tuple(
        PooledModel(each.metadata.name, each, names.STORE_PATH, preload=True, context_length=None)
        for each in models
    )
    run = PROFILE.run(pool_of(PROFILE.name, *(each.served_as for each in pooled)), pooled)
    with serving(PROFILE, run, folder / "pod", {"/store": folder / "store"}) as served:
        yield served.url


@pytest.mark.parametrize(
    "command", [each for each in commands() if each.words[0] == "curl"], ids=str
)
def test_curl_gets_an_answer(command: Command, engine: str) -> None:
    words = [at_engine(word, engine) for word in command.words]
    done = subprocess.run(
        [*words, "--silent", "--show-error", "--fail"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_program_gets_an_answer(block: Block, engine: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.text)
    done = subprocess.run(
        [sys.executable, program],
        capture_output=True, text=True, check=False, timeout=SECONDS,
        env={**os.environ, "OPENAI_BASE_URL": f"{engine}/v1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def at_engine(word: str, engine: str) -> str:
    """Move a URL of the cluster to the engine here, and ask for a short answer."""
    if word.startswith("http://"):
        _, _, path = word.removeprefix("http://").partition("/")
        return f"{engine}/{path}"
    if word.startswith("{"):
        return json.dumps({**yaml.safe_load(word), "max_tokens": 4})
    return word
