"""The script that keeps what callers owe, run in LuaJIT as Envoy runs it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa import luajit21

from paddock.plan.gateway.buckets import LEFT_HEADER, MOST_CALLERS
from paddock.plan.gateway.guards import JWT_FILTER
from paddock.plan.gateway.spending import BILL, PAYER, PRICE
from paddock.plan.gateway.usage import script
from paddock.plan.gateway.xds import METADATA

MOST = 600
_HANDLES = """
function(context, address, token, length, headers, chunks)
  local told, sent = {JWT = token, NAMESPACE = {model = "alpha", caller = token.hash}}, {}
  local metadata = {get = function(_, name) return told[name] end,
                    set = function(_, name, key, value) told[name][key] = value end}
  local stream = {dynamicMetadata = function() return metadata end,
                  downstreamRemoteAddress = function() return address end}
  local function handle(headers)
    return {
      streamInfo = function() return stream end,
      filterContext = function()
        return {get = function(_, key) return key == "BILL" and context end}
      end,
      headers = function()
        return {get = function(_, name) if headers[name] then return headers[name] end end,
                remove = function(_, name) headers[name] = nil end,
                replace = function(_, name, value) headers[name] = value end}
      end,
      timestamp = function() return 0 end,
      bodyChunks = function()
        local at = 0
        return function()
          at = at + 1
          local text = chunks[at]
          return text and {length = function() return #text end,
                  getBytes = function(_, from, count) return text:sub(from + 1, from + count) end}
        end
      end,
    }
  end
  envoy_on_request(handle({["content-length"] = length}))
  envoy_on_response(handle(headers))
  return told.NAMESPACE
