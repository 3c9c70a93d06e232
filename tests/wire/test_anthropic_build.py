"""What an Anthropic provider is asked with, where the request came in OpenAI's words."""

from dataclasses import replace

import orjson
import pytest

from sidecar.domain import Dialect
from sidecar.wire.anthropic_build import (
    DEFAULT_MAX_TOKENS,
    betas_of,
    build_count_request,
    build_messages_request,
)

from .chats import ANSWERED, CALL, CALLS, FUNCTION, HELLO, chat
from .messages import CACHED, IMAGE, RESULT, USE, WEATHER, parse, sent


def built(**fields: object) -> dict:
    """What Anthropic is sent for it."""
    return orjson.loads(build_messages_request(chat(**fields), "claude"))


def turns(*messages: dict) -> list:
    """The turns that these messages become."""
    return built(messages=list(messages))["messages"]


def test_the_least_request():
    """The provider's own model, and a cap, which Anthropic wants."""
    assert built() == {"model": "claude", "max_tokens": DEFAULT_MAX_TOKENS, "messages": [HELLO]}


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 7, "max_completion_tokens": 8}, 8),
    ],
)
def test_the_cap_is_the_callers(fields, cap):
    """By whichever name; the newer one counts."""
    assert built(**fields)["max_tokens"] == cap


def test_parameters_with_a_word():
    """Each under Anthropic's name."""
    asked = built(temperature=0.2, top_p=0.9, stop="x", stream=True, user="bob")
    assert (
        asked.items()
        >= {
            "temperature": 0.2,
            "top_p": 0.9,
            "stop_sequences": ["x"],
            "stream": True,
            "metadata": {"user_id": "bob"},
        }.items()
    )
    assert not {"stop", "user", "stream_options"} & asked.keys()


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"logit_bias": {}},
        {"presence_penalty": 0},
        {"response_format": {"type": "text"}},
        {"modalities": ["text"]},
        {"service_tier": "auto"},
        {"prompt_cache_key": "k"},
        {"prompt_cache_options": {"mode": "explicit"}},
        {"stream_options": None},
        {"store": True, "metadata": {"feature": "faq"}},
        {"parallel_tool_calls": True},
        {"x": None},
    ],
)
def test_what_changes_nothing_is_left_out(fields):
    """Defaults, hints to another vendor's cache, labels."""
    assert built(**fields) == built()


@pytest.mark.parametrize(
    "labels", [{"user": "a", "safety_identifier": "b"}, {"safety_identifier": "b"}]
)
def test_the_user_is_named_once(labels):
    """By OpenAI's newer field where there are two."""
    assert built(**labels)["metadata"] == {"user_id": "b"}


@pytest.mark.parametrize("name", ["user", "user_id"])
def test_a_label_of_the_apps_own_is_told_to_nobody(name):
    """OpenAI's metadata holds what the app keeps there, a user's name in clear among it."""
    labels = {"metadata": {name: "ann@example.com"}}
    assert "metadata" not in built(**labels)
    assert built(**labels, user="hashed")["metadata"] == {"user_id": "hashed"}


