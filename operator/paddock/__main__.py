"""The `paddock` command, also `kubectl paddock`: a subcommand's module is imported when called.

The words of `--help` are here, so that it imports nothing; a test holds them to the commands' own.
"""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Command:
    """Where a subcommand is, and its line of `--help`."""

    place: str
    help: str


COMMANDS = {
    "bench": Command("bench:bench", "Measure a pool: time to first token, tokens/s, p99."),
    "chat": Command("chat:chat", "Talk to a pool, from wherever your kubeconfig works."),
    "completion": Command("completion:completion", "Print a completion script for your shell."),
    "purge": Command("purge:purge", "Delete kept weights that no model names any more."),
    "top": Command("top:top", "Show what the pools' engines are doing now."),
    "charts": Command(
        "charts:charts",
        "Generate the charts' copies and the plain manifests; needs Helm, which is built once.",
    ),
    "crds": Command("crds:crds", "Print the two CustomResourceDefinitions."),
    "down": Command(
        "up:down",
        "End a cluster made here with its data; from your own, take out what `up` put in.",
    ),
    "explain": Command("explain:explain", "Say why a pool or a model is not ready, as a tree."),
    "key": Command("key:key", "Make, list and revoke API keys of a namespace's gateway."),
    "ls": Command("ls:ls", "List models and pools."),
    "operator": Command("operator:operator", "Run the operator until it is told to end."),
    "ps": Command("ps:ps", "Show which model is loaded where."),
    "pull": Command("pull:pull", "Pull a model into a volume, and show how far it is."),
    "run": Command("run:run", "Pull a model and serve it, then say where it answers."),
    "up": Command(
        "up:up",
        "Serve one model, on a cluster made here or on your own, and say how to chat with it.",
    ),
}


class _Lazy(click.Group):
    """A group that knows its commands' names and words without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        module, _, name = known.place.partition(":")
        command = getattr(importlib.import_module(f"paddock.cli.{module}"), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Private OpenAI- and Ollama-compatible endpoints for local models, on Kubernetes."""


def start(program: str = "") -> None:
    """Run the command under the name it was called by."""
    name = program or Path(sys.argv[0]).name
    if name.startswith("kubectl_complete-"):
        importlib.import_module("paddock.cli.completion").complete_for_kubectl()
    else:
        main(prog_name="kubectl paddock" if name.startswith("kubectl-") else "paddock")


if __name__ == "__main__":
    start()
