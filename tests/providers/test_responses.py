"""Responses asked in their own words: the same truth about one attempt as of any chat."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from sidecar.domain import Chunk, Dialect, Timeouts
from sidecar.errors import (
    InvalidRequestError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
)
from sidecar.native import NativeRequest
from sidecar.providers.azure import AzureProvider
from sidecar.providers.transport import Transport
from sidecar.wire.responses_request import parse_responses_request

from .asking import KEY, PATIENT, provider
from .faults import FaultServer, closes, drips, event_stream, replies, stalls, whole

HURRIED = Timeouts(connect_s=5, first_token_s=0.2, between_tokens_s=5, total_s=30)
BEGUN = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
REPLY = {**BEGUN, "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 1}}
WHOLE = orjson.dumps(REPLY)
CREATED = orjson.dumps({"type": "response.created", "response": BEGUN})
HELLO = orjson.dumps({"type": "response.output_text.delta", "delta": "Hello"})
COMPLETED = orjson.dumps({"type": "response.completed", "response": REPLY})
DONE = b"[DONE]"


def asks(*, stream: bool = False, **fields: Any) -> NativeRequest:
    """Return a request that leans on an earlier answer."""
    said = {"model": "asked", "input": "Hello", "previous_response_id": "resp_0", **fields}
    request = parse_responses_request(orjson.dumps({**said, "stream": stream}))
    assert isinstance(request, NativeRequest)
    return request


async def read_stream(url: str, transport: Transport, timeouts: Timeouts = PATIENT) -> list[Chunk]:
    """Return every chunk of a stream."""
    asked = provider(url, transport).stream(asks(stream=True), "m", timeouts)
    return [chunk async for chunk in asked]


async def stream_failure(reply: bytes, transport: Transport) -> UpstreamError:
    """Ask for a stream, get this reply and the connection's end, and return what was raised."""
    async with FaultServer(closes(reply)) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_stream(server.url, transport)
    return raised.value


async def test_a_whole_response(transport: Transport) -> None:
    """Asked at its own address, with our key and no other head than any chat has."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
        head, body = server.requests[0].split(b"\r\n\r\n", 1)
    assert (answer.id, answer.usage is not None) == ("resp_1", True)
    assert head.startswith(b"POST /v1/responses HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert orjson.loads(body) == {
        "model": "m",
        "input": "Hello",
        "previous_response_id": "resp_0",
    }


async def test_the_callers_own_key(transport: Transport) -> None:
    """A provider that is asked with it is asked with it here too."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        asked = provider(server.url, transport)
        from_client = type(asked)("c", f"{server.url}/v1", None, transport, from_client=True)
        await from_client.complete(asks(), "m", PATIENT, client_key="sk-theirs")
        assert b"Authorization: Bearer sk-theirs" in server.requests[0]


@pytest.mark.parametrize("behind", [(), (DONE,)], ids=["plain", "done"])
async def test_a_stream(transport: Transport, behind: tuple[bytes, ...]) -> None:
    """It ends behind the event that tells all, whatever comes then; its connection is kept."""
    async with FaultServer(drips(event_stream(CREATED, HELLO, COMPLETED, *behind))) as server:
        chunks = await read_stream(server.url, transport)
        await read_stream(server.url, transport)
        assert server.connections == 1
    assert len(chunks) == 3
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("events", [(), (CREATED,), (CREATED, HELLO)])
async def test_a_stream_that_just_ends(transport: Transport, events: tuple[bytes, ...]) -> None:
    """Has told no whole response."""
    assert (await stream_failure(event_stream(*events), transport)).reason == "cut"


async def test_a_stream_that_is_none(transport: Transport) -> None:
    """A whole reply where a stream was asked for is an error, told or not."""
    assert (await stream_failure(whole(WHOLE), transport)).reason == "not_a_stream"
    told = whole(b'{"error": {"code": "server_error"}}')
    assert (await stream_failure(told, transport)).reason == "overloaded"


async def test_a_refusal_is_passed_on(transport: Transport) -> None:
    """With its own status and body, whole and streamed."""
    body = b'{"error": {"code": "previous_response_not_found", "message": "no"}}'
    refusal = whole(body, status="400 Bad Request")
    async with FaultServer(replies(refusal)) as server:
        with pytest.raises(UpstreamRefusedError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert (raised.value.upstream_status, raised.value.body) == (400, body)
    error = await stream_failure(refusal, transport)
    assert isinstance(error, UpstreamRefusedError)
    assert (error.upstream_status, error.body) == (400, body)


async def test_our_key_shows_nowhere(transport: Transport) -> None:
    """Not even where the provider quotes it."""
    body = b'{"error": {"message": "bad key %s"}}' % KEY.encode()
    async with FaultServer(replies(whole(body, status="400 Bad Request"))) as server:
        with pytest.raises(UpstreamRefusedError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert KEY.encode() not in raised.value.body


async def test_what_is_no_response(transport: Transport) -> None:
    """Is the provider's fault."""
    async with FaultServer(replies(whole(b'{"choices": []}'))) as server:
        with pytest.raises(UpstreamInvalidError):
            await provider(server.url, transport).complete(asks(), "m", PATIENT)


async def test_an_opening_does_not_lift_the_first_deadline(transport: Transport) -> None:
    """That the request was taken is no first token."""
    opening = event_stream(CREATED, end=False)
    async with FaultServer(stalls(opening)) as server:
        with pytest.raises(UpstreamError) as raised:
            await read_stream(server.url, transport, HURRIED)
    assert raised.value.reason == "timeout_first_token"


async def test_azure_passes_it_over(transport: Transport) -> None:
    """By name, before anything is sent: it has no such address for a deployment."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        azure = AzureProvider("z", server.url, KEY, transport, api_version="2024-10-21")
        with pytest.raises(InvalidRequestError) as raised:
            await azure.complete(asks(), "m", PATIENT)
        with pytest.raises(InvalidRequestError):
            await anext(azure.stream(asks(stream=True), "m", PATIENT))
        assert server.requests == []
    assert raised.value.param == "previous_response_id"


async def test_what_chat_can_say_is_asked_by_chat(transport: Transport) -> None:
    """A translated request goes where any other does."""
    request = parse_responses_request(b'{"model": "m", "input": "Hello"}')
    assert request.dialect is Dialect.RESPONSES
    async with FaultServer(replies(whole(WHOLE))) as server:
        with pytest.raises(UpstreamInvalidError):
            await provider(server.url, transport).complete(request, "m", PATIENT)
        assert server.requests[0].startswith(b"POST /v1/chat/completions ")


@pytest.mark.parametrize("events", [(), (CREATED,), (CREATED, HELLO)])
async def test_leaving_early_lets_go(transport: Transport, events: tuple[bytes, ...]) -> None:
    """A cancelled stream closes its connection, whatever it waited for."""
    async with FaultServer(stalls(event_stream(*events, end=False))) as server:
        reading = asyncio.create_task(read_stream(server.url, transport))
        await server.asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(server.gone.wait(), 5)
