"""`paddock top`: what each replica uses and does now. I/O; the table is made in `activity`.

CPU and memory come from the metrics API where the cluster has it, the rest from the engines.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import click
import httpx

from paddock import kinds, names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.cli.access import Session, Target, target_options, with_cluster
from paddock.cli.activity import (
    NAMES,
    Activity,
    Counters,
    activity_table,
    counters_of,
    rate_of,
    usage_of,
)
from paddock.cli.show import is_terminal, output_option, show_lines, show_value
from paddock.cli.talk import engine_pods, open_client
from paddock.clock import SystemClock
from paddock.errors import ApiError
from paddock.facts import Kind, PodFact
from paddock.kube.tunnel import open_tunnel
from paddock.raw import items, text

_METRICS = Kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
_ENGINE = "engine"


@click.command("top")
@click.argument("pools", nargs=-1)
@click.option(
    "--interval", type=click.FloatRange(0.2, 60), default=2.0, show_default=True,
    help="Seconds over which tokens are counted.",
)  # fmt: skip
@click.option("-w", "--watch", is_flag=True, help="Look again and again.")
@output_option
@target_options
def top(
    target: Target, pools: tuple[str, ...], *, interval: float, watch: bool, form: str | None
) -> None:
    """Show what the pools' engines are doing now."""

    async def look(session: Session) -> None:
        while True:
            _show(await _activities(session, pools, interval), form, watch=watch)
            if not watch:
                return

    with_cluster(target, look)


def _show(activities: Sequence[Activity], form: str | None, *, watch: bool) -> None:
    if form is not None:
        show_value([asdict(each) for each in activities], form)
        return
    if watch and is_terminal():
        click.clear()
    if activities:
        show_lines(activity_table(activities))
    else:
        click.echo("No pool has a replica.")


async def _activities(
    session: Session, pools: Sequence[str], interval: float
) -> Sequence[Activity]:
    found = await session.user.cluster.list(kinds.INFERENCE_POOLS, session.namespace)
    parsed = [InferencePool.model_validate(each) for each in found]
    chosen = [pool for pool in parsed if not pools or pool.metadata.name in pools]
    used = await _usage(session)
    looks = [
        _look(session, pool, pod, used, interval)
        for pool in chosen
        for pod in await engine_pods(session, pool.metadata.name)
    ]
    return await asyncio.gather(*looks)


async def _usage(session: Session) -> Mapping[str, tuple[float, int]]:
    """Return what pods use, by name; nothing where the cluster has no metrics API."""
    labels = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
    try:
        metrics = await session.user.cluster.list(
            _METRICS, session.namespace, label_selector=labels
        )
    except ApiError:
        return {}
    return {
        text(each, "metadata", "name") or "": usage_of(tuple(items(each, "containers")))
        for each in metrics
    }


async def _look(
    session: Session,
    pool: InferencePool,
    pod: PodFact,
    used: Mapping[str, tuple[float, int]],
    interval: float,
) -> Activity:
    limit = next((each.memory_limit for each in pod.containers if each.name == _ENGINE), None)
    cpu, memory = used.get(pod.name, (None, None))
    base = Activity(pool.metadata.name, pod.name, pod.node, limit, cpu, memory)
    engine = pool.spec.engine.name
    if not pod.ready or engine not in NAMES:
        return base
    try:
        return await _count(session, engine, base, interval)
    except (ApiError, httpx.HTTPError):
        return base


async def _count(session: Session, engine: EngineName, base: Activity, interval: float) -> Activity:
    """Look at an engine's counters twice."""
    clock = SystemClock()
    async with (
        open_tunnel(
            session.user.configuration, session.namespace, base.pod, names.ENGINE_PORT
        ) as url,
        open_client({}) as client,
    ):
        before, began = await _counters(client, url, engine), clock.monotonic()
        await asyncio.sleep(interval)
        after, ended = await _counters(client, url, engine), clock.monotonic()
    rate = rate_of(before, after, ended - began)
    return replace(base, counters=after, tokens_per_second=rate)


async def _counters(client: httpx.AsyncClient, url: str, engine: EngineName) -> Counters | None:
    answer = await client.get(f"{url}/metrics")
    return counters_of(answer.text, engine) if answer.is_success else None
