"""Stories that wait more than they work, told at once: each test then looks at its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

_T = TypeVar("_T")


class AtOnce(Generic[_T]):
    """Runs every story, so many at a time; one that fails fails for whoever asks for it."""

    def __init__(self, stories: Mapping[str, Callable[[], Awaitable[_T]]], most: int) -> None:
        self._ended = asyncio.run(_all(stories, most))

    def __getitem__(self, name: str) -> _T:
        ended = self._ended[name]
        if isinstance(ended, BaseException):
            raise ended
        return ended


async def _all(
    stories: Mapping[str, Callable[[], Awaitable[_T]]], most: int
) -> dict[str, _T | BaseException]:
    turns = asyncio.Semaphore(most)

    async def in_turn(story: Callable[[], Awaitable[_T]]) -> _T:
        async with turns:
            return await story()

    ended = await asyncio.gather(
        *(in_turn(story) for story in stories.values()), return_exceptions=True
    )
    return dict(zip(stories, ended, strict=True))
