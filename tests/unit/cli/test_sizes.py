"""Numbers as people read them."""

from datetime import UTC, datetime

import pytest

from paddock.cli.sizes import age_words, digest_words, duration_words, size_words

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, None), (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (9_949, "9.9 KB"),
        (9_950, "10 KB"), (253_113_024, "253 MB"), (999_600, "1.0 MB"), (4_100_000_000, "4.1 GB"),
        (10**18, "1000 PB"),
    ],
)  # fmt: skip
def test_sizes_have_three_digits(count: int | None, words: str | None) -> None:
    assert size_words(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_durations_use_the_largest_unit_that_says_enough(seconds: int, words: str) -> None:
    assert duration_words(seconds) == words


def test_ages_are_short_and_never_negative() -> None:
    assert age_words("2026-01-01T11:15:00Z", NOW) == "45m"
    assert age_words("2026-01-01T12:00:09Z", NOW) == "0s"
    assert age_words(None, NOW) is None


def test_digests_are_cut_to_what_tells_them_apart() -> None:
    assert digest_words("sha256:" + "ab" * 32) == "abababababab"
    assert digest_words(None) is None
