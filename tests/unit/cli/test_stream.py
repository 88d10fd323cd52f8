"""A streamed answer, line by line, as the engines write it."""

import pytest

from paddock.cli.stream import Piece, piece_of

LLAMA_CPP_LAST = (
    'data: {"choices":[],"usage":{"completion_tokens":7,"prompt_tokens":3},"timings":{}}'
)


@pytest.mark.parametrize(
    ("line", "piece"),
    [
        ("", None),
        (": heartbeat", None),
        ("event: ping", None),
        ("data: [DONE]", None),
        ('data: {"choices":[{"delta":{"role":"assistant","content":null}}]}', Piece()),
        ('data: {"choices":[{"delta":{"content":"Hi"}}]}', Piece(content="Hi")),
        ('data:{"choices":[{"delta":{"content":"Hi"}}]}', Piece(content="Hi")),
        ('data: {"choices":[{"delta":{"reasoning_content":"Hm"}}]}', Piece(thinking="Hm")),
        ('data: {"choices":[{"delta":{"reasoning":"Hm"}}]}', Piece(thinking="Hm")),
        ('data: {"choices":[{"text":"Hi"}]}', Piece(content="Hi")),
        (LLAMA_CPP_LAST, Piece(tokens=7)),
        ('data: {"error":{"message":"out of memory","code":500}}', Piece(error="out of memory")),
        ('data: {"error":"model not found"}', Piece(error="model not found")),
        ("data: <html>", Piece(error="the stream holds something that is not JSON")),
        ("data: [1, 2]", Piece()),
        ('data: {"choices":"odd"}', Piece()),
    ],
)
def test_line_brings_a_piece_or_nothing(line: str, piece: Piece | None) -> None:
    assert piece_of(line) == piece
