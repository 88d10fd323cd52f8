"""Objects of S3 and Google Cloud Storage as signed URLs, so that one engine fetches everything."""

from datetime import timedelta
from typing import Literal

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Config, S3Store

from paddock.api.pull import PullReason
from paddock.api.source import BucketSource
from paddock.puller import credentials
from paddock.puller.problems import PullError

_LIFE = timedelta(hours=12)
_OPTIONS: tuple[
    Literal["access_key_id", "secret_access_key", "session_token", "region", "endpoint"], ...
] = ("access_key_id", "secret_access_key", "session_token", "region", "endpoint")


def signed_url(source: BucketSource) -> str:
    """Return a URL that fetches the object, signed with the mounted credentials."""
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
