"""The exit codes of the `paddock` command, and the errors that end it with one.

A script may rely on them; `operator/docs/cli.md` lists them, held to this file by a test.
"""

from enum import IntEnum

import click


class Exit(IntEnum):
    """What the command's end says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_READY = 3
    NOT_FOUND = 4
    NO_ACCESS = 5
    INTERRUPTED = 130


class CommandError(click.ClickException):
    """Ends the command with one sentence on standard error."""

    exit_code = int(Exit.ERROR)

    def show(self, file: object = None) -> None:
        """Print the sentence alone; it says what to do."""
        del file
        click.echo(self.message, err=True)


class NotReadyError(CommandError):
    """The objects are there, and do not serve."""

    exit_code = int(Exit.NOT_READY)


class MissingError(CommandError):
    """There is no such object."""

    exit_code = int(Exit.NOT_FOUND)


class NoAccessError(CommandError):
    """The apiserver does not answer, or does not let this user."""

    exit_code = int(Exit.NO_ACCESS)
