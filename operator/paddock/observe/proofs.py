"""What the engines of one pool have proven, kept by pod and asked for in the background.

I/O: a first token may take minutes, while weights are read; a pass never waits for it longer than
a moment, and what is under way is not cut off, because an engine stops loading when its client
goes. What failed is asked again later and later, so that a broken model is not loaded all the time.
What is proven is looked at again now and then, without a token: engines unload models, or fail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from paddock.facts import EngineReport, LoadedModel, PodFact
from paddock.observe.engines import ExpectedModel

Ask = Callable[[PodFact, Sequence[ExpectedModel]], Awaitable[EngineReport]]
_FIRST, _LIMIT = 2.0, 120.0
_LOOK_AGAIN = 180.0
"""Shorter than the resync, so that each finds what was loaded then."""


@dataclass(slots=True)
class _Proof:
    """One pod's answer to one expectation, or the task that waits for it."""

    expected: tuple[ExpectedModel, ...]
    task: asyncio.Task[EngineReport] | None = None
    report: EngineReport | None = None
    failures: int = 0
    again_at: float = 0.0
    request: str | None = None
    """The user's request that the last question answers."""
    anew: bool = False
    """Whether the next question asks for tokens, though what was proven holds."""

    @property
    def holds(self) -> bool:
        return self.report is not None and is_proven(self.report)


class Proofs:
    """The proofs of one pool.

    A pass waits `moment` seconds: a small model proves itself in the pass that asks.
    """

    def __init__(self, moment: float = 1.0) -> None:
        self._moment = moment
        self._by_pod: dict[str, _Proof] = {}

    async def of(
        self,
        pods: Iterable[PodFact],
        expected: Sequence[ExpectedModel],
        ask: Ask,
        now: float,
        *,
        request: str | None = None,
    ) -> Mapping[str, EngineReport]:
        """Return the reports there are, by pod uid, after asking every pod that owes one.

        A new request makes every pod prove itself anew; until it has, what it proved before holds.
        """
        ready = {pod.uid: pod for pod in pods if pod.ready and pod.ip and not pod.deleting}
        self._drop(set(self._by_pod) - set(ready))
        for uid, pod in ready.items():
            self._prepare(uid, tuple(expected), request)
            self._ask(uid, pod, ask, now)
        waiting = [proof.task for proof in self._by_pod.values() if proof.task is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=self._moment)
        for proof in self._by_pod.values():
            _collect(proof, now)
        return {uid: proof.report for uid, proof in self._by_pod.items() if proof.report}

    def forget(self) -> None:
        """Stop asking; for a pool that is gone."""
        self._drop(set(self._by_pod))

    def _drop(self, uids: Iterable[str]) -> None:
        for uid in uids:
            task = self._by_pod.pop(uid).task
            if task is not None:
                task.cancel()

    def _prepare(self, uid: str, expected: tuple[ExpectedModel, ...], request: str | None) -> None:
        """Make a place for a pod's proof, or note that it has to be given anew."""
        known = self._by_pod.get(uid)
        if known is not None and known.expected != expected:
            self._drop([uid])
            known = None
        proof = known or self._by_pod.setdefault(uid, _Proof(expected, request=request))
        if proof.task is None and request not in (None, proof.request):
            proof.request, proof.again_at, proof.anew = request, 0.0, True

    def _ask(self, uid: str, pod: PodFact, ask: Ask, now: float) -> None:
        proof = self._by_pod[uid]
        if proof.task is None and proof.again_at <= now:
            again = proof.anew or not proof.holds
            looked = [replace(each, generate=each.generate and again) for each in proof.expected]
            proof.anew = False
            proof.task = asyncio.ensure_future(ask(pod, looked))


def _collect(proof: _Proof, now: float) -> None:
    """Take a finished answer; a failure is asked again after a wait that doubles."""
    if proof.task is None or not proof.task.done():
        return
    report = replace(proof.task.result(), request=proof.request)
    proof.report, proof.task = _joined(proof.report, report), None
    if proof.holds:
        proof.again_at, proof.failures = now + _LOOK_AGAIN, 0
    else:
        proof.again_at = now + min(_FIRST * 2**proof.failures, _LIMIT)
        proof.failures += 1


def _joined(before: EngineReport | None, after: EngineReport) -> EngineReport:
    """Keep the tokens that were generated, and the sizes, of models that are still as they were."""
    if before is None or not is_proven(before):
        return after
    known = {model.served_as: model for model in before.models}
    return replace(
        after, models=tuple(_kept(known.get(model.served_as), model) for model in after.models)
    )


def _kept(before: LoadedModel | None, after: LoadedModel) -> LoadedModel:
    if before is None or after.error is not None:
        return after
    if after.memory is None:
        after = replace(after, memory=before.memory, gpu_memory=before.gpu_memory)
    if after.load_seconds is None:
        after = replace(after, load_seconds=before.load_seconds)
    return replace(after, generated=True) if before.generated and not after.generated else after


def is_proven(report: EngineReport) -> bool:
    """Tell whether every model was found right, and tried where it is loaded at start."""
    return report.answering and all(
        model.error is None and model.generated is not None for model in report.models
    )
