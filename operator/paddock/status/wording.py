"""Other programs' words made fit for a status: one line, short, the same each time. Pure."""

import re

_LONGEST = 300
_VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\d[T ][0-9:.,+Z-]+|0x[0-9a-f]{4,}|\b(back-off )\d+\w+ |"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"(://)[^/\s@]+@|([?&][^=\s]+=)[^&\s\"]+")


def shortened(words: str) -> str:
    """Return the words on one line, without times, ids and credentials, and without a period."""
    plain = without_credentials(_VOLATILE.sub("", words))
    line = " ".join(plain.split())
    cut = line if len(line) <= _LONGEST else f"{line[:_LONGEST].rpartition(' ')[0]} ..."
    return cut.rstrip(" .,;:") or "no reason is given"


def without_credentials(words: str) -> str:
    """Return the words without what a URL says of who asks."""
    return _CREDENTIAL.sub(r"\1\2", words)
