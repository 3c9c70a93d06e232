"""Faults that every dialect has: lost replies, resets, errors with codes, and Azure's URLs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from sidecar.providers.simulated import SimulatedServer

CHAT = {"model": "m", "messages": [{"role": "user", "content": "How are you?"}]}
MESSAGES = {**CHAT, "max_tokens": 1000}
AZURE = "/openai/deployments/m/chat/completions?api-version=2024-10-21"
WAYS = pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES), (AZURE, CHAT)],
    ids=["chat", "messages", "azure"],
)
STREAMING = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client that says which version of Anthropic's API it means."""
    headers = {"anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


def last_row(simulated: SimulatedServer) -> Any:
    """Return the ledger's last row."""
    return orjson.loads(simulated.ledger.report())["requests"][-1]


async def read(
    http: aiohttp.ClientSession, url: str, body: dict[str, Any]
) -> tuple[int, bytes, aiohttp.ClientError | OSError | None]:
    """Return status, what came of the body, and what broke it off; status 0 where none came."""
    received = b""
    status = 0
    try:
        async with http.post(url, json=body) as response:
            status = response.status
            async for piece in response.content.iter_any():
                received += piece
    except (aiohttp.ClientError, OSError) as error:
        return status, received, error
    return status, received, None


@WAYS
@STREAMING
async def test_a_lost_reply_is_billed_in_full(
    path: str, body: Any, stream: bool, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """The same bill as for one that arrived, and not a byte of it did."""
    url = simulated.url + path
    await read(http, url, {**body, "stream": stream})
    billed = last_row(simulated)["billed"]
    simulated.script.replace([{"lost_reply": True}])
    status, received, error = await read(http, url, {**body, "stream": stream})
    assert (status, received) == (0, b"")
    assert isinstance(error, aiohttp.ServerDisconnectedError)
    assert (last_row(simulated)["outcome"], last_row(simulated)["billed"]) == ("lost", billed)


@WAYS
async def test_a_stream_is_reset_half_way(
    path: str, body: Any, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """By the kernel's RST after events that were read; a regular close would be another error."""
    simulated.script.replace([{"reset": True}])
    status, _, error = await read(http, simulated.url + path, {**body, "stream": True})
    assert status in (0, 200)  # what was on its way may be lost with the connection
    assert "reset by peer" in f"{error} {error.__cause__}"
    row = last_row(simulated)
    assert row["outcome"] == "reset"
    assert row["billed"]["completion_tokens"] > 0


@WAYS
async def test_a_lost_reply_may_be_a_reset(
    path: str, body: Any, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Both together: nothing arrives but the RST."""
    simulated.script.replace([{"lost_reply": True, "reset": True}])
    status, received, error = await read(http, simulated.url + path, body)
    assert (status, received) == (0, b"")
    assert "reset by peer" in str(error)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            {"status": 429, "code": "insufficient_quota", "error_type": "insufficient_quota"},
            {"code": "insufficient_quota", "type": "insufficient_quota"},
        ),
        (
            {"status": 400, "code": "context_length_exceeded", "message": "too long"},
            {"code": "context_length_exceeded", "message": "too long"},
        ),
        ({"status": 400, "code": "content_filter"}, {"code": "content_filter"}),
        ({"status": 429}, {"code": "rate_limit_exceeded"}),
        ({"status": 429, "code": None}, {"code": None}),
    ],
)
async def test_an_error_says_what_the_script_says(
    fault: Any, told: Any, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Code, type and message; a code that is not given is OpenAI's own for the status."""
    simulated.script.replace([fault])
    status, received, _ = await read(http, f"{simulated.base_url}/chat/completions", CHAT)
    error = orjson.loads(received)["error"]
    assert status == fault["status"]
    assert {name: error[name] for name in told} == told


@pytest.mark.parametrize(
    ("finish", "told"), [("length", "max_tokens"), ("pause_turn", "pause_turn"), (None, None)]
)
async def test_one_script_serves_every_dialect(
    finish: str | None, told: str | None, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """OpenAI's words for an end become Anthropic's; words of its own stay."""
    simulated.script.replace([{"finish_reason": finish}])
    _, received, _ = await read(http, f"{simulated.url}/v1/messages", MESSAGES)
    assert orjson.loads(received)["stop_reason"] == told


async def test_a_false_end_of_a_message(
    simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """`message_stop` without the block's end and without a reason."""
    simulated.script.replace([{"false_done": True}])
    _, received, _ = await read(http, f"{simulated.url}/v1/messages", {**MESSAGES, "stream": True})
    assert received.rstrip().endswith(b'{"type":"message_stop"}')
    assert b"content_block_stop" not in received
    assert b"message_delta" not in received


async def test_azure_wants_a_version(
    simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Without it nothing is found, and nothing is counted."""
    status, _, _ = await read(http, simulated.url + AZURE.partition("?")[0], CHAT)
    assert status == 404
    assert orjson.loads(simulated.ledger.report())["calls"] == 0


async def test_azures_model_is_in_its_url(
    simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """The body needs none; the ledger has the deployment, and through which door it came."""
    body = {"messages": CHAT["messages"]}
    url = f"{simulated.url}/openai/deployments/my-gpt/chat/completions?api-version=1"
    status, received, _ = await read(http, url, body)
    assert (status, orjson.loads(received)["model"]) == (200, "my-gpt")
    assert (last_row(simulated)["model"], last_row(simulated)["endpoint"]) == ("my-gpt", "azure")


async def test_azures_embeddings(simulated: SimulatedServer, http: aiohttp.ClientSession) -> None:
    """The same vectors as at OpenAI's path."""
    azure = f"{simulated.url}/openai/deployments/e/embeddings?api-version=1"
    _, one, _ = await read(http, azure, {"input": "a", "dimensions": 4})
    openai = f"{simulated.base_url}/embeddings"
    _, other, _ = await read(http, openai, {"model": "e", "input": "a", "dimensions": 4})
    assert orjson.loads(one)["data"] == orjson.loads(other)["data"]


@pytest.mark.parametrize("fault", [{"cut_after_events": 0}, {"lost_reply": True}])
async def test_embeddings_fail_as_scripted(
    fault: Any, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Cut or lost, and billed."""
    simulated.script.replace([fault])
    url = f"{simulated.base_url}/embeddings"
    _, _, error = await read(http, url, {"model": "e", "input": "two words"})
    assert error is not None
    assert last_row(simulated)["billed"]["prompt_tokens"] == 2


async def test_messages_need_a_version(simulated: SimulatedServer) -> None:
    """As Anthropic's API refuses a request without the header, in its own shape."""
    async with aiohttp.ClientSession() as http:
        status, received, _ = await read(http, f"{simulated.url}/v1/messages", MESSAGES)
    assert status == 400
    assert orjson.loads(received)["type"] == "error"
