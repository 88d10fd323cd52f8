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
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.serve import serve_progress
from paddock.puller.store import Store
from paddock.puller.upstream import ask_upstream
from paddock.puller.view import lay_view


def main(arguments: list[str]) -> int:
    """Run one pull or one deletion and leave the report."""
    try:
        if arguments[:1] == ["delete"]:
            Store(Path(names.STORE_PATH)).remove(arguments[1])
            return EXIT_DONE
        if arguments[:1] == ["view"]:
            view = ViewPlan.model_validate_json(os.environ[VIEW_VARIABLE])
            lay_view(view, Path(names.STORE_PATH))
            return EXIT_DONE
        plan = PullPlan.model_validate_json(os.environ[PLAN_VARIABLE])
        if arguments[:1] == ["check"]:
            report = PullReport(upstream=ask_upstream(plan))
        else:
            report = PullReport(result=_pull(plan))
    except PullError as error:
        report = PullReport(failure=error.failure)
    except OSError as error:
        message = f"The volume or the network failed: {error.strerror or type(error).__name__}."
        failure = PullFailure(reason=PullReason.STORAGE_ERROR, message=message, retry=True)
        report = PullReport(failure=failure)
    except (KeyError, ValidationError):
        failure = PullFailure(
            reason=PullReason.INVALID_SPEC, message="The pull plan cannot be read.", retry=False
        )
        report = PullReport(failure=failure)
    return _leave(report)


def _pull(plan: PullPlan) -> PullResult:
    """Pull while telling how far it is."""
    meter = Meter()
    server = serve_progress(meter)
    try:
        return pull(plan, Store(Path(names.STORE_PATH)), meter)
    finally:
        server.shutdown()


def _leave(report: PullReport) -> int:
    text = report.model_dump_json(by_alias=True, exclude_none=True)
    if report.result is not None and len(text) > REPORT_LIMIT:
        shorter = report.result.model_copy(update={"files": ()})
        text = PullReport(result=shorter).model_dump_json(by_alias=True, exclude_none=True)
    Path(os.environ.get(REPORT_FILE_VARIABLE, "/dev/termination-log")).write_text(text)
    sys.stdout.write(text + "\n")
    if report.failure is None:
        return EXIT_DONE
    return EXIT_RETRY if report.failure.retry else EXIT_STOP


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
