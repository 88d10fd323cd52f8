"""What no engine could honour, whatever its profile: names taken twice, fields without effect.

Pure.
"""

from collections.abc import Iterator, Sequence

from paddock.api.inferencepool import EngineName, Hardware, InferencePool
from paddock.plan.deployment import NVIDIA_GPU
from paddock.plan.engines.overrides import refuse_overrides
from paddock.plan.engines.profile import PooledModel, Profile, Refusal, gpus_of


def refuse_pool(
    pool: InferencePool, profile: Profile, models: Sequence[PooledModel]
) -> tuple[Refusal, ...]:
    """Return every field of the pool that cannot be honoured, with a sentence each."""
    return (
        *refuse_overrides(pool, profile),
        *profile.refuse(pool, tuple(models)),
        *_names(pool),
        *_hardware(pool, profile),
        *_authorities(pool),
        *_formats(profile, models),
        *_draft(profile, models),
    )


def _names(pool: InferencePool) -> Iterator[Refusal]:
    taken: set[str] = set()
    for index, each in enumerate(pool.spec.models):
        name = each.served_as
        known = _comparable(pool.spec.engine.name, name)
        if known in taken:
            path = f"spec.models[{index}]"
            yield Refusal(path, f"The served name {name} is taken by another model of this pool.")
        taken.add(known)


def _comparable(engine: EngineName, name: str) -> str:
    """Return a name as the engine compares it: Ollama knows no case, and adds the tag latest."""
    return name.lower().removesuffix(":latest") if engine is EngineName.OLLAMA else name


def _hardware(pool: InferencePool, profile: Profile) -> Iterator[Refusal]:
    hardware = pool.spec.hardware or Hardware()
    fields = {
        "resourceName": hardware.resource_name,
        "deviceClaim": hardware.device_claim,
        "sharing": hardware.sharing,
    }
    said = [f"spec.hardware.{name}" for name, value in fields.items() if value is not None]
    if not gpus_of(pool, profile):
        yield from (Refusal(path, "It has no effect without GPUs; set gpus.") for path in said)
    elif hardware.device_claim is not None:
        sentence = "The device claim says which GPUs, and how they are shared; leave this out."
        yield from (Refusal(path, sentence) for path in said if not path.endswith("Claim"))
    elif hardware.sharing is not None and not _is_nvidia(hardware):
        sentence = "Only NVIDIA's nodes say how they share GPUs; use gpuTypes or nodeSelector."
        yield Refusal("spec.hardware.sharing", sentence)


def _is_nvidia(hardware: Hardware) -> bool:
    return (hardware.resource_name or NVIDIA_GPU).startswith("nvidia.com/")


def _draft(profile: Profile, models: Sequence[PooledModel]) -> Iterator[Refusal]:
    path = "spec.serving.draftModel"
    for each in models:
        if each.draft is None:
            continue
        if each.draft.model.metadata.uid == each.model.metadata.uid:
            yield Refusal(path, "A model that guesses its own tokens saves nothing; take another.")
        yield from _format(path, profile, each.draft)


def _authorities(pool: InferencePool) -> Iterator[Refusal]:
    """Refuse what Envoy would not load, before it keeps other pools' changes from being served."""
    auth = pool.spec.gateway.auth if pool.spec.gateway is not None else None
    issuers = (auth.issuers if auth is not None else None) or ()
    for index, issuer in enumerate(issuers):
        authority = issuer.certificate_authority
        if authority is not None and not _is_readable(authority):
            path = f"spec.gateway.auth.issuers[{index}].certificateAuthority"
            yield Refusal(path, "Its certificates cannot be read; give them as PEM.")


def _is_readable(authority: str) -> bool:
    from cryptography import x509  # noqa: PLC0415 - 8 MiB, for pools with such an issuer alone

    try:
        return bool(x509.load_pem_x509_certificates(authority.encode()))
    except ValueError:
        return False


def _formats(profile: Profile, models: Sequence[PooledModel]) -> Iterator[Refusal]:
    for index, model in enumerate(models):
        yield from _format(f"spec.models[{index}]", profile, model)


def _format(path: str, profile: Profile, model: PooledModel) -> Iterator[Refusal]:
    artifact = model.model.status.artifact
    if artifact is not None and artifact.format not in profile.formats:
        yield Refusal(path, f"{profile.name} does not serve {artifact.format} files.")
