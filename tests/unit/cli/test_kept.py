"""What `paddock purge` may delete: claims made for a model, that nobody names or mounts."""

from paddock.cli.kept import claims_table, kept_claims
from paddock.cli.paint import text_of
from paddock.facts import ClaimFact
from support.objects import model


def claim(name: str, made_for: str | None, *, deleting: bool = False) -> ClaimFact:
    return ClaimFact(
        name, f"uid-{name}", "1", "Bound", capacity="20Gi", storage_class="fast",
        made_for=made_for, deleting=deleting,
    )  # fmt: skip


def test_only_claims_that_nobody_uses_are_kept_for_nothing() -> None:
    claims = [
        claim("zeta-weights", "zeta"),
        claim("gone-weights", "gone"),
        claim("tiny-weights", "tiny"),
        claim("shared-weights", "first"),
        claim("mounted-weights", "mounted"),
        claim("ending-weights", "ending", deleting=True),
        claim("my-own", None),
        claim("local-weights", "local"),
    ]
    models = [
        model("tiny"),
        model("second", storage={"claimName": "shared-weights"}),
        model("in-place", source="pvc://local-weights/model.gguf"),
    ]
    kept = kept_claims(claims, models, ["mounted-weights"])
    assert [each.name for each in kept] == ["gone-weights", "zeta-weights"]


def test_table_says_what_would_go() -> None:
    assert text_of(claims_table([claim("gone-weights", "gone")])) == (
        "CLAIM          MADE FOR   SIZE   CLASS\ngone-weights   gone       20Gi   fast"
    )
