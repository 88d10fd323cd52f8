"""`paddock chat`: talk to a pool through the apiserver, from wherever the kubeconfig works. I/O."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import click

from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.exits import Exit
from paddock.cli.paint import Tone
from paddock.cli.show import is_colourful
from paddock.cli.stream import Piece
from paddock.cli.talk import Message, Place, ask, is_url, key_of, open_client, place_at, reach

key_option = click.option(
    "--key-file", type=click.Path(exists=True, dir_okay=False), help="Holds an API key to send."
)
model_option = click.option("--model", help="The served name; by default the pool's first.")


@click.command("chat")
@click.argument("pool", metavar="POOL|URL")
@click.argument("prompt", required=False)
@model_option
@click.option("--system", help="The system prompt.")
@click.option("--max-tokens", type=click.IntRange(1), help="End the answer after so many tokens.")
@key_option
@target_options
def chat(
    target: Target,
    *,
    pool: str,
    prompt: str | None,
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    key_file: str | None,
) -> None:
    """Talk to a pool, from wherever your kubeconfig works.

    Without PROMPT it is read from standard input: all of a pipe, or turn by turn on a terminal.
    """
    talk = Conversation(prompt, system, max_tokens, key_of(key_file))
    if is_url(pool):
        place = place_at(pool, model)
        try:
            asyncio.run(talk.hold(place))
        except KeyboardInterrupt:
            click.echo(err=True)
            raise SystemExit(int(Exit.INTERRUPTED)) from None
        return

    async def through(session: Session) -> None:
        way: AbstractAsyncContextManager[Place] = reach(session, pool, model)
        async with way as place:
            await talk.hold(place)

    with_cluster(target, through)


class Conversation:
    """Holds one question and its answer, or turn after turn."""

    def __init__(
        self,
        prompt: str | None,
        system: str | None,
        max_tokens: int | None,
        headers: dict[str, str],
    ) -> None:
        self._prompt, self._max_tokens, self._headers = prompt, max_tokens, headers
        self._messages = [Message("system", system)] if system else []

    async def hold(self, place: Place) -> None:
        """Ask until there is nothing more to ask."""
        async with open_client(self._headers) as client:
            async for question in self._questions():
                self._messages.append(Message("user", question))
                answer = ask(client, place, self._messages, max_tokens=self._max_tokens)
                self._messages.append(Message("assistant", await _print(answer)))

    async def _questions(self) -> AsyncIterator[str]:
        if self._prompt is not None:
            yield self._prompt
        elif not sys.stdin.isatty():
            yield sys.stdin.read()
        else:
            while True:
                try:
                    question = await asyncio.to_thread(input, "> ")
                except EOFError:
                    return
                if question.strip():
                    yield question


async def _print(answer: AsyncIterator[Piece]) -> str:
    """Print an answer as it comes, what the model thinks only where somebody looks."""
    said: list[str] = []
    async for piece in answer:
        if piece.thinking and is_colourful():
            click.secho(piece.thinking, fg=Tone.QUIET.value, nl=False)
        said.append(piece.content)
        click.echo(piece.content, nl=False)
    click.echo()
    return "".join(said)
