"""What the end of vLLM's log says of why it did not start. Pure.

As 0.11 was seen to: what its own checks say stands in a pydantic error of the server's, of which
the kubelet keeps the last 2048 bytes. What its other processes say they write themselves, as the
profile tells them to. Of an engine that has served, nothing is said: an error's words may then be
a caller's.
"""

import re

from paddock.status.wording import shortened

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROCESS = re.compile(r"^\(\w+ pid=\d+\) ?", re.MULTILINE)
_STARTING = re.compile(
    r", in \w*(?:run_server|async_engine_client|create_engine_config|create_model_config|weights|"
    r"load_model|init_device|initialize_kv_caches|enough_kv_cache|profile_run|capture_model|"
    r"warm_up)\w*$|\] (?:EngineCore|WorkerProc) failed to start\.$",
    re.MULTILINE,
)
_SERVED = (' HTTP/1.1" ', "Application startup complete")
_CHECKED = re.compile(r"^  Value error, (?P<said>.+?)(?:\.\s|\s*\[type=)", re.MULTILINE | re.DOTALL)
"""Its first sentence: the others advise on vLLM's own flags, or quote its arguments."""
_RAISED = re.compile(r"^(?:\w+\.)*(?P<said>\w*(?:Error|Exception): \S.*?)(?:\.\s|$)", re.MULTILINE)
_ELSEWHERE = re.compile(r"(?:WorkerProc|Engine core) initialization failed")


def start_error(log: str) -> str | None:
    """Return why vLLM ended while it was starting, if the end of its log tells."""
    plain = _PROCESS.sub("", _COLOUR.sub("", log))
    if any(word in plain for word in _SERVED) or not _STARTING.search(plain):
        return None
    checked = _CHECKED.search(plain)
    if checked:
        return shortened(checked["said"])
    raised = [said for said in _RAISED.findall(plain) if not _ELSEWHERE.search(said)]
    return shortened(raised[-1]) if raised else None
