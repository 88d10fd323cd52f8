"""Two stand-ins for engines behind a real Envoy: one answers for alpha, one for beta."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paddock.api.inferencepool import EngineName
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.stores import pool_of, renamed

MODELS = {"alpha": ALPHA, "beta": BETA}


@contextmanager
def two_engines() -> Iterator[Mapping[str, Answering]]:
    with answering("alpha") as alpha, answering("beta") as beta:
        yield {"alpha": alpha, "beta": beta}


@contextmanager
def serving_two(
    folder: Path,
    engines: Mapping[str, Answering],
    changed: Callable[[Rendering], Rendering] = lambda rendering: rendering,
) -> Iterator[Gateway]:
    """Run an Envoy before them: a pool for each, named by its first letter."""
    place = free_place(folder)
    pools = [renamed(pool_of(EngineName.LLAMA_CPP, name), name[0]) for name in MODELS]
    rendering = changed(render("team", pools, MODELS, Surroundings(place=place)))
    backends = {f"{name[0]}.team": engine.address for name, engine in engines.items()}
    with gateway(rendering, place, folder, backends) as running:
        yield running
