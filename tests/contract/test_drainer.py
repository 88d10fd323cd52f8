"""The page that holds up an engine's end: a real process, real connections of this machine."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.ports import free_port
from support.started import started

pytestmark = pytest.mark.contract
_SECONDS = 60.0


@contextmanager
def drainer(folder: Path, engine_port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run one beside a port; yield its process and its page."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "paddock.drainer", *map(str, (port, engine_port, 0, 600))]
    with started(command, folder / "log", url, any_answer=True) as process:
        yield process, f"{url}/drain"


def test_page_is_held_while_somebody_is_connected_to_the_engine(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as engine,
        drainer(tmp_path, engine.getsockname()[1]) as (_, url),
        ThreadPoolExecutor(1) as threads,
    ):
        with socket.create_connection(engine.getsockname()), engine.accept()[0]:
            asked = threads.submit(httpx.get, url, timeout=_SECONDS)
            with pytest.raises(TimeoutError):
                asked.result(2)
        assert asked.result().status_code == 204
        engine.close()


def test_told_to_end_it_stays_until_the_engine_has_ended(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as engine,
        drainer(tmp_path, engine.getsockname()[1]) as (process, url),
    ):
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        assert httpx.get(url, timeout=_SECONDS).status_code == 204
        engine.close()
        assert process.wait(_SECONDS) == 0
