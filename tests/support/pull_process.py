"""The puller as a process of its own: `pull_process.py STORE [ARGUMENT ...]`.

It is the program of the pull Job, on another folder than /store and any free progress port.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from paddock.api.pull import PLAN_VARIABLE, REPORT_FILE_VARIABLE, PullPlan, PullReport
from paddock.puller.__main__ import main


@dataclass(frozen=True, slots=True)
class Puller:
    """One puller under way."""

    process: subprocess.Popen[bytes]
    report_file: Path

    def finished(self, within: float = 60.0) -> PullReport:
        """Wait for its end and return its report; fail if it left none."""
        self.process.wait(within)
        return PullReport.model_validate_json(self.report_file.read_text())

    def killed(self, within: float = 60.0) -> None:
        """Wait for the end of a killed one."""
        self.process.wait(within)
        assert self.process.returncode == -9


def start(plan: PullPlan, store: Path, reports: Path, *arguments: str) -> Puller:
    """Start the puller on a store; its report goes into a new file of `reports`."""
    file = reports / f"report-{len(list(reports.glob('report-*')))}"
    file.touch()
    text = plan.model_dump_json(by_alias=True, exclude_none=True)
    environment = {**os.environ, PLAN_VARIABLE: text, REPORT_FILE_VARIABLE: str(file)}
    process = subprocess.Popen(
        [sys.executable, __file__, str(store), *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return Puller(process, file)


def tree(folder: Path) -> dict[str, str]:
    """Return everything below a folder: a link's target, a file's size and first bytes, a kind."""
    found = {}
    for each in sorted(folder.rglob("*")):
        if each.is_symlink():
            what = f"-> {each.readlink()}"
        elif each.is_file():
            what = json.dumps([each.stat().st_size, each.read_bytes()[:64].hex()])
        else:
            what = "folder" if each.is_dir() else "special"
        found[str(each.relative_to(folder))] = what
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], Path(sys.argv[1]), port=0))
