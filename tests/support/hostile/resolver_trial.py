"""Run in a mount namespace of its own, with a hosts file of its own: pulls from names that lie.

`resolver_trial.py HOSTS_FILE STORE NAME ...` prints for each name why its pull was refused.
"""

import json
import subprocess
import sys
from pathlib import Path

from paddock.api.pull import Access, PullPlan
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store


def refusal(name: str, store: Path) -> str:
    """Return the reason of the refusal, or an empty text if there is none."""
    access = Access(cidrs=("127.0.0.1/32",), http=True)
    try:
        pull(
            PullPlan(model="m", source=f"http://{name}/m.gguf", access=access),
            Store(store),
            Meter(),
        )
    except PullError as error:
        return error.cause.value
    return ""


def main(hosts: str, store: Path, names: list[str]) -> None:
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    json.dump([refusal(name, store) for name in names], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
