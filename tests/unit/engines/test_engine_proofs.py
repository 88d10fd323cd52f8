"""Engines are asked in the background: a pass goes on, what proved itself is not asked again."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from paddock.facts import EngineReport, LoadedModel, PodFact
from paddock.observe.engines import ExpectedModel
from paddock.observe.proofs import Proofs
from support.pools import DIGEST, ready_pod

EXPECTED = (ExpectedModel("alpha", DIGEST, generate=True),)
GOOD = EngineReport(
    "chat-0", answering=True, models=(LoadedModel("alpha", DIGEST, loaded=True, generated=True),)
)
BAD = replace(GOOD, models=(LoadedModel("alpha", DIGEST, error="It cannot."),))


class Engine:
    """An engine that answers when it is told to."""

    def __init__(self, answer: EngineReport = GOOD) -> None:
        self.answer, self.asked, self.cancelled = answer, 0, 0
        self.loaded, self.stopped = asyncio.Event(), asyncio.Event()
        self.generating = False

    async def __call__(self, pod: PodFact, expected: Sequence[ExpectedModel]) -> EngineReport:
        del pod
        self.asked += 1
        self.generating = any(each.generate for each in expected)
        try:
            await self.loaded.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.stopped.set()
            raise
        return self.answer


async def test_pass_does_not_wait_for_a_model_that_loads_and_takes_its_proof_later() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    first = await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    again = await proofs.of([ready_pod()], EXPECTED, engine, 2.0)
    engine.loaded.set()
    later = await proofs.of([ready_pod()], EXPECTED, engine, 4.0)

    assert (first, again, later) == ({}, {}, {"uid-pod-0": GOOD})
    assert (engine.asked, engine.cancelled) == (1, 0)


async def test_what_proved_itself_is_not_asked_again() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    for now in range(5):
        assert await proofs.of([ready_pod()], EXPECTED, engine, float(now)) == {"uid-pod-0": GOOD}

    assert engine.asked == 1


async def test_sizes_of_a_model_that_was_unloaded_since_are_kept() -> None:
    (model,) = GOOD.models
    first = replace(GOOD, models=(replace(model, memory=9, gpu_memory=4),))
    engine, proofs = Engine(first), Proofs(0.01)
    engine.loaded.set()
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    engine.answer = replace(GOOD, models=(replace(model, loaded=False, generated=False),))
    again = await proofs.of([ready_pod()], EXPECTED, engine, 1000.0)

    kept = replace(model, loaded=False, memory=9, gpu_memory=4)
    assert again == {"uid-pod-0": replace(GOOD, models=(kept,))}


async def test_what_is_proven_is_looked_at_again_without_a_token() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    assert engine.generating
    unloaded = replace(GOOD.models[0], loaded=False, generated=False)
    engine.answer = replace(GOOD, models=(unloaded,))
    assert await proofs.of([ready_pod()], EXPECTED, engine, 179.0) == {"uid-pod-0": GOOD}
    later = await proofs.of([ready_pod()], EXPECTED, engine, 181.0)

    assert not engine.generating
    assert later["uid-pod-0"].models == (replace(unloaded, generated=True),)


async def test_engine_that_fails_after_its_proof_is_told_and_proves_itself_anew() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    engine.answer = BAD
    assert await proofs.of([ready_pod()], EXPECTED, engine, 200.0) == {"uid-pod-0": BAD}
    engine.answer = GOOD
    assert await proofs.of([ready_pod()], EXPECTED, engine, 203.0) == {"uid-pod-0": GOOD}
    assert engine.generating


async def test_failure_is_kept_and_asked_again_later_and_later() -> None:
    engine, proofs = Engine(BAD), Proofs(0.01)
    engine.loaded.set()
    times = []
    for now in range(200):
        before = engine.asked
        assert await proofs.of([ready_pod()], EXPECTED, engine, float(now)) == {"uid-pod-0": BAD}
        if engine.asked > before:
            times.append(now)

    assert times == [0, 2, 6, 14, 30, 62, 126]


async def test_other_expectation_stops_the_question_and_asks_anew() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    other = (replace(EXPECTED[0], digest=None),)
    await proofs.of([ready_pod()], other, engine, 1.0)

    assert (engine.asked, engine.cancelled) == (2, 1)
    proofs.forget()


async def test_pod_that_goes_is_forgotten_with_its_question() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    gone = await proofs.of([], EXPECTED, engine, 1.0)
    ending = replace(ready_pod(), deleting=True)
    await proofs.of([ending], EXPECTED, engine, 2.0)
    await asyncio.wait_for(engine.stopped.wait(), 5)

    assert (gone, engine.asked) == ({}, 1)


async def test_forgotten_pool_asks_no_more() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    await proofs.of([ready_pod(0), ready_pod(1)], EXPECTED, engine, 0.0)
    proofs.forget()
    await asyncio.sleep(0)

    assert (engine.asked, engine.cancelled) == (2, 2)


async def test_new_request_has_a_proven_engine_generate_anew_and_its_proof_holds_meanwhile() -> (
    None
):
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    engine.loaded.clear()
    meanwhile = await proofs.of([ready_pod()], EXPECTED, engine, 1.0, request="one")
    assert (engine.asked, engine.generating) == (2, True)
    engine.loaded.set()
    later = await proofs.of([ready_pod()], EXPECTED, engine, 2.0, request="one")
    again = await proofs.of([ready_pod()], EXPECTED, engine, 3.0, request="one")

    answered = {"uid-pod-0": replace(GOOD, request="one")}
    assert (meanwhile, later, again) == ({"uid-pod-0": GOOD}, answered, answered)
    assert engine.asked == 2


async def test_request_is_answered_by_a_pod_that_comes_later() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    reports = await proofs.of([ready_pod()], EXPECTED, engine, 0.0, request="one")
    assert (reports["uid-pod-0"].request, engine.asked) == ("one", 1)


async def test_request_that_finds_an_engine_broken_is_told() -> None:
    engine, proofs = Engine(), Proofs(0.01)
    engine.loaded.set()
    await proofs.of([ready_pod()], EXPECTED, engine, 0.0)
    engine.answer = BAD
    reports = await proofs.of([ready_pod()], EXPECTED, engine, 1.0, request="one")
    assert reports == {"uid-pod-0": replace(BAD, request="one")}
