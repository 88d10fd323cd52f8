"""What keeps one container from running, in plain words with a way out. Pure.

A crash loop goes through waiting, running and ended again and again: it counts as one as soon as
the container has restarted and is not ready, so that the status does not follow it round.
"""

import re

from paddock.api.base import Diagnosis
from paddock.api.reasons import Reason
from paddock.facts import ContainerFact
from paddock.plan.deployment import COMPONENT
from paddock.status.vllm_log import start_error
from paddock.status.wording import shortened

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
)  # fmt: skip
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CRASHING = "CrashLoopBackOff"
_START_ERROR = "StartError"
_PROGRAM = re.compile(r'exec: "([^"]+)": (?:executable file not found|stat |no such file)')
_OUT_OF_MEMORY = "OOMKilled"
_NO_ROOM = "OOM-killed"
"""What runc says when the limit does not even hold the container's first process."""
_KILLED, _NO_LIBRARY, _NOT_EXECUTABLE, _NOT_FOUND = 137, 127, 126, 127
_IMAGE_CAUSES = (
    (re.compile(r"no match for platform|exec format|architecture", re.IGNORECASE),
     "has no version for the node's processor",
     "Choose an image that is built for this architecture."),
    (re.compile(r"server gave HTTP response|look like a TLS handshake|x509", re.IGNORECASE),
     "cannot be fetched: the node does not trust how its registry answers (TLS)",
     "Give the registry a certificate that nodes trust, or make them trust the registry."),
    (re.compile(r"unauthorized|denied|forbidden|authentication|authorization", re.IGNORECASE),
     "is refused by its registry, or does not exist there",
     "Correct {setting}, or give the nodes access to the registry."),
    (re.compile(r"not found|manifest unknown|does not exist|name unknown", re.IGNORECASE),
     "does not exist in its registry",
     "Correct {setting}."),
    (re.compile(r"no such host|lookup|i/o timeout|connection refused|unreachable|deadline|TLS",
                re.IGNORECASE),
     "cannot be fetched: the registry is not reachable from the node",
     "Let the nodes reach the registry, or set {setting} to one they reach."),
    (re.compile(r"no space left|disk quota", re.IGNORECASE),
     "does not fit on the node's disk",
     "Free space on the node, or use another node."),
)  # fmt: skip
_ERROR_LINE = re.compile(r"^[\d.]+ E (?:\S+ +)?(?P<said>\S.*)$", re.MULTILINE)
_BAD_START = re.compile(r"^(?:error while handling argument|Error:) [^\n]+", re.MULTILINE)
"""What llama-server says of its flags, and Ollama of its environment, before anything else."""
_STARTING, _SERVING = "initializing ...", "listening on"


def diagnose_container(pod: str, container: ContainerFact) -> Diagnosis | None:
    """Return what keeps the container from running, if anything does."""
    return (
        _image(pod, container)
        or _memory(pod, container)
        or _config(pod, container)
        or _crash(pod, container)
    )


def _image(pod: str, container: ContainerFact) -> Diagnosis | None:
    if container.waiting_reason not in _IMAGE:
        return None
    name = container.image or f"of container {container.name}"
    if container.waiting_reason == "InvalidImageName":
        said, fix = "is not a valid image name", "Correct {setting}."
    elif container.waiting_reason == "ErrImageNeverPull":
        said, fix = "is not on the node and may not be pulled", "Load the image onto the nodes."
    else:
        said, fix = _image_cause(container.waiting_message or "")
    return Diagnosis(
        object=pod,
        reason=Reason.IMAGE_PULL_FAILED,
        cause=f"The image {name} {said}.",
        fix=fix.format(setting=_setting(container)),
    )


def _setting(container: ContainerFact) -> str:
    """Return what names the image of a container: the pool, or the operator for its own program."""
    return "engine.image" if container.name == COMPONENT else "the operator's --operator-image"


def _image_cause(message: str) -> tuple[str, str]:
    for pattern, said, fix in _IMAGE_CAUSES:
        if pattern.search(message):
            return said, fix
    return (
        "cannot be pulled",
        "Correct {setting}, or let the nodes reach and log in to its registry.",
    )


def _config(pod: str, container: ContainerFact) -> Diagnosis | None:
    """Word a container that cannot even be started; the runtime says so in one of three places."""
    if container.waiting_reason in _CONFIG:
        said = container.waiting_message or ""
    elif container.exit_reason == _START_ERROR:
        said = container.exit_message or ""
    elif container.last_exit_reason == _START_ERROR and not container.ready:
        said = container.last_exit_message or ""
    else:
        return None
    program = _PROGRAM.search(said)
    cause, fix = (
        (f"The image {container.image or 'given'} holds no program {program[1]}.",
         "Set engine.image to an image of the engine that engine.name says.")
        if program
        else (f"The container cannot be made: {shortened(said)}.",
              "Correct what the message names.")
    )  # fmt: skip
    return Diagnosis(object=pod, reason=Reason.CONTAINER_CONFIG, cause=cause, fix=fix)


def _memory(pod: str, container: ContainerFact) -> Diagnosis | None:
    ends = (container.exit_reason, container.last_exit_reason)
    words = (container.waiting_message, container.exit_message, container.last_exit_message)
    starved = not container.ready and any(_NO_ROOM in (each or "") for each in words)
    if _OUT_OF_MEMORY not in ends and not starved:
        return None
    limit = container.memory_limit or "its memory limit"
    return Diagnosis(
        object=pod,
        reason=Reason.OUT_OF_MEMORY,
        cause=f"Container {container.name} was killed because it needed more than {limit}.",
        fix="Raise hardware.memory, lower serving.contextLength or parallel, or use a smaller "
        "quantization.",
    )


def _crash(pod: str, container: ContainerFact) -> Diagnosis | None:
    looping = container.waiting_reason == _CRASHING
    if not looping and (container.ready or container.restarts == 0):
        return None
    code = container.exit_code if container.exit_code is not None else container.last_exit_code
    said = container.exit_message or container.last_exit_message or ""
    return Diagnosis(
        object=pod,
        reason=Reason.CRASH_LOOP,
        cause=f"Container {container.name} ends again and again: {_ending(code, said)}.",
        fix="Check engine.image, engine.args, engine.env and serving against the model.",
    )


def _ending(code: int | None, message: str) -> str:
    said = first_error(message) or start_error(message)
    if said is not None:
        return said
    if code == _KILLED:
        return "it is killed (by a failed liveness or startup probe, or for memory)"
    if code in (_NOT_FOUND, _NOT_EXECUTABLE):
        return f"its program cannot be run (exit code {code})"
    return f"exit code {code}" if code is not None else "it leaves no exit code"


def first_error(log: str) -> str | None:
    """Return the first error an engine logged while starting; never what it logged while serving.

    Lines of llama-server (build 11669): seconds, a level letter, an area, the words.
    """
    _, started, tail = log.partition(_STARTING)
    if _SERVING in log:
        return None
    if not started:
        refused = _BAD_START.search(log)
        return shortened(refused[0]) if refused else None
    found = _ERROR_LINE.search(tail)
    return shortened(found["said"]) if found else None
