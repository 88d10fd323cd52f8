"""Queries that join what Paddock tells with what others tell, in a real Prometheus with our rules.

Exporters of GPUs are played by pages in the format of their documentation.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from paddock.telemetry import catalog
from paddock.telemetry.exposition import exposition
from paddock.telemetry.limits import token_limits
from paddock.telemetry.registry import Registry
from support.billing import POOLS, ask_many, front
from support.metered import metered
from support.observability import alerts, panels, rule_groups
from support.prometheus import Prometheus, prometheus
from support.signals import collecting_requests
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
NVIDIA = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-8f1f",pci_bus_id="00000000:00:04.0",device="nvidia0",modelName="Tesla T4",Hostname="node-1",container="engine",namespace="team",pod="chat-1"} 80
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-9a2b",pci_bus_id="00000000:00:05.0",device="nvidia1",modelName="Tesla T4",Hostname="node-1",container="engine",namespace="team",pod="chat-1"} 40
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-77aa",pci_bus_id="00000000:00:06.0",device="nvidia2",modelName="Tesla T4",Hostname="node-1",container="train",namespace="other",pod="train-1"} 99
DCGM_FI_DEV_GPU_UTIL{gpu="3",UUID="GPU-66bb",pci_bus_id="00000000:00:07.0",device="nvidia3",modelName="Tesla T4",Hostname="node-1"} 0
# HELP DCGM_FI_PROF_GR_ENGINE_ACTIVE Ratio of time the graphics engine is active.
# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="4",UUID="GPU-55cc",device="nvidia4",modelName="NVIDIA A100",GPU_I_PROFILE="1g.5gb",GPU_I_ID="7",Hostname="node-1",container="engine",namespace="team",pod="slice-1"} 0.25
# HELP DCGM_FI_DEV_FB_USED Framebuffer memory used (in MiB).
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-8f1f",pci_bus_id="00000000:00:04.0",device="nvidia0",modelName="Tesla T4",Hostname="node-1",container="engine",namespace="team",pod="chat-1"} 100
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-9a2b",pci_bus_id="00000000:00:05.0",device="nvidia1",modelName="Tesla T4",Hostname="node-1",container="engine",namespace="team",pod="chat-1"} 20
"""  # noqa: E501 - lines of the exporter's format
AMD = """\
# HELP gpu_gfx_activity Graphics engine usage in Percentage (0-100)
# TYPE gpu_gfx_activity gauge
gpu_gfx_activity{card_model="102-G30211-0C",card_series="AMD Instinct MI300X OAM",card_vendor="AMD",cluster_name="",driver_version="6.12.12",gpu_compute_partition_type="spx",gpu_id="2",gpu_partition_id="0",hostname="node-2",exported_container="engine",exported_namespace="team",exported_pod="amd-1",namespace="gpus",pod="exporter-1",serial_number="692409005408"} 0
# HELP amd_gpu_used_vram used VRAM memory of the GPU (in MB)
# TYPE amd_gpu_used_vram gauge
amd_gpu_used_vram{card_model="102-G30211-0C",card_series="AMD Instinct MI300X OAM",card_vendor="AMD",gpu_id="2",gpu_partition_id="0",hostname="node-2",container="engine",namespace="team",pod="amd-1",serial_number="692409005408"} 7
"""  # noqa: E501 - lines of the exporter's format
LOADED = {
    ("team", "chat", "alpha", "VLLM", "chat-1"): 1.0,
    ("team", "slices", "beta", "LlamaCpp", "slice-1"): 0.0,
    ("team", "reds", "alpha", "Ollama", "amd-1"): 1.0,
    ("team", "reds", "beta", "Ollama", "amd-1"): 1.0,
    ("team", "plain", "gamma", "LlamaCpp", "plain-1"): 1.0,
}
MIB = 1 << 20


@contextmanager
def told() -> Iterator[dict[str, str]]:
    """Serve the operator's metrics and both exporters'; give their HOST:PORTs."""
    registry = Registry([catalog.ENGINE_LOADED, catalog.TOKEN_LIMIT])
    registry.read(catalog.ENGINE_LOADED, lambda: LOADED)
    declared: list[Any] = [pool.model_dump(by_alias=True, exclude_none=True) for pool in POOLS]
    registry.read(catalog.TOKEN_LIMIT, lambda: token_limits(declared))
    texts = {"operator": exposition(registry.collect()), "nvidia": NVIDIA, "amd": AMD}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(page(text))).url.removeprefix("http://")
            for name, text in texts.items()
        }


def page(text: str) -> Site:
    return Site(files={"/metrics": text.encode()})


def numbers(found: Prometheus, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(each["metric"].get(label, "") for label in labels): float(each["value"][1])
        for each in found.query(expression)
    }


def panel(title: str) -> str:
    (query,) = [query for name, query in panels() if name == title]
    return query


def test_gpus_and_limits_are_told_beside_what_uses_them(tmp_path: Path) -> None:
    with (
        told() as jobs,
        metered() as backend,
        prometheus(tmp_path / "prometheus", jobs, rule_groups()) as found,
        collecting_requests(
            tmp_path / "collector", POOLS, metrics_to=found.remote_write
        ) as signals,
        front(tmp_path / "envoy", signals.address, backend) as running,
    ):
        found.until("count(paddock:gpu_utilization:ratio) == 4")
        found.until("count(paddock:gpu_memory_used:bytes) == 3")
        limit = found.until("paddock:token_limit:tokens")
        use = numbers(found, "paddock:gpu_utilization:ratio", "namespace", "pool", "pod", "gpu")
        by_model = numbers(
            found, panel("Paddock: fleet: Use of GPUs by model and pool (DCGM, AMD)"),
            "namespace", "pool", "model",
        )  # fmt: skip
        memory = numbers(
            found, panel("Paddock: fleet: Memory of GPUs in use by pool (DCGM, AMD)"), "pool"
        )
        idle = numbers(found, alerts()["PaddockGpuIdle"]["expr"], "namespace", "pool", "pod")

        def used(expression: str) -> bool:
            ask_many(running.url, 8, seed=7)
            return bool(found.query(expression))

        share = panel("Paddock: requests: Part of their tokens per minute that callers use")
        near = alerts()["PaddockTokenLimitNear"]["expr"]
        quick = near.replace("[5m]", "[5s]")
        signals.until(share, lambda: used(share))
        signals.until("callers near", lambda: used(quick.replace("0.8 *", "0.000001 *")))
        far = found.query(quick)

    assert use == {
        ("team", "chat", "chat-1", "0"): 0.8, ("team", "chat", "chat-1", "1"): 0.4,
        ("team", "slices", "slice-1", "4"): 0.25, ("team", "reds", "amd-1", "2"): 0,
    }  # fmt: skip
    assert by_model.keys() == {
        ("team", "chat", "alpha"),
        *(("team", "reds", each) for each in ("alpha", "beta")),
    }
    assert math.isclose(by_model["team", "chat", "alpha"], 0.6)
    assert memory == {("chat",): 120 * MIB, ("reds",): 7 * MIB}
    assert idle == {("team", "reds", "amd-1"): 0}
    assert {(each["metric"]["gen_ai_request_model"], each["value"][1]) for each in limit} == {
        ("alpha", "1000000000"), ("beta", "1000000000"),
    }  # fmt: skip
    assert far == []
