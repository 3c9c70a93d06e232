"""A request in Anthropic's words, put in OpenAI's, for a provider that speaks those.

What changes an answer and can't be said is refused by name. Left out are `cache_control`,
a hint without effect on the answer, where other vendors cache by themselves, and the beta
header, which only allows what the body then says and is refused for. That a
tool failed (`is_error`) is said in the text of its result, the only place there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.domain import (
    NOTHING,
    Attachment,
    ChatRequest,
    Dialect,
    Json,
    Message,
    Part,
    Role,
    Text,
    ToolCall,
)
from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_blocks import IN_TURN
from sidecar.wire.anthropic_output import OUTPUT, read_output
from sidecar.wire.anthropic_tools import BETA_HEADER, unspeakable

FAILED: Final = "Error: "
"""Begins the result of a tool that failed."""

_WHERE: Final = "OpenAI's Chat Completions"
_HINT: Final = "cache_control"
_NEUTRAL: Final[dict[str, Json]] = {
    "thinking": {"type": "disabled"},
    "service_tier": "auto",
    "betas": [],
    "mcp_servers": [],
    "speed": "standard",
}
"""Anthropic's fields at the value that asks for nothing."""

_DIRECT: Final = {"type": "direct"}
"""The caller of a tool that no other tool called, which goes without saying."""

_CAPS_THOUGHT: Final = re.compile(r"(?:.*/|ft:)?(?:o\d|gpt-[5-9])")
"""Models that refuse `max_tokens` for `max_completion_tokens`; older servers know no other."""


def in_openai_words(request: ChatRequest, model: str) -> ChatRequest:
    """The same request for `model`, or `InvalidRequestError` naming what can't be said."""
    for name, value in request.unknown.items():
        if (
            name not in (_HINT, BETA_HEADER, OUTPUT)
            and value is not None
            and value != _NEUTRAL.get(name, NOTHING)
        ):
            raise _refusal(name)
    if request.messages[-1].role is Role.ASSISTANT:
        raise _refusal("messages", "a last message that begins the answer")
    user = (request.labels.get("metadata") or {}).get("user_id") or request.labels.get("user")
    return replace(
        request,
        messages=tuple(_message(message) for message in request.messages),
        tools=tuple(_tool(raw, f"tools[{place}]") for place, raw in enumerate(request.tools)),
        parameters=_parameters(request, model),
        unknown=NOTHING,
        labels={"user": user} if user else NOTHING,
        dialect=Dialect.OPENAI,
    )


def _refusal(param: str, what: str = "") -> InvalidRequestError:
    return unspeakable(param, what=what, whose=_WHERE)


def _parameters(request: ChatRequest, model: str) -> Mapping[str, Json]:
    parameters = {**request.parameters, **read_output(request.unknown.get(OUTPUT, NOTHING))}
    if parameters.get("max_tokens") == 0:
        raise _refusal("max_tokens", "max_tokens of 0")
    if "max_tokens" in parameters and _CAPS_THOUGHT.match(model):
        parameters["max_completion_tokens"] = parameters.pop("max_tokens")
    return parameters


def _tool(raw: Mapping[str, Json], place: str) -> Json:
    if raw.get("type") != "function":
        raise _refusal(f"{place}.type")
    for name in raw.keys() - {"type", "function", _HINT}:
        raise _refusal(f"{place}.{name}")
    return {"type": "function", "function": raw["function"]}


def _message(message: Message) -> Message:
    if message.role is Role.TOOL:
        return replace(message, content=_result(message), extra=NOTHING)
    content = tuple(_part(part) for part in message.content)
    for name, value in message.extra.items():
        if name != IN_TURN and value is not None:
            raise _refusal(f"messages.{name}")
    calls = tuple(_call(call) for call in message.tool_calls)
    return replace(message, content=content, tool_calls=calls, extra=NOTHING)


def _part(part: Part) -> Part:
    if isinstance(part, Text):
        return part
    if part.kind not in ("text", "image_url"):
        raise _refusal(f"messages.content.{part.kind}")
    raw = {name: value for name, value in part.raw.items() if name != _HINT}
    for name in raw.keys() - {"type", part.kind}:
        raise _refusal(f"messages.content.{name}")
    return Text(raw["text"]) if part.kind == "text" else Attachment(part.kind, raw)


def _result(message: Message) -> tuple[Part, ...]:
    for name in message.extra.keys() - {"is_error", _HINT}:
        raise _refusal(f"messages.content.tool_result.{name}")
    for part in message.content:
        if isinstance(part, Attachment) and part.kind != "text":
            kind = "image" if part.kind == "image_url" else part.kind
            raise _refusal(f"messages.content.tool_result.content.{kind}")
    content = tuple(_part(part) for part in message.content)
    if not message.extra.get("is_error"):
        return content
    text = "".join(part.text for part in content if isinstance(part, Text))
    return (Text(FAILED + text),) if len(content) < 2 else (Text(FAILED), *content)


def _call(call: ToolCall) -> ToolCall:
    for name, value in call.extra.items():
        if name != _HINT and value not in (None, _DIRECT):
            raise _refusal(f"messages.content.tool_use.{name}")
    return replace(call, extra=NOTHING)
