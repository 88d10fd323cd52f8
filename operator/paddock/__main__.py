"""The `paddock` command: each subcommand's module is imported only when it is called."""

import importlib

import click

_COMMANDS = {
    "crds": "paddock.cli.crds:crds",
    "operator": "paddock.cli.operator:operator",
    "up": "paddock.cli.up:up",
    "down": "paddock.cli.up:down",
}


class _Lazy(click.Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Lazy)
def main() -> None:
    """Private OpenAI- and Ollama-compatible endpoints for local models, on Kubernetes."""


if __name__ == "__main__":
    main(prog_name="paddock")
