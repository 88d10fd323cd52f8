"""Fits: the arithmetic where memory is declared; on GPUs what the engines that serve say. Pure.

No node is read, so how large a GPU is only its engine finds out. Ollama tells how much of a model
is in GPU memory: all of it, once no layer is left to CPUs (0.17.4, llm/server.go). vLLM does not
start unless its model and one request's context are, except what it is told to leave out.
llama.cpp leaves out what does not fit, and does not tell.
"""

from collections.abc import Sequence

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import LoadedModel, PodFact, PoolFacts
from paddock.plan.fit import size_text
from paddock.plan.pool import PoolPlan
from paddock.status.conditions import Verdict, false, true, unknown

_KIND = ConditionType.FITS
_OFFLOAD = "--cpu-offload-gb"


def fits_verdict(facts: PoolFacts, plan: PoolPlan, pods: Sequence[PodFact]) -> Verdict:
    """Tell whether a replica has room; `pods` are those that serve what is declared."""
    if plan.fit is None:
        return unknown(_KIND, Reason.NOT_ESTIMATED, "It is estimated when the models are Ready.")
    if plan.fit.limit_bytes is None:
        known = _on_gpus(facts, plan, pods)
        return known or unknown(_KIND, Reason.NOT_ESTIMATED, plan.fit.explanation)
    if plan.fit.needed_bytes > plan.fit.limit_bytes:
        return false(_KIND, Reason.DOES_NOT_FIT, plan.fit.explanation)
    return true(_KIND, Reason.FITS, plan.fit.explanation)


def _on_gpus(facts: PoolFacts, plan: PoolPlan, pods: Sequence[PodFact]) -> Verdict | None:
    """Return what the engines' answers show; None where they do not show it of every model."""
    answers = [
        (pod, {each.served_as: each for each in facts.reports[pod.uid].models})
        for pod in pods
        if pod.uid in facts.reports
    ]
    for pod, models in answers:
        for each in models.values():
            if each.memory is not None and (each.gpu_memory or 0) < each.memory:
                return _spilled(pod, each)
    wanted = [model.served_as for model in plan.models]
    if not pods or len(answers) < len(pods):
        return None
    if all(_is_on_gpus(facts.pool, models.get(name)) for _, models in answers for name in wanted):
        return true(_KIND, Reason.FITS, "Every model is in GPU memory as a whole.")
    return None


def _spilled(pod: PodFact, model: LoadedModel) -> Verdict:
    message = (
        f"Pod/{pod.name}: {size_text(model.gpu_memory)} of the {size_text(model.memory)} that "
        f"{model.served_as} takes are in GPU memory, CPUs compute the rest. Give it larger or more "
        "GPUs, a smaller quantization or less context."
    )
    return false(_KIND, Reason.DOES_NOT_FIT, message)


def _is_on_gpus(pool: InferencePool, model: LoadedModel | None) -> bool:
    if model is None:
        return False
    if pool.spec.engine.name is EngineName.VLLM:
        offloads = any(each.startswith(_OFFLOAD) for each in pool.spec.engine.args or ())
        return bool(model.generated) and not offloads
    return model.memory is not None
