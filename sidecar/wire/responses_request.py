"""OpenAI Responses requests: read from clients, put in the words of chat completions.

A request that chat can say is put in chat's words, so that any provider can answer it and
the answer can be cached. Any other is native (see `responses_native`): passed on as it is,
to a provider that speaks this format. No part of a request is ever left out for this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sidecar.domain import NOTHING, ChatRequest, Dialect, Json, Message, Role, Text
from sidecar.errors import InvalidRequestError
from sidecar.native import NativeRequest
from sidecar.wire.body import MalformedError, load_object
from sidecar.wire.openai_fields import FIELDS, LABELS, PARAMETERS
from sidecar.wire.responses_fields import (
    ANY,
    LOGPROBS,
    NO_WORD,
    OBJECT,
    REQUEST,
    SAME,
    STRING,
    NoWordError,
    at,
    check_reserved,
    read_fields,
)
from sidecar.wire.responses_input import read_input
from sidecar.wire.responses_native import read_native, why_stateful
from sidecar.wire.responses_tools import read_format, read_tool_choice, read_tools

_TEXT: Final = {"format": OBJECT, "verbosity": STRING}
_REASONING: Final = {"effort": STRING}
_STREAM_OPTIONS: Final = {"include_obfuscation": ANY}

NO_ECHO: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": MappingProxyType({}),
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "reasoning": MappingProxyType({"effort": None, "summary": None}),
        "safety_identifier": None,
        "service_tier": None,
        "temperature": None,
        "text": MappingProxyType({"format": MappingProxyType({"type": "text"})}),
        "tool_choice": "auto",
        "tools": (),
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
    }
)
"""What a reply says of the parameters of a request that set none."""


@dataclass(frozen=True, slots=True)
class ResponsesRequest(ChatRequest):
    """A request that remembers its own words, for a reply of this format repeats them.

    `echo` is told to the client alone: no provider is asked with it, and it is no part of
    the scope, for the fields beside it say the same.
    """

    echo: Mapping[str, Json] = field(default_factory=lambda: NO_ECHO)


def parse_responses_request(body: bytes) -> ResponsesRequest | NativeRequest:
    """The request in `body`, or `InvalidRequestError` naming what is wrong."""
    try:
        return _read(load_object(body))
    except MalformedError as error:
        raise InvalidRequestError(str(error), param=error.path or None) from None


def _read(raw: dict[str, Json]) -> ResponsesRequest | NativeRequest:
    check_reserved(raw)
    if place := why_stateful(raw):
        return read_native(raw, place, is_stateful=True)
    try:
        return _read_request(read_fields(raw, REQUEST))
    except NoWordError as error:
        return read_native(raw, error.path, is_stateful=False)


def _read_request(said: Mapping[str, Json]) -> ResponsesRequest:
    _check_stream_options(said)
    if said.get("truncation") == "auto":
        raise NoWordError(f"disabled, or {NO_WORD}", "truncation")
    stream = said.get("stream", False)
    return ResponsesRequest(
        said["model"],
        _read_messages(said),
        read_tools(said.get("tools", [])),
        {**_of_group(said, PARAMETERS), **_translated(said)} or NOTHING,
        NOTHING,
        _of_group(said, LABELS) or NOTHING,
        stream,
        stream,  # every stream of this format ends with its usage
        NOTHING,
        Dialect.RESPONSES,
        _echo(said),
    )


def _read_messages(said: Mapping[str, Json]) -> tuple[Message, ...]:
    turns = read_input(said["input"])
    if instructions := said.get("instructions"):
        # Not as a developer's: servers that only speak alike don't know that role.
        turns.insert(0, Message(Role.SYSTEM, (Text(instructions),)))
    return tuple(turns)


def _of_group(said: Mapping[str, Json], group: str) -> dict[str, Json]:
    """The fields that chat has under the same name."""
    return {name: said[name] for name in SAME if name in said and FIELDS[name].group == group}


def _translated(said: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that chat has under another name or in another form."""
    parameters: dict[str, Json] = {}
    if "max_output_tokens" in said:
        parameters["max_completion_tokens"] = said["max_output_tokens"]
    if "tool_choice" in said:
        parameters["tool_choice"] = read_tool_choice(said["tool_choice"])
    if "reasoning" in said:
        parameters |= _read_reasoning(said["reasoning"])
    if "text" in said:
        parameters |= _read_text(said["text"])
    return parameters | _read_logprobs(said)


def _read_reasoning(raw: Json) -> dict[str, Json]:
    with at("reasoning"):
        reasoning = read_fields(raw, _REASONING)
    return {"reasoning_effort": reasoning["effort"]} if "effort" in reasoning else {}


def _read_text(raw: Json) -> dict[str, Json]:
    parameters: dict[str, Json] = {}
    with at("text"):
        text = read_fields(raw, _TEXT)
        with at("format"):
            form = read_format(text["format"]) if "format" in text else None
    if form is not None:
        parameters["response_format"] = form
    if "verbosity" in text:
        parameters["verbosity"] = text["verbosity"]
    return parameters


def _read_logprobs(said: Mapping[str, Json]) -> dict[str, Json]:
    for place, name in enumerate(said.get("include", ())):
        if name != LOGPROBS:
            wrong = NoWordError if type(name) is str else MalformedError
            raise wrong(f"{LOGPROBS}, or {NO_WORD}", f"include[{place}]")
    parameters: dict[str, Json] = {}
    if said.get("include") or said.get("top_logprobs"):
        parameters["logprobs"] = True
    if said.get("top_logprobs"):
        parameters["top_logprobs"] = said["top_logprobs"]
    return parameters


def _check_stream_options(said: Mapping[str, Json]) -> None:
    """Events are never padded here, so only a native one may ask for that."""
    with at("stream_options"):
        options = read_fields(said.get("stream_options", {}), _STREAM_OPTIONS)
        if options.get("include_obfuscation", False) is not False:
            raise NoWordError("false: events are not padded here", "include_obfuscation")


def _echo(said: Mapping[str, Json]) -> Mapping[str, Json]:
    told = {name: said[name] for name in NO_ECHO if name in said}
    for name in ("text", "reasoning"):
        if name in told:
            told[name] = {**NO_ECHO[name], **told[name]}
    return {**NO_ECHO, **told}
