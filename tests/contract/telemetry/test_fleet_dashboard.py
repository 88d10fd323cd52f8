"""Every number of the fleet's dashboard, of two real engines behind a real gateway.

What the operator's own measures say of the engines is asked of these same ones.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import PodFact
from paddock.observe.loaded import Loaded, observe_loaded
from paddock.plan.engines.profile import PooledModel
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.replica import pooled_models
from paddock.plan.telemetry.collector_config import TARGETS, build_config, build_targets
from paddock.telemetry import catalog
from paddock.telemetry.engines import Target, series_of
from paddock.telemetry.exposition import exposition
from paddock.telemetry.registry import Labels, Registry
from support.billing import CALLERS, KEYS
from support.collector import running
from support.engine_servers import serving
from support.envoys import free_place, gateway
from support.fleet_numbers import CHECKS, PANELS, Story, check_log, said_by_llama_cpp
from support.mixed_requests import BODY_BYTES, Asked, Entry, ask_all, mixed
from support.observability import rule_groups
from support.ports import free_port
from support.prometheus import prometheus
from support.signals import COLLECTOR, collecting_requests, measured, often
from support.stores import alpha_and_beta, pool_of, renamed
from support.web_server import Site
from support.web_server import serving as serving_pages

pytestmark = pytest.mark.contract
MODELS = {"cpp": "alpha", "oll": "beta"}
KEYED: Any = {"auth": {"apiKeys": "Accepted"}}
CPP = measured(
    renamed(
        pool_of(
            EngineName.LLAMA_CPP, "alpha", gateway={**KEYED, "limits": {"bodyBytes": BODY_BYTES}}
        ),
        "cpp",
    )
)
OLL = measured(
    renamed(
        pool_of(EngineName.OLLAMA, "beta", gateway={**KEYED, "limits": {"requestsPerMinute": 130}}),
        "oll",
    )
)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("fleet")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    models, site = alpha_and_beta(folder), Site()
    pooled = {pool.metadata.name: pooled_models(pool, models) for pool in (CPP, OLL)}
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(engine(folder, pool, pooled[name]))
            for name, pool in (("cpp", CPP), ("oll", OLL))
        }
        page = stack.enter_context(serving_pages(site)).url.removeprefix("http://")
        found = stack.enter_context(
            prometheus(folder / "prometheus", {"operator": page}, rule_groups())
        )
        stack.enter_context(
            scraping(folder / "own", pooled["cpp"], urls["cpp"], found.remote_write)
        )
        before = said_by_llama_cpp(urls["cpp"])
        place = free_place(folder)
        rendering = often(render("team", [CPP, OLL], models, Surroundings(place=place), CALLERS))
        signals = stack.enter_context(
            collecting_requests(folder / "told", [CPP, OLL], metrics_to=found.remote_write)
        )
        backends = {f"{name}.team": url.removeprefix("http://") for name, url in urls.items()}
        backends[COLLECTOR] = signals.address
        front = stack.enter_context(gateway(rendering, place, folder, backends))
        log = tell(front.url)
        site.files["/metrics"] = operators_page(urls).encode()
        yield Story(found, "team", log, MODELS, urls, before)


@contextmanager
def engine(folder: Path, pool: InferencePool, pooled: tuple[PooledModel, ...]) -> Iterator[str]:
    profile = PROFILES[pool.spec.engine.name]
    mounts = {names.STORE_PATH: folder / "store"}
    own = folder / pool.metadata.name
    with serving(profile, profile.run(pool, pooled), own, mounts) as served:
        yield served.url


@contextmanager
def scraping(folder: Path, pooled: tuple[PooledModel, ...], url: str, to: str) -> Iterator[None]:
    """Run the pool's own Collector, which scrapes each second and not each fifteenth."""
    folder.mkdir()
    own = free_port()
    pod = PodFact("cpp-1", "uid-1", "Running", ip="127.0.0.1", ready=True)
    targets = build_targets(CPP, pooled, [pod])
    port = url.rpartition(":")[2]
    (folder / TARGETS).write_text(targets.replace(f":{names.ENGINE_PORT}", f":{port}"))
    exporter = {"prometheusremotewrite": {"endpoint": to}}
    config = build_config(exporter, folder=str(folder), own_port=own)
    config = re.sub(r"scrape_(interval|timeout): \d+s", r"scrape_\1: 1s", config)
    with running(folder, config, f"http://127.0.0.1:{own}/metrics"):
        yield


def tell(url: str) -> list[Entry]:
    """Ask two hundred times, and then until a limit refuses."""
    key = min(KEYS.values())
    log = ask_all(url, key, mixed(*MODELS.values()))
    one = Asked("/v1/completions", {"model": MODELS["oll"], "prompt": "1", "max_tokens": 1})
    while 429 not in {entry.status for entry in log}:
        assert len(log) < 2000, "never: a limit refuses"
        log += ask_all(url, key, [one] * 20)
    return log


def operators_page(urls: Mapping[str, str]) -> str:
    """Return what an operator says of these engines, as it asks them."""
    found = asyncio.run(engines_series(urls))
    registry = Registry([catalog.ENGINE_LOADED, catalog.ENGINE_MEMORY, catalog.ENGINE_GPU_MEMORY])
    told = {labels: each for labels, each in found.items() if each is not None}
    sizes = {labels: each for labels, each in told.items() if each.memory is not None}
    registry.read(
        catalog.ENGINE_LOADED, lambda: dict.fromkeys(found, 0.0) | dict.fromkeys(told, 1.0)
    )
    registry.read(catalog.ENGINE_MEMORY, lambda: {k: each.memory or 0 for k, each in sizes.items()})
    registry.read(
        catalog.ENGINE_GPU_MEMORY, lambda: {k: each.gpu_memory or 0 for k, each in sizes.items()}
    )
    return exposition(registry.collect())


async def engines_series(urls: Mapping[str, str]) -> dict[Labels, Loaded | None]:
    found: dict[Labels, Loaded | None] = {}
    async with httpx.AsyncClient(timeout=60) as client:
        for pool in (CPP, OLL):
            name, kind = pool.metadata.name, pool.spec.engine.name
            target = Target("team", name, kind, f"{name}-1", urls[name], (MODELS[name],))
            found |= series_of(target, await observe_loaded(client, kind, urls[name]))
    return found


@pytest.mark.parametrize("title", CHECKS)
def test_panel_tells_what_the_callers_wrote_down(story: Story, title: str) -> None:
    CHECKS[title](story)


def test_nothing_but_what_is_meant_to_fail_did_and_no_panel_is_left_out(story: Story) -> None:
    check_log(story.log, MODELS["oll"])
    assert set(PANELS) == set(CHECKS)
