"""`paddock up` and `paddock down`: a cluster that answers a chat, and its end."""

import sys
import time
from pathlib import Path
from typing import Self

import click
from rich.console import Console

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.local.choose import Machine, Place, choose, look
from paddock.local.cluster import EmbeddedCluster
from paddock.local.context import ContextCluster
from paddock.local.kind import KindCluster
from paddock.local.kubectl import Kubectl
from paddock.local.problems import LocalError
from paddock.local.progress import Progress
from paddock.local.sample_model import HUB_SAMPLE, Sample, choose_sample
from paddock.local.trial import (
    Installed,
    apply_sample,
    assembled,
    gateway_address,
    install_operator,
    serve_sample,
    wait_for_model,
    wait_for_pool,
)
from paddock.settings import Images

DEFAULT_CLUSTER = "paddock"
_CLONE = Path(__file__).resolve().parents[3]
_KIND_IMAGE = "localhost/paddock/operator:clone"
_LOCAL_PORT = 8080
_ENGINES = {
    "both": (EngineName.LLAMA_CPP, EngineName.OLLAMA),
    "llama-cpp": (EngineName.LLAMA_CPP,),
    "ollama": (EngineName.OLLAMA,),
}
_NAME = click.option(
    "--name", default=DEFAULT_CLUSTER, show_default=True, help="Name of a cluster made here."
)
_CONTEXT = click.option("--context", help="A cluster of your own, by its kubeconfig context.")


class Terminal:
    """Tells each step on the terminal: a spinner with the latest one, and a line per step."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting")
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def step(self, subject: str, text: str) -> None:
        """Say what happens to one subject now."""
        elapsed = time.monotonic() - self._began
        self._console.print(f"[dim]{elapsed:5.0f} s[/dim]  [bold]{subject}[/bold]  {text}")
        self._status.update(f"{subject}: {text}")


@click.command("up")
@_NAME
@_CONTEXT
@click.option("--engine", type=click.Choice(sorted(_ENGINES)), default="both", show_default=True)
@click.option("--model", "source", help="A source such as hf://ORG/REPO/FILE; a small one else.")
@click.option(
    "--operator-image",
    default=Images().operator,
    show_default=True,
    help="With --context: the image that the cluster's nodes fetch.",
)
def up(
    name: str, context: str | None, engine: str, source: str | None, operator_image: str
) -> None:
    """Serve one model, on a cluster made here or on your own, and say how to chat with it."""
    engines = _ENGINES[engine]
    try:
        machine = look()
        place = choose(context, machine)
        with Terminal() as report:
            if place is Place.EMBEDDED:
                lines = _embedded(name, engines, source, report)
            elif place is Place.KIND:
                kind = _kind(name, machine, report)
                lines = _serve(kind, Installed(_KIND_IMAGE), engines, source, report)
            else:
                own = ContextCluster(str(context), report)
                own.up()
                lines = _serve(own, Installed(operator_image), engines, source, report)
    except LocalError as error:
        click.echo(f"paddock up: {error}", err=True)
        sys.exit(1)
    click.echo("\n".join(lines))


def _embedded(
    name: str, engines: tuple[EngineName, ...], source: str | None, report: Progress
) -> list[str]:
    cluster = EmbeddedCluster(name, report)
    cluster.up()
    install_operator(cluster, assembled(cluster, engines, report), report)
    sample = Sample("model", source=source) if source else choose_sample(report)
    place = serve_sample(cluster, sample)
    _serve_sample(cluster, sample.name, place, engines, report)
    lines = [f"{sample.name} answers:", ""]
    lines += _curls(f"http://{gateway_address(cluster)}", sample.name, engines)
    lines += [f"  export KUBECONFIG={cluster.kubeconfig}"]
    lines += [f"  {cluster.program()} get lmodel,ipool", ""]
    return [*lines, "`paddock down` ends it and leaves nothing behind."]


def _kind(name: str, machine: Machine, report: Progress) -> KindCluster:
    cluster = KindCluster(name, str(machine.engine), report)
    cluster.up()
    cluster.build_image(_CLONE, _KIND_IMAGE)
    return cluster


def _serve(
    cluster: Kubectl,
    installed: Installed,
    engines: tuple[EngineName, ...],
    source: str | None,
    report: Progress,
) -> list[str]:
    """Install into a cluster whose nodes reach the registries, and say how to reach its gateway."""
    install_operator(cluster, installed, report)
    sample = Sample("model", source=source) if source else HUB_SAMPLE
    _serve_sample(cluster, sample.name, str(sample.source), engines, report)
    forward = f"kubectl -n default port-forward service/{names.GATEWAY} {_LOCAL_PORT}:80"
    lines = [f"{sample.name} answers:", "", f"  {forward} &"]
    return [*lines, *_curls(f"http://127.0.0.1:{_LOCAL_PORT}", sample.name, engines)]


def _serve_sample(
    cluster: Kubectl, name: str, source: str, engines: tuple[EngineName, ...], report: Progress
) -> None:
    apply_sample(cluster, name, source, engines)
    wait_for_model(cluster, name, report)
    for engine in engines:
        wait_for_pool(cluster, engine, report)


def _curls(url: str, model: str, engines: tuple[EngineName, ...]) -> list[str]:
    """Return one line for each API that the gateway speaks, over whatever engines there are."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    lines = ["  # OpenAI", f"  curl {url}/v1/chat/completions -d '{body}'", ""]
    if EngineName.OLLAMA in engines:
        lines += ["  # Ollama", f"  curl {url}/api/chat -d '{body}'", ""]
    return lines


@click.command("down")
@_NAME
@_CONTEXT
def down(name: str, context: str | None) -> None:
    """End a cluster made here with its data; from your own, take out what `up` put in."""
    try:
        if context is not None:
            with Terminal() as report:
                ContextCluster(context, report).remove()
        elif KindCluster.exists(name):
            KindCluster(name, str(look().engine)).down()
        else:
            EmbeddedCluster(name).down()
    except LocalError as error:
        click.echo(f"paddock down: {error}", err=True)
        sys.exit(1)
    click.echo(f"{name} is gone." if context is None else f"Removed from {context}.")
