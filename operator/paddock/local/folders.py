"""Where the embedded cluster keeps what it built and what it runs.

Honours XDG_CACHE_HOME and XDG_STATE_HOME; nothing is written outside these two trees.
"""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of everything that can be made again, by version."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "paddock"


def state_folder(cluster: str) -> Path:
    """Return the folder of one cluster: keys, logs, data, process records."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "paddock" / "clusters" / cluster