end
"""


@dataclass(slots=True)
class Thread:
    """One thread of an Envoy with its own script."""

    ask: Callable[..., Any]
    context: dict[str, Any] = field(
        default_factory=lambda: {"model": "alpha", "tokens": MOST, "by_token": False}
    )

    def request(
        self, *, address: str = "10.0.0.1:4711", token: dict[str, Any] | None = None,
        length: int = 40, status: int = 200, kind: str = "application/json",
        left: int | None = None, answer: tuple[str, ...] = (),
    ) -> dict[str, str]:  # fmt: skip
        """Ask once; `left` is what the bucket holds that has refused it."""
        marks = {"x-paddock-refused": PRICE, LEFT_HEADER: str(left)} if left is not None else {}
        headers = self.runtime_table({":status": str(status), "content-type": kind, **marks})
        told = self.ask(
            self.runtime_table(self.context), address, self.runtime_table(token or {}),
            str(length), headers, self.runtime_table(dict(enumerate(answer, 1))),
        )  # fmt: skip
        assert "x-paddock-refused" not in dict(headers)
        bill = told[BILL]
        return {str(key): str(value) for key, value in (*bill.items(), *headers.items())}

    def price(self, **more: Any) -> int:
        """Return what the next request would cost; it is refused, so that it leaves no trace."""
        return int(self.request(status=429, left=0, **more)[PRICE])

    runtime_table: Callable[[dict[Any, Any]], Any] = field(kw_only=True)


@pytest.fixture
def thread() -> Thread:
    return new_thread()


def new_thread() -> Thread:
    runtime = luajit21.LuaRuntime()
    runtime.execute(script())
    ask = runtime.eval(
        _HANDLES.replace("JWT", f'["{JWT_FILTER}"]', 1)
        .replace("NAMESPACE", METADATA)
        .replace("BILL", BILL)
    )
    return Thread(ask, runtime_table=lambda table: runtime.table_from(table, recursive=True))


def usage(prompt: int, completion: int) -> str:
    return f'{{"usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}}}'


def test_next_request_pays_for_what_the_answer_used(thread: Thread) -> None:
    first = thread.request(answer=(usage(30, 71),))

    assert first[PRICE] == "1"
    assert thread.price() == 100
    assert thread.request(status=429)[PRICE] == "100"


@pytest.mark.parametrize(("left", "seconds"), [(0, "10"), (95, "1"), (35, "7"), (100, "1")])
def test_caller_is_told_when_the_bucket_will_hold_what_it_owes(
    thread: Thread, left: int, seconds: str
) -> None:
    thread.request(answer=(usage(30, 71),))

    assert thread.request(status=429, left=left)["retry-after"] == seconds


def test_price_is_never_more_than_the_bucket_holds(thread: Thread) -> None:
    thread.request(answer=(usage(1000, 501),))

    prices = [int(thread.request(answer=(usage(0, 0),))[PRICE]) for _ in range(4)]
    assert prices == [600, 600, 300, 1]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_request_that_fails_costs_nothing_but_its_price(thread: Thread, status: int) -> None:
    thread.request(length=40_000, status=status)

    assert thread.price() == 1


def test_until_the_engine_tells_the_prompt_is_a_quarter_of_its_bytes(thread: Thread) -> None:
    thread.request(length=400)
    assert thread.price() == 99

    thread.context["longest"] = 64
    thread.request(address="10.0.0.2:1", length=40_000)
    assert thread.price(address="10.0.0.2:2") == 63


@pytest.mark.parametrize(
    ("kind", "piece"),
    [("text/event-stream", 'data: {"word":1}\n\n'), ("application/x-ndjson", '{"word":1}\n')],
)
def test_stream_without_numbers_counts_its_events(thread: Thread, kind: str, piece: str) -> None:
    thread.request(length=400, kind=kind, answer=(piece * 20, piece * 31))

    assert thread.price() == 100 + 51 - 1


def test_numbers_of_the_engine_replace_what_was_counted(thread: Thread) -> None:
    events = ('data: {"word":1}\n\n' * 50, f"data: {usage(10, 31)}\n\n")
    thread.request(length=4000, kind="text/event-stream", answer=events)

    assert thread.price() == 40


def test_callers_are_told_apart_by_token_where_one_is_needed_and_by_address_else(
    thread: Thread,
) -> None:
    used = (usage(0, 101),)
    thread.request(answer=used)
    assert thread.price(address="10.0.0.1:99") == 100
    assert thread.price(address="[fd00::1]:99") == 1

    thread.context["by_token"] = True
    key, other = {"key": {"jti": "k1"}}, {"hash": "k1"}
    assert thread.request(token=key, answer=used)[PAYER] == "alpha key k1"
    assert thread.request(token=other, answer=())[PAYER] == "alpha caller k1"
    assert thread.price(token=key) == 100
    assert thread.price(token={"key": {"jti": "k2"}}) == 1


def test_only_callers_that_were_silent_longest_are_forgotten(thread: Thread) -> None:
    thread.request(address="10.0.0.1:1", answer=(usage(0, 101),))
    for number in range(MOST_CALLERS):
        thread.request(address=f"host-{number}:1")
    assert thread.price(address="10.0.0.1:1") == 100

    for number in range(2 * MOST_CALLERS):
        thread.request(address=f"other-{number}:1")
    assert thread.price(address="10.0.0.1:1") == 1


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2000), st.integers(0, 900), st.sampled_from(["", "refused", "failed"])
        ),
        max_size=30,
    )
)
def test_what_was_paid_is_what_was_used_as_far_as_prices_reach(
    asked: list[tuple[int, int, str]],
) -> None:
    thread, used, paid = new_thread(), 0, 0
    for length, tokens, fate in asked:
        if fate:
            price = int(
                thread.request(length=length, status=429, left=0 if fate == "refused" else None)[
                    PRICE
                ]
            )
            paid += price if fate == "failed" else 0
        else:
            paid += int(thread.request(length=length, answer=(usage(tokens, 0),))[PRICE])
            used += tokens

        assert thread.price() == max(1, min(used - paid, MOST))
