"""Errors that the gateway itself answers, in the shape that each API's clients read. Pure.

A route gives a plain sentence; the listener wraps it, and words Envoy's own refusals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from paddock.plan.gateway.spending import BILL
from paddock.plan.gateway.xds import METADATA, from_metadata, typed
from paddock.wire import Json

_OWN = "%LOCAL_REPLY_BODY%"
_OLLAMA_PREFIX = "/api/"


@dataclass(frozen=True, slots=True)
class Reply:
    """One status: what OpenAI calls it, and the sentence, where the route does not say one."""

    status: int
    type: str
    code: str
    message: str = _OWN


_OVERFLOW = Reply(
    503, "server_error", "overloaded", "The pool has as many requests as it takes; try again."
)
_SPENT = Reply(
    429,
    "rate_limit_error",
    "rate_limit_exceeded",
    "More tokens than are allowed in a minute; try again later.",
)
_WITHOUT_TOKEN = Reply(
    401, "authentication_error", "invalid_api_key", "A valid API key or token is needed."
)
"""Also for a token that is meant for somebody else, of which Envoy says 403."""
_OF_TOKENS: Json = {
    "extension_filter": {
        "name": "of-tokens",
        "typed_config": typed(
            "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression="response.code_details.startsWith('jwt_authn_access_denied')",
        ),
    }
}
_INTERNAL = 500
_FULL = Reply(
    503, "server_error", "overloaded", "The gateway has more to hold than it can; try again."
)
"""Of a gateway whose memory fills: Envoy says 500 of requests that it ends as they arrive."""
_UNAVAILABLE = 503
_RETRY_AFTER: Json = {
    "header": {"key": "retry-after", "value": "2"},
    "append_action": "ADD_IF_ABSENT",
}
REPLIES = (
    Reply(400, "invalid_request_error", "invalid_request"),
    _WITHOUT_TOKEN,
    Reply(403, "permission_error", "not_allowed", "This is not allowed here."),
    Reply(404, "invalid_request_error", "model_not_found"),
    Reply(408, "timeout_error", "request_timeout", "The request took too long to arrive."),
    Reply(413, "invalid_request_error", "request_too_large", "The body is larger than allowed."),
    Reply(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests; try again later."),
    Reply(431, "invalid_request_error", "headers_too_large", "The headers are too large."),
    Reply(503, "server_error", "unavailable", "No replica can take the request now."),
    Reply(504, "timeout_error", "timeout", "The model did not answer in time."),
)


def local_replies() -> Json:
    """Return how the listener words every answer of its own that is an error."""
    overflow: Json = {"response_flag_filter": {"flags": ["UO"]}}
    matcher = {**from_metadata(METADATA, BILL), "value": {"present_match": True}}
    priced: Json = {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}
    spent: Json = {"and_filter": {"filters": [_has_status(_SPENT.status), priced]}}
    special = [
        _mapper(reply, when, ollama=ollama)
        for reply, when in (
            (_OVERFLOW, overflow),
            (_SPENT, spent),
            (_WITHOUT_TOKEN, _OF_TOKENS),
            (_FULL, _has_status(_INTERNAL)),
        )
        for ollama in (True, False)
    ]
    others = [
        _mapper(reply, _has_status(reply.status), ollama=ollama)
        for ollama in (True, False)
        for reply in REPLIES
    ]
    return {"mappers": [*special, *others]}


def _has_status(status: int) -> Json:
    return {
        "status_code_filter": {
            "comparison": {
                "op": "EQ",
                "value": {"default_value": status, "runtime_key": "paddock.never_set"},
            }
        }
    }


def _mapper(reply: Reply, when: Json, *, ollama: bool) -> Json:
    under: Json = {
        "header_filter": {
            "header": {"name": ":path", "string_match": {"prefix": _OLLAMA_PREFIX}},
        }
    }
    error: Json = {"message": reply.message, "type": reply.type, "code": reply.code}
    shape: Mapping[str, Json] = {"error": reply.message if ollama else error}
    return {
        "filter": {"and_filter": {"filters": [when, under]}} if ollama else when,
        "status_code": reply.status,
        "body_format_override": {"json_format": shape, "content_type": "application/json"},
        **({"headers_to_add": [_RETRY_AFTER]} if reply.status == _UNAVAILABLE else {}),
    }
