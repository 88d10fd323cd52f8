"""What counts as drift: every change of what we own, and nothing that others or the server add."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.plan.containment import contains

SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"a": 1}),
    ({}, {"a": None}),
    ({}, {"a": {}}),
    ({}, {"a": []}),
    ({}, {"securityContext": {"capabilities": {}}}),
    (None, {}),
    ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
    ({"limits": {"cpu": "1"}}, {"limits": {"cpu": 1}}),
    ({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}),
    ({"requests": {"storage": "1610612736"}}, {"requests": {"storage": "1.5Gi"}}),
    ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
    ({"env": [{"name": "B"}, {"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "1"}]}),
    ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}),
    (
        {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
        {"ports": [{"containerPort": 80}]},
    ),
    (
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "name": "t"}]},
        {"ports": [{"port": 53, "name": "t"}]},
    ),
    (
        {"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}]},
        {"ingress": [{"ports": [{"port": 80}]}]},
    ),
]
DRIFT: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 2}),
    ({"a": True}, {"a": 1}),
    ({}, {"a": False}),
    ({}, {"a": 0}),
    ({}, {"a": ""}),
    ({"a": None}, {"a": "x"}),
    ({"data": {"size": "1Gi"}}, {"data": {"size": "1024Mi"}}),
    ({"env": [{"name": "A", "value": "1e1"}]}, {"env": [{"name": "A", "value": "10"}]}),
    ({"args": ["a", "b", "c"]}, {"args": ["a", "b"]}),
    ({"args": ["b", "a"]}, {"args": ["a", "b"]}),
    ({"tolerations": [{"key": "a"}, {"key": "b"}]}, {"tolerations": [{"key": "a"}]}),
    (
        {"ingress": [{"from": [{"podSelector": {}, "namespaceSelector": {}}]}]},
        {"ingress": [{"from": [{"podSelector": {}}]}]},
    ),
    (
        {"ingress": [{"ports": [{"port": 80}, {"port": 22}]}]},
        {"ingress": [{"ports": [{"port": 80}]}]},
    ),
    ({"egress": [{}]}, {"egress": []}),
    ({"podSelector": {"matchLabels": {"a": "b"}}}, {"podSelector": {}}),
    ({"selector": {"a": "b", "more": "c"}}, {"selector": {"a": "b"}}),
    ({"volumes": [{"name": "w", "emptyDir": {}}]}, {"volumes": [{"name": "v", "emptyDir": {}}]}),
    ({"requests": {"storage": "1Gi"}}, {"requests": {"storage": "2Gi"}}),
    ({"limits": {"cpu": "snan"}}, {"limits": {"cpu": "1"}}),
]


@pytest.mark.parametrize(("live", "wanted"), SAME)
def test_what_the_server_or_others_add_is_no_drift(live: Any, wanted: Any) -> None:
    assert contains(live, wanted)


@pytest.mark.parametrize(("live", "wanted"), DRIFT)
def test_change_of_what_we_own_is_drift(live: Any, wanted: Any) -> None:
    assert not contains(live, wanted)


_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "env", "ports", "limits", "selector", "value"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_every_value_contains_itself(value: Any) -> None:
    assert contains(value, value)


@given(st.dictionaries(st.text(max_size=3), _VALUES, max_size=3), _VALUES)
def test_stranger_beside_our_fields_is_no_drift(wanted: Any, value: Any) -> None:
    assert contains({**wanted, "stranger/field": value}, wanted)


@given(_VALUES, _VALUES)
def test_any_two_values_can_be_compared(live: Any, wanted: Any) -> None:
    assert contains(live, wanted) in (True, False)
