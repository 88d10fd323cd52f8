"""`paddock up` and `paddock down`: a cluster on this machine that answers a chat, and its end."""

import sys
import time
from typing import Self

import click
from rich.console import Console

from paddock.api.inferencepool import EngineName
from paddock.local.cluster import EmbeddedCluster
from paddock.local.problems import LocalError
from paddock.local.progress import Progress
from paddock.local.sample_model import Sample, choose_sample
from paddock.local.trial import (
    Answering,
    apply_sample,
    install_operator,
    serve_sample,
    wait_for_model,
    wait_for_pool,
)

DEFAULT_CLUSTER = "paddock"
_ENGINES = {
    "both": (EngineName.LLAMA_CPP, EngineName.OLLAMA),
    "llama-cpp": (EngineName.LLAMA_CPP,),
    "ollama": (EngineName.OLLAMA,),
}


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
@click.option("--name", default=DEFAULT_CLUSTER, show_default=True, help="The cluster's name.")
@click.option("--engine", type=click.Choice(sorted(_ENGINES)), default="both", show_default=True)
@click.option("--model", "source", help="A source such as hf://ORG/REPO/FILE; a small one else.")
def up(name: str, engine: str, source: str | None) -> None:
    """Start Kubernetes on this machine, serve one model, and say how to chat with it."""
    try:
        with Terminal() as report:
            answering = _up(name, _ENGINES[engine], source, report)
    except LocalError as error:
        click.echo(f"paddock up: {error}", err=True)
        sys.exit(1)
    click.echo(_closing(name, *answering))


def _up(
    name: str, engines: tuple[EngineName, ...], source: str | None, report: Progress
) -> tuple[str, list[Answering]]:
    cluster = EmbeddedCluster(name, report)
    cluster.up()
    install_operator(cluster, engines, report)
    sample = Sample("model", source=source) if source else choose_sample(report)
    if sample.terms:
        report.step(sample.name, sample.terms)
    apply_sample(cluster, sample.name, serve_sample(cluster, sample), engines)
    wait_for_model(cluster, sample.name, report)
    return sample.name, [wait_for_pool(cluster, engine, report) for engine in engines]


def _closing(name: str, model: str, answering: list[Answering]) -> str:
    kubeconfig = EmbeddedCluster(name).kubeconfig
    lines = [f"{model} answers:", ""]
    for each in answering:
        body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
        lines += [f"  # {each.engine}", f"  curl {each.url}/v1/chat/completions -d '{body}'", ""]
    lines += [f"  export KUBECONFIG={kubeconfig}", "  kubectl get lmodel,ipool", ""]
    lines.append("`paddock down` ends it and leaves nothing behind.")
    return "\n".join(lines)


@click.command("down")
@click.option("--name", default=DEFAULT_CLUSTER, show_default=True, help="The cluster's name.")
def down(name: str) -> None:
    """End the cluster and remove all it left on this machine, its data too; caches stay."""
    try:
        EmbeddedCluster(name).down()
    except LocalError as error:
        click.echo(f"paddock down: {error}", err=True)
        sys.exit(1)
    click.echo(f"{name} is gone.")
