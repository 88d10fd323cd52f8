"""How a test tells what it measured: the lines are printed in the end, whether it passes or not."""

from collections.abc import Callable

MEASURED = "measured"
Announce = Callable[[str], None]
