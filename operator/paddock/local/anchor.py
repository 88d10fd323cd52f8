"""The first process of a node's namespaces: collects orphans, and its end ends them all.

Run as `python -m paddock.local.anchor` by `node`, as process 1 of a process namespace.
"""

import os
import signal


def main() -> None:
    """Wait for ever, collecting children; SIGTERM ends it and with it the namespace."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            signal.pause()


if __name__ == "__main__":
    main()
