"""Where the cluster goes, for every machine there is."""

from dataclasses import replace
from itertools import product

import pytest

from paddock.local.choose import Machine, Place, choose, look
from paddock.local.problems import LocalError

BARE = Machine(is_linux=True, is_root=True, has_apt=True, has_kind=False, engine=None)


def test_named_context_wins_over_everything() -> None:
    for linux, root, kind in product((True, False), repeat=3):
        machine = Machine(
            is_linux=linux, is_root=root, has_apt=True, has_kind=kind, engine="docker"
        )
        assert choose("mine", machine) is Place.CONTEXT


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_kind_is_taken_where_the_embedded_cluster_cannot_run(engine: str) -> None:
    assert choose(None, replace(BARE, is_root=False, has_kind=True, engine=engine)) is Place.KIND
    mac = Machine(is_linux=False, is_root=False, has_apt=False, has_kind=True, engine=engine)
    assert choose(None, mac) is Place.KIND


@pytest.mark.parametrize("machine", [BARE, replace(BARE, has_kind=True, engine="docker")])
def test_embedded_cluster_is_taken_where_it_can_run(machine: Machine) -> None:
    assert choose(None, machine) is Place.EMBEDDED


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (replace(BARE, is_linux=False), "needs Linux, neither Docker nor Podman answers"),
        (replace(BARE, is_root=False), r"needs root \(sudo\), neither Docker nor Podman answers"),
        (replace(BARE, has_apt=False), r"needs apt-get \(Debian or Ubuntu\)"),
        (replace(BARE, is_root=False, engine="docker"), "docker answers but the program kind is"),
    ],
)
def test_refusal_says_what_is_missing(machine: Machine, words: str) -> None:
    with pytest.raises(LocalError, match=words):
        choose(None, machine)


def test_this_machine_can_be_looked_at() -> None:
    assert look().is_linux
