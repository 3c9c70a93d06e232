"""Answers without a model: a pure function of what was asked.

An answer is readable and quotes the question, so that a demo can be followed; it
carries a fingerprint of the whole request, so that two requests which differ anywhere
get different answers. It refuses to use time, chance or state.

**A token is a word with the white space before it.** A byte-level BPE never joins two
words in one token, so a real tokenizer's count is never below this one: a budget that
holds against real counts holds against the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from sidecar.providers.simulated.sample import sample

_TOKEN = re.compile(r"\s*\S+(?:\s+$)?")
_WORD = re.compile(r"[a-z0-9]{4,}")
_QUOTED_CHARS = 120
_DELIVERY = frozenset(
    {"stream", "stream_options", "metadata", "user", "safety_identifier", "store"}
    | {"prompt_cache_key", "service_tier", "max_tokens", "max_completion_tokens"}
)
"""Fields that change how an answer is delivered, cut or filed, and not what it says."""

_OPENINGS = (
    " In short, the safest way is to take it one step at a time.",
    " There are three things to look at, and the first usually settles it.",
    " Start with what you know for certain, then check the rest.",
    " The usual answer is also the right one here.",
)
_BODIES = (
    " Write down what you expect before you try, and compare afterwards.",
    " Change one thing only, and keep the old state until the new one has proved itself.",
    " Most of the time the cause is nearer than it looks.",
    " Ask who is affected, since that decides how fast you have to be.",
    " When two explanations fit, test the cheaper one first.",
)
_CLOSINGS = (
    " If that does not help, say what you saw and I will look again.",
    " That covers the common case; the rare ones need more detail.",
    " From there the rest follows by itself.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """The tool that an answer calls; its arguments are the answer's tokens."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice: its tokens in order, why it ended, and the tool it calls, if any."""

    tokens: tuple[str, ...]
    finish: str
    call: Call | None = None

    @property
    def text(self) -> str:
        """All tokens together."""
        return "".join(self.tokens)


def count_tokens(text: str) -> int:
    """Count words."""
    return len(text.split())


def count_prompt_tokens(request: Mapping[str, Any]) -> int:
    """Count the words of every message and of what else is part of the prompt; at least one."""
    parts = [said(message) for message in request.get("messages") or ()]
    parts += [
        orjson.dumps(request[field]).decode()
        for field in ("tools", "response_format")
        if request.get(field)
    ]
    return max(1, sum(count_tokens(part) for part in parts))


def said(message: Any) -> str:
    """Return the text of a message, its parts joined."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def last_said(request: Mapping[str, Any], role: str = "user") -> str:
    """Return the last message of this role; empty where there is none."""
    for message in reversed(request.get("messages") or ()):
        if isinstance(message, dict) and message.get("role") == role:
            return said(message)
    return ""


def answers(request: Mapping[str, Any]) -> tuple[Answer, ...]:
    """Answer `n` times. Raises nothing for a request that has a list of messages."""
    print_ = fingerprint(request)
    wanted = request.get("n")
    count = min(wanted, 128) if isinstance(wanted, int) and wanted > 0 else 1
    return tuple(_answer(request, blake2b(print_ + bytes([i])).digest()) for i in range(count))


def fingerprint(request: Mapping[str, Any]) -> bytes:
    """Digest all that decides what the answer says."""
    asked = {name: value for name, value in request.items() if name not in _DELIVERY}
    return blake2b(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _answer(request: Mapping[str, Any], seed: bytes) -> Answer:
    function = _function_to_call(request)
    if function is None:
        return _cut(_json(request, seed) or _prose(request, seed), request, "stop", None)
    arguments = orjson.dumps(sample(function.get("parameters") or {"type": "object"})).decode()
    call = Call(f"call_{seed.hex()[:24]}", str(function.get("name")))
    return _cut(_tokens(arguments), request, "tool_calls", call)


@lru_cache(maxsize=512)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text))


def _cut(
    tokens: tuple[str, ...], request: Mapping[str, Any], finish: str, call: Call | None
) -> Answer:
    most = request.get("max_completion_tokens") or request.get("max_tokens")
    if isinstance(most, int) and 0 < most < len(tokens):
        return Answer(tokens[:most], "length", call)
    return Answer(tokens, finish, call)


def _prose(request: Mapping[str, Any], seed: bytes) -> tuple[str, ...]:
    asked, result = last_said(request), _tool_result(request)
    subject = f"The tool said “{_quoted(result)}”." if result else f"You asked: “{_quoted(asked)}”"
    body = seed[1] % len(_BODIES)
    # Sentence by sentence, because most of them have been split before.
    return (
        *_tokens(subject),
        *_tokens(_OPENINGS[seed[0] % len(_OPENINGS)]),
        *_tokens(_BODIES[body]),
        *_tokens(_BODIES[body - 1 - seed[2] % (len(_BODIES) - 1)]),
        *_tokens(_CLOSINGS[seed[3] % len(_CLOSINGS)]),
        *(" (Simulated", " answer", f" {seed.hex()[:8]}.)"),
    )


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _QUOTED_CHARS else f"{words[:_QUOTED_CHARS].rstrip()}…"


def _json(request: Mapping[str, Any], seed: bytes) -> tuple[str, ...]:
    wanted = request.get("response_format")
    match wanted:
        case {"type": "json_object"}:
            value: Any = {"answer": f"simulated {seed.hex()[:8]}", "question": last_said(request)}
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            value = sample(schema)
        case _:
            return ()
    return _tokens(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _function_to_call(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    named = _offered(request.get("tools"))
    if not named:
        return None
    match request.get("tool_choice", "auto"):
        case {"function": {"name": str(name)}}:
            return named.get(name)
        case "required":
            return next(iter(named.values()), None)
        case "auto" if not _tool_result(request):
            return _asked_for(named, last_said(request).lower())
        case _:
            return None


def _offered(tools: Any) -> dict[str, dict[str, Any]]:
    functions = [
        tool["function"]
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    return {str(function.get("name")): function for function in functions}


def _asked_for(named: Mapping[str, Mapping[str, Any]], asked: str) -> Mapping[str, Any] | None:
    for name, function in named.items():
        if any(word in asked for word in _WORD.findall(name.lower().replace("_", " "))):
            return function
    return None


def _tool_result(request: Mapping[str, Any]) -> str:
    messages = request.get("messages") or ()
    last = messages[-1] if messages else None
    return said(last) if isinstance(last, dict) and last.get("role") == "tool" else ""
