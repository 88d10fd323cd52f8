"""Each decision has a number of its own, which its title repeats."""

from support.pages import DOCS

RECORDS = sorted((DOCS / "decisions").glob("*.md"))


def test_no_number_is_given_twice() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert numbers == sorted(set(numbers))


def test_titles_begin_with_the_number() -> None:
    untitled = [
        each.name for each in RECORDS if not each.read_text().startswith(f"# {each.name[:4]} ")
    ]
    assert untitled == []
