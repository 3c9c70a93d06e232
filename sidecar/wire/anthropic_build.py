"""Requests to an Anthropic provider, from whichever dialect they were asked in.

What came in Anthropic's words goes out as it came. Of OpenAI's words each is translated,
or has no effect on the answer (a hint for a provider's own cache, a label, a default), or
is refused by name: nothing that changes an answer is left out in silence.

Labels (`metadata`, `store`) change nothing in an answer and are the first vendor's
bookkeeping, so of them Anthropic is told the user alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sidecar.domain import ChatRequest, Dialect, Json, Role
from sidecar.native import require_translatable
from sidecar.wire.anthropic_output import FIELDS as OUTPUT_FIELDS
from sidecar.wire.anthropic_output import write_output
from sidecar.wire.anthropic_tools import BETA_HEADER, unspeakable, write_tool_choice, write_tools
from sidecar.wire.anthropic_turns import write_system, write_turns
from sidecar.wire.body import dump

DEFAULT_MAX_TOKENS: Final = 4096
"""Anthropic wants a cap, and other formats need not set one."""

_Fields = dict[str, Json]
_HINTS: Final = frozenset(("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"))
"""For a provider's own cache: without effect on the answer."""

_WRITTEN_APART: Final = frozenset(
    ("max_tokens", "max_completion_tokens", "stop", "tool_choice", "parallel_tool_calls")
).union(OUTPUT_FIELDS)
_DEFAULTS: Final[dict[str, Callable[[Json], bool]]] = {
    "n": lambda value: value == 1,
    "logprobs": lambda value: value is False,
    "top_logprobs": lambda value: value == 0,
    "logit_bias": lambda value: not value,
    "presence_penalty": lambda value: value == 0,
    "frequency_penalty": lambda value: value == 0,
    "modalities": lambda value: value == ["text"],
    "functions": lambda value: not value,
    "service_tier": lambda value: value == "auto",
}
"""OpenAI's fields at the value that asks for what Anthropic does anyway."""

_NOT_COUNTED: Final = frozenset(
    ("max_tokens", "stop_sequences", "stream", "temperature", "top_p", "top_k", "metadata")
) | {"service_tier", "container", "inference_geo"}
"""What says how to answer, and the endpoint that only counts refuses."""


def build_messages_request(request: ChatRequest, model: str) -> bytes:
    """The body that asks a provider's `model`, or `InvalidRequestError` naming the field."""
    return dump(_written(request, model))


def build_count_request(request: ChatRequest, model: str) -> bytes:
    """The body that asks how many tokens a request has."""
    raw = _written(request, model)
    return dump({name: value for name, value in raw.items() if name not in _NOT_COUNTED})


def betas_of(request: ChatRequest) -> str:
    """The value of the header `anthropic-beta`, empty where the request names none."""
    if request.dialect is not Dialect.ANTHROPIC:
        return ""
    named = (request.unknown.get(name) or () for name in ("betas", BETA_HEADER))
    return ",".join(dict.fromkeys(beta for betas in named for beta in betas))


def _written(request: ChatRequest, model: str) -> _Fields:
    require_translatable(request)
    dialect = request.dialect
    raw: _Fields = {"model": model, "max_tokens": _cap(request.parameters)}
    system = write_system(request.messages, dialect)
    if system is not None:
        raw["system"] = system
    raw["messages"] = write_turns(request.messages, dialect)
    if dialect is not Dialect.ANTHROPIC:
        _check_last(raw["messages"])
    if request.tools:
        raw["tools"] = write_tools(request.tools, dialect)
    raw |= _write_parameters(request.parameters)
    if user := _user(request):
        raw["metadata"] = {"user_id": user}
    raw |= _write_unknown(request)
    return raw | {"stream": True} if request.stream else raw


def _cap(parameters: Mapping[str, Json]) -> int:
    # Not `or`: 0 asks Anthropic to read the prompt into its cache and to say nothing.
    said = (parameters.get(name) for name in ("max_completion_tokens", "max_tokens"))
    cap: int = next((cap for cap in said if cap is not None), DEFAULT_MAX_TOKENS)
    return cap


def _check_last(turns: list[Json]) -> None:
    if not turns:
        raise unspeakable("messages", what="a conversation of system messages alone")
    # Anthropic takes an assistant's last turn for the beginning of its answer.
    if turns[-1]["role"] == Role.ASSISTANT:
        raise unspeakable("messages", what="an assistant as the last to speak")


def _write_parameters(parameters: Mapping[str, Json]) -> _Fields:
    raw: _Fields = {}
    for name, value in parameters.items():
        if name in ("temperature", "top_p"):
            raw[name] = value
        elif name not in _WRITTEN_APART and not _has_no_effect(name, value):
            raise unspeakable(name)
    if raw.get("temperature", 0) > 1:
        raise unspeakable("temperature", what="a temperature above 1")
    stop = parameters.get("stop")
    if stop is not None:
        raw["stop_sequences"] = [stop] if type(stop) is str else stop
    if choice := write_tool_choice(parameters):
        raw["tool_choice"] = choice
    return raw | write_output(parameters)


def _has_no_effect(name: str, value: Json) -> bool:
    is_default = _DEFAULTS.get(name)
    return name in _HINTS or (is_default is not None and is_default(value))


def _write_unknown(request: ChatRequest) -> _Fields:
    if request.dialect is Dialect.ANTHROPIC:
        return {
            name: value
            for name, value in request.unknown.items()
            if name not in ("betas", BETA_HEADER)
        }
    for fields in (request.unknown, request.stream_options):
        for name, value in fields.items():
            if value is not None and name != "include_obfuscation" and name not in _HINTS:
                raise unspeakable(name)
    return {}


def _user(request: ChatRequest) -> str:
    """Whom a provider is to hear of.

    Of `metadata` that is Anthropic's own field alone: OpenAI's holds what the app told the
    sidecar or keeps for itself, and who asks is in it in clear.
    """
    labels, named = request.labels, []
    if request.dialect is Dialect.ANTHROPIC:
        named.append((labels.get("metadata") or {}).get("user_id"))
    named += [labels.get("safety_identifier"), labels.get("user")]
    return next((user for user in named if type(user) is str and user), "")
