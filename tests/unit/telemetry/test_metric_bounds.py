"""No label takes a value outside its set, and no metric grows beyond its limit."""

from paddock.telemetry import catalog
from paddock.telemetry.catalog import Metric, MetricKind
from paddock.telemetry.registry import Registry

FEW = Metric(
    "paddock.test.few", MetricKind.GAUGE, "By", "A test.", {"model": catalog.NAMES}, limit=2
)


def numbers(registry: Registry, metric: Metric) -> dict[tuple[str, ...], float]:
    return dict(registry.collect_one(metric).numbers)


def test_unheard_of_codes_and_verbs_are_one_series() -> None:
    registry = Registry(catalog.OPERATOR)
    registry.read(
        catalog.API_REQUESTS,
        lambda: {("GET", "200"): 5, ("GET", "418"): 1, ("GET", "299"): 2, ("BREW", "418"): 4},
    )
    assert numbers(registry, catalog.API_REQUESTS) == {
        ("GET", "200"): 5,
        ("GET", "other"): 3,
        ("other", "other"): 4,
    }


def test_names_of_objects_have_a_limit_and_what_is_left_out_is_counted() -> None:
    registry = Registry([FEW])
    registry.read(FEW, lambda: {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4})
    assert numbers(registry, FEW) == {("a",): 1, ("b",): 2}
    assert numbers(registry, catalog.DROPPED) == {("series",): 2}


def test_histograms_have_the_same_bounds() -> None:
    few = Metric("paddock.test.took", MetricKind.HISTOGRAM, "s", "A test.",
                 {"model": catalog.NAMES}, (1.0,), limit=1)  # fmt: skip
    registry = Registry([few])
    for name in ("a", "b", "a"):
        registry.record(few, 0.5, name)
    registry.record(catalog.PASS_DURATION, 0.5, "widgets")
    assert set(registry.collect_one(few).distributions) == {("a",)}
    assert set(registry.collect_one(catalog.PASS_DURATION).distributions) == {("other",)}
    assert numbers(registry, catalog.DROPPED) == {("series",): 1}


def test_labels_are_closed_sets_or_names_under_a_limit() -> None:
    for metric in catalog.OPERATOR:
        series = 1
        for allowed in metric.labels.values():
            series *= len(allowed) + 1
        assert series <= metric.limit <= 10_000, metric.name
        assert (metric.kind is MetricKind.HISTOGRAM) == bool(metric.bounds), metric.name
        assert list(metric.bounds) == sorted(set(metric.bounds))
