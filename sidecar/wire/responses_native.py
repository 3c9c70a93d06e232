"""OpenAI Responses as they are: for what can't be said by chat completions.

A request is native where chat has no word for a part of it (a tool that runs at OpenAI, a
summary of the reasoning, an item of the reasoning), and where it is about state:
`previous_response_id`, `conversation`, `background`, an item named by its id, or an
explicit `store: true`. The last is the one way to an answer that can be continued, for
OpenAI knows only those that it was asked for in this format. Without `store` a request is
translated and cached, and the id of its answer says so: one that begins with `OWN_PREFIX`
was made here, and a request to continue it is refused with that advice.

What is passed on is the client's own fields, but for the model, and for labels, which
may be added to. What comes back is passed on whole, under the provider's own ids. Those
are known to one account alone, so a route over several needs `sticky` for this; and who
knows an id may go on from it, for no tenant is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeGuard

from sidecar.domain import Choice, Completion, Dialect, Finish, Json, Usage
from sidecar.errors import InvalidRequestError, UpstreamError, UpstreamInvalidError
from sidecar.native import NativeRequest
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.openai_fields import FIELDS, LABELS
from sidecar.wire.openai_usage import read_usage as read_chat_usage
from sidecar.wire.responses_fields import FLAG, NAME, REQUEST, STRING, Rule, check_fields

OWN_PREFIX: Final = "resp_sidecar_"
"""How the id of an answer begins that no provider knows under this id."""

_STATE: Final = ("previous_response_id", "conversation", "background", "store")
_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        **REQUEST,
        "previous_response_id": NAME,
        "conversation": Rule("a string or an object", lambda v: type(v) in (str, dict)),
        "background": FLAG,
        "truncation": STRING,
    }
)
_APART: Final = frozenset(("model", "stream"))
_IDENTITY: Final = frozenset(("id", "object", "created_at"))
_PROVIDERS_FAULTS: Final[Mapping[Json, str]] = {
    "server_error": "overloaded",
    "rate_limit_exceeded": "rate_limited",
    "vector_store_timeout": "overloaded",
}
"""The codes of a failed response that say nothing against the request: another try may do."""

_REASONS: Final[Mapping[Json, str]] = {
    **_PROVIDERS_FAULTS,
    "context_length_exceeded": "context_window",
    "insufficient_quota": "insufficient_quota",
}
"""The words of the trail for a failure that is no response at all."""

_WHY_CUT: Final[Mapping[str, str]] = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}


class OwnId(str):
    """An id that a provider of this format gave. It is told as it is, or nobody could ask by it."""

    __slots__ = ()


def why_stateful(raw: Mapping[str, Json]) -> str:
    """The place where a request leans on what a provider keeps; empty where it doesn't."""
    for name in _STATE:
        if raw.get(name) not in (None, False):
            return name
    items = raw.get("input")
    for place, item in enumerate(items if type(items) is list else ()):
        if type(item) is dict and _names_another(item):
            return f"input[{place}]"
    return ""


def read_native(raw: Json, because: str, *, is_stateful: bool) -> NativeRequest:
    """A request in its own words; only what this process looks at itself is checked."""
    said = check_fields(raw, _RULES)
    _check_present(said)
    if str(said.get("previous_response_id", "")).startswith(OWN_PREFIX):
        raise InvalidRequestError(
            "previous_response_id names an answer that no provider has kept: ask for an "
            "answer with store: true and it can be continued",
            param="previous_response_id",
        )
    labels = {name: said[name] for name in said if name in FIELDS and _is_label(name)}
    return NativeRequest(
        said["model"],
        (),
        labels=labels,
        stream=said.get("stream", False),
        include_usage=said.get("stream", False),
        dialect=Dialect.RESPONSES,
        body={k: v for k, v in said.items() if k not in labels and k not in _APART},
        because=because,
        is_stateful=is_stateful,
    )


