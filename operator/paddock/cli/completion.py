"""`paddock completion`: scripts that complete commands and options in a shell. I/O.

kubectl completes a plugin by asking a program `kubectl_complete-PLUGIN`, which this answers, too.
"""

import sys

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from paddock.__main__ import main
from paddock.cli.exits import CommandError

_VARIABLE = "_PADDOCK_COMPLETE"
_ANY_FILE, _NO_FILE = ":0", ":4"
"""What else the shell may offer, in the words of kubectl's own completion."""


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a completion script for your shell.

    Load it at start-up, such as with `source <(paddock completion bash)` in ~/.bashrc. For `kubectl
    paddock`, kubectl's own script does it, once kubectl_complete-paddock is in the PATH.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise CommandError(f"There is no completion for {shell}.")
    click.echo(kind(main, {}, "paddock", _VARIABLE).source())


class _Kubectl(ShellComplete):
    name = "kubectl"
    source_template = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        *before, last = sys.argv[1:] or [""]
        return before, last

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.value}\t{item.help}" if item.help else str(item.value)

    def complete(self) -> str:
        found = self.get_completions(*self.get_completion_args())
        offers = [self.format_completion(each) for each in found if each.type == "plain"]
        wants_file = any(each.type != "plain" for each in found)
        return "\n".join([*offers, _ANY_FILE if wants_file else _NO_FILE])


def complete_for_kubectl() -> None:
    """Answer kubectl, which asks with the words typed after the plugin's name."""
    click.echo(_Kubectl(main, {}, "kubectl paddock", _VARIABLE).complete())
