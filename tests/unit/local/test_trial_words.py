"""What `paddock up` says of a pull, from what the model's status tells."""

import pytest

from paddock.api.localmodel import Progress
from paddock.local.trial import pull_words


@pytest.mark.parametrize(
    ("progress", "said", "words"),
    [
        (None, "", "waiting for the pull to start"),
        (Progress(bytes=0), "waiting for the pull to start", "asking the source"),
        (Progress(bytes=0, total_bytes=9, percent=0), "asking the source", "pulling 0 %"),
        (Progress(bytes=8, total_bytes=9, percent=88), "pulling 0 %", "pulling 88 %"),
        (None, "pulling 88 %", "pulling 88 %"),
    ],
)
def test_pull_is_told_by_its_percent_and_never_goes_back(
    progress: Progress | None, said: str, words: str
) -> None:
    assert pull_words(progress, said) == words