def build_native_request(request: NativeRequest, model: str) -> bytes:
    """The body that asks a provider's `model`."""
    streams = {"stream": True} if request.stream else {}
    return dump({"model": model, **request.body, **request.labels, **streams})


def parse_native_reply(body: bytes) -> Completion:
    """A provider's whole reply; raises `UpstreamError` and nothing else."""
    try:
        raw = load_object(body)
        if raw.get("error") and "output" not in raw:
            raise failed(raw["error"], "error_in_body")
        return read_native_reply(raw)
    except MalformedError as error:
        raise unreadable(error) from None


def read_native_reply(raw: Json) -> Completion:
    """A response, whole: beside what the domain names it is kept as it came, in `extra`.

    One that was begun in the background is as good as one that is complete. One that failed
    through no fault of the request is an `UpstreamError`.
    """
    if type(raw) is not dict or type(raw.get("output")) is not list:
        raise MalformedError("a response with its output")
    if type(answer_id := raw.get("id")) is not str or not answer_id:
        raise MalformedError("a string", "id")
    error = raw.get("error")
    if raw.get("status") == "failed" and _is_providers_fault(error):
        raise failed(error, "response_failed")
    return Completion(
        OwnId(answer_id),
        _created(raw),
        raw["model"] if type(raw.get("model")) is str else "",
        (Choice(finish=finish_of(raw)),),
        read_usage(raw.get("usage")),
        {name: value for name, value in raw.items() if name not in _IDENTITY},
    )


def native_tail(completion: Completion) -> bytes:
    """The rest of a whole reply behind its id and time."""
    return dump(completion.extra)[1:]


def finish_of(raw: Mapping[str, Json]) -> str | None:
    """How a response ended, in the domain's words; None where it is still under way."""
    if raw.get("status") == "completed":
        return Finish.STOP
    details = raw.get("incomplete_details")
    why = details.get("reason") if type(details) is dict else None
    return _WHY_CUT.get(why) if type(why) is str else None


def read_usage(value: Json) -> Usage | None:
    """Tokens, or None where they are missing or can't be true."""
    if type(value) is not dict:
        return None
    return read_chat_usage(
        {
            "prompt_tokens": value.get("input_tokens"),
            "completion_tokens": value.get("output_tokens"),
            "total_tokens": value.get("total_tokens"),
            "prompt_tokens_details": value.get("input_tokens_details"),
            "completion_tokens_details": value.get("output_tokens_details"),
        }
    )


def failed(error: Json, otherwise: str) -> UpstreamError:
    """A failure told with status 200. Its text may quote the prompt, so only a word is told."""
    words = (error.get("code"), error.get("type")) if type(error) is dict else ()
    reasons = (_REASONS[word] for word in words if type(word) is str and word in _REASONS)
    reason = next(reasons, otherwise)
    return UpstreamError(f"the provider's response has failed ({reason})", reason=reason)


def unreadable(error: MalformedError) -> UpstreamInvalidError:
    """A reply that is no response."""
    return UpstreamInvalidError(
        f"the provider's reply can't be read: {error}", reason="invalid_body"
    )


def _names_another(item: Mapping[str, Json]) -> bool:
    """Whether an item only names one that the provider keeps; its type may be left out."""
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and "role" not in item)


def _check_present(said: Mapping[str, Json]) -> None:
    if "model" not in said:
        raise MalformedError(REQUEST["model"].expected, "model")
    if "input" not in said and not ("previous_response_id" in said or "conversation" in said):
        raise MalformedError(REQUEST["input"].expected, "input")


def _is_label(name: str) -> bool:
    return FIELDS[name].group == LABELS


def _is_providers_fault(error: Json) -> TypeGuard[dict[str, Json]]:
    code = error.get("code") if type(error) is dict else None
    return type(code) is str and code in _PROVIDERS_FAULTS


def _created(raw: Mapping[str, Json]) -> int:
    created: Json = raw.get("created_at")
    return int(created) if type(created) in (int, float) and 0 <= created < 2**53 else 0
