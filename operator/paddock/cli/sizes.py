"""Numbers as people read them: bytes, speeds, durations, ages, digests. Pure."""

from datetime import datetime, timedelta

from paddock.clock import parse_rfc3339

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_STEP = 1000
_SMALL = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DIGEST_DIGITS = 12


def size_words(count: int | None) -> str | None:
    """Write bytes with at most three digits: 253 MB, 4.1 GB."""
    if count is None:
        return None
    value, unit = float(count), 0
    while value >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    number = f"{value:.1f}" if unit and value < _SMALL - 0.05 else f"{value:.0f}"
    return f"{number} {_UNITS[unit]}"


def duration_words(seconds: float) -> str:
    """Write a duration by its largest units: 45 s, 3 min, 2 h, 5 d."""
    whole = int(seconds)
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def age_words(created: str | None, now: datetime) -> str | None:
    """Write how long ago a moment was, without blanks, as kubectl does: 45s, 3m, 2h, 5d."""
    if created is None:
        return None
    passed = max(now - parse_rfc3339(created), timedelta())
    return duration_words(passed.total_seconds()).replace(" min", "m").replace(" ", "")


def digest_words(digest: str | None) -> str | None:
    """Shorten a digest to what tells two apart."""
    return None if digest is None else digest.removeprefix("sha256:")[:_DIGEST_DIGITS]