def test_system_messages_are_the_system_prompt():
    """Wherever they stand, in their order."""
    told = built(
        messages=[
            {"role": "system", "content": "a"},
            HELLO,
            {"role": "developer", "content": "b"},
        ]
    )
    assert told["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert told["messages"] == [HELLO]
    assert built(messages=[{"role": "system", "content": "a"}, HELLO])["system"] == "a"


def test_what_tools_answered_is_the_users_turn():
    """Several results and the words behind them are one turn, as Anthropic demands."""
    second = {**CALL, "id": "toolu_2"}
    asked = turns(
        HELLO,
        {**CALLS, "content": "", "tool_calls": [CALL, second]},
        ANSWERED,
        {**ANSWERED, "tool_call_id": "toolu_2", "name": "get_weather"},
        {"role": "user", "content": "And now?"},
    )
    assert asked[1:] == [
        {"role": "assistant", "content": [USE, {**USE, "id": "toolu_2"}]},
        {
            "role": "user",
            "content": [
                RESULT,
                {**RESULT, "tool_use_id": "toolu_2"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]


def test_no_arguments_are_an_empty_object():
    """Some models write nothing where a tool takes nothing."""
    bare = {**CALL, "function": {"name": "f", "arguments": " "}}
    assert turns(HELLO, {**CALLS, "tool_calls": [bare]}, ANSWERED)[1]["content"][0]["input"] == {}


def test_images_are_shown():
    """Those that came along and those at an address; `auto` asks for nothing."""
    urls = [
        {"url": "data:image/png;base64,iVBO"},
        {"url": "https://a/b.png", "detail": "auto"},
    ]
    parts = [{"type": "image_url", "image_url": url} for url in urls]
    (turn,) = turns({"role": "user", "content": parts})
    assert turn["content"] == [
        IMAGE,
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
    ]


def test_a_text_keeps_its_cache_hint():
    """Clients of OpenAI's SDK ask Anthropic's cache with it."""
    part = {"type": "text", "text": "a", "cache_control": CACHED}
    assert turns({"role": "user", "content": [part]})[0]["content"] == [part]


def test_an_earlier_refusal_is_what_was_said():
    """Its words are in the conversation, in whichever field."""
    said = {"role": "assistant", "content": None, "refusal": "I won't"}
    parts = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't"}]}
    assert turns(HELLO, said, HELLO) == turns(HELLO, parts, HELLO)
    assert turns(HELLO, said, HELLO)[1] == {"role": "assistant", "content": "I won't"}


def test_tools():
    """A function tool is Anthropic's custom one; without parameters it takes none."""
    bare = {"type": "function", "function": {"name": "f", "strict": None}}
    assert built(tools=[FUNCTION, bare])["tools"] == [
        WEATHER,
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
    ]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"type": "tool", "name": "f"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_tools(fields, choice):
    """Each has its word."""
    assert built(tools=[FUNCTION], **fields)["tool_choice"] == choice


def test_betas_are_no_field_of_the_body():
    """Anthropic reads them from a header."""
    request = parse(betas=["a-1", "b-2"])
    assert betas_of(request) == "a-1,b-2"
    assert "betas" not in sent(betas=["a-1"])
    assert betas_of(chat(betas=["a-1"])) == ""


def test_counting_asks_with_less():
    """The endpoint refuses what says how to answer."""
    request = parse(stream=True, temperature=0.5, thinking={"type": "disabled"}, system="a")
    raw = orjson.loads(build_count_request(request, "claude"))
    assert raw.keys() == {"model", "messages", "system", "thinking"}


def test_responses_speak_openais_words():
    """Their codec puts them so, and they are translated alike."""
    request = replace(chat(temperature=0.5), dialect=Dialect.RESPONSES)
    raw = orjson.loads(build_messages_request(request, "claude"))
    assert raw["temperature"] == 0.5


def test_what_says_nothing_beside_a_call_or_its_result_is_left_out():
    """Anthropic refuses a field that it doesn't know, even an empty one."""
    turns = [
        HELLO,
        {**CALLS, "tool_calls": [{**CALL, "x": None}], "y": []},
        {**ANSWERED, "x": None, "y": {}, "z": ""},
    ]
    assert built(messages=turns) == built(messages=[HELLO, CALLS, ANSWERED])


def test_an_empty_text_beside_others_is_left_out():
    """It says nothing, and Anthropic refuses a block of it."""
    empty, said = {"type": "text", "text": ""}, {"type": "text", "text": "a"}
    told = turns(
        {"role": "user", "content": [empty, said]},
        {"role": "assistant", "content": "", "refusal": "No"},
        HELLO,
    )
    assert [turn["content"] for turn in told] == ["a", "No", HELLO["content"]]
