"""What a command prints: coloured lines on a terminal, plain ones in a pipe, JSON or YAML.

I/O. The only place that asks what standard output is.
"""

import json
import os
import sys
from collections.abc import Sequence

import click
import yaml

from paddock.cli.paint import Line, Tone, text_of
from paddock.wire import Json, Manifest

FORMS = ("json", "yaml")
_BOLD = Tone.STRONG


def show_lines(lines: Sequence[Line], *, err: bool = False) -> None:
    """Print lines, in colour where somebody looks."""
    if not is_colourful(err=err):
        click.echo(text_of(lines), err=err)
        return
    for line in lines:
        click.echo("".join(_styled(word.text, word.tone) for word in line), err=err, color=True)


def show_value(value: Json, form: str) -> None:
    """Print a value as JSON or YAML."""
    if form == "json":
        click.echo(json.dumps(value, indent=2))
    else:
        click.echo(yaml.safe_dump(value, sort_keys=False, width=100), nl=False)


def show_objects(objects: Sequence[Manifest], form: str) -> None:
    """Print objects as `kubectl apply -f -` reads them."""
    if form == "json":
        show_value(list_of(objects), form)
        return
    click.echo("---\n".join(yaml.safe_dump(each, sort_keys=False) for each in objects), nl=False)


def list_of(objects: Sequence[Manifest]) -> Manifest:
    """Return objects as the one that kubectl makes of several."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def is_terminal(*, err: bool = False) -> bool:
    """Tell whether somebody looks at the output as it comes."""
    return (sys.stderr if err else sys.stdout).isatty()


def is_colourful(*, err: bool = False) -> bool:
    """Tell whether to colour: on a terminal that knows colours, unless NO_COLOR is set."""
    wants = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wants and is_terminal(err=err)


def _styled(text: str, tone: Tone) -> str:
    if tone is Tone.PLAIN or not text.strip():
        return text
    return click.style(text, bold=True) if tone is _BOLD else click.style(text, fg=tone.value)


output_option = click.option(
    "-o", "--output", "form", type=click.Choice(FORMS), help="The objects instead of a table."
)
