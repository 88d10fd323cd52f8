"""Each trouble of a pool's pods, told by object, cause and fix, with no log opened."""

from dataclasses import replace

import pytest

from paddock.api.reasons import ConditionType
from paddock.facts import ContainerFact, EventFact, PodFact
from support.pools import (
    ENGINE,
    deployment,
    fresh,
    homeless_pod,
    only_cause,
    ready_pod,
    settled,
    status_of,
    summary,
    waiting_pod,
    with_pod,
)

UNSCHEDULABLE = [
    (
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are "
            "available: 3 No preemption victims found for incoming pod."
        ),
        "InsufficientGPU",
        "No node that the pool may use has enough free nvidia.com/gpu.",
    ),
    (
        (
            "0/2 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb, 1 node(s) had "
            "untolerated taint {nvidia.com/gpu: present}."
        ),
        "InsufficientGPU",
        "No node that the pool may use has enough free nvidia.com/mig-1g.10gb.",
    ),
    (
        "0/1 nodes are available: 1 Insufficient memory.",
        "Unschedulable",
        "No node that the pool may use has enough free memory.",
    ),
    (
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        "Unschedulable",
        "No node has the labels that the pool asks for.",
    ),
    (
        "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: team-b}.",
        "Unschedulable",
        "The nodes refuse the pod by their taint dedicated.",
    ),
    (
        "0/1 nodes are available: 1 Too many pods.",
        "Unschedulable",
        "The nodes hold as many pods as they may.",
    ),
    (
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
        "ClaimUnbound",
        "The claim of the weights is not bound to a volume.",
    ),
    (
        "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
        "ClaimUnreachable",
        "The volume of the weights is on a node or in a zone where the pod may not run.",
    ),
    (
        (
            "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same "
            "name and ReadWriteOncePod access mode."
        ),
        "ClaimUnreachable",
        "The claim of the weights is ReadWriteOncePod and another pod has it.",
    ),
    (
        "no nodes available to schedule pods",
        "Unschedulable",
        "No node takes the pod: no nodes available to schedule pods.",
    ),
]


@pytest.mark.parametrize(("message", "reason", "cause"), UNSCHEDULABLE)
def test_pod_without_a_node_says_what_the_nodes_lack(message: str, reason: str, cause: str) -> None:
    facts = with_pod(homeless_pod(message))

    assert (only_cause(facts).reason, only_cause(facts).cause) == (reason, cause)
    conditions = summary(status_of(facts))
    assert conditions["Scheduled"] == f"False/{reason}"
    assert conditions["Stalled"] == f"True/{reason}"


def test_claim_that_is_not_there_is_the_object_to_look_at() -> None:
    facts = with_pod(
        homeless_pod('0/1 nodes are available: persistentvolumeclaim "weights" not found.')
    )

    assert only_cause(facts).object == "PersistentVolumeClaim/weights"
    assert summary(status_of(facts))["Scheduled"] == "False/ClaimNotFound"


LOAD_LOG = """0.00.001.008 I srv  llama_server: initializing ...
0.00.011.386 I srv    load_model: loading model '/store/blobs/sha256-1'
0.00.012.189 E llama_init_from_model: K cache type q8_0 does not divide n_embd_head_k=16
0.00.013.258 E srv  llama_server: exiting due to model loading error
"""


def crashing(**state: str | int | None) -> ContainerFact:
    base = ContainerFact("engine", memory_limit="8Gi", image="engine:1", restarts=2)
    return replace(base, **state)  # type: ignore[arg-type]  # the tests' own field names


ROUND = [
    crashing(waiting_reason="CrashLoopBackOff", last_exit_code=1, last_exit_message=LOAD_LOG,
             waiting_message="back-off 40s restarting failed container"),
    crashing(last_exit_code=1, last_exit_message=LOAD_LOG),
    crashing(exit_code=1, exit_reason="Error", exit_message=LOAD_LOG, last_exit_code=1),
]  # fmt: skip


def test_crash_loop_says_the_engines_own_first_error_and_does_not_flap() -> None:
    statuses = [status_of(with_pod(waiting_pod(state))) for state in ROUND]

    assert statuses[0] == statuses[1] == statuses[2]
    assert statuses[0].diagnosis[0].cause == (
        "Container engine ends again and again: K cache type q8_0 does not divide n_embd_head_k=16."
    )
    assert summary(statuses[0])["EnginesReady"] == "False/CrashLoop"


