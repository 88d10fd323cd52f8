"""Objects of S3 and Google Cloud Storage as signed URLs, so that one engine fetches everything."""

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from paddock.api.pull import PullReason
from paddock.api.source import BucketSource
from paddock.puller import credentials
from paddock.puller.problems import PullError

if TYPE_CHECKING:
    from obstore.store import S3Config  # exists for type checkers only

_LIFE = timedelta(hours=12)
_OPTIONS: tuple[
    Literal["access_key_id", "secret_access_key", "session_token", "region", "endpoint"], ...
] = ("access_key_id", "secret_access_key", "session_token", "region", "endpoint")

_NEEDED = ("access_key_id", "secret_access_key")


def signed_url(source: BucketSource) -> str:
    """Return a URL that fetches the object, signed with the mounted credentials.

    Without them nothing is asked: the library would look for the machine's own, past our guard.
    """
    needed = ("service-account.json",) if source.scheme == "gs" else _NEEDED
    if any(not (credentials.FOLDER / name).is_file() for name in needed):
        raise PullError(
            PullReason.CREDENTIALS_MISSING,
            f"credentials.secretName must name a Secret with {' and '.join(needed)}; "
            "a public object has an https:// address.",
        )
    try:
        return obstore.sign(_store(source), "GET", source.key, _LIFE)
    except (BaseError, ValueError) as error:
        raise PullError(
            PullReason.CREDENTIALS_MISSING,
            "The object store's credentials are missing or incomplete; see credentials.secretName.",
        ) from error


def _store(source: BucketSource) -> S3Store | GCSStore:
    if source.scheme == "gs":
        account = str(credentials.FOLDER / "service-account.json")
        return GCSStore(source.bucket, service_account_path=account)
    config: S3Config = {"virtual_hosted_style_request": False}
    for name in _OPTIONS:
        value = credentials.value(name)
        if value is not None:
            config[name] = value
    plain = config.get("endpoint", "").startswith("http://")
    return S3Store(source.bucket, config=config, client_options={"allow_http": plain})
