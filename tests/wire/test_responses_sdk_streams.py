"""Streams of Responses events, read by the real `openai` SDK: they tell what whole replies tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response

from sidecar.domain import Choice, Chunk, Completion, Delta, Finish, ToolCall, Usage
from sidecar.errors import UpstreamTimeoutError
from sidecar.wire.replay import replay
from tests.wire.responding import ANSWERS, CALLS, TEXT, WEATHER, Responder, answer, responding


@pytest.fixture(scope="module")
def server() -> Iterator[Responder]:
    """A server for all tests of this file; each says what it answers."""
    with responding() as responder:
        yield responder


@pytest.fixture(scope="module")
def client(server: Responder) -> Iterator[OpenAI]:
    """The synchronous client."""
    with OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **fields) -> Response:
    """A whole reply."""
    return client.responses.create(model="gpt-4o", input="Hello", **fields)


def streamed(client: OpenAI, **fields) -> list:
    """The events of a stream."""
    return list(client.responses.create(model="gpt-4o", input="Hello", stream=True, **fields))


def read_raw(client: OpenAI, events: list) -> None:
    """Read a stream as it comes."""
    for event in client.responses.create(model="gpt-4o", input="Hello", stream=True):
        events.append(event)  # noqa: PERF402  those before a failure count


def read_helped(client: OpenAI, events: list) -> None:
    """Read a stream through the SDK's helper."""
    with client.responses.stream(model="gpt-4o", input="Hello") as stream:
        for event in stream:
            events.append(event)  # noqa: PERF402  those before a failure count


def told(response: Response) -> dict:
    """What a reply says, its ids included."""
    return response.model_dump(exclude={"object"})


@pytest.mark.parametrize("completion", ANSWERS)
def test_event_types(server, client, completion):
    """The SDK's own types accept every event of a stream, strictly."""
    server.say(completion)
    for event in streamed(client, tools=[WEATHER]):
        type(event).model_validate_json(event.model_dump_json(by_alias=True), strict=True)


def test_events_are_numbered(server, client):
    """Every event has the next number, `created` is first and the whole reply last."""
    server.say(CALLS)
    events = streamed(client)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[1].type == "response.in_progress"
    assert events[-1].type == "response.completed"


def test_pieces_of_calls(server, client):
    """The streaming helper adds the pieces of each call up."""
    server.say(CALLS)
    with client.responses.stream(model="m", input="Hello", tools=[WEATHER]) as stream:
        seen = {
            event.output_index: event.snapshot
            for event in stream
            if event.type == "response.function_call_arguments.delta"
        }
        final = stream.get_final_response()
    assert list(seen.values()) == ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert final.output[1].parsed_arguments == {"city": "Oslo"}


@pytest.mark.parametrize("after", range(5))
def test_failure_in_a_stream(server, client, after):
    """A stream that fails tells it by its type and then raises; it is never completed."""
    error = UpstreamTimeoutError("the provider fell silent", reason="timeout_between_tokens")
    server.say(TEXT, list(replay(TEXT))[:after], error)
    for ask_ in (read_raw, read_helped):
        events = []
        with pytest.raises(openai.APIError, match="fell silent") as caught:
            ask_(client, events)
        assert caught.value.code == "upstream_timeout"
        assert (events[0].type, events[-1].type) == ("response.created", "response.failed")
        assert events[-1].response.error.code == "server_error"
        assert not any(event.type == "response.completed" for event in events)


def test_late_id(server, client):
    """A first chunk without id and model, as Azure sends it, begins nothing."""
    empty = Chunk("", 0, "", (), None, {"prompt_filter_results": []})
    server.say(TEXT, [empty, *replay(TEXT)])
    events = streamed(client)
    assert {events[0].response.id, events[-1].response.id} == {"resp_sidecar_abc"}
    assert events[0].response.model == "gpt-4o-2024"


def test_calls_before_text(server, client):
    """Items stand in the order of their beginning, whatever comes first."""
    (choice,) = CALLS.choices
    *_, last = replay(replace(CALLS, usage=None))
    calls = replace(CALLS, choices=(replace(choice, text=None),), usage=None)
    pieces = [chunk for chunk in replay(calls) if chunk.deltas[0].tool_calls]
    text = Chunk(CALLS.id, 1, "m", (Delta(text="Let me see."),))
    server.say(CALLS, [*pieces[:2], text, *pieces[2:], last])
    with client.responses.stream(model="m", input="Hello") as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["function_call", "message", "function_call"]
    assert final.output_text == "Let me see."


PIECES = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "function",
    "response.custom_tool_call_input.delta": "custom",
}
texts = st.text(max_size=200)
calls = st.lists(
    st.builds(
        ToolCall,
        st.just(""),
        st.text(min_size=1, max_size=5),
        texts,
        st.sampled_from(["function", "custom"]),
    ),
    max_size=3,
).map(lambda made: tuple(replace(call, id=f"call_{n}") for n, call in enumerate(made)))


def completions(*ends: str | None) -> st.SearchStrategy[Completion]:
    """Answers that end like this."""
    choice = st.builds(
        Choice,
        st.integers(0, 1),
        st.none() | texts,
        st.sampled_from(ends),
        calls,
        st.none() | texts,
    )
    return st.builds(answer, choice, usage=st.none() | st.just(Usage(1, 2)))


every = completions(None, *Finish, "pause_turn")


@given(every)
def test_streams_tell_what_whole_replies_tell(server, client, completion):
    """Any answer, streamed, ends with the very reply that it is when given whole."""
    server.say(completion)
    whole, events = ask(client), streamed(client)
    assert told(events[-1].response) == told(whole)
    for event in events:
        if event.type == "response.output_item.done":
            assert event.item == whole.output[event.output_index]


@given(every)
def test_deltas_add_up(server, client, completion):
    """The pieces of text, refusal and calls add up to what the answer said."""
    server.say(completion)
    (choice,) = completion.choices
    said = dict.fromkeys(PIECES.values(), "")
    for event in streamed(client):
        if event.type in PIECES:
            said[PIECES[event.type]] += event.delta
    assert said == {
        "text": choice.text or "",
        "refusal": choice.refusal or "",
        "function": "".join(c.arguments for c in choice.tool_calls if c.kind == "function"),
        "custom": "".join(c.arguments for c in choice.tool_calls if c.kind == "custom"),
    }


@given(completions(Finish.STOP, Finish.TOOL_CALLS))
def test_the_helper_agrees(server, client, completion):
    """The SDK's own accumulation of a stream is the whole reply's text and calls."""
    server.say(completion)
    with client.responses.stream(model="gpt-4o", input="Hello") as stream:
        final = stream.get_final_response()
    whole = ask(client)
    assert final.output_text == whole.output_text
    assert [item.to_dict().get("call_id") for item in final.output] == [
        item.to_dict().get("call_id") for item in whole.output
    ]
