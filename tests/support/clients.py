"""What people use: clients of OpenAI, Ollama and LangChain, each through one URL of a gateway.

Lengths are asked for by `max_tokens`: Ollama 0.17.4 knows no `max_completion_tokens`. Nothing is
left to chance: a model of random weights may end its answer at any word.
"""

from collections.abc import Iterator

import httpx
import ollama
import openai
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

_SECONDS = 60.0
_TOKENS = 4


def check_clients(url: str, cpp: str, oll: str) -> None:
    """Have each client list, ask and stream; `cpp` and `oll` are models of the two engines."""
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", timeout=_SECONDS, max_retries=0
    ) as client:
        assert [each.id for each in client.models.list()] == sorted((cpp, oll))
        for model in (cpp, oll):
            check_openai(client, model)
    with ollama.Client(url, timeout=_SECONDS) as local:
        listed = [str(each.model).removesuffix(":latest") for each in local.list().models]
        assert sorted(listed) == sorted((cpp, oll)), listed
        check_ollama(local, oll)
    with httpx.HTTPTransport() as transport, httpx.Client(timeout=_SECONDS) as client:
        for chain in _chains(url, (cpp, oll), client, transport):
            check_langchain(chain)


def check_openai(client: openai.OpenAI, model: str) -> None:
    messages = [{"role": "user", "content": "hello"}]
    answer = client.chat.completions.create(
        model=model, messages=messages, max_tokens=_TOKENS, temperature=0
    )
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == _TOKENS
    stream = client.chat.completions.create(
        model=model, messages=messages, max_tokens=_TOKENS, temperature=0, stream=True
    )
    assert [part.choices[0].finish_reason for part in stream if part.choices][-1] == "length"


def check_ollama(client: ollama.Client, model: str) -> None:
    options = {"num_predict": _TOKENS, "temperature": 0}
    assert client.show(model).details is not None
    answer = client.chat(model, [{"role": "user", "content": "hello"}], options=options)
    assert (answer.done, answer.eval_count) == (True, _TOKENS)
    parts = list(client.generate(model, "hello", options=options, stream=True))
    assert (parts[-1].done, parts[-1].eval_count) == (True, _TOKENS)


def _chains(
    url: str, models: tuple[str, str], client: httpx.Client, transport: httpx.HTTPTransport
) -> Iterator[BaseChatModel]:
    """Make both chains on connections of the caller's: neither ever closes its own."""
    for model in models:
        yield ChatOpenAI(
            base_url=f"{url}/v1", api_key=SecretStr("none"), model=model, http_client=client,
            extra_body={"max_tokens": _TOKENS}, timeout=_SECONDS, max_retries=0,
        )  # fmt: skip
    yield ChatOllama(
        base_url=url, model=models[1], num_predict=_TOKENS,
        sync_client_kwargs={"transport": transport, "timeout": _SECONDS},
    )  # fmt: skip


def check_langchain(chain: BaseChatModel) -> None:
    said = chain.invoke([("system", "be short"), ("human", "hello")])
    assert said.type == "ai"
    assert said.response_metadata
    assert list(chain.stream("hello"))
