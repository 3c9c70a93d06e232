"""Anthropic Messages requests, read from clients.

What the domain has a word for is put in that word, which is OpenAI's (`stop_sequences`
becomes `stop`, `system` a leading message); what it has none for (`top_k`, `thinking`,
`mcp_servers` and whatever comes later) stands in `unknown` in Anthropic's words. So an
Anthropic provider is sent the same again, and another one's codec refuses by name.

The same, because Anthropic says so: an explicit null and absence, a lone text block and a
string, turns of one role in a row and one turn, a tool of type `custom` and of none, and
an empty list of system blocks or of a tool's results and none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sidecar.domain import NOTHING, ChatRequest, Dialect, Json
from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_blocks import read_system, read_turns
from sidecar.wire.anthropic_tools import BETA_HEADER, read_tool_choice, read_tools
from sidecar.wire.body import MalformedError, load_object
from sidecar.wire.openai_fields import check_reserved

_Fields = dict[str, Json]


def _is_share(value: Json) -> bool:
    # `type`, not `isinstance`: true is an int to Python, and no temperature.
    return type(value) in (int, float) and 0 <= value <= 1


def _is_count(value: Json) -> bool:
    return type(value) is int and value >= 0


def _is_name(value: Json) -> bool:
    return type(value) is str and value != ""


def _is_flag(value: Json) -> bool:
    return type(value) is bool


def _is_object(value: Json) -> bool:
    return type(value) is dict


def with_beta_header(request: ChatRequest, line: str) -> ChatRequest:
    """The request with the features that a header switches on. They belong to the scope.

    Another vendor is asked without them: what they allow to say is refused by its own name.
    """
    betas = [beta for name in line.split(",") if (beta := name.strip())]
    if not _is_betas(betas):
        raise InvalidRequestError(
            f"{BETA_HEADER} must be names of letters, digits and dashes", param=BETA_HEADER
        )
    return replace(request, unknown={**request.unknown, BETA_HEADER: betas}) if betas else request


def _is_strings(value: Json) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _is_betas(value: Json) -> bool:
    # They go into a header, where a comma or a line break would begin something else.
    return _is_strings(value) and all(
        item and item.isascii() and item.replace("-", "").replace("_", "").isalnum()
        for item in value
    )


def _is_metadata(value: Json) -> bool:
    return (
        type(value) is dict
        and value.keys() <= {"user_id"}
        and type(value.get("user_id")) in (str, type(None))
    )


_CHECKS: Final[dict[str, tuple[str, Callable[[Json], bool]]]] = {
    "model": ("a non-empty string", _is_name),
    "max_tokens": ("an integer of at least 0", _is_count),
    "temperature": ("a number from 0 to 1", _is_share),
    "top_p": ("a number from 0 to 1", _is_share),
    "top_k": ("an integer of at least 0", _is_count),
    "stop_sequences": ("a list of strings", _is_strings),
    "stream": ("true or false", _is_flag),
    "metadata": ("an object that holds a string user_id or nothing", _is_metadata),
    "thinking": ("an object", _is_object),
    "output_config": ("an object", _is_object),
    "betas": ("a list of names of letters, digits and dashes", _is_betas),
}
_READ_APART: Final = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "stream", "metadata")
)
_PARAMETERS: Final = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop_sequences": "stop",
}
"""The domain's words for Anthropic's."""


def parse_messages_request(body: bytes) -> ChatRequest:
    """The request in `body`, or `InvalidRequestError` naming what is wrong."""
    return _parse(body, needed=("model", "max_tokens"))


def parse_count_request(body: bytes) -> ChatRequest:
    """The same of `/v1/messages/count_tokens`, where nothing is made and so nothing capped."""
    return _parse(body, needed=("model",))


def _parse(body: bytes, needed: tuple[str, ...]) -> ChatRequest:
    try:
        raw = {name: value for name, value in load_object(body).items() if value is not None}
        for name in needed:
            if name not in raw:
                raise MalformedError(_CHECKS[name][0], name)  # noqa: TRY301  one border
        check_reserved(raw)
        return _read(raw)
    except MalformedError as error:
        raise InvalidRequestError(str(error), param=error.path or None) from None


def _read(raw: _Fields) -> ChatRequest:
    for name, (expected, is_valid) in _CHECKS.items():
        if name in raw and not is_valid(raw[name]):
            raise MalformedError(expected, name)
    parameters = {word: raw[name] for name, word in _PARAMETERS.items() if name in raw}
    if "tool_choice" in raw:
        parameters |= read_tool_choice(raw["tool_choice"])
    rest = {k: v for k, v in raw.items() if k not in _PARAMETERS and k not in _READ_APART}
    metadata = {k: v for k, v in raw.get("metadata", {}).items() if v is not None}
    return ChatRequest(
        model=raw["model"],
        messages=read_system(raw.get("system")) + read_turns(raw.get("messages")),
        tools=read_tools(raw.get("tools", [])),
        parameters=parameters or NOTHING,
        unknown=rest or NOTHING,
        labels={"metadata": metadata} if metadata else NOTHING,
        stream=raw.get("stream", False),
        include_usage=raw.get("stream", False),
        dialect=Dialect.ANTHROPIC,
    )