BAD_FLAG = """error while handling argument "--rope-scaling": invalid value

usage:
--rope-scaling {none,linear,yarn}       RoPE frequency scaling method
"""
NO_PROGRAM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
    "create failed: unable to start container process: error during container init: exec: "
    '"ollama": executable file not found in $PATH'
)


def test_refused_argument_is_said_in_the_engines_words() -> None:
    facts = with_pod(waiting_pod(crashing(last_exit_code=1, last_exit_message=BAD_FLAG)))

    assert only_cause(facts).cause == (
        "Container engine ends again and again: error while handling argument "
        '"--rope-scaling": invalid value.'
    )


def test_image_without_the_engine_is_said_as_that_all_the_way_round() -> None:
    states = [
        crashing(waiting_reason="RunContainerError", waiting_message=NO_PROGRAM, restarts=0),
        crashing(last_exit_code=128, last_exit_reason="StartError", last_exit_message=NO_PROGRAM,
                 waiting_reason="CrashLoopBackOff"),
        crashing(exit_code=128, exit_reason="StartError", exit_message=NO_PROGRAM),
    ]  # fmt: skip
    statuses = [status_of(with_pod(waiting_pod(state))) for state in states]

    assert statuses[0] == statuses[1] == statuses[2]
    assert statuses[0].diagnosis[0].cause == "The image engine:1 holds no program ollama."
    assert summary(statuses[0])["Stalled"] == "True/ContainerConfig"


def test_words_logged_while_serving_never_reach_the_status() -> None:
    log = LOAD_LOG.splitlines()[0] + "\n0.1.2 I srv  listening on http://0.0.0.0:8080\n"
    log += "0.2.3 E srv  bad request: canary prompt\n"
    facts = with_pod(waiting_pod(crashing(last_exit_code=134, last_exit_message=log)))

    assert only_cause(facts).cause == "Container engine ends again and again: exit code 134."


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (127, "its program cannot be run (exit code 127)"),
        (137, "it is killed (by a failed liveness or startup probe, or for memory)"),
        (0, "exit code 0"),
    ],
)
def test_crash_loop_without_words_says_what_the_exit_code_means(code: int, cause: str) -> None:
    state = crashing(waiting_reason="CrashLoopBackOff", last_exit_code=code)

    assert only_cause(with_pod(waiting_pod(state))).cause == (
        f"Container engine ends again and again: {cause}."
    )


def test_first_start_is_no_crash() -> None:
    state = replace(ENGINE, waiting_reason="ContainerCreating")
    facts = with_pod(waiting_pod(state))

    assert status_of(facts).diagnosis == ()
    assert summary(status_of(facts))["Reconciling"] == "True/Loading"


def test_memory_kill_names_the_limit_and_stays_told_after_the_restart() -> None:
    state = crashing(last_exit_code=137, last_exit_reason="OOMKilled")
    facts = with_pod(waiting_pod(state))
    back = replace(settled(fresh()), pods=(replace(ready_pod(), containers=(state,)),))

    assert only_cause(facts).cause == (
        "Container engine was killed because it needed more than 8Gi."
    )
    assert summary(status_of(facts))["Stalled"] == "True/OutOfMemory"
    assert summary(status_of(back))["Ready"] == "True/Ready"
    assert only_cause(back).reason == "OutOfMemory"


def test_container_that_cannot_be_made_keeps_the_kubelets_words_without_ids() -> None:
    state = replace(
        ENGINE,
        waiting_reason="CreateContainerError",
        waiting_message="context 0xc000123456: failed to reserve container name",
    )

    assert only_cause(with_pod(waiting_pod(state))).cause == (
        "The container cannot be made: context : failed to reserve container name."
    )


EVENTS = [
    ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used',
     "ClaimUnreachable", "The volume of the weights is attached to another node."),
    ("FailedMount", "MountVolume.SetUp failed for volume: bad option.",
     "ClaimUnreachable", ("A volume cannot be mounted: MountVolume.SetUp failed for volume: bad "
     "option.")),
    ("FailedCreatePodSandBox", "plugin type=bridge failed",
     "ContainerConfig", "The node cannot start pods: its runtime or network plugin failed."),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "message", "told", "cause"), EVENTS)
