"""Models and pools as rows of tables. Pure."""

from collections.abc import Sequence
from datetime import datetime

from paddock.api.base import Condition
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType
from paddock.cli.paint import Cell, Line, Tone, Word, table_lines
from paddock.cli.sizes import age_words, digest_words, size_words
from paddock.status.pool import ABSENT, LOADED, ON_DEMAND

_STATE_TONES = {LOADED: Tone.GOOD, ON_DEMAND: Tone.PLAIN, ABSENT: Tone.BAD}
UNSEEN = "NotSeen"
"""What stands for a reason while the operator has not yet looked at the newest spec."""


def models_table(
    models: Sequence[LocalModel], now: datetime, *, with_namespace: bool = False
) -> list[Line]:
    """Lay out `paddock ls`'s upper half."""
    headers = ["MODEL", "READY", "REASON", "SIZE", "QUANTIZATION", "ARCHITECTURE", "USED BY", "AGE"]
    rows = [_model_row(model, now) for model in models]
    return _table(headers, rows, models, with_namespace=with_namespace)


def pools_table(
    pools: Sequence[InferencePool], now: datetime, *, with_namespace: bool = False
) -> list[Line]:
    """Lay out `paddock ls`'s lower half."""
    headers = ["POOL", "ENGINE", "READY", "REASON", "REPLICAS", "MODELS", "ENDPOINT", "AGE"]
    rows = [_pool_row(pool, now) for pool in pools]
    return _table(headers, rows, pools, with_namespace=with_namespace)


def loaded_table(pools: Sequence[InferencePool], *, with_namespace: bool = False) -> list[Line]:
    """Lay out `paddock ps`: one row for each model of each pool."""
    headers = ["POOL", "MODEL", "ENGINE", "STATE", "LOADED ON", "DIGEST", "NEEDS", "HAS"]
    owners = [pool for pool in pools for _ in pool.status.models]
    rows = [row for pool in pools for row in _loaded_rows(pool)]
    return _table(headers, rows, owners, with_namespace=with_namespace)


def condition_of(
    owner: LocalModel | InferencePool, kind: ConditionType = ConditionType.READY
) -> Condition | None:
    """Return a condition that is about the newest spec."""
    return next(
        (
            each
            for each in owner.status.conditions
            if each.type == kind and each.observed_generation == owner.metadata.generation
        ),
        None,
    )


def _table(
    headers: list[str],
    rows: Sequence[list[Cell]],
    owners: Sequence[LocalModel | InferencePool],
    *,
    with_namespace: bool,
) -> list[Line]:
    if not with_namespace:
        return table_lines(headers, rows)
    spaces = [owner.metadata.namespace for owner in owners]
    full = [[space, *row] for space, row in zip(spaces, rows, strict=True)]
    return table_lines(["NAMESPACE", *headers], full)


def _model_row(model: LocalModel, now: datetime) -> list[Cell]:
    artifact, progress = model.status.artifact, model.status.progress
    size = size_words(artifact.bytes) if artifact else None
    if progress is not None:
        percent = None if progress.percent is None else f"{progress.percent} %"
        size = percent or size_words(progress.bytes)
    return [
        model.metadata.name,
        *_ready_cells(model),
        size,
        artifact.quantization if artifact else None,
        artifact.architecture if artifact else None,
        ", ".join(model.status.used_by),
        age_words(model.metadata.creation_timestamp, now),
    ]


def _pool_row(pool: InferencePool, now: datetime) -> list[Cell]:
    wanted = pool.status.effective.replicas if pool.status.effective else pool.spec.replicas
    serving = pool.status.ready_replicas or 0
    return [
        pool.metadata.name,
        pool.spec.engine.name.value,
        *_ready_cells(pool),
        f"{serving}/{1 if wanted is None else wanted}",
        ", ".join(each.served_as for each in pool.spec.models),
        pool.status.endpoint.openai if pool.status.endpoint else None,
        age_words(pool.metadata.creation_timestamp, now),
    ]


def _ready_cells(owner: LocalModel | InferencePool) -> tuple[Cell, Cell]:
    ready = condition_of(owner)
    if ready is None:
        return Word("Unknown", Tone.WAITING), UNSEEN
    stalled = condition_of(owner, ConditionType.STALLED) is not None
    tone = Tone.GOOD if ready.status == "True" else Tone.BAD if stalled else Tone.WAITING
    return Word(ready.status, tone), ready.reason


def _loaded_rows(pool: InferencePool) -> list[list[Cell]]:
    fit = pool.status.fit
    return [
        [
            pool.metadata.name,
            model.served_as,
            pool.spec.engine.name.value,
            Word(model.state, _STATE_TONES.get(model.state, Tone.PLAIN)),
            ", ".join(model.loaded_on),
            digest_words(model.digest),
            size_words(fit.needed_bytes) if fit and index == 0 else None,
            size_words(fit.limit_bytes) if fit and index == 0 else None,
        ]
        for index, model in enumerate(pool.status.models)
    ]
