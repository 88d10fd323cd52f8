"""Real engines on loopback, started from a profile's own arguments in a pod-like jail.

The store lies at /store and the configuration at /config, as in a pod; only the port differs.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.local import builds
from paddock.local.images.recipes import LLAMA_CPP
from paddock.local.progress import Lines
from paddock.plan.engines.profile import CONFIG_PATH, EngineRun, Profile
from support.ports import free_port
from support.started import started

JAIL = Path(__file__).with_name("jail.py")


@dataclass(frozen=True, slots=True)
class Served:
    """One running engine."""

    url: str
    log: Path
    pid: int


@dataclass(frozen=True, slots=True)
class Installed:
    """Where an engine's program is, and the /usr it runs with."""

    system: Path
    folders: Mapping[str, str]


def installed(engine: EngineName) -> Installed:
    """Return where an engine is, building or unpacking it into the cache if need be."""
    if engine is EngineName.LLAMA_CPP:
        root = LLAMA_CPP.root()
        return Installed(root, {})
    binary = builds.ensure(["ollama"], Lines())["ollama"]
    return Installed(Path("/"), {"/engine": str(binary)})


def can_run() -> bool:
    """Tell whether this machine lets us make mounts of our own."""
    return os.geteuid() == 0 and shutil.which("unshare") is not None


@contextmanager
def serving(
    profile: Profile,
    run: EngineRun,
    folder: Path,
    mounts: Mapping[str, Path],
    *,
    port: int | None = None,
) -> Iterator[Served]:
    """Run the engine until the block ends; it has answered its health route when this yields."""
    place, port = installed(profile.name), port or free_port()
    (root := folder / "root").mkdir(parents=True)
    (config := folder / "config").mkdir()
    for name, content in run.files.items():
        (config / name).write_text(content)
    folders = {target: str(source) for target, source in mounts.items()}
    plan = {
        "root": str(root),
        "system": str(place.system),
        "folders": {**place.folders, CONFIG_PATH: str(config), **folders},
        "user": names.NON_ROOT_ID,
        "command": [_program(place, profile.name), *_at(run.args, port)],
        "env": {"HOME": "/", **dict(zip(run.env, _at(tuple(run.env.values()), port), strict=True))},
    }
    log = folder / "engine.log"
    url = f"http://127.0.0.1:{port}"
    jailed = ["unshare", "--mount", "--propagation", "private", sys.executable, JAIL]
    with started([*jailed, json.dumps(plan)], log, url + profile.health_path) as process:
        yield Served(url, log, process.pid)


def _program(place: Installed, engine: EngineName) -> str:
    """Return what the image's entry point would be."""
    name = "ollama" if engine is EngineName.OLLAMA else "llama-server"
    return f"/engine/{name}" if "/engine" in place.folders else f"/usr/bin/{name}"


def _at(arguments: tuple[str, ...], port: int) -> tuple[str, ...]:
    """Move the engine from the pod's port to one of this machine."""
    old = str(names.ENGINE_PORT)
    return tuple(
        str(port) if each == old else each.replace(f":{old}", f":{port}") for each in arguments
    )
