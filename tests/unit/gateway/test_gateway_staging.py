"""Every change in steps: no route before its cluster, no cluster gone before its last route."""

from dataclasses import replace
from itertools import pairwise, product

import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.plan.gateway.objects import build_gateway_config_map
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.plan.gateway.staging import next_step
from paddock.plan.gateway.xds import text
from paddock.wire import Manifest
from support.gateways import ALPHA, BETA, CPP, OLLAMA
from support.stores import pool_of, renamed

MODELS = {"alpha": ALPHA, "beta": BETA}
SECOND = renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway={"weight": 10}), "second")
ASLEEP = renamed(pool_of(EngineName.OLLAMA, "alpha", scaling={"min": 0, "max": 1}), "asleep")
SETS: tuple[tuple[InferencePool, ...], ...] = (
    (), (CPP,), (CPP, SECOND), (SECOND,), (CPP, OLLAMA), (CPP, SECOND, ASLEEP), (ASLEEP,),
)  # fmt: skip


def rendered(*pools: InferencePool) -> Rendering:
    return render("team", pools, MODELS, Surroundings())


def written(rendering: Rendering) -> Manifest:
    return build_gateway_config_map({"name": names.GATEWAY, "namespace": "team"}, rendering)


def steps(before: Rendering, final: Rendering) -> list[Rendering]:
    """Return every step from one to the other, each taken by all Envoys before the next."""
    found = [before]
    while found[-1].version != final.version:
        assert len(found) < 5
        last = found[-1]
        found.append(next_step(final, written(last), [frozenset({last.version})]))
    return found


def clusters_of(rendering: Rendering) -> set[str]:
    return {str(each["name"]) for each in rendering.clusters}


def targets_of(rendering: Rendering) -> set[str]:
    every = {name for pools in SETS for name in clusters_of(rendered(*pools))}
    said = text(rendering.routes)
    return {name for name in every if f'"name":"{name}","' in said}


@pytest.mark.parametrize(("before", "after"), list(product(SETS, SETS)))
def test_between_any_two_steps_every_route_has_its_cluster(
    before: tuple[InferencePool, ...], after: tuple[InferencePool, ...]
) -> None:
    path = steps(rendered(*before), rendered(*after))

    assert len(path) <= 4
    for old, new in pairwise(path):
        assert targets_of(old) | targets_of(new) <= clusters_of(new) | clusters_of(old)
        assert targets_of(new) <= clusters_of(old)
        assert targets_of(old) <= clusters_of(new)


def test_change_of_shares_is_one_step() -> None:
    heavier = renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway={"weight": 50}), "second")

    assert len(steps(rendered(CPP, SECOND), rendered(CPP, heavier))) == 2


def test_step_is_not_left_before_every_envoy_has_taken_it() -> None:
    final, before = rendered(CPP, SECOND), rendered(CPP)
    first = next_step(final, written(before), [frozenset({before.version})])
    mixed = [frozenset({first.version}), frozenset({before.version})]

    assert next_step(final, written(first), mixed).version == first.version
    assert next_step(final, written(first), mixed, patient=False) == final


def test_files_that_are_not_ours_any_more_are_written_anew_at_once() -> None:
    final, before = rendered(CPP, SECOND), rendered(CPP)
    live = written(before)
    data = live["data"]
    assert isinstance(data, dict)
    edited = {**live, "data": {**data, "clusters.json": '{"resources":[]}'}}

    assert next_step(final, edited, [frozenset({before.version})]) == final
    assert next_step(final, {**live, "data": {}}, [frozenset({before.version})]) == final
    assert next_step(final, None, []) == final


def test_without_envoys_there_is_nobody_to_wait_for() -> None:
    assert next_step(rendered(CPP, SECOND), written(rendered(CPP)), []) == rendered(CPP, SECOND)


def test_version_stands_for_every_file() -> None:
    one = rendered(CPP)

    assert one.version in one.files["routes.json"]
    assert replace(one, version="other").files != one.files
