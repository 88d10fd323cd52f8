"""Operator processes run through a gate, and waits for what follows."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any

from paddock import names
from paddock.kinds import CONFIG_MAPS, LOCAL_MODELS
from paddock.kube.real import RealCluster
from paddock.resync import ALL
from support.gate import Gate, Request

DEADLINE = 30.0
_POLL = 0.05
SHORT = {
    "lease_duration": 3.0,
    "lease_renew_deadline": 2.0,
    "lease_retry": 0.5,
    "settle": 0.05,
    "backoff_first": 0.2,
    "backoff_limit": 2.0,
    "supervisor_first": 0.2,
    "supervisor_limit": 1.0,
    "shutdown": 6.0,
}
"""Delays for tests: everything as in production, only sooner."""
PROGRAM = Path(__file__).with_name("toy_operator.py")


class Process:
    """One operator process with its log."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name, self.popen, self._log = name, popen, log

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        """End it for good; a stopped process too."""
        if self.is_running:
            self.popen.kill()
        self.popen.wait(10)
        self._log.close()

    async def ended(self, number: int, seconds: float = 10) -> float:
        """Send a signal and return how long the process took to end."""
        began = time.monotonic()
        self.popen.send_signal(number)
        await asyncio.to_thread(self.popen.wait, seconds)
        return time.monotonic() - began


class LoopWorld:
    """One namespace, one gate, any number of operators."""

    def __init__(self, gate: Gate, cluster: RealCluster, namespace: str, folder: Path) -> None:
        self.gate, self.cluster, self.namespace, self.folder = gate, cluster, namespace, folder
        self.processes: list[Process] = []

    def start(self, name: str = "one", **wishes: Any) -> Process:
        """Start an operator whose requests carry its name; the toy unless `toy` is False."""
        delays = {**SHORT, **wishes.pop("delays", {})}
        settings = {
            "namespace": self.namespace,
            "operator_namespace": self.namespace,
            "identity": name,
            "delays": delays,
            "toy": True,
            **wishes,
        }
        log = (self.folder / f"{name}-{len(self.processes)}.log").open("wb")
        command = [sys.executable, PROGRAM, self._kubeconfig(name), json.dumps(settings)]
        popen = subprocess.Popen(command, stdout=log, stderr=log)
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def _kubeconfig(self, name: str) -> Path:
        config = json.loads(self.gate.kubeconfig(self.folder).read_text())
        config["users"][0]["user"]["token"] = name
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    @property
    def logs(self) -> str:
        return "\n".join(f"--- {each.name}\n{each.log}" for each in self.processes)

    def writes(self, since: int = 0) -> list[Request]:
        """Return the operators' mutating requests, Lease renewals left out."""
        return self.gate.writes[since:]

    async def until(
        self, what: str, check: Callable[[], Awaitable[Any]], seconds: float = DEADLINE
    ) -> Any:
        """Wait for a condition to hold and return its value; fail with what was awaited."""
        deadline = time.monotonic() + seconds
        while not (value := await check()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.logs}")
            await asyncio.sleep(_POLL)
        return value

    async def until_logged(self, process: Process, words: str, seconds: float = DEADLINE) -> None:
        async def said() -> bool:
            return words in process.log

        await self.until(f"{process.name} logs {words!r}", said, seconds)

    async def until_watching(self) -> None:
        """Wait until every kind is watched through the gate."""

        async def watching() -> bool:
            return len(self.gate.watched) == len(ALL)

        await self.until("every kind is watched", watching)

    async def make(self, name: str, source: str = "https://models.example.com/a.gguf") -> Any:
        """Create or change a LocalModel, as a user would."""
        return await self.cluster.apply(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.LOCAL_MODEL,
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"source": source},
            }
        )

    async def child(self, name: str) -> Any:
        return await self.cluster.get(CONFIG_MAPS, self.namespace, f"{name}-toy")

    async def model(self, name: str) -> Any:
        return await self.cluster.get(LOCAL_MODELS, self.namespace, name)

    async def remove(self, name: str) -> None:
        found = await self.model(name)
        await self.cluster.delete(LOCAL_MODELS, self.namespace, name, uid=found["metadata"]["uid"])

    async def settled(self, name: str, source: str, seconds: float = DEADLINE) -> None:
        """Wait until child and status say the source, for this generation."""
        named = source.partition("?")[0].rpartition("@")[2]

        async def told() -> bool:
            model, child = await self.model(name), await self.child(name)
            status = model.get("status", {})
            ready = any(
                each["type"] == "Ready" and named in each["message"]
                for each in status.get("conditions", [])
            )
            current = status.get("observedGeneration") == model["metadata"]["generation"]
            return ready and current and child is not None and child["data"]["source"] == source

        await self.until(f"{name} settles on {source}", told, seconds)

    async def change_and_settle(self, name: str, number: int, seconds: float = DEADLINE) -> None:
        """Change a model and see the change through: the loop is alive."""
        source = f"https://models.example.com/{number}.gguf"
        await self.make(name, source)
        await self.settled(name, source, seconds)
