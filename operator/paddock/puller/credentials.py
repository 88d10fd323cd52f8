"""The source's credentials, from files of a mounted Secret; read again on every use.

A value never leaves the puller but as a request header or as a signature.
"""

import base64
from pathlib import Path

from paddock import names

FOLDER = Path(names.CREDENTIALS_PATH)


def authorization() -> dict[str, str]:
    """Return the Authorization header: `token`, or `username` and `password`; else nothing."""
    token = value("token")
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    username, password = value("username"), value("password")
    if username is not None and password is not None:
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


def value(name: str) -> str | None:
    """Return one value of the Secret; None where it is missing or no plain text."""
    try:
        text = (FOLDER / name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    return text if text.isprintable() and text else None
