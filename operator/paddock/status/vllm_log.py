"""What the end of vLLM's log says of why it did not start. Pure.

As 0.11 was seen to: each line tells its process, the last traceback is the server's, and what its
own checks say stands in a pydantic error. The kubelet keeps the last 2048 bytes. Of an engine that
has served, nothing is said: an error's words may then be a caller's.
"""

import re

from paddock.status.wording import shortened

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROCESS = re.compile(r"^\(\w+ pid=\d+\) ?", re.MULTILINE)
_STARTING = re.compile(
    r", in (?:run_server|build_async_engine_client|create_engine_config|create_model_config|"
    r"wait_for_engine_startup|get_gguf_config_dict)\w*$",
    re.MULTILINE,
)
_SERVED = (' HTTP/1.1" ', "Application startup complete")
_CHECKED = re.compile(r"^  Value error, (?P<said>.+?)(?:\.\s|\s*\[type=)", re.MULTILINE | re.DOTALL)
"""Its first sentence: the others advise on vLLM's own flags, or quote its arguments."""
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): (?P<said>\S.*)$", re.MULTILINE)
_ELSEWHERE = "See root cause above"


def start_error(log: str) -> str | None:
    """Return why vLLM ended while it was starting, if the end of its log tells."""
    plain = _PROCESS.sub("", _COLOUR.sub("", log))
    if any(word in plain for word in _SERVED) or not _STARTING.search(plain):
        return None
    checked = _CHECKED.search(plain)
    if checked:
        return shortened(checked["said"])
    raised = [each["said"] for each in _RAISED.finditer(plain) if _ELSEWHERE not in each["said"]]
    return shortened(raised[-1]) if raised else None
