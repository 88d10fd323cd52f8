"""Why an image does not come, in words that say whose turn it is."""

from dataclasses import replace

import pytest

from support.pools import ENGINE, only_cause, status_of, summary, waiting_pod, with_pod

IMAGES = [
    ("InvalidImageName", "couldn't parse image", "is not a valid image name"),
    ("ErrImageNeverPull", "", "is not on the node and may not be pulled"),
    (
        "ErrImagePull",
        (
            'rpc error: code = NotFound desc = failed to pull and unpack image "engine:1": '
            'failed to resolve reference "engine:1": engine:1: not found'
        ),
        "does not exist in its registry",
    ),
    (
        "ImagePullBackOff",
        (
            'Back-off pulling image "engine:1": ErrImagePull: pull access denied, repository '
            "does not exist or may require authorization"
        ),
        "is refused by its registry, or does not exist there",
    ),
    (
        "ErrImagePull",
        "dial tcp: lookup registry.example on 10.0.0.1:53: no such host",
        "cannot be fetched: the registry is not reachable from the node",
    ),
    (
        "ErrImagePull",
        "failed to do request: tls: first record does not look like a TLS handshake",
        "cannot be fetched: the node does not trust how its registry answers (TLS)",
    ),
    (
        "ErrImagePull",
        "no match for platform in manifest: not found",
        "has no version for the node's processor",
    ),
    ("ErrImagePull", "write /var/lib: no space left on device", "does not fit on the node's disk"),
    ("ImagePullBackOff", 'Back-off pulling image "engine:1"', "cannot be pulled"),
]


@pytest.mark.parametrize(("waiting", "message", "cause"), IMAGES)
def test_image_that_does_not_come_says_why(waiting: str, message: str, cause: str) -> None:
    container = replace(ENGINE, waiting_reason=waiting, waiting_message=message)
    facts = with_pod(waiting_pod(container))

    assert only_cause(facts).cause == f"The image engine:1 {cause}."
    assert summary(status_of(facts))["Stalled"] == "True/ImagePullFailed"
