"""How many replicas demand needs: bounds, windows and idleness, over simulated days."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from paddock.facts import DemandHistory, PodDemand
from paddock.plan.demand import ASLEEP, Bounds, Decision, Observed, decide
from support.pools import ready_pod

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
POLL = 5.0


@dataclass
class Simulation:
    """A pool whose pods follow its replicas at once, polled every five seconds."""

    bounds: Bounds
    replicas: int = 1
    moment: float = 1000.0
    work: int = 0
    history: DemandHistory | None = None

    def step(self, in_flight: int | None) -> Decision:
        """Look once at a pool with so many requests in flight, or with a silent engine."""
        pods = tuple(ready_pod(index) for index in range(self.replicas))
        self.work += in_flight or 0
        share, rest = divmod(in_flight or 0, max(self.replicas, 1))
        demand = {
            pod.uid: PodDemand(share + (index < rest), str(self.work))
            for index, pod in enumerate(pods)
            if in_flight is not None
        }
        now = EPOCH + timedelta(seconds=self.moment)
        seen = Observed(self.replicas, pods, demand, self.moment, now)
        decision = decide(self.bounds, seen, self.history)
        self.replicas, self.history = decision.replicas, decision.history
        self.moment += POLL
        return decision

    def steps(self, *in_flight: int | None) -> list[int]:
        return [self.step(each).replicas for each in in_flight]


def bounds(**other: float | None) -> Bounds:
    return Bounds(**{"least": 0, "most": 5, "target": 4, "zero_after": 60.0, "window": 30.0,
                     **other})  # type: ignore[arg-type]  # the tests' own numbers  # fmt: skip


def test_idle_pool_goes_to_zero_when_its_time_has_come() -> None:
    pool = Simulation(bounds())
    assert pool.steps(1, *[0] * 11) == [1] * 12
    decision = pool.step(0)
    assert (decision.replicas, decision.why) == (0, ASLEEP)
    assert pool.steps(None, None) == [0, 0]


def test_single_short_request_between_two_looks_keeps_it_awake() -> None:
    pool = Simulation(bounds())
    pool.steps(*[0] * 12)
    pool.work += 1
    assert pool.steps(*[0] * 12) == [1] * 12
    assert pool.steps(0, 0)[-1] == 0


def test_more_requests_add_replicas_at_once_and_few_take_them_after_the_window() -> None:
    pool = Simulation(bounds())
    assert pool.steps(9, 40) == [3, 5]
    assert pool.steps(*[3] * 5) == [5] * 5
    assert pool.steps(3, 3)[-1] == 1


def test_silent_engine_takes_no_replica_away() -> None:
    pool = Simulation(bounds(), replicas=3)
    assert set(pool.steps(*[None] * 50)) == {3}


def test_new_operator_waits_a_window_before_it_takes_any_away() -> None:
    pool = Simulation(bounds(zero_after=None, least=1), replicas=5)
    assert pool.steps(*[1] * 6) == [5] * 6
    assert pool.step(1).replicas == 1


def test_too_few_replicas_are_raised_to_the_least() -> None:
    assert Simulation(bounds(least=2, zero_after=None), replicas=0).steps(0) == [2]
    assert Simulation(bounds(least=2, zero_after=None), replicas=1).steps(0) == [2]


loads = st.lists(st.none() | st.integers(0, 60), min_size=1, max_size=80)


@given(loads, st.integers(0, 2), st.integers(0, 6), st.integers(1, 8))
def test_replicas_stay_within_bounds_and_cover_what_is_in_flight(
    load: list[int | None], least: int, more: int, target: int
) -> None:
    limits = bounds(least=least, most=max(1, least + more), target=target,
                    zero_after=60.0 if least == 0 else None)  # fmt: skip
    pool = Simulation(limits, replicas=max(least, 1))
    for in_flight in load:
        before = pool.replicas
        after = pool.step(in_flight).replicas
        assert least <= after <= limits.most
        if in_flight is None:
            assert after >= before
        elif before:
            assert after >= min(limits.most, -(-in_flight // target))


@given(loads)
def test_pool_sleeps_only_after_all_of_its_idle_time(load: list[int | None]) -> None:
    pool = Simulation(bounds())
    last_work = pool.moment
    for in_flight in load:
        looked = pool.moment
        if in_flight != 0:
            last_work = looked
        if pool.step(in_flight).replicas == 0:
            assert looked - last_work >= 60.0
            return


@given(st.integers(0, 60), st.integers(1, 5))
def test_steady_demand_settles_and_never_flaps(in_flight: int, replicas: int) -> None:
    pool = Simulation(bounds(zero_after=None, least=1), replicas=replicas)
    pool.steps(*[in_flight] * 10)
    assert len(set(pool.steps(*[in_flight] * 20))) == 1


def look(in_flight: int | None, mark: str, passing: PodDemand | None, moment: float) -> Observed:
    """Return one look at a pool of one whose engine may not tell what runs."""
    demand = {"uid-pod-0": PodDemand(in_flight, mark)}
    return Observed(1, (ready_pod(),), demand, moment, EPOCH, passing)


def test_gateway_tells_what_an_engine_does_not() -> None:
    wide = bounds(zero_after=None, least=1, target=1)
    assert decide(wide, look(None, "9", PodDemand(3, "7"), 0.0), None).replicas == 3


def test_engine_that_keeps_an_unused_model_sleeps_by_what_the_gateway_says() -> None:
    quiet = PodDemand(0, "7")
    first = decide(bounds(), look(None, "9", quiet, 0.0), None)
    assert decide(bounds(), look(None, "9", quiet, 61.0), first.history).replicas == 0
    assert decide(bounds(), look(None, "9", None, 61.0), first.history).replicas == 1
    more = PodDemand(0, "8")
    assert decide(bounds(), look(None, "9", more, 61.0), first.history).replicas == 1


def test_model_that_leaves_the_memory_is_no_work() -> None:
    first = decide(bounds(), look(None, "9", PodDemand(0, "7"), 0.0), None)
    unloaded = decide(bounds(), look(0, "", None, 30.0), first.history)
    assert decide(bounds(), look(0, "", None, 61.0), unloaded.history).replicas == 0
