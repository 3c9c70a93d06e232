"""No answer has more tokens than its bound, and a call without a cap gets one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.context.bounds import output_bound, with_cap
from sidecar.domain import ChatRequest, Message, Role, Text
from sidecar.providers.simulated.engine import answers
from sidecar.wire.anthropic_build import build_messages_request
from sidecar.wire.anthropic_request import parse_messages_request
from sidecar.wire.openai_request import build_chat_request
from sidecar.wire.responses_request import parse_responses_request


def asked(text: str = "hi", **parameters: Any) -> ChatRequest:
    """A request of one message."""
    return ChatRequest("gpt-4o", (Message(Role.USER, (Text(text),)),), parameters=parameters)


@pytest.mark.parametrize(
    ("parameters", "most"),
    [
        ({}, 4096),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20}, 20),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20),
        ({"max_tokens": 20, "max_completion_tokens": 10}, 20),
        ({"max_tokens": 10**9}, 10**9),
        ({"n": 3}, 3 * 4096),
        ({"n": 3, "max_tokens": 10}, 30),
    ],
)
def test_the_cap_bounds_each_choice(parameters, most) -> None:
    """The caller's own, the larger of two, else ours; times the choices."""
    assert output_bound(asked(**parameters), 4096) == most


def test_best_of_makes_more_than_it_shows() -> None:
    """All that is made is billed."""
    request = ChatRequest("m", asked().messages, parameters={"n": 2}, unknown={"best_of": 5})
    assert output_bound(request, 100) == 500
    wild = ChatRequest("m", asked().messages, unknown={"best_of": "many"})
    assert output_bound(wild, 100) == 100


def test_wrong_predictions_are_output() -> None:
    """A prediction that does not come true is billed beside the answer."""
    prediction = {"type": "content", "content": "x" * 500}
    assert output_bound(asked(prediction=prediction), 100) >= 600


@given(st.text(max_size=300), st.integers(1, 3), st.integers(1, 60) | st.none())
def test_what_the_simulated_provider_writes_is_within(text, n, own) -> None:
    """The oracle bills no more than the bound of what it was sent."""
    request = asked(text, n=n, **({"max_tokens": own} if own else {}))
    sent = orjson.loads(build_chat_request(with_cap(request, 40, "gpt-4o"), "gpt-4o"))
    made = sum(len(answer.tokens) for answer in answers(sent))
    assert made <= output_bound(request, 40)


@pytest.mark.parametrize(
    "model",
    [
        "o1",
        "o3-mini",
        "o4-mini",
        "gpt-5",
        "gpt-5-mini-2025-08-07",
        "gpt-6-sol",
        "openai/o3",
        "O3",
        "codex-mini-latest",
        "ft:o4-mini-2025-04-16:acme::x",
    ],
)
def test_models_that_think_take_the_newer_word(model) -> None:
    """They refuse `max_tokens`."""
    assert with_cap(asked(), 7, model).parameters == {"max_completion_tokens": 7}


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "gpt-35-turbo", "gpt-4.1", "llama3", "claude-sonnet-4-5", "gpt-oss-20b", "omni"],
)
def test_other_models_take_the_older_word(model) -> None:
    """Older servers of OpenAI's words know no other."""
    assert with_cap(asked(), 7, model).parameters == {"max_tokens": 7}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_callers_cap_stays(name) -> None:
    """A call that has one is sent as it came."""
    request = asked(**{name: 10**6})
    assert with_cap(request, 7, "o1") is request


def test_the_cap_is_sent() -> None:
    """The bound holds only because the provider is told of it, in either vendor's words."""
    chat = orjson.loads(build_chat_request(with_cap(asked(), 7, "o1"), "o1"))
    assert chat["max_completion_tokens"] == 7
    capped = with_cap(asked(), 7, "claude-sonnet-4-5")
    assert orjson.loads(build_messages_request(capped, "claude-sonnet-4-5"))["max_tokens"] == 7


def test_anthropics_own_cap_is_seen() -> None:
    """Its requests always have one, and it goes out as it came."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    request = parse_messages_request(orjson.dumps(body))
    assert with_cap(request, 4096, "o1") is request
    assert output_bound(request, 4096) == 9


@pytest.mark.parametrize(("said", "most"), [({"max_output_tokens": 9}, 9), ({}, 4096)])
def test_the_cap_of_responses_is_seen(said, most) -> None:
    """Under its own name there; a request without one stays what it is, but for the cap."""
    request = parse_responses_request(orjson.dumps({"model": "gpt-4o", "input": "hi", **said}))
    capped = with_cap(request, 4096, "gpt-4o")
    assert type(capped) is type(request)
    assert output_bound(capped, 4096) == output_bound(request, 4096) == most
