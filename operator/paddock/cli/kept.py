"""Which claims of ours no model names any more: what `paddock purge` may delete. Pure."""

from collections.abc import Iterable, Sequence

from paddock.api.localmodel import LocalModel
from paddock.cli.paint import Line, Word, table_lines
from paddock.facts import ClaimFact
from paddock.plan.model import claim_of


def kept_claims(
    claims: Iterable[ClaimFact], models: Iterable[LocalModel], mounted: Iterable[str]
) -> tuple[ClaimFact, ...]:
    """Return the claims that were made for a model, and that no model and no pod uses, by name."""
    used = {claim_of(model) for model in models} | set(mounted)
    return tuple(
        sorted(
            (
                claim
                for claim in claims
                if claim.made_for is not None and claim.name not in used and not claim.deleting
            ),
            key=lambda claim: claim.name,
        )
    )


def claims_table(claims: Sequence[ClaimFact]) -> list[Line]:
    """Lay the claims out for a person to decide on."""
    rows = [
        [Word(claim.name), claim.made_for, claim.capacity or claim.requested, claim.storage_class]
        for claim in claims
    ]
    return table_lines(["CLAIM", "MADE FOR", "SIZE", "CLASS"], rows)
