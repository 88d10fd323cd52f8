"""`paddock completion`: the script that completes commands and options in a shell. I/O."""

import click
from click.shell_completion import get_completion_class

from paddock.__main__ import main
from paddock.cli.exits import CommandError

_VARIABLE = "_PADDOCK_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a completion script for your shell.

    Load it at start-up, such as with `source <(paddock completion bash)` in ~/.bashrc.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise CommandError(f"There is no completion for {shell}.")
    click.echo(kind(main, {}, "paddock", _VARIABLE).source())
