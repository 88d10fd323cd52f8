"""`paddock bench`: how a pool answers under a load. I/O; the numbers are made in `measure`.

Through the apiserver the tunnel is measured with the pool: inside the cluster, give the URL.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import click
import httpx

from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.chat import key_option, model_option
from paddock.cli.exits import CommandError
from paddock.cli.measure import Report, Sample, report_lines, report_of, report_value
from paddock.cli.show import output_option, show_lines, show_value
from paddock.cli.talk import Message, Place, ask, is_url, key_of, open_client, place_at, reach
from paddock.clock import SystemClock

_WORDS = ("river", "stone", "light", "early", "paper", "green", "seven", "north", "cloud", "table")


@click.command("bench")
@click.argument("pool", metavar="POOL|URL")
@model_option
@click.option("--requests", type=click.IntRange(1), default=20, show_default=True)
@click.option("-c", "--concurrency", type=click.IntRange(1, 512), default=4, show_default=True)
@click.option(
    "--prompt-words", type=click.IntRange(1), default=64, show_default=True,
    help="Words of each prompt; no two prompts are the same.",
)  # fmt: skip
@click.option(
    "--max-tokens", type=click.IntRange(1), default=64, show_default=True,
    help="Tokens of each answer, at most.",
)  # fmt: skip
@key_option
@output_option
@target_options
def bench(  # noqa: PLR0913 - one parameter per documented option
    target: Target,
    *,
    pool: str,
    model: str | None,
    requests: int,
    concurrency: int,
    prompt_words: int,
    max_tokens: int,
    key_file: str | None,
    form: str | None,
) -> None:
    """Measure a pool: time to first token, tokens/s, p99.

    A POOL is reached through the apiserver, which is measured with it; a URL is reached directly.
    """
    load = Load(requests, min(concurrency, requests), prompt_words, max_tokens, key_of(key_file))
    if is_url(pool):
        report = asyncio.run(load.run(place_at(pool, model)))
    else:

        async def through(session: Session) -> Report:
            way: AbstractAsyncContextManager[Place] = reach(session, pool, model)
            async with way as place:
                return await load.run(place)

        report = with_cluster(target, through)
    if form is not None:
        show_value(report_value(report), form)
    else:
        show_lines(report_lines(report))
    if report.failed:
        words = f"{report.failed} of {report.requests} requests failed, the first so:"
        raise CommandError(f"{words} {load.first_error}")


class Load:
    """So many requests, so many at once."""

    def __init__(
        self,
        requests: int,
        concurrency: int,
        prompt_words: int,
        max_tokens: int,
        headers: dict[str, str],
    ) -> None:
        self._requests, self._concurrency, self._headers = requests, concurrency, headers
        self._prompt_words, self._max_tokens = prompt_words, max_tokens
        self._clock = SystemClock()
        self._samples: list[Sample] = []
        self._failed = 0
        self.first_error = ""

    async def run(self, place: Place) -> Report:
        """Send the load and return what came of it; one request goes before it, uncounted."""
        async with open_client(self._headers) as client:
            await self._answer(client, place, prompt_of(self._prompt_words, 0))
            numbers = iter(range(1, self._requests + 1))
            began = self._clock.monotonic()
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work(client, place, numbers))
            seconds = self._clock.monotonic() - began
        return report_of(
            self._samples, failed=self._failed, concurrency=self._concurrency, seconds=seconds
        )

    async def _work(self, client: httpx.AsyncClient, place: Place, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                sample = await self._answer(client, place, prompt_of(self._prompt_words, number))
            except CommandError as error:
                self._failed += 1
                self.first_error = self.first_error or str(error)
            else:
                self._samples.append(sample)

    async def _answer(self, client: httpx.AsyncClient, place: Place, prompt: str) -> Sample:
        began, first, pieces, counted = self._clock.monotonic(), None, 0, None
        question = [Message("user", prompt)]
        answer = ask(client, place, question, max_tokens=self._max_tokens, temperature=0.0)
        async for piece in answer:
            if piece.content or piece.thinking:
                first = first if first is not None else self._clock.monotonic()
                pieces += 1
            counted = piece.tokens or counted
        ended = self._clock.monotonic()
        return Sample((first or ended) - began, ended - began, counted or pieces)


def prompt_of(words: int, number: int) -> str:
    """Return a prompt that no cache of prefixes has seen: its number comes first."""
    picked = (_WORDS[(number * 7 + index * 3) % len(_WORDS)] for index in range(words))
    return f"{number}: {' '.join(picked)}"