def test_warning_about_a_waiting_pod_is_told(
    reason: str, message: str, told: str, cause: str
) -> None:
    state = replace(ENGINE, waiting_reason="ContainerCreating")
    facts = with_pod(waiting_pod(state), EventFact("Pod/chat-0", reason, message))

    assert (only_cause(facts).reason, only_cause(facts).cause) == (told, cause)


def test_warnings_about_other_objects_and_other_matters_are_left_out() -> None:
    state = replace(ENGINE, waiting_reason="ContainerCreating")
    other = EventFact("Pod/another", "FailedMount", "no")
    probe = EventFact("Pod/chat-0", "Unhealthy", "Readiness probe failed")

    behind = EventFact(
        "Pod/chat-0",
        "FailedMount",
        'MountVolume.SetUp failed for volume "config" : failed to sync configmap cache: timed out',
    )

    assert status_of(with_pod(waiting_pod(state), other, probe, behind)).diagnosis == ()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "chat-5d7f" is forbidden: exceeded quota: team, requested: pods=1', "QuotaExceeded"),
        ('pods "chat-9x2k" is forbidden: violates PodSecurity "restricted:latest"', "PodSecurity"),
        ('pods "chat-1" is forbidden: error looking up service account', "AdmissionFailed"),
    ],
)
def test_pods_that_the_cluster_refuses_are_told_without_their_passing_names(
    message: str, reason: str
) -> None:
    facts = replace(
        settled(fresh()), pods=(), reports={},
        deployment=deployment(0, replica_failure=message),
    )  # fmt: skip
    cause = only_cause(facts)

    assert (cause.object, cause.reason) == ("Deployment/chat", reason)
    assert "chat-" not in cause.cause
    assert summary(status_of(facts))["Stalled"] == f"True/{reason}"


def test_same_trouble_of_many_replicas_is_told_once_in_any_order() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    pods = tuple(homeless_pod(message, index) for index in range(3))
    facts = replace(settled(fresh(replicas=3)), pods=pods, deployment=deployment(3, ready=0))
    back_to_front = replace(facts, pods=pods[::-1])

    assert [cause.object for cause in status_of(facts).diagnosis] == ["Pod/chat-0"]
    assert status_of(facts) == status_of(back_to_front)


def test_evicted_pod_that_was_replaced_is_past() -> None:
    facts = settled(fresh())
    evicted = PodFact("chat-z", "uid-z", "Failed", reason="Evicted", message="low on memory")
    status = status_of(replace(facts, pods=(*facts.pods, evicted)))

    assert (summary(status)["Ready"], status.diagnosis) == ("True/Ready", ())


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Evicted", "Unschedulable"),
        ("UnexpectedAdmissionError", "InsufficientGPU"),
        ("OutOfnvidia.com/gpu", "InsufficientGPU"),
    ],
)
def test_pod_that_its_node_gave_up_is_told_while_nothing_replaces_it(
    reason: str, told: str
) -> None:
    ended = PodFact("chat-z", "uid-z", "Failed", reason=reason, message="low on memory")
    facts = replace(with_pod(ended), deployment=deployment(1, ready=0))

    assert only_cause(facts).reason == told


def test_new_revision_without_a_spare_gpu_says_that_the_old_one_serves() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    facts = replace(
        settled(fresh(hardware={"gpus": 1})),
        pods=(ready_pod(0), homeless_pod(message, 1)),
        deployment=deployment(2, updated=1, ready=1),
    )
    status = status_of(facts)

    assert summary(status)[ConditionType.SCHEDULED] == "False/InsufficientGPU"
    assert status.conditions[0].message.endswith(" The previous revision keeps serving.")


def test_trouble_of_a_revision_that_is_left_is_not_the_pools() -> None:
    bad = ContainerFact("engine", waiting_reason="ImagePullBackOff")
    leaving = replace(waiting_pod(bad), revision="old")
    facts = with_pod(leaving)
    facts = replace(facts, deployment=deployment(2, updated=1, ready=1))
    status = status_of(facts)
    assert status.diagnosis == ()
    assert summary(status)["Reconciling"].startswith("True")
    assert summary(status_of(replace(facts, pods=(replace(leaving, revision=None),))))[
        "Stalled"
    ].startswith("True")


def test_image_of_our_own_program_is_the_operators_setting() -> None:
    view = ContainerFact("view", waiting_reason="ErrImagePull", waiting_message="no such host")
    cause = only_cause(with_pod(replace(waiting_pod(ENGINE), init_containers=(view,))))
    assert "the operator's --operator-image" in cause.fix
