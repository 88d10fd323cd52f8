"""Log lines that end in key=value, with the object of the current pass bound to each of them.

Writes to standard error only. No line carries a user's text beyond names.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_BOUND: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("bound", default=())
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# The supervisor and the resync say in one line what kopf says in a traceback for every kind.
_QUIET = {"kopf": logging.CRITICAL, "httpx": logging.WARNING, "asyncio": logging.WARNING,
          "aiohttp": logging.WARNING}  # fmt: skip


@contextmanager
def bound(**words: str) -> Iterator[None]:
    """Add these words to every line logged inside."""
    token = _BOUND.set((*_BOUND.get(), *words.items()))
    try:
        yield
    finally:
        _BOUND.reset(token)


class KeyValue(logging.Formatter):
    """One line per record: time, level, logger, message, then what is bound and what was added."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        extra = {key: str(value) for key, value in vars(record).items() if key not in _STANDARD}
        words = {**dict(_BOUND.get()), **extra}
        moment = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        line = " ".join(
            [
                f"{moment} {record.levelname} {record.name} {_one_line(record.getMessage())}",
                *(f"{key}={_quoted(value)}" for key, value in words.items()),
            ]
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _one_line(text: str) -> str:
    """Escape what could start a line of its own or move a terminal's cursor."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _quoted(value: str) -> str:
    """Quote what would not be one word."""
    if value and all(char.isalnum() or char in "-_./:@%+," for char in value):
        return value
    escaped = _one_line(value).replace('"', '\\"')
    return f'"{escaped}"'


def configure() -> None:
    """Send this process's log to standard error as key=value."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValue())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
