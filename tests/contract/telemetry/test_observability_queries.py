"""Every query of every dashboard and alert in a real Prometheus, over what real parts measured."""

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest
import yaml

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.facts import PodFact
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.plan.telemetry.collector_config import TARGETS, build_config, build_targets
from paddock.plan.telemetry.engine_metrics import SCRAPED, UP
from paddock.plan.telemetry.request_metrics import REQUEST_METRICS
from paddock.puller.store import Store
from paddock.telemetry.catalog import Metric, MetricKind
from paddock.telemetry.exposition import prometheus_name
from support.billing import KEYS, POOLS, ask_many, front
from support.collector import running
from support.engine_servers import serving
from support.loop_world import LoopWorld
from support.metered import metered
from support.observability import alerts, panels, rule_groups
from support.ports import free_port
from support.prometheus import DEADLINE, Prometheus, prometheus, promtool
from support.signals import collecting_requests
from support.stores import add_tiny_model, pool_of

pytestmark = pytest.mark.contract
POD = PodFact("chat-1", "uid-1", "Running", ip="127.0.0.1", ready=True)
SOMETIMES = {
    "Paddock: operator: Pulls: bytes there",
    "Paddock: operator: Leaders, watch restarts, telemetry given up",
    "Paddock: operator: Time to the first Ready, 95 of 100",
}
"""Panels with a query about what need not have happened."""
KNOWN = {"Authorization": f"Bearer {min(KEYS.values())}"}
RULE_TESTS = tuple(
    Path(__file__).with_name(name) for name in ("alert_tests.yaml", "slow_alert_tests.yaml")
)


async def test_operators_queries_give_numbers(world: LoopWorld, tmp_path: Path) -> None:
    port = free_port()
    world.start(health_port=port)
    await world.make("tiny")
    await world.settled("tiny", "https://models.example.com/a.gguf")
    with prometheus(tmp_path / "prometheus", {"operator": f"127.0.0.1:{port}"}) as found:
        await asyncio.to_thread(found.until, "count_over_time(paddock_queue_depth[1m]) > 3")
        await world.change_and_settle("tiny", 1)
        await asyncio.to_thread(all_answered, found)


def all_answered(found: Prometheus) -> None:
    """Run every query; in a thread, as the operator's gate lives in the test's own loop."""
    for title, query in panels():
        if title.startswith("Paddock: operator") and title not in SOMETIMES:
            found.until(query)
        else:
            found.query(query)
    for rule in alerts().values():
        found.until(f"absent({rule['expr']})")


def own_name(name: str, kind: str, unit: str) -> str:
    return prometheus_name(Metric(name, MetricKind(kind), unit, ""))


@pytest.fixture
def model(tmp_path: Path) -> PooledModel:
    tmp_path.chmod(0o755)
    (tmp_path / "store").mkdir()
    made = add_tiny_model(Store(tmp_path / "store"), "alpha", seed=1)
    return PooledModel("alpha", made, names.STORE_PATH, preload=True, context_length=None)


async def test_engines_queries_give_numbers_under_the_names_of_the_table(
    model: PooledModel, tmp_path: Path
) -> None:
    pool = pool_of(EngineName.LLAMA_CPP, "alpha")
    store = {"/store": tmp_path / "store"}
    with (
        serving(PROFILE, PROFILE.run(pool, (model,)), tmp_path / "pod", store) as served,
        prometheus(tmp_path / "prometheus", {}) as found,
    ):
        folder, own = tmp_path / "collector", free_port()
        folder.mkdir()
        port = served.url.rpartition(":")[2]
        targets = build_targets(pool, [model], [POD])
        (folder / TARGETS).write_text(targets.replace(f":{names.ENGINE_PORT}", f":{port}"))
        exporter = {"prometheusremotewrite": {"endpoint": found.remote_write}}
        config = build_config(exporter, folder=str(folder), own_port=own)
        config = re.sub(r"scrape_(interval|timeout): \d+s", r"scrape_\1: 1s", config)
        with running(folder, config, f"http://127.0.0.1:{own}/metrics"):
            for title, query in panels():
                if "paddock_engine_tokens" in query and "operator" not in title:
                    await until_asked(found, served.url, query)
            await until_asked(
                found, served.url, "rate(paddock_engine_tokens_generated_total[5s]) > 0"
            )
            arrived = found.names()
            down = found.query(alerts()["PaddockEngineDown"]["expr"])

    ours = {
        own_name(each.name, each.kind, each.unit)
        for each in (*SCRAPED, UP)
        if EngineName.LLAMA_CPP in each.sources
    }
    assert {name for name in arrived if name.startswith("paddock_")} == ours
    assert down == []


def test_requests_queries_give_numbers(tmp_path: Path) -> None:
    with (
        metered() as backend,
        prometheus(tmp_path / "prometheus", {}) as found,
        collecting_requests(
            tmp_path / "collector", POOLS, metrics_to=found.remote_write
        ) as signals,
        front(tmp_path / "envoy", signals.address, backend) as running,
    ):

        def arrived(expression: str) -> bool:
            ask_many(running.url, 8, seed=7)
            unknown = {"model": "nobody", "prompt": "hi"}
            refused = httpx.post(f"{running.url}/v1/completions", json=unknown, headers=KNOWN)
            assert refused.status_code == 404, refused.text
            return bool(found.query(expression))

        queries = [
            query for _, query in panels()
            if "paddock_namespace" in query and "paddock:" not in query
        ]  # fmt: skip
        for query in queries:
            signals.until(query, lambda query=query: arrived(query))
        names_of_requests = {name for name in found.names() if not name.startswith("scrape")}
        firing = found.query(alerts()["PaddockRequestsFail"]["expr"])

    assert len(queries) == 15
    assert firing == []
    wanted = {own_name(each.name, each.kind, each.unit) for each in REQUEST_METRICS}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in names_of_requests} >= wanted


async def until_asked(found: Prometheus, url: str, query: str) -> None:
    """Generate until a query gives something: a rate ends soon after the last token."""
    deadline = time.monotonic() + DEADLINE
    while not found.query(query):
        assert time.monotonic() < deadline, f"never: {query}"
        await generate(url)


async def generate(url: str) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        body = {"model": "alpha", "prompt": "tell me", "max_tokens": 8}
        (await client.post(f"{url}/v1/completions", json=body)).raise_for_status()


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": rule_groups()}))
    tests = [tmp_path / file.name for file in RULE_TESTS]
    for file, test in zip(RULE_TESTS, tests, strict=True):
        test.write_text(file.read_text())
    promtool("check", "rules", tmp_path / "rules.yaml")
    promtool("test", "rules", *tests)
    tried = {
        case["alertname"]
        for file in RULE_TESTS
        for each in yaml.safe_load(file.read_text())["tests"]
        for case in each["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert tried == set(alerts())
