"""A rollout over a full node: replicas that end hold their GPUs while they answer their last."""

from dataclasses import replace

from support.pools import (
    deployment,
    fresh,
    homeless_pod,
    ready_pod,
    settled,
    status_of,
    summary,
)

FULL = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: no victims."
HARDWARE = {"gpus": 1, "memory": "8Gi"}


def test_gpu_that_an_ending_replica_still_holds_is_waited_for() -> None:
    facts = settled(fresh(replicas=2, hardware=HARDWARE))
    old, ending = ready_pod(0), replace(ready_pod(1), deleting=True)
    rolling = replace(
        facts,
        pods=(replace(old, revision="before"), ending, homeless_pod(FULL, 2)),
        deployment=deployment(2, updated=1, ready=1),
    )
    drained = replace(rolling, pods=(rolling.pods[0], rolling.pods[2]))

    assert status_of(rolling).diagnosis == ()
    assert summary(status_of(rolling))["Reconciling"] == "True/WaitingForPods"
    assert summary(status_of(drained))["Stalled"] == "True/InsufficientGPU"
