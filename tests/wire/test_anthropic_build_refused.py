"""What was asked in OpenAI's words and an Anthropic provider can't be asked."""

import pytest

from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_build import build_messages_request

from .chats import ANSWERED, CALL, CALLS, FUNCTION, HELLO, chat

NAMED = {"type": "function", "function": {"name": "f"}}


def refusal(**fields: object) -> InvalidRequestError:
    """What is raised for it."""
    with pytest.raises(InvalidRequestError) as raised:
        build_messages_request(chat(**fields), "claude")
    assert raised.value.status == 400
    return raised.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 1.01}, "temperature"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"seed": 1}, "seed"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
        ({"stream": True, "stream_options": {"new": 1}}, "new"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{**FUNCTION, "x": 1}]}, "tools[0].x"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]},
            "tools[0].function.x",
        ),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {**NAMED, "x": 1}}, "tool_choice"),
        ({"tool_choice": {**NAMED, "function": {"name": "f", "x": 1}}}, "tool_choice"),
        ({"tool_choice": {**NAMED, "function": {"name": ""}}}, "tool_choice"),
        ({"messages": [{**HELLO, "name": "bob"}]}, "messages[0].name"),
        ({"messages": [{"role": "function", "content": "x", "name": "f"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "reasoning_content": "x"}]}, "messages[0].reasoning_content"),
        ({"messages": [HELLO, {"role": "assistant", "content": "I"}]}, "messages"),
        (
            {
                "messages": [
                    HELLO,
                    {"role": "assistant", "content": "I"},
                    {"role": "developer", "content": "x"},
                ]
            },
            "messages",
        ),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]},
            "messages[0].content[0].x",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image_url",
                                "image_url": {"url": "https://a", "detail": "low"},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].image_url.detail",
        ),
        (
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "image_url", "image_url": "https://a"}],
                    },
                    HELLO,
                ]
            },
            "messages",
        ),
        (
            {"messages": [{**CALLS, "tool_calls": [{"id": "a", "type": "custom"}]}, ANSWERED]},
            "messages[0].tool_calls[0].type",
        ),
        (
            {
                "messages": [
                    {
                        **CALLS,
                        "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}],
                    },
                    ANSWERED,
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{**CALLS, "tool_calls": [{**CALL, "x": 1}]}, ANSWERED]},
            "messages[0].tool_calls[0].x",
        ),
    ],
)
def test_what_anthropic_has_no_word_for_is_refused_by_name(fields, param):
    """Never left out: the answer would be another one than was asked for."""
    assert refusal(**fields).param == param
