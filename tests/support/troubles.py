"""One of every trouble that a status can tell, made by the code that tells it.

The troubleshooting page is written from these.
"""

from collections.abc import Iterator
from dataclasses import replace

from paddock.api.base import Diagnosis
from paddock.api.pull import PullFailure, PullReason, PullReport
from paddock.api.reasons import Reason
from paddock.facts import ContainerFact, EventFact, LoadedModel, PodFact, PoolFacts, Refusal
from paddock.plan.model import plan_model
from paddock.settings import Settings
from paddock.status.container_diagnosis import diagnose_container
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.refusals import diagnose_refusal, diagnose_refused_pods
from paddock.status.scheduling import diagnose_scheduling
from support.models import facts_of, job_of, told
from support.objects import NOW, model
from support.pools import OTHER_DIGEST, deployment, fresh, settled, status_of

SCHEDULING = (
    'persistentvolumeclaim "weights" not found',
    "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    "0/3 nodes are available: 1 node has pod using a ReadWriteOncePod claim of the same name.",
    "0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    "0/3 nodes are available: 3 cannot allocate all claims.",
    "0/3 nodes are available: 3 Insufficient memory.",
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
    "0/3 nodes are available: 3 node(s) had untolerated taint {gpu-only: }.",
    "0/3 nodes are available: 3 Too many pods.",
    "0/3 nodes are available: 3 node(s) were unschedulable.",
)
_PULL = ContainerFact("engine", waiting_reason="ErrImagePull", image="registry.example.com/e:1")
_BROKEN = ContainerFact("engine", restarts=3, waiting_reason="CrashLoopBackOff", last_exit_code=1)
CONTAINERS = (
    replace(_PULL, waiting_message="no match for platform in manifest"),
    replace(_PULL, waiting_message="pull access denied"),
    replace(_PULL, waiting_message="manifest unknown"),
    replace(_PULL, waiting_message="dial tcp: lookup registry.example.com: no such host"),
    replace(_PULL, waiting_message="no space left on device"),
    replace(_PULL, waiting_message="something else"),
    replace(_PULL, waiting_reason="InvalidImageName"),
    replace(_PULL, waiting_reason="ErrImageNeverPull"),
    ContainerFact(
        "engine", waiting_reason="RunContainerError", image="example/e:1",
        waiting_message='exec: "llama-server": executable file not found in $PATH',
    ),
    ContainerFact(
        "engine", waiting_reason="CreateContainerConfigError",
        waiting_message="container has runAsNonRoot and image will run as root",
    ),
    ContainerFact("engine", restarts=1, last_exit_reason="OOMKilled", memory_limit="4Gi"),
    _BROKEN,
    replace(_BROKEN, last_exit_code=137),
    replace(_BROKEN, last_exit_code=127),
)  # fmt: skip
_POD = PodFact("chat-0", "uid", "Pending")
PODS = (
    (replace(_POD, phase="Failed", reason="UnexpectedAdmissionError"), ()),
    (replace(_POD, phase="Failed", reason="Evicted", message="The node was low on memory."), ()),
    (_POD, (EventFact("Pod/chat-0", "FailedCreatePodSandBox", "failed"),)),
    (_POD, (EventFact("Pod/chat-0", "FailedMount", 'secret "hub-token" not found'),)),
    (
        _POD,
        (
            EventFact(
                "Pod/chat-0",
                "FailedResourceClaimCreation",
                'PodResourceClaim gpus: resource claim template "card": not found',
            ),
        ),
    ),
    (_POD, (EventFact("Pod/chat-0", "FailedAttachVolume", "Multi-Attach error for volume"),)),
    (_POD, (EventFact("Pod/chat-0", "FailedMount", "mount.nfs: Connection timed out"),)),
)
REFUSED_PODS = (
    "pods x is forbidden: exceeded quota: team, requested: memory=8Gi",
    "pods x is forbidden: failed quota: team: must specify limits.cpu",
    "pods x is forbidden: violates PodSecurity restricted: seccompProfile",
    "pods x is forbidden: denied by policy no-gpus-here",
)
REFUSALS = (
    Refusal("Service/chat", Reason.NAME_CONFLICT, "The Service chat is not Paddock's."),
    Refusal("Job/qwen-pull", Reason.FORBIDDEN, "jobs.batch is forbidden: User cannot create it."),
)
PULLS = {
    PullReason.SOURCE_UNAUTHORIZED: "huggingface.co asks for credentials (401); set "
    "credentials.secretName.",
    PullReason.SOURCE_NOT_FOUND: "The repository has no Q5_K_M; it has Q4_K_M, Q8_0.",
    PullReason.SOURCE_UNREACHABLE: "The name models.example.com does not resolve.",
    PullReason.SOURCE_FORBIDDEN: "Plain http is not allowed; use https or ask the administrator "
    "to allow it.",
    PullReason.SOURCE_REFUSED: "The source does not tell the file's size.",
    PullReason.DIGEST_MISMATCH: "The model has digest sha256:1111... and sha256:2222... was "
    "expected.",
    PullReason.INVALID_ARTIFACT: "The GGUF header goes beyond the end of the file.",
    PullReason.UNSUPPORTED_FORMAT: "The repository has neither GGUF nor safetensors files; pickled "
    "weights are not pulled.",
    PullReason.CREDENTIALS_MISSING: "The object store's credentials are missing or incomplete; see "
    "credentials.secretName.",
    PullReason.INSUFFICIENT_STORAGE: "The volume has 1000 bytes free and the file needs 2000 more; "
    "raise storage.size.",
    PullReason.STORAGE_ERROR: "The volume cannot be used: input/output error.",
    PullReason.INVALID_SPEC: "No quantization fits 4000 bytes; the repository has Q4_K_M, Q8_0.",
}
"""A failure of each reason, as the puller words it."""


