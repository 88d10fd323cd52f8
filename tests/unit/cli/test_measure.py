"""What a bench's samples amount to."""

from hypothesis import given
from hypothesis import strategies as st

from paddock.cli.measure import Sample, Spread, report_lines, report_of, report_value, spread_of
from paddock.cli.paint import text_of

SAMPLES = [Sample(first=0.1, whole=1.1, tokens=11), Sample(first=0.3, whole=2.3, tokens=11)]


def test_report_sums_up_all_requests() -> None:
    report = report_of(SAMPLES, failed=1, concurrency=2, seconds=2.5)
    assert report_value(report) == {
        "requests": 3,
        "failed": 1,
        "concurrency": 2,
        "seconds": 2.5,
        "tokens": 22,
        "tokens_per_second": 8.8,
        "first_token_ms": {"p50": 100.0, "p90": 300.0, "p99": 300.0},
        "request_ms": {"p50": 1100.0, "p90": 2300.0, "p99": 2300.0},
        "request_tokens_per_second": {"p50": 10.0, "p90": 5.0, "p99": 5.0},
    }


def test_report_reads_as_a_table_and_a_sentence() -> None:
    assert text_of(report_lines(report_of(SAMPLES, failed=1, concurrency=2, seconds=2.5))) == (
        "                      P50      P90      P99      UNIT\n"
        "time to first token   100.0    300.0    300.0    ms\n"
        "whole request         1100.0   2300.0   2300.0   ms\n"
        "one request           10.0     5.0      5.0      tokens/s\n"
        "\n"
        "3 requests, 1 failed, 2 at once, 2.5 s: 8.8 tokens/s in all"
    )


def test_nothing_measured_is_zeros_not_a_crash() -> None:
    report = report_of([], failed=4, concurrency=2, seconds=0)
    assert (report.tokens_per_second, report.first_token_ms) == (0.0, Spread(0.0, 0.0, 0.0))


def test_answer_of_one_token_has_no_rate() -> None:
    report = report_of([Sample(0.1, 0.1, 1)], failed=0, concurrency=1, seconds=0.1)
    assert report.request_tokens_per_second == Spread(0.0, 0.0, 0.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_values_in_order(values: list[float]) -> None:
    spread = spread_of(values)
    known = {round(value, 1) for value in values}
    assert {spread.p50, spread.p90, spread.p99} <= known
    assert min(known) <= spread.p50 <= spread.p90 <= spread.p99 <= max(known)
    assert spread_of(list(range(1, 101))) == Spread(50, 90, 99)
