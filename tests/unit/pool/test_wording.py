"""Other programs' words in a status: one line, no secret, the same each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.status.container_diagnosis import first_error
from paddock.status.wording import shortened


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("two\n lines\t here.", "two lines here"),
        ("", "no reason is given"),
        (" ... ", "no reason is given"),
        ("failed at 2026-11-21T05:46:55.757Z again", "failed at again"),
        ("back-off 5m20s restarting failed container", "restarting failed container"),
        ("pod 0b1c6c3e-1111-2222-3333-444455556666 gone", "pod gone"),
        ("address 0xc000123456 moved", "address moved"),
        ("get https://user:canary@host/x", "get https://host/x"),
        ("get https://host/x?token=canary&b=1", "get https://host/x?token=&b="),
    ],
)
def test_words_lose_what_changes_and_what_is_secret(words: str, told: str) -> None:
    assert shortened(words) == told


def test_long_words_end_at_a_word() -> None:
    assert shortened("word " * 200).endswith(" word ...") is False
    assert len(shortened("word " * 200)) <= 304


@given(st.text(max_size=2000))
def test_any_words_are_one_short_line_that_a_period_may_follow(words: str) -> None:
    told = shortened(words)

    assert told
    assert len(told) <= 310
    assert not set(told) & {"\n", "\r", "\t"}
    assert not told.endswith(".")


@given(st.text(max_size=2000))
def test_error_is_read_from_a_log_only_between_start_and_serving(log: str) -> None:
    known = ("initializing ...", "error while handling argument ", "Error: ")

    assert first_error(log) is None or any(words in log for words in known)