def troubles() -> Iterator[Diagnosis]:
    """Yield one diagnosis of every kind."""
    yield from (diagnose_scheduling("Pod/chat-0", words) for words in SCHEDULING)
    for container in CONTAINERS:
        cause = diagnose_container("Pod/chat-0", container)
        assert cause is not None
        yield cause
    for pod, events in PODS:
        yield from diagnose_pod(pod, events)
    yield from (
        diagnose_refused_pods("Deployment/chat", words, smaller="hardware or replicas")
        for words in REFUSED_PODS
    )
    yield from map(diagnose_refusal, REFUSALS)
    yield from (_of_pull(reason) for reason in PullReason)
    for facts in _pools():
        yield from status_of(facts).diagnosis


def _of_pull(reason: PullReason) -> Diagnosis:
    subject = model()
    failure = PullFailure(reason=reason, message=PULLS[reason], retry=reason in _PATIENT)
    report = PullReport(failure=failure).model_dump_json(by_alias=True)
    facts = facts_of(subject, jobs=(job_of(subject, failed=True, result=report, finished_at=NOW),))
    (cause,) = told(facts, plan_model(facts, Settings())).diagnosis
    return cause


_PATIENT = frozenset({PullReason.SOURCE_UNREACHABLE, PullReason.STORAGE_ERROR})


def _pools() -> Iterator[PoolFacts]:
    yield fresh(known=(), models=[{"name": "qwen"}])
    stuck = replace(settled(fresh()), pods=(), reports={})
    yield replace(
        stuck,
        deployment=deployment(
            1, ready=0, available=0, progressing_reason="ProgressDeadlineExceeded"
        ),
    )
    good = settled(fresh())
    (uid, report), *_ = good.reports.items()
    (loaded,) = report.models
    for changed in (
        replace(report, answering=False, models=()),
        replace(report, models=(_wrong(loaded, digest=OTHER_DIGEST),)),
        replace(report, models=(_wrong(loaded),)),
    ):
        yield replace(good, reports={uid: changed})


def _wrong(loaded: LoadedModel, digest: str | None = None) -> LoadedModel:
    words = "has another digest open than the verified one" if digest else "cannot generate a token"
    error = f"The engine {words}."
    return replace(loaded, digest=digest or loaded.digest, generated=False, error=error)
