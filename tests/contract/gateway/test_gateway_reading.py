"""A real Envoy finds the model in any JSON as Python's reader does, or refuses; never otherwise."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from paddock.plan.gateway.limits import BODY_BYTES
from paddock.plan.gateway.reading import DEEPEST, MOST_STEPS, PIECE_BYTES
from support.answering import Answering
from support.envoys import Gateway
from support.two_engines import serving_two

pytestmark = pytest.mark.contract
PATH = "/v1/completions"
SECONDS = 60.0
DOCUMENTS = 300
MEBIBYTE = 1024 * 1024
NAMES = ("alpha", "beta")
KEYS = ("model", "Model", "models", "prompt", "a", "", "\\", '"', "\u00e9", "mod\\el")
PLACES = range(PIECE_BYTES - 8, PIECE_BYTES + 3)
"""Where a value ends near the end of the first piece that the script looks at."""


@pytest.fixture(scope="module")
def front(
    engines: Mapping[str, Answering], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with serving_two(tmp_path_factory.mktemp("front"), engines) as running:
        yield running


def outcomes(front: Gateway, contents: Sequence[bytes]) -> list[str | int]:
    """Return who answered each body, or with which status it was refused."""
    with httpx.Client(base_url=front.url, timeout=SECONDS) as client:
        answers = [client.post(PATH, content=content) for content in contents]
    return [each.json()["by"] if each.is_success else each.status_code for each in answers]


def expected(content: bytes) -> str | int:
    """Return what must become of a body, by Python's own reader: the last of several counts."""
    pairs = json.loads(content, object_pairs_hook=list)
    named = [(key, value) for key, value in pairs if key.lower() == "model"]
    if any(key != "model" or not isinstance(value, str) for key, value in named):
        return 400
    if any(not (value.isascii() and value.isprintable()) for _, value in named):
        return 400
    if not named:
        return 400
    return str(named[-1][1]) if named[-1][1] in NAMES else 404


def text_of(chosen: random.Random) -> str:
    signs = ('"', "\\", "{", "}", "[", "]", ",", ":", "model", "alpha", " ", "\n", "\u20ac", "/")
    return "".join(chosen.choices(signs, k=chosen.randint(0, 12)))


def value_of(chosen: random.Random, depth: int) -> object:
    kind = chosen.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [value_of(chosen, depth + 1) for _ in range(chosen.randint(0, 3))]
    if kind == 7:
        return {
            chosen.choice(KEYS): value_of(chosen, depth + 1) for _ in range(chosen.randint(0, 3))
        }
    plain: Sequence[object] = (None, True, -1.5e9, chosen.randint(-9, 9), text_of(chosen), "beta")
    return plain[kind]


def document(chosen: random.Random) -> bytes:
    """Write a JSON object with what could be taken for its model in many places."""
    pairs = [(chosen.choice(KEYS), value_of(chosen, 1)) for _ in range(chosen.randint(0, 4))] + [
        ("model", chosen.choice((*NAMES, "gamma"))) for _ in range(chosen.randint(0, 2))
    ]
    chosen.shuffle(pairs)
    written = [
        f"{spelled(chosen, key)}{space(chosen)}:{space(chosen)}{spelled(chosen, value)}"
        for key, value in pairs
    ]
    inner = f"{space(chosen)},{space(chosen)}".join(written)
    return f"{space(chosen)}{{{space(chosen)}{inner}{space(chosen)}}}{space(chosen)}".encode()


def space(chosen: random.Random) -> str:
    return chosen.choice(("", "", " ", "\r\n\t "))


def spelled(chosen: random.Random, value: object) -> str:
    """Write a value as JSON, now and then with letters as numbers."""
    text = json.dumps(value, ensure_ascii=chosen.random() < 0.5)
    if isinstance(value, str) and value.isalpha() and value.isascii() and chosen.random() < 0.2:
        number = chosen.randrange(len(value))
        return f'"{value[:number]}\\u{ord(value[number]):04X}{value[number + 1 :]}"'
    return text


def test_model_is_the_one_that_another_reader_finds(front: Gateway) -> None:
    chosen = random.Random(7)  # noqa: S311 - no secret
    contents = [document(chosen) for _ in range(DOCUMENTS)]
    wanted = [expected(content) for content in contents]
    found = outcomes(front, contents)

    assert set(wanted) == {*NAMES, 400, 404}
    assert [each for each in zip(contents, found, wanted, strict=True) if each[1] != each[2]] == []


@pytest.mark.parametrize("end", ["", '\\"', "\\\\", '\\\\\\"', "\\\\\\\\"])
def test_model_is_found_wherever_a_piece_of_the_body_ends(front: Gateway, end: str) -> None:
    contents = [
        f'{{"prompt":"{"x" * (place - len(end) - 12)}{end}","model":"beta"}}'.encode()
        for place in PLACES
    ] + [
        f'{{"a":[{" " * (place - len(end) - 9)}"{end}"],"model":"beta"}}'.encode()
        for place in PLACES
    ]  # fmt: skip

    assert outcomes(front, contents) == ["beta"] * len(contents)


def test_only_a_request_for_a_stream_asks_llama_server_to_close_its_connection(
    front: Gateway, engines: Mapping[str, Answering]
) -> None:
    for asked, connection in ((b'"stream":true', "close"), (b'"stream":false', None)):
        assert outcomes(front, [b'{"model":"alpha",%s}' % asked]) == ["alpha"]
        assert engines["alpha"].headers[-1].get("connection") == connection


BROKEN = {
    "two objects": b'{"model":"alpha"}{"model":"beta"}',
    "cut": b'{"model":"alpha"',
    "cut in a string": b'{"model":"alpha',
    "cut in a value": b'{"model":"alpha","a":[',
    "word": b'{"model":"alpha","a":undefined}',
    "comment": b'{"model":"alpha"/*,"model":"beta"*/}',
    "comma at the end": b'{"model":"alpha",}',
    "no comma": b'{"model":"alpha" "a":1}',
    "single quotes": b"{'model':'alpha'}",
    "in a list": b'[{"model":"alpha"}]',
    "other spelling": b'{"model":"alpha","MODEL":"beta"}',
    "escaped other spelling": b'{"model":"alpha","\\u004dodel":"beta"}',
    "number after": b'{"model":"alpha","model":1}',
    "other alphabet": '{"model":"alph\u0430"}'.encode(),
    "deep": b'{"model":"alpha","a":' + b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1) + b"}",
}  # fmt: skip


def test_what_can_be_read_in_two_ways_is_refused(front: Gateway) -> None:
    assert dict(zip(BROKEN, outcomes(front, list(BROKEN.values())), strict=True)) == dict.fromkeys(
        BROKEN, 400
    )


@pytest.mark.parametrize(
    ("item", "outcome"), [(b"1,", "alpha"), (b"[],", 400), (b'"",', 400), (b'\\"",', 400)]
)
def test_body_takes_no_memory_for_what_is_in_it(
    front: Gateway, item: bytes, outcome: str | int
) -> None:
    head, end = b'{"model":"alpha","a":[', b"1]}"
    count = (BODY_BYTES - len(head) - len(end)) // len(item)
    assert count > MOST_STEPS

    assert outcomes(front, [head + item * count + end]) == [outcome]
    assert peak_bytes(front) < 160 * MEBIBYTE


def peak_bytes(front: Gateway) -> int:
    status = Path(f"/proc/{front.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
