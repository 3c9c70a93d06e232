"""The real `anthropic` SDK, unmodified, against the bytes that are written for its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from anthropic import AsyncAnthropic
from anthropic.types import Message

from sidecar.domain import Choice, Chunk, Completion, Delta, ToolCall, ToolCallDelta, Usage
from sidecar.errors import ModelNotFoundError, SidecarError, UpstreamError
from sidecar.web.errors import error_response
from sidecar.wire.anthropic_format import AnthropicFormat
from sidecar.wire.anthropic_reply import parse_message
from sidecar.wire.assemble import replay

from .answers import CITED, FOUND, HIDDEN, SEARCH, TEXT, THOUGHT, USE, events, message, read

RICH = message(THOUGHT, HIDDEN, TEXT, SEARCH, FOUND, CITED, USE, stop_reason="tool_use")
PLAIN = message(TEXT)
STOPPED = message(TEXT, stop_reason="stop_sequence", stop_sequence="###")
OTHER = Completion(
    "chatcmpl-1",
    9,
    "gpt-4o",
    (
        Choice(
            text="Let me see.",
            finish="tool_calls",
            tool_calls=(ToolCall("call_1", "f", '{"a":1}'), ToolCall("call_2", "g", "{}")),
        ),
    ),
    Usage(100, 5, 60),
)
ASKED = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}


class Server:
    """A bare endpoint over the format: what it is asked for by model is what it answers."""

    def __init__(self, format_: AnthropicFormat) -> None:
        self.format = format_
        self.wholes = {
            "rich": parse_message(orjson.dumps(RICH)),
            "plain": parse_message(orjson.dumps(PLAIN)),
            "stopped": parse_message(orjson.dumps(STOPPED)),
            "other": OTHER,
        }
        self.streams = {
            "rich": read(events(RICH)),
            "plain": read(events(PLAIN)),
            "stopped": read(events(STOPPED)),
            "other": list(replay(OTHER)),
        }

    async def answer(self, http: web.Request) -> web.StreamResponse:
        """One answer, whole or as a stream."""
        try:
            request = self.format.parse(await http.read())
            name = request.model.removeprefix("stored-")
            if name not in self.wholes and name != "dies":
                raise ModelNotFoundError("no such model", param="model")
        except SidecarError as error:
            return error_response(error, self.format)
        if not request.stream:
            whole = self.wholes[name]
            body = self.format.head(whole.id, whole.created) + self.format.tail(whole, request)
            return web.Response(body=body, content_type="application/json")
        return web.Response(body=self._events(request, name), content_type="text/event-stream")

    def _events(self, request: object, name: str) -> bytes:
        writer = self.format.writer(request)
        if name == "dies":
            begun = writer.chunk(Chunk("c", 9, "m", (Delta(text="Hel"),)))
            return begun + writer.error(UpstreamError("it was cut", reason="cut"))
        stored = request.model.startswith("stored-")
        chunks = list(replay(self.wholes[name])) if stored else self.streams[name]
        usage = next((c.usage for c in reversed(chunks) if c.usage), None)
        return b"".join(map(writer.chunk, chunks)) + writer.end(usage, {})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where the endpoint is."""
    app = web.Application()
    app.router.add_post("/v1/messages", Server(AnthropicFormat()).answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncAnthropic]:
    """The SDK's asynchronous client."""
    async with AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


async def streamed(client: AsyncAnthropic, model: str) -> Message:
    """What the SDK makes of a stream."""
    async with client.messages.stream(model=model, **ASKED) as stream:
        return await stream.get_final_message()


def told(answer: Message) -> dict:
    """An answer as the SDK holds it, without what it holds as null."""
    dumped = answer.model_dump(mode="json", exclude_none=True, warnings="error")
    for block in dumped["content"]:
        block.pop("parsed_output", None)
        if not block.get("citations", True):
            del block["citations"]
    return dumped


@pytest.mark.parametrize(("name", "raw"), [("rich", RICH), ("plain", PLAIN), ("stopped", STOPPED)])
async def test_a_whole_answer(client: AsyncAnthropic, name: str, raw: dict) -> None:
    """Valid by its types, and block by block what the provider said."""
    answer = await client.messages.create(model=name, **ASKED)
    Message.model_validate(answer.model_dump())
    assert told(answer)["content"] == raw["content"]
    assert (answer.stop_reason, answer.stop_sequence) == (raw["stop_reason"], raw["stop_sequence"])
    assert answer.usage.cache_creation_input_tokens == 5


@pytest.mark.parametrize("prefix", ["", "stored-"])
@pytest.mark.parametrize("name", ["rich", "plain", "stopped", "other"])
async def test_a_stream_is_the_whole_answer(client: AsyncAnthropic, name: str, prefix: str) -> None:
    """Live or told again, the SDK puts the same message together."""
    whole = told(await client.messages.create(model=name, **ASKED))
    assert told(await streamed(client, prefix + name)) == whole


async def test_another_providers_answer(client: AsyncAnthropic) -> None:
    """Text and calls as Anthropic's own, with tokens counted its way."""
    answer = await streamed(client, "other")
    first, second, third = answer.content
    assert (first.type, first.text) == ("text", "Let me see.")
    assert [(use.type, use.id, use.input) for use in (second, third)] == [
        ("tool_use", "call_1", {"a": 1}),
        ("tool_use", "call_2", {}),
    ]
    assert (answer.stop_reason, answer.model) == ("tool_use", "gpt-4o")
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (40, 60)


async def test_text_is_told_piece_by_piece(client: AsyncAnthropic) -> None:
    """The SDK's own stream of texts."""
    async with client.messages.stream(model="plain", **ASKED) as stream:
        pieces = [text async for text in stream.text_stream]
    assert len(pieces) > 1
    assert "".join(pieces) == "Let me see."


async def test_a_stream_that_fails_raises(client: AsyncAnthropic) -> None:
    """Half an answer is never taken for a whole one."""
    with pytest.raises(anthropic.APIStatusError) as raised:
        await streamed(client, "dies")
    assert "it was cut" in str(raised.value)


async def test_an_error_is_the_sdks_own(client: AsyncAnthropic) -> None:
    """By its status, with our message."""
    with pytest.raises(anthropic.NotFoundError) as raised:
        await client.messages.create(model="nobody", **ASKED)
    assert raised.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await client.messages.create(model="plain", **ASKED, extra_body={"temperature": 2})


async def test_what_the_sdk_dumps_can_be_sent_again(client: AsyncAnthropic) -> None:
    """An answer goes into the next turn as it is, nulls and all."""
    answer = await client.messages.create(model="rich", **ASKED)
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": answer.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": USE["id"], "content": "21 °C"}],
        },
    ]
    again = await client.messages.create(model="plain", max_tokens=50, messages=turns)
    assert again.stop_reason == "end_turn"


def test_the_pieces_of_a_call_need_no_order_of_their_own() -> None:
    """A call's first piece may hold arguments already."""
    writer = AnthropicFormat().writer(None)
    piece = ToolCallDelta(0, "a", "f", '{"x":1}', "function")
    told = writer.chunk(Chunk("c", 9, "m", (Delta(tool_calls=(piece,)),)))
    assert b'"partial_json":"{\\"x\\":1}"' in told


def test_an_answer_that_is_given_again_has_an_id_of_its_own() -> None:
    """It looks as Anthropic's do, and leads back to its request."""
    assert AnthropicFormat().new_id("req_12ab") == "msg_12ab"
