"""Addresses of clusters: apart from each other and from what the machine already routes."""

import ipaddress
from itertools import combinations

import pytest

from paddock.local.addresses import COUNT, addresses_of, choose_index
from paddock.local.problems import LocalError


def test_no_two_clusters_share_an_address() -> None:
    ranges = [
        ipaddress.IPv4Network(each) for index in range(COUNT) for each in addresses_of(index).ranges
    ]
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_the_service_kubernetes_has_the_first_address_of_its_range() -> None:
    assert addresses_of(0).service_api == "10.96.0.1"
    assert addresses_of(3).service_api == "10.96.48.1"


def test_first_cluster_gets_the_first_number() -> None:
    assert choose_index(["default", "192.168.1.0/24", "127.0.0.0/8"], []) == 0


@pytest.mark.parametrize(
    "route", ["10.87.0.0/30", "10.88.0.7", "10.96.0.0/16", "10.80.0.0/12", "10.96.8.0/22"]
)
def test_a_number_whose_addresses_are_routed_is_passed_over(route: str) -> None:
    if route in {"10.96.0.0/16", "10.80.0.0/12"}:  # these cover every number
        with pytest.raises(LocalError, match="No free addresses"):
            choose_index([route], [])
    else:
        assert choose_index([route], []) == 1


@pytest.mark.parametrize("route", ["default", "0.0.0.0/1", "10.0.0.0/8", "fe80::/64", "local"])
def test_broad_and_foreign_routes_do_not_count(route: str) -> None:
    assert choose_index([route], []) == 0


def test_numbers_of_other_clusters_are_not_used_again() -> None:
    assert choose_index([], [0, 1, 3]) == 2


def test_more_clusters_than_numbers_are_refused_with_what_to_do() -> None:
    with pytest.raises(LocalError, match="paddock down"):
        choose_index([], range(COUNT))
