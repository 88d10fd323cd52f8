"""Run in a network namespace of its own: opens and closes the way out beside a host's firewall.

The first one finds what an earlier cluster of the same number left behind. Prints the firewall
before, between and after, as JSON.
"""

import json
import os
import sys
from pathlib import Path

from paddock.local.addresses import addresses_of
from paddock.local.egress import Egress
from paddock.local.host_tools import ip, nft, node_env, node_path
from paddock.local.processes import run

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def main(folder: Path, *, filtered: bool) -> None:
    """Open and close the way out of two clusters, the first one first."""
    ip("link", "set", "lo", "up")
    FORWARD.write_text("0")  # a new namespace inherits the machine's
    if filtered:
        os.environ["PATH"] = ":".join([*map(str, node_path()), os.environ["PATH"]])
        os.environ.update(node_env())
        run(["iptables", "-P", "FORWARD", "DROP"])
        run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "25", "-j", "DROP"])
    first, second = (
        Egress(f"paddock{index}", addresses_of(index), folder / str(index)) for index in (0, 1)
    )
    pictures = [picture()]
    first.up()
    first.record.unlink()
    FORWARD.write_text("0")  # only the table is left of it
    first.up()
    first.up()
    pictures.append(picture())
    second.up()
    first.down([second.record])
    pictures.append(picture())
    second.down([first.record])
    second.down([first.record])
    pictures.append(picture())
    json.dump(pictures, sys.stdout)


def picture() -> dict[str, str]:
    """Return the rules and the setting, without counters."""
    words = [word for word in nft("-s", "list", "ruleset").split() if not word.isdigit()]
    return {"rules": " ".join(words), "forward": FORWARD.read_text().strip()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), filtered=sys.argv[2] == "filtered")
