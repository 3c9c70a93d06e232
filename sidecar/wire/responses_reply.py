"""OpenAI Responses replies: an answer as the object that clients of that format read.

Of an answer's choices the first is told, for nobody can ask for more in this format. Its
items have ids that are made from the answer's own, so that they are the same each time.
Facts that this format has no place for (a fingerprint, a vendor's text of its reasoning)
are not told. Only an answer that came to its own end is `completed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.domain import ChatRequest, Choice, Completion, Finish, Json, ToolCall, Usage
from sidecar.wire.body import dump
from sidecar.wire.responses_native import OWN_PREFIX, OwnId
from sidecar.wire.responses_request import NO_ECHO, ResponsesRequest

_FOREIGN_PREFIXES: Final = ("chatcmpl-", OWN_PREFIX, "resp_", "msg_", "req_")
_ENDED: Final = (Finish.STOP, Finish.TOOL_CALLS, Finish.FUNCTION_CALL)
_WHY_INCOMPLETE: Final[Mapping[str | None, str]] = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
}
COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"


@dataclass(frozen=True, slots=True)
class State:
    """What a reply says at one time; of a stream that is told more than once."""

    status: str
    model: str
    output: Sequence[Json] = ()
    details: Json = None
    usage: Usage | None = None
    service_tier: Json = None
    error: Json = None


def response_head(answer_id: str, created: int) -> bytes:
    """The beginning of a reply's body: what differs each time an answer is given again."""
    return dump(identity(answer_id, created))[:-1] + b","


def response_tail(completion: Completion, request: ChatRequest) -> bytes:
    """The rest of it, which is the same each time for the same request."""
    choice = completion.choices[0] if completion.choices else Choice()
    status = status_of(choice.finish)
    state = State(
        status,
        completion.model,
        _output(choice, stem(completion.id), status),
        why_incomplete(choice.finish),
        completion.usage,
        completion.extra.get("service_tier"),
    )
    return dump(snapshot(request, state))[1:]


def identity(answer_id: str, created: int) -> dict[str, Json]:
    """Id and time of a reply. Only the id of an answer of this format is the provider's own."""
    told = answer_id if isinstance(answer_id, OwnId) else OWN_PREFIX + stem(answer_id)
    return {"id": told, "object": "response", "created_at": created}


def stem(answer_id: str) -> str:
    """What the ids of a reply and of its items have in common, made from the answer's id."""
    for prefix in _FOREIGN_PREFIXES:
        answer_id = answer_id.removeprefix(prefix)
    return answer_id or "0"


def status_of(finish: str | None) -> str:
    """Whether an answer came to its own end; what a vendor's own word means is not known."""
    return COMPLETED if finish in _ENDED else INCOMPLETE


def why_incomplete(finish: str | None) -> dict[str, Json] | None:
    """Why it did not, where this format has a word for it."""
    reason = _WHY_INCOMPLETE.get(finish)
    return {"reason": reason} if reason else None


def snapshot(request: ChatRequest, state: State) -> dict[str, Json]:
    """A reply without its id and time."""
    echo = request.echo if isinstance(request, ResponsesRequest) else NO_ECHO
    raw: dict[str, Json] = {
        "status": state.status,
        "background": False,
        "error": state.error,
        "incomplete_details": state.details,
        "model": state.model or request.model,
        "output": state.output,
        "previous_response_id": None,
        "store": False,  # it can't be asked for again, whatever a provider keeps
        "usage": None if state.usage is None else write_usage(state.usage),
        **echo,
    }
    if type(state.service_tier) is str:
        raw["service_tier"] = state.service_tier
    return raw


def write_usage(usage: Usage) -> dict[str, Json]:
    """Tokens as this format tells them."""
    return {
        "input_tokens": usage.input_tokens,
        # What was written to a provider's cache no chat provider tells, but SDKs read it.
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def message_item(item_id: str, content: Sequence[Json], status: str) -> dict[str, Json]:
    """What the assistant says."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def text_part(text: str, annotations: Sequence[Json] = (), logprobs: Sequence[Json] = ()) -> Json:
    """A text of it."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs,
    }


def refusal_part(refusal: str) -> Json:
    """Why it would not."""
    return {"type": "refusal", "refusal": refusal}


def call_item(item_id: str, call: ToolCall, status: str) -> dict[str, Json]:
    """A call of a tool."""
    raw: dict[str, Json] = {"id": item_id, "call_id": call.id, "name": call.name}
    if call.kind == "custom":
        return {**raw, "type": "custom_tool_call", "input": call.arguments}
    return {**raw, "type": "function_call", "arguments": call.arguments, "status": status}


def message_id(stem_: str) -> str:
    """The id of what is said."""
    return f"msg_{stem_}"


def ids_of_call(stem_: str, index: int) -> tuple[str, str]:
    """The id of a call's item, and one to answer it by where a careless server gave none."""
    return f"fc_{stem_}_{index}", f"call_{stem_}_{index}"


def said(text: str | None, extra: Mapping[str, Json]) -> str:
    """The text of an answer or a piece of it. Some vendors send it in parts, with others."""
    parts = extra.get("content")
    if type(parts) is not list:
        return text or ""
    texts = [part["text"] for part in parts if _is_text(part)]
    return "".join(texts) + (text or "")


def read_annotations(extra: Mapping[str, Json]) -> list[Json]:
    """The citations of a chat answer, as this format writes them."""
    found = extra.get("annotations")
    return [flat for raw in found if (flat := _flat(raw))] if type(found) is list else []


def read_logprobs(value: Json) -> list[Json]:
    """The logprobs of a chat answer's text; what this format requires is there."""
    tokens = value.get("content") if type(value) is dict else None
    if type(tokens) is not list:
        return []
    return [
        {**_token(raw), "top_logprobs": _tokens(raw.get("top_logprobs"))}
        for raw in tokens
        if type(raw) is dict
    ]


def _output(choice: Choice, stem_: str, status: str) -> list[Json]:
    content = []
    if text := said(choice.text, choice.extra):
        annotations, logprobs = read_annotations(choice.extra), read_logprobs(choice.logprobs)
        content.append(text_part(text, annotations, logprobs))
    if choice.refusal:
        content.append(refusal_part(choice.refusal))
    output: list[Json] = [message_item(message_id(stem_), content, status)] if content else []
    for index, call in enumerate(choice.tool_calls):
        item_id, spare_id = ids_of_call(stem_, index)
        output.append(call_item(item_id, replace(call, id=call.id or spare_id), status))
    return output


def _is_text(part: Json) -> bool:
    return type(part) is dict and part.get("type") == "text" and type(part.get("text")) is str


def _flat(raw: Json) -> Json:
    kind = raw.get("type") if type(raw) is dict else None
    inner = raw.get(kind) if type(kind) is str else None
    return {"type": kind, **inner} if type(inner) is dict else None


def _tokens(value: Json) -> list[Json]:
    return [_token(raw) for raw in value if type(raw) is dict] if type(value) is list else []


def _token(raw: dict[str, Json]) -> dict[str, Json]:
    return {
        "token": raw.get("token") or "",
        "bytes": raw.get("bytes") or [],
        "logprob": raw.get("logprob"),
    }
