"""Debian's Prometheus on loopback, and its promtool."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from paddock.local import debian
from support.ports import free_port
from support.started import started

DEADLINE = 120.0
_POLL = 0.1


def tools() -> debian.Tools:
    return debian.tools("prometheus", ("prometheus",))


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return what it says; fail with its words."""
    found = tools()
    done = subprocess.run(
        [found.program("promtool"), *arguments], env=dict(found.env), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One running Prometheus."""

    url: str

    @property
    def remote_write(self) -> str:
        return f"{self.url}/api/v1/write"

    def query(self, expression: str) -> list[Any]:
        """Return the series an expression gives now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=20)
        body = json.loads(answer.text)
        assert body["status"] == "success", f"{expression}: {body}"
        found: list[Any] = body["data"]["result"]
        return found

    def until(self, expression: str) -> list[Any]:
        """Wait until an expression gives something."""
        deadline = time.monotonic() + DEADLINE
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"never: {expression}"
            time.sleep(_POLL)
        return found

    def names(self) -> set[str]:
        answer = httpx.get(f"{self.url}/api/v1/label/__name__/values", timeout=20)
        return set(json.loads(answer.text)["data"])


@contextmanager
def prometheus(
    folder: Path, jobs: Mapping[str, str], rules: Sequence[Any] = ()
) -> Iterator[Prometheus]:
    """Run one that scrapes these HOST:PORTs each second, and takes remote writes."""
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(rules)}))
    evaluated = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yml"]}
    port, found = free_port(), tools()
    scrapes = [
        {
            "job_name": name,
            "honor_labels": True,
            "scrape_interval": "1s",
            "static_configs": [{"targets": [target]}],
        }
        for name, target in jobs.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump({**evaluated, "scrape_configs": scrapes}))
    url = f"http://127.0.0.1:{port}"
    command = [
        found.program("prometheus"), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with started(command, log, f"{url}/-/ready", environment=dict(found.env)):
        yield Prometheus(url)
