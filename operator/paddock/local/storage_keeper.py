"""The cluster's storage provisioner: makes volumes for claims, takes them back, keeps logs bounded.

Run as `python -m paddock.local.storage_keeper CLUSTER_FOLDER SERVER` on the host; it ends with the
cluster. What to do is decided in `storage`; a pass is repeated until it succeeds.
"""

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

from paddock.local.api_client import ApiClient, ApiError
from paddock.local.storage import USER, folder_of, volumes_to_make, volumes_to_take_back
from paddock.wire import Manifest

_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_PERIOD = 30.0
_RETRY = 1.0
_LOG_LIMIT = 20 << 20


class Keeper:
    """Keeps one cluster's volumes in step with its claims."""

    def __init__(self, client: ApiClient, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def keep(self) -> None:
        """Make and take back what is needed now."""
        claims, volumes = self._list(_CLAIMS), self._list(_VOLUMES)
        for volume in volumes_to_make(claims, volumes, self._folder):
            folder_of(volume).mkdir(parents=True, exist_ok=True)
            self._create(volume)
        for name, folder in volumes_to_take_back(volumes, self._folder).items():
            if folder.exists():
                shutil.rmtree(folder)
            self._delete(name)

    def _list(self, path: str) -> Sequence[Manifest]:
        items = self._client.request("GET", path)["items"]
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def _create(self, volume: Manifest) -> None:
        try:
            self._client.request("POST", _VOLUMES, volume)
        except ApiError as error:
            if error.code != HTTPStatus.CONFLICT:
                raise

    def _delete(self, name: str) -> None:
        try:
            self._client.request("DELETE", f"{_VOLUMES}/{name}")
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise


def _follow(client: ApiClient, path: str, changed: threading.Event) -> None:
    """Set the event at every change, for ever; a broken watch is begun again."""
    while True:
        try:
            for _ in client.changes(path):
                changed.set()
        except (OSError, HTTPException, ApiError):
            time.sleep(_RETRY)


def bound_logs(folder: Path, limit: int = _LOG_LIMIT) -> None:
    """Move the content of each grown log aside; its writer appends, so it goes on at the start."""
    for log in folder.glob("*/*.log"):
        if not log.name.startswith("audit") and log.stat().st_size > limit:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            with log.open("r+b") as stream:
                stream.truncate(0)


def main(cluster: Path, server: str) -> None:
    """Keep storage and logs until the process is ended."""
    client = ApiClient(server, cluster / "control-plane" / "pki", USER)
    keeper = Keeper(client, cluster / "volumes")
    changed = threading.Event()
    for path in (_CLAIMS, _VOLUMES):
        threading.Thread(target=_follow, args=(client, path, changed), daemon=True).start()
    while True:
        changed.clear()
        bound_logs(cluster)
        try:
            keeper.keep()
        except (OSError, HTTPException, ApiError) as error:
            print(f"storage: {error}", file=sys.stderr, flush=True)  # noqa: T201 - its log is its stderr
            time.sleep(_RETRY)
            continue
        changed.wait(_PERIOD)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
