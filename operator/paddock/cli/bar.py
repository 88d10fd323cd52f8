"""The pull's bar on a terminal, lines in a pipe. I/O; what they say is decided in `moments`."""

from typing import Protocol, Self

import click

from paddock.cli.moments import Moment
from paddock.cli.show import is_terminal

_STEP = 10
"""In a pipe a pull is told every so many percent."""


class Bar(Protocol):
    """Shows moments until it is closed."""

    def __enter__(self) -> Self:
        """Start to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the last word standing."""
        ...

    def show(self, moment: Moment) -> None:
        """Show one moment."""
        ...


def open_bar() -> Bar:
    """Return the bar that suits standard error: it moves on a terminal, else it is lines."""
    return _Moving() if is_terminal(err=True) else _Lines()


class _Lines:
    """A line for each subject's new words; a pull at most every ten percent."""

    def __init__(self) -> None:
        self._said: tuple[str, object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, moment: Moment) -> None:
        percent = moment.progress.percent if moment.progress else None
        mark: object = moment.words if percent is None else percent // _STEP
        if (moment.subject, mark) == self._said:
            return
        self._said = (moment.subject, mark)
        click.echo(f"{moment.subject}  {moment.words}", err=True)


class _Moving:
    """Rich's bar; a subject's words stay above it when another's turn comes."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where somebody looks
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - same

        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("[bold]{task.fields[subject]}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[words]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, subject="", words="")
        self._last: Moment | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._leave()

    def show(self, moment: Moment) -> None:
        if self._last is not None and self._last.subject != moment.subject:
            self._leave()
        self._last = moment
        progress = moment.progress
        known = progress is not None and progress.total_bytes
        self._bar.update(
            self._task,
            total=progress.total_bytes if progress and known else None,
            completed=progress.bytes if progress else 0,
            subject=moment.subject,
            words=moment.words,
        )

    def _leave(self) -> None:
        if self._last is not None:
            self._console.print(f"[bold]{self._last.subject}[/bold]  {self._last.words}")
