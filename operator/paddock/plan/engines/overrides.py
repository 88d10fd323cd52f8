"""`engine.env` and `engine.args`: what a profile does not allow is refused by its path. Pure."""

from collections.abc import Iterator

from paddock.api.inferencepool import InferencePool
from paddock.plan.engines.profile import Profile, Refusal


def refuse_overrides(pool: InferencePool, profile: Profile) -> tuple[Refusal, ...]:
    """Refuse environment variables and arguments that the profile does not allow."""
    return (*_variables(pool, profile), *_arguments(pool, profile))


def _variables(pool: InferencePool, profile: Profile) -> Iterator[Refusal]:
    allowed = ", ".join(sorted(profile.variables))
    for variable in pool.spec.engine.env or ():
        if variable.name not in profile.variables:
            path = f"spec.engine.env[{variable.name}]"
            yield Refusal(path, f"{profile.name} takes these variables only: {allowed}.")


def _arguments(pool: InferencePool, profile: Profile) -> Iterator[Refusal]:
    may_be_value = False
    for index, argument in enumerate(pool.spec.engine.args or ()):
        path = f"spec.engine.args[{index}]"
        flag, joined, _ = argument.partition("=")
        if not argument.startswith("-"):
            if not may_be_value:
                yield Refusal(path, "It follows no flag.")
            may_be_value = False
        elif flag not in profile.flags:
            yield Refusal(path, _not_allowed(flag, profile))
            may_be_value = True
        elif joined and not profile.joins_flags:
            yield Refusal(path, f"{profile.name} takes a flag and its value as two arguments.")
        else:
            may_be_value = not joined


def _not_allowed(flag: str, profile: Profile) -> str:
    if not profile.flags:
        return f"{profile.name} takes no arguments; use serving and engine.env."
    return f"{flag} is not among the flags that a pool may set: {', '.join(sorted(profile.flags))}."
