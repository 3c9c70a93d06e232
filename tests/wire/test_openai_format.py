"""OpenAI's Chat Completions as a client hears them: whole, and event by event."""

from __future__ import annotations

import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sidecar.domain import Chunk, Delta
from sidecar.wire.assemble import assemble, replay
from sidecar.wire.openai_format import ChatWriter, OpenAIFormat
from sidecar.wire.openai_reply import parse_chunk, parse_completion
from sidecar.wire.sse import DONE, SseDecoder

from .chats import chat
from .test_openai_usage import SPENT

HEAD = {"id": "c1", "created": 9, "model": "m"}
CALL = {"function": {"name": "f", "arguments": "{}"}}
STREAM = [
    {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
    {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**HEAD, "choices": [], "usage": SPENT},
]


def read(events: list[dict]) -> list[Chunk]:
    """The chunks of a provider's events."""
    return [parse_chunk(orjson.dumps(event)) for event in events]


def told(chunks: list[Chunk], *, include_usage: bool) -> list[bytes]:
    """The events that a client is told."""
    writer = ChatWriter(include_usage=include_usage)
    usage = next((chunk.usage for chunk in chunks if chunk.usage), None)
    written = b"".join(map(writer.chunk, chunks)) + writer.end(usage, {"cache": "miss"})
    return [event.data for event in SseDecoder().feed(written)]


@pytest.mark.parametrize("stored", [False, True], ids=["live", "stored"])
def test_a_stream_ends_with_all_that_its_usage_told(stored):
    """To whom asked for it, with a word of ours beside it."""
    chunks = read(STREAM)
    events = told(list(replay(assemble(chunks))) if stored else chunks, include_usage=True)
    assert events[-1] == DONE
    last = orjson.loads(events[-2])
    assert (last["usage"], last["choices"], last["sidecar"]) == (SPENT, [], {"cache": "miss"})
    assert "openai_usage" not in b"".join(events).decode()
    ChatCompletionChunk.model_validate_json(events[-2], strict=False)


def test_who_did_not_ask_hears_of_no_usage():
    """Neither of the counts nor of what stands beside them."""
    for event in told(read(STREAM), include_usage=False)[:-1]:
        assert not {"usage", "openai_usage", "sidecar"} & orjson.loads(event).keys()


def test_a_whole_reply_tells_all_of_its_usage():
    """As the provider told it."""
    raw = {**HEAD, "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    answer = parse_completion(orjson.dumps({**raw, "usage": SPENT}))
    body = OpenAIFormat().head("c2", 9) + OpenAIFormat().tail(answer, chat())
    assert orjson.loads(body)["usage"] == SPENT
    assert b"openai_usage" not in body
    ChatCompletion.model_validate_json(body)


def test_a_stream_that_began_with_nothing_ends_plainly():
    """There is no chunk to tell usage by."""
    assert told([Chunk("", 0, "")], include_usage=True) == [DONE]


def test_a_call_without_an_id_has_the_same_one_everywhere():
    """Whole, live and told again; so a later turn can answer it."""
    message = {"message": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    whole = parse_completion(orjson.dumps({**HEAD, "choices": [message]}))
    delta = {**HEAD, "choices": [{"delta": {"tool_calls": [CALL]}}]}
    live = read([delta])
    assert live[0].deltas[0].tool_calls[0].id == "call_c1_0"
    assert whole.choices[0].tool_calls == assemble(live).choices[0].tool_calls


def test_usage_is_told_once():
    """A server that counts on every chunk is heard at the end alone."""
    chunks = [Chunk("c", 9, "m", (Delta(text="a"),), parse_chunk(orjson.dumps(STREAM[2])).usage)]
    events = [orjson.loads(event) for event in told(chunks, include_usage=True)[:-1]]
    assert [event["usage"] is None for event in events] == [True, False]
