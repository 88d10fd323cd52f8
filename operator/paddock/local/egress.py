"""The way from pods to the world: what has to change on the host for it, and its exact undoing.

Address translation has an nftables table of its own, deleted whole. Where the host filters
forwarded packets with iptables (Docker, ufw), accepting rules for the cable are put before its own.
Forwarding is switched on if it was off, and off again by the last cluster.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddock.local.addresses import Addresses
from paddock.local.host_tools import nft
from paddock.local.processes import run

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Egress:
    """The host's side of one cluster's way out; `record` remembers what forwarding was."""

    cable: str
    addresses: Addresses
    record: Path

    def up(self) -> None:
        """Let pods out, unless they already can; what somebody undid a part of is made anew."""
        if self._is_whole():
            return
        if not self.record.exists():
            self.record.parent.mkdir(parents=True, exist_ok=True)
            self.record.write_text(_FORWARD.read_text().strip())
        _FORWARD.write_text("1")
        if _host_filters():
            for rule in self._rules():
                _delete_rule(rule)
                run(["iptables", "-w", "-I", *rule])
        nft("-f", "-", stdin=self._ruleset())

    def down(self, others: Iterable[Path]) -> None:
        """Undo it; while other clusters need forwarding, one of their records keeps what it was."""
        if _host_filters():
            for rule in self._rules():
                _delete_rule(rule)
        if self._table in _tables():
            nft("delete", "table", "ip", self._table)
        if not self.record.exists():
            return
        was = self.record.read_text()
        heir = next((other for other in others if other.exists()), None)
        if was == "0":
            (heir or _FORWARD).write_text(was)
        self.record.unlink()

    def _is_whole(self) -> bool:
        """Return whether all that `up` makes is there: a table alone lets nothing out."""
        forwards = self.record.exists() and _FORWARD.read_text().strip() == "1"
        return forwards and self._table in _tables()

    @property
    def _table(self) -> str:
        return f"paddock-{self.cable}"

    def _rules(self) -> tuple[tuple[str, ...], ...]:
        comment = ("-m", "comment", "--comment", self._table, "-j", "ACCEPT")
        return (
            ("INPUT", "-i", self.cable, *comment),
            ("FORWARD", "-i", self.cable, *comment),
            ("FORWARD", "-o", self.cable, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED",
             *comment),
        )  # fmt: skip

    def _ruleset(self) -> str:
        """Return the table, in place of one of this name that was left behind."""
        own = f"{self.addresses.link}, {self.addresses.pods}"
        return (
            f"table ip {self._table}\n"
            f"delete table ip {self._table}\n"
            f"table ip {self._table} {{\n"
            "  chain out {\n"
            "    type nat hook postrouting priority srcnat;\n"
            f'    ip saddr {{ {own} }} oifname != {{ "{self.cable}", "lo" }} masquerade\n'
            "  }\n}\n"
        )


def _host_filters() -> bool:
    """Return whether this host has a table of iptables that could drop the cable's packets."""
    if shutil.which("iptables") is None or shutil.which("iptables-save") is None:
        return False
    return ":FORWARD" in run(["iptables-save", "-t", "filter"])


def _delete_rule(rule: Sequence[str]) -> None:
    saved = run(["iptables-save", "-t", "filter"])
    comment = rule[rule.index("--comment") + 1]
    present = [line for line in saved.splitlines() if comment in line.split()]
    if any(line.startswith(f"-A {rule[0]} {rule[1]} {rule[2]} ") for line in present):
        run(["iptables", "-w", "-D", *rule])


def _tables() -> set[str]:
    lines = nft("list", "tables").splitlines()
    return {line.split()[-1] for line in lines if line.startswith("table ip ")}
