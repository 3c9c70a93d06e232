"""An OpenAI request to an OpenAI provider: read, written, and the same."""

from __future__ import annotations

import orjson
from hypothesis import given

from sidecar.wire.openai_fields import FIELDS
from sidecar.wire.openai_request import build_chat_request, parse_chat_request

from .test_openai_arbitrary import requests


@given(requests)
def test_an_openai_provider_is_sent_the_same_json(raw):
    """Nothing is lost, moved or added: no field unknown here, at whichever level it stands."""
    request = parse_chat_request(orjson.dumps(raw))
    assert orjson.loads(build_chat_request(request, raw["model"])) == normal(raw)


def normal(raw: dict) -> dict:
    """The form in which a request is sent: without what says nothing."""
    said = {name: value for name, value in raw.items() if value is not None or name not in FIELDS}
    options = said.pop("stream_options", None) or {}
    if not said.get("stream"):
        said.pop("stream", None)
    else:
        said["stream_options"] = {**options, "include_usage": True}
    if not said.get("tools"):
        said.pop("tools", None)
    return {**said, "messages": [_turn(turn) for turn in raw["messages"]]}


def _turn(turn: dict) -> dict:
    content, calls = turn["content"], turn.get("tool_calls")
    if len(content) == 1 and type(content) is list and content[0].keys() == {"type", "text"}:
        content = content[0]["text"]
    rest = {key: value for key, value in turn.items() if (key, value) != ("audio", None)}
    rest.pop("tool_calls", None)
    return {**rest, "content": content} | ({"tool_calls": [*map(_call, calls)]} if calls else {})


def _call(call: dict) -> dict:
    function = {"name": "", "arguments": "", **call.get("function", {})}
    return {"type": "function", **call, "function": function}
