"""What one activator holds at most; every wait of it, in seconds. Pure."""

from dataclasses import dataclass

_MEBI = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one process."""

    waiting: int = 256
    """Requests that wait for one pool."""
    requests: int = 1024
    """Requests under way of all pools, waiting or handed over."""
    body_bytes: int = 10 * _MEBI
    held_bytes: int = 64 * _MEBI
    """Bodies of all requests together."""
    hold_seconds: float = 540.0
    """Less than the 10 minutes in which a gateway expects a sign of life."""
    heartbeat_seconds: float = 5.0
    body_seconds: float = 30.0
    """How long a caller may take to send its body."""
    silence_seconds: float = 600.0
    """How long an engine may send nothing in the middle of an answer."""
    retry_after: int = 5
