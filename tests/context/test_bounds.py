"""What counts for the bound of a request, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from sidecar.context.bounds import (
    exact_bound,
    input_bound,
    json_bytes,
)
from sidecar.domain import Attachment, ChatRequest, Dialect, Json, Message, Role, Text, ToolCall
from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.anthropic_request import parse_messages_request
from sidecar.wire.openai_request import parse_chat_request


def tool(name: str, description: str, schema: Json) -> Json:
    """A tool as OpenAI has it."""
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def asked(*parts: Any, model: str = "gpt-4o", **more: Any) -> ChatRequest:
    """A request of one message."""
    return ChatRequest(model, (Message(Role.USER, parts or (Text("hi"),)),), **more)


def image(**more: str) -> Attachment:
    """An image that came along, a megabyte long."""
    url = {"url": "data:image/png;base64," + "A" * 1_000_000, **more}
    return Attachment("image_url", {"type": "image_url", "image_url": url})


FILE = Attachment("file", {"type": "file", "file": {"file_id": "file-1"}})


def test_a_string_within_json_is_bounded_too() -> None:
    """Arguments of a call are often written as a text in JSON, each quote behind a backslash."""
    arguments = '{"a":"b\\n\\"c\\""}'
    assert len(json.dumps(arguments)) - 2 <= json_bytes(arguments.encode())


def fields() -> dict[str, Message]:
    """A message for each place in which text may stand."""
    long = "word " * 1000
    said = (Text("hi"),)
    return {
        "text": Message(Role.USER, (Text(long),)),
        "second part": Message(Role.USER, (*said, Text(long))),
        "name": Message(Role.USER, said, name=long),
        "refusal": Message(Role.ASSISTANT, refusal=long),
        "call": Message(Role.ASSISTANT, tool_calls=(ToolCall("c", long, "{}"),)),
        "arguments": Message(Role.ASSISTANT, tool_calls=(ToolCall("c", "f", long),)),
        "fields of a call": Message(
            Role.ASSISTANT, tool_calls=(ToolCall("c", "f", "", extra={"x": long}),)
        ),
        "answered call": Message(Role.TOOL, said, tool_call_id=long),
        "extra": Message(Role.ASSISTANT, said, extra={"reasoning_content": long}),
        "kept text": Message(Role.USER, (Attachment("text", {"type": "text", "text": long}),)),
        "thinking": Message(Role.ASSISTANT, (Attachment("thinking", {"thinking": long}),)),
    }


@pytest.mark.parametrize("place", fields())
def test_no_text_of_a_message_is_forgotten(place) -> None:
    """A thousand words count, wherever they stand."""
    request = ChatRequest("gpt-4o", (fields()[place],))
    assert input_bound(request, window=None) >= 5000
    assert (exact_bound(request, "gpt-4o") or 0) >= 1000


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("parameters", "response_format"),
        ("parameters", "functions"),
        ("parameters", "tool_choice"),
        ("unknown", "output_config"),
        ("unknown", "chat_template_kwargs"),
        ("unknown", "documents"),
    ],
)
def test_no_field_that_becomes_prompt_is_forgotten(group, name) -> None:
    """What is unknown here counts, for it may be shown to the model."""
    request = asked(**{group: {name: {"x": "word " * 1000}}})
    assert input_bound(request, window=None) >= 5000


@pytest.mark.parametrize("name", ["stop", "logit_bias", "prompt_cache_key", "prediction"])
def test_fields_that_no_model_reads_do_not_count(name) -> None:
    """They say how to answer; to hold money for them would be for nothing."""
    request = asked(parameters={name: "x" * 1000})
    assert input_bound(request, window=None) == input_bound(asked(), window=None)


def test_labels_do_not_count() -> None:
    """Who asks is told to the provider, and not to the model."""
    request = asked(labels={"metadata": {"a": "x" * 500}})
    assert input_bound(request, window=None) == input_bound(asked(), window=None)


def test_tools_have_their_margin() -> None:
    """Anthropic adds up to 530 tokens for the use of tools, and up to 735 for one of its own."""
    plain = input_bound(asked(), window=None)
    function = input_bound(asked(tools=(tool("f", "", {}),)), window=None)
    own = input_bound(asked(tools=({"type": "computer_20250124", "name": "c"},)), window=None)
    assert function >= plain + 530
    assert own >= plain + 530 + 499 + 735


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_many_messages_have_their_margins(n) -> None:
    """Five tokens a message are published; empty ones take them too."""
    request = ChatRequest("gpt-4o", (Message(Role.USER, (Text(""),)),) * n)
    assert input_bound(request, window=None) >= 5 * n


def test_an_image_counts_by_its_model() -> None:
    """Not by its bytes, and by the model that is really asked."""
    request = asked(image(), model="gpt-4o")
    plain = input_bound(asked(), window=None)
    bound = input_bound(request, window=None, model="gpt-4o")
    assert plain + 1_445 - len("hi") <= bound < plain + 2000
    assert input_bound(request, window=None, model="gpt-4o-mini") >= plain + 48_169 - 100
    low = input_bound(asked(image(detail="low")), window=None, model="gpt-4o")
    assert low < bound
    assert (exact_bound(request, "gpt-4o") or 0) > 1_445


def test_images_add_up() -> None:
    """Each takes its own."""
    ten = input_bound(asked(*[image()] * 10), window=None, model="gpt-4o")
    assert ten >= 14_450


def test_an_image_without_a_model_takes_the_window() -> None:
    """What it takes differs from model to model, and the asked name is not who answers."""
    assert input_bound(asked(image()), window=300_000) == 300_000


def test_what_has_no_count_takes_the_window() -> None:
    """A file may fill it, and no more."""
    assert input_bound(asked(FILE), window=200_000, model="gpt-4o") == 200_000
    long = asked(FILE, Text("x" * 300_000))
    assert input_bound(long, window=200_000, model="gpt-4o") > 300_000
    assert exact_bound(asked(FILE), "gpt-4o") is None


def test_without_a_window_it_is_refused() -> None:
    """In one line that names the part and the setting that helps."""
    with pytest.raises(InvalidRequestError) as raised:
        input_bound(asked(FILE), window=None, model="llama3")
    assert "a part of type file" in raised.value.message
    assert "prices.llama3.max_input_tokens" in raised.value.message
    assert "\n" not in raised.value.message


def test_what_tokens_do_not_pay_for_is_refused() -> None:
    """A search costs a fee of its own: no number of tokens bounds it."""
    request = asked(parameters={"web_search_options": {}})
    with pytest.raises(InvalidRequestError, match="web_search_options"):
        input_bound(request, window=128_000)
    assert exact_bound(request, "gpt-4o") is None


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "llama3", "gemini-2.5-pro", ""])
def test_other_tokenizers_are_not_guessed(model) -> None:
    """Without their ranks there is only the bound by bytes."""
    assert exact_bound(asked(), model) is None


def test_what_anthropic_is_sent_is_bounded() -> None:
    """A conversation in its own words, thinking and results of tools included."""
    long = "слово " * 500
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "system": long,
        "messages": [
            {"role": "user", "content": long},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": long, "signature": "s" * 500},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"x": long}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": long}],
            },
        ],
    }
    request = parse_messages_request(orjson.dumps(body))
    assert request.dialect is Dialect.ANTHROPIC
    bound = input_bound(request, window=None, model="claude-sonnet-4-5")
    assert bound >= len(build_messages_request(request, "claude-sonnet-4-5"))


def test_a_short_question_is_not_held_for_much() -> None:
    """The margins of a plain call stay small: a bound that nothing fits in helps nobody."""
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "How are you?"}]}'
    request = parse_chat_request(body)
    assert input_bound(request, window=None) < 350
    assert (exact_bound(request, "gpt-4o") or 0) < 100
