"""`python -m paddock.puller [check | delete MODEL | view]`: wiring; exits as `api.pull` says."""

import os
import sys
from pathlib import Path

from pydantic import ValidationError

from paddock import names
from paddock.api.pull import (
    EXIT_DONE,
    EXIT_RETRY,
    EXIT_STOP,
    PLAN_VARIABLE,
    REPORT_FILE_VARIABLE,
    REPORT_LIMIT,
    PullFailure,
    PullPlan,
    PullReason,
    PullReport,
    PullResult,
)
from paddock.api.view import VIEW_VARIABLE, ViewPlan
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError, storage_problem
from paddock.puller.pull import pull
from paddock.puller.serve import progress_served
from paddock.puller.store import Store
from paddock.puller.upstream import ask_upstream
from paddock.puller.view import lay_view


def main(
    arguments: list[str],
    place: Path = Path(names.STORE_PATH),
    port: int = names.PROGRESS_PORT,
) -> int:
    """Run one pull, question, deletion or view and leave the report; return the exit code."""
    try:
        if arguments[:1] == ["delete"]:
            Store(place).remove(arguments[1])
            return EXIT_DONE
        if arguments[:1] == ["view"]:
            view = ViewPlan.model_validate_json(os.environ[VIEW_VARIABLE])
            lay_view(view, place)
            return EXIT_DONE
        plan = PullPlan.model_validate_json(os.environ[PLAN_VARIABLE])
        if arguments[:1] == ["check"]:
            report = PullReport(upstream=ask_upstream(plan, place))
        else:
            report = PullReport(result=_pull(plan, place, port))
    except PullError as error:
        report = PullReport(failure=error.failure)
    except OSError as error:
        report = PullReport(failure=storage_problem(error).failure)
    except (KeyError, ValidationError):
        failure = PullFailure(
            reason=PullReason.INVALID_SPEC, message="The pull plan cannot be read.", retry=False
        )
        report = PullReport(failure=failure)
    return _leave(report)


def _pull(plan: PullPlan, place: Path, port: int) -> PullResult:
    """Pull while telling how far it is."""
    meter = Meter()
    with progress_served(meter, port):
        return pull(plan, Store(place), meter)


def _leave(report: PullReport) -> int:
    text = report.model_dump_json(by_alias=True, exclude_none=True)
    while report.result is not None and len(text) > REPORT_LIMIT:
        fewer = report.result.files[:-1]
        report = PullReport(result=report.result.model_copy(update={"files": fewer}))
        text = report.model_dump_json(by_alias=True, exclude_none=True)
    Path(os.environ.get(REPORT_FILE_VARIABLE, "/dev/termination-log")).write_text(text)
    sys.stdout.write(text + "\n")
    if report.failure is None:
        return EXIT_DONE
    return EXIT_RETRY if report.failure.retry else EXIT_STOP


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
