"""The limit that is told of a model is the one that its gateway keeps."""

from typing import Any

from paddock.telemetry.limits import token_limits


def pool(limit: int | None, *models: Any, namespace: str = "team", **metadata: str) -> Any:
    limits = {"limits": {} if limit is None else {"tokensPerMinute": limit}}
    return {
        "metadata": {"name": "chat", "namespace": namespace, **metadata},
        "spec": {"models": list(models), "gateway": limits},
    }


def test_strictest_pool_of_a_served_name_counts() -> None:
    pools = [
        pool(500, {"name": "tiny", "as": "alpha"}, {"name": "beta"}),
        pool(300, {"name": "alpha:latest"}),
        pool(700, {"name": "beta"}, namespace="other"),
    ]
    assert token_limits(pools) == {
        ("team", "alpha"): 300, ("team", "beta"): 500, ("other", "beta"): 700,
    }  # fmt: skip


def test_pool_without_a_limit_and_one_that_goes_have_none() -> None:
    going = pool(5, {"name": "alpha"}, deletionTimestamp="2026-11-21T00:00:00Z")
    plain: Any = {"metadata": {"namespace": "team"}, "spec": {"models": [{"name": "alpha"}]}}
    assert token_limits([pool(None, {"name": "alpha"}), going, plain]) == {}
