"""Why a pool is not ready: every cause once, under the object it names, with its way out."""

from dataclasses import replace
from pathlib import Path

from paddock.api.base import Diagnosis
from paddock.api.localmodel import LocalModel
from paddock.cli.causes import Scene, explain_model, explain_pool
from paddock.cli.paint import text_of, tree_lines
from paddock.facts import ContainerFact, DeploymentFact, JobFact, PodFact, PoolFacts
from paddock.wire import Json
from support.golden import check_golden_text
from support.pools import deployment, fresh, homeless_pod, settled, status_of, waiting_pod

GOLDEN = Path(__file__).with_name("golden")
PULL = JobFact("tiny-pull-1", "uid-job", "1", purpose="pull")
TIME = "2026-01-01T11:00:00Z"


def stalled_model(*causes: dict[str, str], **status: Json) -> LocalModel:
    reason = causes[0]["reason"] if causes else "Pulling"
    words = f"{causes[0]['cause']} {causes[0]['fix']}" if causes else "The model is being pulled."
    shared = {"reason": reason, "message": words, "lastTransitionTime": TIME}
    conditions = [{"type": "Ready", "status": "False", "observedGeneration": 1, **shared}]
    if causes:
        conditions.append({"type": "Stalled", "status": "True", "observedGeneration": 1, **shared})
    return LocalModel.model_validate(
        {
            "metadata": {"name": "tiny", "namespace": "team", "uid": "uid-tiny", "generation": 1},
            "spec": {"source": "hf://org/private"},
            "status": {"conditions": conditions, "diagnosis": list(causes), **status},
        }
    )


UNAUTHORIZED = {
    "object": "LocalModel/tiny",
    "reason": "SourceUnauthorized",
    "cause": "huggingface.co asks for credentials (401); set credentials.secretName.",
    "fix": "Put a valid token in a Secret and name it in credentials.secretName; "
    "where only the Secret changes, ask for another try by the annotation paddock.dev/retry.",
}


def pool_tree(facts: PoolFacts, scene: Scene) -> str:
    pool = facts.pool.model_copy(update={"status": status_of(facts)})
    return text_of(tree_lines(explain_pool(pool, scene)))


def around(facts: PoolFacts, **more: object) -> Scene:
    known: dict[str, DeploymentFact] = {"chat": facts.deployment} if facts.deployment else {}
    pods = {"chat": facts.pods} if facts.pods else {}
    scene = Scene(models=facts.models, deployments=known, engine_pods=pods)
    return replace(scene, **more)  # type: ignore[arg-type]  # the tests' own field names


def test_ready_pool_is_one_line() -> None:
    facts = settled(fresh())
    assert pool_tree(facts, around(facts)) == (
        "✓ InferencePool/chat  Every replica serves what is declared."
    )


def test_pool_over_a_refused_pull_leads_to_the_token() -> None:
    facts = fresh(known=(stalled_model(UNAUTHORIZED),))
    failed = replace(PULL, failed=True)
    tree = pool_tree(facts, around(facts, jobs={"tiny": [failed]}))
    check_golden_text(GOLDEN / "tree-unauthorized.txt", tree)


def test_pool_over_a_running_pull_says_how_far_it_is() -> None:
    known = stalled_model(progress={"bytes": 400_000_000, "percent": 40})
    puller = PodFact("tiny-pull-1-x", "uid-p", "Running", node="node-a", ready=True)
    facts = fresh(known=(known,))
    scene = around(facts, jobs={"tiny": [PULL]}, pull_pods={"uid-job": [puller]})
    check_golden_text(GOLDEN / "tree-pulling.txt", pool_tree(facts, scene))


def test_pool_without_its_model_says_so_once() -> None:
    facts = fresh(known=(), models=[{"name": "tiny"}])
    check_golden_text(GOLDEN / "tree-no-model.txt", pool_tree(facts, around(facts)))


def test_pool_that_no_node_takes_shows_each_pod_and_one_cause() -> None:
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    facts = replace(
        settled(fresh(replicas=2, hardware={"gpus": 1})),
        deployment=deployment(2, ready=0, available=0),
        pods=(homeless_pod(words, 0), homeless_pod(words, 1)),
        reports={},
    )
    check_golden_text(GOLDEN / "tree-no-gpu.txt", pool_tree(facts, around(facts)))


def test_crashing_replica_beside_one_that_serves() -> None:
    broken = ContainerFact(
        "engine", restarts=3, waiting_reason="CrashLoopBackOff", last_exit_code=1
    )
    facts = settled(fresh(replicas=2))
    facts = replace(
        facts,
        deployment=deployment(2, ready=1, available=1),
        pods=(facts.pods[0], waiting_pod(broken, 1)),
    )
    check_golden_text(GOLDEN / "tree-crash.txt", pool_tree(facts, around(facts)))


def test_cause_of_an_object_that_is_not_shown_hangs_at_the_root() -> None:
    cause = Diagnosis(
        object="PersistentVolumeClaim/weights",
        reason="ClaimNotFound",
        cause="The claim does not exist.",
        fix="Create the claim.",
    )
    tree = explain_model(stalled_model(cause.model_dump()), Scene())
    assert text_of(tree_lines(tree)).split("\n")[1:] == [
        "└── ClaimNotFound  PersistentVolumeClaim/weights: The claim does not exist.",
        "    └── fix  Create the claim.",
    ]


def test_object_nobody_has_looked_at_says_so() -> None:
    (line,) = tree_lines(explain_pool(fresh().pool, Scene(models=fresh().models)))[:1]
    assert "the operator has not looked at it yet" in text_of([line])


def test_every_cause_of_the_status_is_in_the_tree() -> None:
    causes = [
        {**UNAUTHORIZED, "object": name, "cause": f"Cause {index}."}
        for index, name in enumerate(("LocalModel/tiny", "Job/tiny-pull-1", "Pod/p", "Secret/s"))
    ]
    model = stalled_model(*causes)
    for jobs in ({}, {"tiny": [PULL]}, {"tiny": [replace(PULL, failed=True)]}):
        said = text_of(tree_lines(explain_model(model, Scene(jobs=jobs))))
        assert [said.count(f"Cause {index}.") for index in range(4)] == [1, 1, 1, 1]
