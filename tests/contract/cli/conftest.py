"""A person at the keyboard, before the real apiserver."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paddock.local.control_plane import ControlPlane
from support.person import Person


@pytest.fixture
def person(control_plane: ControlPlane, namespace: str) -> Person:
    """Give a person with all rights, in a fresh namespace."""
    return Person(control_plane.kubeconfig, namespace, control_plane.client())


@pytest.fixture
def make_person(control_plane: ControlPlane, namespace: str) -> Callable[[Path], Person]:
    """Make a person with another kubeconfig."""
    return lambda kubeconfig: Person(kubeconfig, namespace, control_plane.client())
