"""What an OpenAI provider is asked with, where the request came in Anthropic's words."""

from dataclasses import replace

import orjson
import pytest

from sidecar.errors import InvalidRequestError
from sidecar.wire.openai_request import build_chat_request

from .messages import CACHED, DOCUMENT, HELLO, IMAGE, RESULT, THOUGHT, USE, WEATHER, parse


def built(model: str = "gpt-4o", **fields: object) -> dict:
    """What OpenAI is sent."""
    return orjson.loads(build_chat_request(parse(**fields), model))


def turn(*blocks: object, role: str = "user") -> dict:
    """Fields of a request with one turn of these blocks between two others."""
    return {"messages": [HELLO, {"role": role, "content": list(blocks)}, HELLO]}


def test_the_least_request():
    """Nothing of it is in Anthropic's words."""
    assert built() == {"model": "gpt-4o", "messages": [HELLO], "max_tokens": 100}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama3", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("gpt-5-nano", "max_completion_tokens"),
        ("openai/gpt-5", "max_completion_tokens"),
        ("ft:o4-mini:shop", "max_completion_tokens"),
        ("solo1", "max_tokens"),
    ],
)
def test_the_cap_by_the_name_that_the_model_takes(model, name):
    """Newer models refuse the older name, older servers don't know the newer one."""
    asked = built(model)
    assert [key for key in asked if key.startswith("max_")] == [name]


def test_parameters_and_user():
    """Each under OpenAI's name."""
    asked = built(
        temperature=0.3, stop_sequences=["x"], system="Be brief", metadata={"user_id": "bob"}
    )
    assert asked["messages"][0] == {"role": "system", "content": "Be brief"}
    assert (asked["temperature"], asked["stop"], asked["user"]) == (0.3, ["x"], "bob")
    assert "metadata" not in asked


def test_a_user_that_was_hashed_here_is_told():
    """Where the body names none; what it names itself goes first."""
    request = parse(metadata={"user_id": "bob"})
    hashed = replace(request, labels={**request.labels, "user": "h"})
    assert orjson.loads(build_chat_request(hashed, "m"))["user"] == "bob"
    hashed = replace(request, labels={"user": "h"})
    assert orjson.loads(build_chat_request(hashed, "m"))["user"] == "h"


def test_a_stream_asks_for_usage():
    """As every stream does."""
    assert built(stream=True)["stream_options"] == {"include_usage": True}


def test_tools_and_their_use():
    """Calls and results in OpenAI's order."""
    asked = built(
        tools=[{**WEATHER, "cache_control": CACHED}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        messages=[
            HELLO,
            {"role": "assistant", "content": [{**USE, "cache_control": CACHED}]},
            {"role": "user", "content": [RESULT, {"type": "text", "text": "So?"}]},
        ],
    )
    call = asked["messages"][1]["tool_calls"][0]
    assert orjson.loads(call["function"]["arguments"]) == {"city": "Bonn"}
    assert asked["messages"][2:] == [
        {"role": "tool", "content": "21 °C", "tool_call_id": "toolu_1"},
        {"role": "user", "content": "So?"},
    ]
    assert asked["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("required", False)
    assert "cache_control" not in str(asked)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("no such city", "Error: no such city"),
        (None, "Error: "),
        (
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            [{"type": "text", "text": part} for part in ("Error: ", "a", "b")],
        ),
    ],
)
def test_a_tool_that_failed_is_said_to(content, expected):
    """In the text, for OpenAI has no field for it; the model must not take it for a result."""
    block = {**RESULT, "is_error": True, "content": content}
    answered = built(**turn({k: v for k, v in block.items() if v is not None}))["messages"][1]
    assert answered["content"] == expected


def test_a_tool_that_did_not_fail_is_not_said_to():
    """`is_error: false` is the default."""
    answered = built(**turn({**RESULT, "is_error": False}))["messages"][1]
    assert answered["content"] == "21 °C"


def test_images_are_shown():
    """As data URLs or by their address."""
    (part,) = built(**turn({**IMAGE, "cache_control": CACHED}))["messages"][1]["content"]
    assert part == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


def test_a_cache_hint_is_the_one_thing_left_out():
    """It changes nothing in the answer, and others cache by themselves."""
    text = {"type": "text", "text": "a", "cache_control": CACHED}
    asked = built(cache_control=CACHED, system=[text], **turn(text))
    assert asked["messages"][0]["content"] == asked["messages"][2]["content"] == "a"
    assert "cache_control" not in str(asked)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_k": 5}, "top_k"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"container": "c1"}, "container"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"betas": ["a-1"]}, "betas"),
        ({"new_field": False}, "new_field"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"speed": "fast"}, "speed"),
        (
            {"messages": [{"role": "system", "content": "x", "clear_at": "never"}, HELLO]},
            "messages.clear_at",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{**WEATHER, "input_examples": []}]}, "tools[0].input_examples"),
        ({"messages": [HELLO, {"role": "assistant", "content": "I"}]}, "messages"),
        (turn(THOUGHT, role="assistant"), "messages.content.thinking"),
        (
            turn({"type": "redacted_thinking", "data": "x"}, role="assistant"),
            "messages.content.redacted_thinking",
        ),
        (turn(DOCUMENT), "messages.content.document"),
        (
            turn({"type": "text", "text": "a", "citations": [{}]}, role="assistant"),
            "messages.content.citations",
        ),
        (
            turn({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            "messages.content.image",
        ),
        (turn({"type": "server_tool_use"}, role="assistant"), "messages.content.server_tool_use"),
        (
            turn({**USE, "caller": {"type": "code"}}, role="assistant"),
            "messages.content.tool_use.caller",
        ),
        (turn({**RESULT, "content": [IMAGE]}), "messages.content.tool_result.content.image"),
        (turn({**RESULT, "content": [DOCUMENT]}), "messages.content.tool_result.content.document"),
        (turn({**RESULT, "x": 1}), "messages.content.tool_result.x"),
    ],
)
def test_what_openai_has_no_word_for_is_refused_by_name(fields, param):
    """Never left out: the answer would be another one than was asked for."""
    with pytest.raises(InvalidRequestError) as raised:
        built(**fields)
    assert (raised.value.param, raised.value.status) == (param, 400)
    assert param in raised.value.message or raised.value.param == "messages"


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "disabled"}},
        {"service_tier": "auto"},
        {"mcp_servers": []},
        {"speed": "standard"},
        {"output_config": {}},
    ],
)
def test_what_asks_for_nothing_is_left_out(fields):
    """The same answer comes without it."""
    assert built(**fields) == built()


def test_who_calls_a_tool_goes_without_saying():
    """Anthropic names the caller of each call; the model itself is no news to others."""
    called = built(**turn({**USE, "caller": {"type": "direct"}}, role="assistant"))
    assert called == built(**turn(USE, role="assistant"))


def test_a_system_message_among_the_turns_stays_there():
    """OpenAI takes it at any place."""
    late = {"role": "system", "content": "Be brief"}
    assert built(messages=[HELLO, late, HELLO])["messages"] == [HELLO, late, HELLO]
