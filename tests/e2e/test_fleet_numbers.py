"""Every number of the fleet's dashboard beside what two hundred callers wrote down, on a full node.

Envoy, both engines, the operator's own Collectors, a receiver of the user's, and a Prometheus are
all real.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from paddock.__main__ import main
from paddock.local.cluster import EmbeddedCluster
from support.collector import running
from support.collector_image import COLLECTOR_IMAGE, collector_image_archive
from support.fleet_numbers import CHECKS, PANELS, Story, check_log, said_by_llama_cpp
from support.mixed_requests import BODY_BYTES, Asked, Entry, ask_all, mixed
from support.ports import free_port
from support.prometheus import prometheus
from support.world import World, inference_pool, local_model

pytestmark = pytest.mark.e2e
CPP, OLL = "small", "tiny"
PER_MINUTE = 130
MODELS = {"cpp": CPP, "oll": OLL}


@contextmanager
def receiving(folder: Path, host: str, to: str) -> Iterator[str]:
    """Run a Collector of the user's own that pods reach, and give its URL."""
    folder.mkdir()
    address = f"{host}:{free_port()}"
    pipelines = {
        signal: {"receivers": ["otlp"], "exporters": ["debug"]} for signal in ("logs", "traces")
    }
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": address}}}},
        "exporters": {"debug": {}, "prometheusremotewrite": {"endpoint": to}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                **pipelines,
                "metrics": {"receivers": ["otlp"], "exporters": ["prometheusremotewrite"]},
            },
        },
    }
    with running(folder, yaml.safe_dump(config), f"http://{address}/"):
        yield f"http://{address}"


@pytest.fixture(scope="module")
def story(
    cluster: EmbeddedCluster, common: World, source: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("fleet")
    if not cluster.node.has_image(COLLECTOR_IMAGE):
        cluster.node.load_image(collector_image_archive(folder))
    own = ("-n", "paddock-system", "get", "pods", "-l", "app.kubernetes.io/component=operator")
    operator = cluster.kubectl(*own, "-o", "jsonpath={.items[0].status.podIP}")
    with (
        prometheus(folder / "prometheus", {"operator": f"{operator}:8081"}) as found,
        receiving(folder / "own", cluster.addresses.host, found.remote_write) as url,
    ):
        serve(common, source, url)
        engines = {pool: f"http://{address(common, pool)}:8080" for pool in MODELS}
        before = said_by_llama_cpp(engines["cpp"])
        log = tell(common)
        yield Story(found, common.namespace, log, MODELS, engines, before)


def serve(world: World, source: str, url: str) -> None:
    """Serve two models by two engines, both measured; one is guarded by keys."""
    told = {"collector": "Managed", "otlp": {"endpoint": url}}
    keys = {"auth": {"apiKeys": "Accepted"}}
    small: Any = {**keys, "limits": {"bodyBytes": BODY_BYTES}}
    often: Any = {**keys, "limits": {"requestsPerMinute": PER_MINUTE}}
    world.apply(
        local_model("tiny", source, storage={"size": "1Gi"}),
        inference_pool(
            "cpp", "LlamaCpp", models=[{"name": "tiny", "as": CPP}], gateway=small, telemetry=told
        ),
        inference_pool("oll", "Ollama", OLL, gateway=often, telemetry=told),
    )
    for pool in MODELS:
        world.until_ready("inferencepool", pool)


def address(world: World, pool: str) -> str:
    (pod,) = world.every("pods", f"paddock.dev/pool={pool},app.kubernetes.io/component=engine")
    ip: str = pod["status"]["podIP"]
    return ip


def tell(world: World) -> list[Entry]:
    """Ask two hundred times and until a limit refuses; return what callers wrote down."""
    options = ["--kubeconfig", str(world.cluster.kubeconfig), "-n", world.namespace]
    key = CliRunner().invoke(main, ["key", "create", "fleet", *options]).stdout.strip()
    log: list[Entry] = []

    def asked(*requests: Asked) -> set[int]:
        entries = ask_all(world.gateway, key, requests)
        log.extend(entries)
        return {entry.status for entry in entries}

    for model in (CPP, OLL):
        short = Asked("/v1/completions", {"model": model, "prompt": "0", "max_tokens": 1})
        world.until("the key opens", lambda short=short: asked(short) == {200})
    asked(*mixed(CPP, OLL))
    one = Asked("/v1/completions", {"model": OLL, "prompt": "1", "max_tokens": 1})
    world.until("a limit refuses", lambda: 429 in asked(*[one] * 20))
    return log


@pytest.mark.parametrize("title", CHECKS)
def test_panel_tells_what_the_callers_wrote_down(story: Story, title: str) -> None:
    CHECKS[title](story)


def test_nothing_but_what_is_meant_to_fail_did_and_no_panel_is_left_out(story: Story) -> None:
    early = [
        entry for entry in story.log if (entry.asked.body.get("prompt"), entry.status) == ("0", 401)
    ]
    check_log([entry for entry in story.log if entry not in early], OLL)
    assert set(PANELS) == set(CHECKS)


def test_pools_say_that_their_numbers_arrive(common: World, story: Story) -> None:
    for pool in story.engines:
        common.until_reason("inferencepool", pool, "DataArrives", "TelemetryReady")
