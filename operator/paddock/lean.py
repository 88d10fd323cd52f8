"""Leaves out what other packages load at their import and the operator never calls (decision 0108).

Imported by the operator's command alone, before everything else; a process that needs these parts,
as the other commands do, does not import this.
"""

import importlib.util
import sys

_EAGER = "kubernetes"
"""Its own first lines load the client that is not asynchronous, with OAuth and websockets."""
_COMMAND = "httpx._main"
"""httpx's command line: it loads rich and pygments where they are installed."""


def _leave_out_the_first_lines(package: str) -> None:
    """Make a package whose modules can be imported and whose own first lines do not run."""
    spec = importlib.util.find_spec(package)
    if spec is not None:
        sys.modules[package] = importlib.util.module_from_spec(spec)


def _leave_out(module: str) -> None:
    """Let a module not be found, for which its package is prepared."""
    sys.modules[module] = None  # type: ignore[assignment]  # the way that Python documents


if _EAGER not in sys.modules:
    _leave_out_the_first_lines(_EAGER)
if _COMMAND.partition(".")[0] not in sys.modules:
    _leave_out(_COMMAND)
