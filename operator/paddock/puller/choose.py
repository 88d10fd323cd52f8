"""Which files of a repository are the model: pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paddock.api.pull import PullReason
from paddock.puller.problems import PullError

AUTO = "Auto"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_QUANTIZATION = re.compile(
    r"(?i)(IQ\d_[A-Z]+|Q\d_K_[SML]|Q\d_K|Q\d_[01]|BF16|F16|F32|MXFP4|TQ\d_0)(?=[-.]|$)"
)
_SIDE_FILES = frozenset(
    {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "special_tokens_map.json", "vocab.json", "merges.txt",
        "added_tokens.json", "chat_template.jinja", "chat_template.json",
        "preprocessor_config.json", "model.safetensors.index.json",
    }
)  # fmt: skip
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}\Z")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository; size in bytes, digest where the hub knows it."""

    name: str
    size: int
    digest: str | None


def choose_files(
    files: Sequence[HubFile],
    *,
    wanted: str | None,
    quantization: str | None,
    max_bytes: int | None,
) -> Sequence[HubFile]:
    """Return the files to pull, or raise PullError with the choices."""
    safe = [file for file in files if is_plain_path(file.name)]
    if wanted is not None:
        named = [file for file in safe if file.name == wanted]
        if not named:
            raise PullError(PullReason.SOURCE_NOT_FOUND, f"The repository has no file {wanted}.")
        return _with_shards(named[0], safe)
    groups = _gguf_groups(safe)
    if groups:
        return _choose_group(groups, quantization, max_bytes)
    weights = [file for file in safe if file.name.endswith(".safetensors")]
    if not weights:
        raise PullError(
            PullReason.UNSUPPORTED_FORMAT,
            "The repository has neither GGUF nor safetensors files; pickled weights are not "
            "pulled.",
        )
    return [*weights, *(file for file in safe if file.name in _SIDE_FILES)]


def is_plain_path(name: str) -> bool:
    """Tell whether every part of a path is a name that a file of ours may have."""
    return all(_NAME.match(part) and ".." not in part for part in name.split("/"))


def _with_shards(file: HubFile, files: Sequence[HubFile]) -> Sequence[HubFile]:
    shard = _SHARD.search(file.name)
    if shard is None:
        return [file]
    stem = file.name[: shard.start()]
    return sorted(
        (each for each in files if each.name.startswith(stem) and _SHARD.search(each.name)),
        key=lambda each: each.name,
    )


def _gguf_groups(files: Sequence[HubFile]) -> dict[str, list[HubFile]]:
    """Group GGUF files by quantization; the shards of one model are one group."""
    groups: dict[str, list[HubFile]] = {}
    for file in files:
        base = file.name.rpartition("/")[2]
        if not base.endswith(".gguf") or base.startswith("mmproj"):
            continue
        stem = _SHARD.sub("", base).removesuffix(".gguf")
        found = _QUANTIZATION.findall(stem)
        groups.setdefault(found[-1].upper() if found else stem, []).append(file)
    return {name: sorted(group, key=lambda file: file.name) for name, group in groups.items()}


def _choose_group(
    groups: dict[str, list[HubFile]], quantization: str | None, max_bytes: int | None
) -> Sequence[HubFile]:
    choices = ", ".join(sorted(groups))
    if quantization not in (None, AUTO):
        group = groups.get(str(quantization).upper())
        if group is None:
            raise PullError(
                PullReason.SOURCE_NOT_FOUND,
                f"The repository has no {quantization}; it has {choices}.",
            )
        return group
    fitting = [
        group
        for group in groups.values()
        if max_bytes is None or sum(file.size for file in group) <= max_bytes
    ]
    if not fitting:
        raise PullError(
            PullReason.INVALID_SPEC,
            f"No quantization fits {max_bytes} bytes; the repository has {choices}.",
        )
    return max(fitting, key=lambda group: sum(file.size for file in group))
