"""The source's credentials, from files of a mounted Secret; read again on every use.

A value never leaves this module but as a request header.
"""

import base64
from pathlib import Path

from paddock import names


def authorization(folder: Path = Path(names.CREDENTIALS_PATH)) -> dict[str, str]:
    """Return the Authorization header: `token`, or `username` and `password`; else nothing."""
    token = _value(folder, "token")
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    username, password = _value(folder, "username"), _value(folder, "password")
    if username is not None and password is not None:
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


def token(folder: Path = Path(names.CREDENTIALS_PATH)) -> str | None:
    """Return the bare token, for clients that make their own header."""
    return _value(folder, "token")


def _value(folder: Path, name: str) -> str | None:
    try:
        text = (folder / name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return text if text.isprintable() and text else None
