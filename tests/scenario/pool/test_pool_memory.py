"""A memory limit that is too low, however the node tells of it."""

from dataclasses import replace

import pytest

from support.pools import ENGINE, fresh, settled, status_of, summary, waiting_pod

TOO_LOW = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: container init was OOM-killed "
    "(memory limit too low?)"
)


@pytest.mark.parametrize(
    "state",
    [
        {"waiting_reason": "RunContainerError", "waiting_message": TOO_LOW},
        {"waiting_reason": "CrashLoopBackOff", "last_exit_reason": "StartError",
         "last_exit_message": TOO_LOW, "restarts": 2},
        {"exit_reason": "StartError", "exit_message": TOO_LOW, "restarts": 1},
        {"exit_reason": "OOMKilled", "exit_code": 137},
    ],
)  # fmt: skip
def test_limit_too_low_to_start_or_to_go_on_is_the_same_trouble(state: dict[str, str]) -> None:
    container = replace(ENGINE, **state)  # type: ignore[arg-type]  # a row of the table
    facts = settled(fresh())
    status = status_of(
        replace(
            facts,
            pods=(waiting_pod(container),),
            deployment=replace(facts.deployment, ready=0),  # type: ignore[type-var]  # settled has one
        )
    )

    assert [each.cause for each in status.diagnosis] == [
        "Container engine was killed because it needed more than 8Gi."
    ]
    assert summary(status)["Stalled"] == "True/OutOfMemory"
