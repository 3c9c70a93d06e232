"""The types of OpenAI's own SDK read what is written here."""

from pathlib import Path

import orjson
import pytest
from openai.types import CompletionUsage, ErrorObject
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sidecar.errors import InvalidRequestError
from sidecar.wire.assemble import assemble, replay
from sidecar.wire.openai_reply import (
    build_chunk,
    build_completion,
    build_error,
    parse_chunk,
    parse_completion,
)
from sidecar.wire.sse import DONE, SseDecoder

SAMPLES = Path(__file__).parent / "samples"
WHOLE = sorted(path.name for path in SAMPLES.glob("*.json"))
# The SDK's type of a streamed tool call knows functions alone; OpenAI itself sends others.
STREAMS = sorted(p.name for p in SAMPLES.glob("*.sse") if p.name != "openai_custom_tool.sse")


def read_answers():
    """Every sample as a whole answer."""
    for name in WHOLE:
        yield pytest.param(parse_completion((SAMPLES / name).read_bytes()), id=name)
    for name in STREAMS:
        events = SseDecoder().feed((SAMPLES / name).read_bytes())
        parsed = [parse_chunk(event.data) for event in events if event.data != DONE]
        yield pytest.param(assemble(parsed), id=name)


ANSWERS = list(read_answers())


@pytest.mark.parametrize("answer", ANSWERS)
def test_whole_replies(answer):
    """A whole reply is valid, and says what the answer says."""
    read = ChatCompletion.model_validate_json(build_completion(answer), strict=True)
    assert read.object == "chat.completion"
    assert [choice.message.content for choice in read.choices] == [
        choice.text for choice in answer.choices
    ]


@pytest.mark.parametrize("answer", [a for a in ANSWERS if a.id != "openai_custom_tool.json"])
@pytest.mark.parametrize("include_usage", [True, False])
def test_replayed_chunks(answer, include_usage):
    """Every event of a replayed answer is valid."""
    for chunk in replay(answer):
        built = build_chunk(chunk, include_usage=include_usage, extra={"sidecar": {"cache": "x"}})
        read = ChatCompletionChunk.model_validate_json(built, strict=True)
        assert read.object == "chat.completion.chunk"


@pytest.mark.parametrize("name", STREAMS)
def test_passed_on_chunks(name):
    """Every event that is passed on is valid."""
    for event in SseDecoder().feed((SAMPLES / name).read_bytes()):
        if event.data != DONE:
            built = build_chunk(parse_chunk(event.data), include_usage=True)
            ChatCompletionChunk.model_validate_json(built, strict=True)


def test_usage():
    """Usage has the details that the SDK knows."""
    answer = parse_completion((SAMPLES / "openai_tools.json").read_bytes())
    usage = orjson.loads(build_completion(answer))["usage"]
    read = CompletionUsage.model_validate(usage)
    assert read.completion_tokens_details.reasoning_tokens == 16


def test_error():
    """An error is what the SDK takes for one."""
    body = orjson.loads(build_error(InvalidRequestError("no luck", param="model")))
    assert ErrorObject.model_validate(body["error"]).param == "model"
