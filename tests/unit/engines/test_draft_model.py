"""A pool's draft model is needed, mounted and counted like the model it guesses for."""

from dataclasses import replace

from paddock.api.inferencepool import EngineName
from paddock.plan.pool import plan_pool
from paddock.wire import Json
from support.pools import DIGEST, OTHER_DIGEST, SETTINGS, fresh
from support.stores import ready_model

BIG = ready_model("alpha", DIGEST, claim="big")
SMALL = ready_model("small", OTHER_DIGEST, size=500_000_000, claim="little")
SERVING: Json = {"draftModel": "small"}
MODELS: Json = [{"name": "alpha"}]


def test_its_claim_is_mounted_and_its_weights_are_counted() -> None:
    facts = fresh(EngineName.LLAMA_CPP, known=(BIG, SMALL), models=MODELS, serving=SERVING)
    plan = plan_pool(facts, SETTINGS)
    alone = plan_pool(fresh(EngineName.LLAMA_CPP, known=(BIG,)), SETTINGS)

    assert plan.fit is not None
    assert alone.fit is not None
    assert plan.fit.weights_bytes == alone.fit.weights_bytes + 500_000_000
    assert plan.effective is not None
    flags = dict(zip(plan.effective.args, plan.effective.args[1:], strict=False))
    assert flags["--model"] == f"/claims/big/blobs/sha256-{'a' * 64}"
    assert flags["--spec-draft-model"] == f"/claims/little/blobs/sha256-{'b' * 64}"
    (deployment,) = [each for each in plan.wanted if each["kind"] == "Deployment"]
    assert {"name": "claim-1", "persistentVolumeClaim": {"claimName": "little"}} in deployment[
        "spec"
    ]["template"]["spec"]["volumes"]


def test_pool_waits_for_it_by_its_name() -> None:
    facts = fresh(EngineName.LLAMA_CPP, known=(BIG,), models=MODELS, serving=SERVING)
    assert plan_pool(facts, SETTINGS).missing == ("small",)

    pulling = SMALL.model_copy(update={"status": type(SMALL.status)()})
    known = replace(facts, models={"alpha": BIG, "small": pulling})
    assert plan_pool(known, SETTINGS).waiting == ("small",)


def test_what_cannot_draft_is_refused() -> None:
    def refused(**spec: Json) -> list[tuple[str, str]]:
        facts = fresh(EngineName.LLAMA_CPP, known=(BIG, SMALL), **spec)
        return [(each.path, each.message) for each in plan_pool(facts, SETTINGS).refused]

    path = "spec.serving.draftModel"
    assert refused(models=MODELS, serving={"draftModel": "alpha"}) == [
        (path, "A model that guesses its own tokens saves nothing; take another.")
    ]
    assert refused(models=[{"name": "alpha"}, {"name": "small"}], serving=SERVING)[0] == (
        path,
        "llama.cpp drafts for one model only; make more pools.",
    )
