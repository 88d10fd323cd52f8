"""A source's leave that runs out while weights are fetched is got anew; a refusal is told."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paddock.api.pull import Access, PullPlan, PullReason, PullResult
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
MODEL = "application/vnd.ollama.image.model"
REQUESTS_OF_A_TOKEN = 3


@dataclass
class Registry:
    """A registry whose tokens are each good for so many requests for blobs, the last ones for 0."""

    site: Site
    good: int = 1000
    given: int = 0
    left: dict[str | None, int] = field(default_factory=dict)

    def answer(self, path: str, _range: str, count: int) -> int | None:
        token = self.site.authorizations[count - 1]
        with self.site.lock:
            if path.startswith("/token"):
                self._give()
                return None
            if "/blobs/" not in path:
                return None if token in self.left else 401
            self.left[token] = self.left.get(token, 0) - 1
            return None if self.left[token] >= 0 else 401

    def _give(self) -> None:
        self.given += 1
        self.site.files["/token"] = json.dumps({"token": f"t{self.given}"}).encode()
        good = self.given <= self.good
        self.left[f"Bearer t{self.given}"] = REQUESTS_OF_A_TOKEN if good else 0


@pytest.fixture
def registry(weights: bytes) -> Iterator[Registry]:
    layer = {"mediaType": MODEL, "digest": digest_of(weights), "size": len(weights)}
    files = {
        "/v2/library/tiny/manifests/latest": json.dumps({"layers": [layer]}).encode(),
        f"/v2/library/tiny/blobs/{digest_of(weights)}": weights,
    }
    made = Registry(site := Site(files=files))
    site.answers = made.answer
    with serving(site):
        site.headers = {"WWW-Authenticate": f'Bearer realm="{site.url}/token",service="r"'}
        yield made


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def run(registry: Registry, folder: Path) -> PullResult:
    address = registry.site.url.removeprefix("http://")
    access = Access(cidrs=("127.0.0.1/32",), http=True)
    source = f"ollama://{address}/tiny"
    plan = PullPlan(model="tiny", source=source, access=access, parallelism=2)
    return pull(plan, Store(folder), Meter())


def test_token_that_runs_out_is_got_anew_and_nothing_is_fetched_twice(
    registry: Registry, tmp_path: Path, weights: bytes
) -> None:
    result = run(registry, tmp_path)

    assert (result.digest, result.fetched_bytes) == (digest_of(weights), len(weights))
    assert registry.given > 1


def test_token_that_was_never_taken_is_not_got_again(registry: Registry, tmp_path: Path) -> None:
    registry.good = 1
    with pytest.raises(PullError) as refused:
        run(registry, tmp_path)

    assert refused.value.cause is PullReason.SOURCE_UNAUTHORIZED
    assert registry.given == 2
