"""Callers with keys who count what they are told, before a gateway that tells of them."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.callers import Callers
from paddock.cli.signing import new_private_key, new_record, public_key, token_of
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.key_ring import JWKS_FIELD, key_ring
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.wire import Json
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.signals import COLLECTOR, Signals, measured, often
from support.stores import pool_of, renamed

GUARD: Json = {
    "auth": {"apiKeys": "Accepted"}, "limits": {"tokensPerMinute": 1_000_000_000},
}  # fmt: skip
FIRST = measured(renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway=GUARD), "first"))
SECOND = measured(renamed(pool_of(EngineName.LLAMA_CPP, "beta", gateway=GUARD), "second"))
POOLS = (FIRST, SECOND)
MODELS = {"alpha": ALPHA, "beta": BETA}
POOL_OF = {"alpha": "first", "beta": "second"}
LABELS = ("gen_ai.request.model", "paddock.pool", "gen_ai.token.type", "paddock.caller")
FLUSH_SECONDS = 1
"""As often as these tests have sums brought away."""
PRIVATE = new_private_key()
RECORDS = [new_record(name, ["*"], None, datetime.now(UTC)) for name in ("ann", "bob", "cleo")]
KEYS = {each.id: token_of(each, "paddock/team", PRIVATE) for each in RECORDS}
RING = {JWKS_FIELD: json.dumps({"keys": [public_key(PRIVATE)]})}
CALLERS = Callers(key_ring({"data": RING}))
Bill = Counter[tuple[str, ...]]


@contextmanager
def front(
    folder: Path, collector: str, backend: str, place: Place | None = None,
    pools: tuple[InferencePool, ...] = POOLS, *, hurried: bool = True,
) -> Iterator[Gateway]:  # fmt: skip
    """Run an Envoy before an engine; `hurried` has its sums brought away each second."""
    folder.mkdir()
    place = place or free_place(folder)
    rendering = render("team", pools, MODELS, Surroundings(place=place), CALLERS)
    backends = {f"{pool.metadata.name}.team": backend for pool in pools}
    given = often(rendering) if hurried else rendering
    with gateway(given, place, folder, {**backends, COLLECTOR: collector}) as running:
        yield running


def ask(client: httpx.Client, chosen: random.Random) -> Bill:
    """Ask once, and return what the answer said it took."""
    model = chosen.choice(["alpha", "beta"])
    words, tokens = chosen.randint(1, 40), chosen.randint(1, 30)
    body = {
        "model": model, "prompt": "word " * words, "max_tokens": tokens,
        "stream": chosen.random() < 0.5,
    }  # fmt: skip
    key = chosen.choice(list(KEYS))
    headers = {"Authorization": f"Bearer {KEYS[key]}"}
    answer = client.post("/v1/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    place = (model, POOL_OF[model])
    return Counter({(*place, "input", key): words, (*place, "output", key): tokens})


def ask_many(url: str, count: int, seed: int, callers: int = 4) -> Bill:
    def some(caller: int) -> Bill:
        chosen, told = random.Random(seed * 100 + caller), Bill()  # noqa: S311 - no secret
        with httpx.Client(base_url=url, timeout=60) as client:
            for _ in range(count // callers):
                told += ask(client, chosen)
        return told

    with ThreadPoolExecutor(callers) as pool:
        return sum(pool.map(some, range(callers)), Bill())


def billed(signals: Signals) -> Bill:
    return signals.sums("paddock.gateway.tokens", *LABELS)
