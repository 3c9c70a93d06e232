"""The simulated provider over real sockets: faults as scripted, and a true ledger."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from sidecar.errors import UpstreamError, UpstreamRefusedError
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport

from ..asking import PATIENT, asks, read_stream, until


@pytest.fixture
def asked(simulated: SimulatedServer, transport: Transport) -> OpenAIProvider:
    """The sidecar's own client of it."""
    return OpenAIProvider("sim", simulated.base_url, None, transport)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client, for what the sidecar never sends."""
    async with aiohttp.ClientSession() as session:
        yield session


async def call(
    http: aiohttp.ClientSession, method: str, url: str, body: Any = None
) -> tuple[int, Any]:
    """Return status and parsed body."""
    data = body if isinstance(body, bytes | None) else orjson.dumps(body)
    async with http.request(method, url, data=data) as response:
        text = await response.read()
        return response.status, orjson.loads(text) if text else None


def ledger(simulated: SimulatedServer) -> Any:
    """Return the ledger's report."""
    return orjson.loads(simulated.ledger.report())


async def test_a_stream_says_what_the_whole_reply_says(asked: OpenAIProvider) -> None:
    """Text, finish and usage are the same."""
    answer = await asked.complete(asks(), "m", PATIENT)
    chunks = await read_stream(asked)
    text = "".join(delta.text or "" for chunk in chunks for delta in chunk.deltas)
    assert text == answer.choices[0].text
    assert chunks[-2].deltas[0].finish == answer.choices[0].finish == "stop"
    assert chunks[-1].usage == answer.usage


async def test_what_is_billed_is_what_is_told(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """Usage in the reply and tokens in the ledger agree where nothing was scripted."""
    usage = (await asked.complete(asks(), "m", PATIENT)).usage
    assert usage is not None
    billed = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    assert ledger(simulated)["billed"] == billed


async def test_a_scripted_status_bills_nothing(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """It is counted as a call, with its status, and carries its retry-after."""
    simulated.script.replace([{"status": 429, "retry_after": 1.5}])
    with pytest.raises(UpstreamRefusedError) as raised:
        await asked.complete(asks(), "m", PATIENT)
    report = ledger(simulated)
    assert raised.value.headers == {"retry-after": "1.5"}
    assert (report["calls"], report["completed"]) == (1, 0)
    assert report["billed"] == {"prompt_tokens": 0, "completion_tokens": 0}
    assert report["requests"][0]["status"] == 429


@pytest.mark.parametrize("tokens_per_s", [0, 100_000])
@pytest.mark.parametrize("events", [0, 1, 2, 5])
async def test_a_cut_stream_is_billed_for_what_was_emitted(
    tokens_per_s: float, events: int, transport: Transport
) -> None:
    """The first event is the role's, each further one a token; the rest was never made."""
    simulated = SimulatedServer(latency_ms=0, tokens_per_s=tokens_per_s)
    await simulated.start()
    simulated.script.replace([{"cut_after_events": events}])
    with pytest.raises(UpstreamError) as raised:
        await read_stream(OpenAIProvider("sim", simulated.base_url, None, transport))
    assert raised.value.reason == "cut"
    row = ledger(simulated)["requests"][0]
    assert row["billed"]["completion_tokens"] == max(0, events - 1)
    assert row["outcome"] == "cut"
    await simulated.close()


async def test_a_cut_whole_reply_is_billed_in_full(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """It was made, whoever read it."""
    simulated.script.replace([{"cut_after_events": 1}])
    with pytest.raises(UpstreamError) as raised:
        await asked.complete(asks(), "m", PATIENT)
    assert raised.value.reason == "cut"
    assert ledger(simulated)["billed"]["completion_tokens"] > 0


async def test_a_reader_that_leaves_pays_for_what_was_emitted(
    transport: Transport,
) -> None:
    """And for no more: the model stops."""
    simulated = SimulatedServer(latency_ms=0, tokens_per_s=1)
    await simulated.start()
    asked = OpenAIProvider("sim", simulated.base_url, None, transport)
    chunks = asked.stream(asks(stream=True), "m", PATIENT)
    await anext(chunks)
    await anext(chunks)
    await chunks.aclose()
    await until(lambda: b'"running"' not in simulated.ledger.report())
    row = ledger(simulated)["requests"][0]
    assert row["outcome"] == "left"
    assert row["billed"]["completion_tokens"] == 1
    assert ledger(simulated)["completed"] == 0
    await simulated.close()


async def test_a_whole_reply_that_nobody_awaits_is_billed_in_full(transport: Transport) -> None:
    """Providers make it to its end."""
    simulated = SimulatedServer(latency_ms=60_000, tokens_per_s=0)
    await simulated.start()
    asked = OpenAIProvider("sim", simulated.base_url, None, transport)
    call = asyncio.create_task(asked.complete(asks(), "m", PATIENT))
    await until(lambda: b'"running"' in simulated.ledger.report())
    call.cancel()
    await until(lambda: b'"left"' in simulated.ledger.report())
    assert ledger(simulated)["requests"][0]["billed"]["completion_tokens"] > 0
    await simulated.close()


async def test_a_scripted_finish_reason_is_told(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """In whole replies and in streams."""
    simulated.script.replace([{"finish_reason": "content_filter"}])
    answer = await asked.complete(asks(), "m", PATIENT)
    assert answer.choices[0].finish == "content_filter"
    assert (await read_stream(asked))[-2].deltas[0].finish == "content_filter"


async def test_a_null_finish_reason_is_null(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """The stream ends with `[DONE]` all the same."""
    simulated.script.replace([{"finish_reason": None}])
    chunks = await read_stream(asked)
    assert {delta.finish for chunk in chunks for delta in chunk.deltas} == {None}


async def test_a_false_done_ends_half_way(
    asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """`[DONE]` without finish_reason and usage; billed is what was emitted."""
    simulated.script.replace([{"false_done": True}])
    chunks = await read_stream(asked)
    assert {delta.finish for chunk in chunks for delta in chunk.deltas} == {None}
    assert chunks[-1].usage is None
    assert ledger(simulated)["billed"]["completion_tokens"] == len(chunks) - 1


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -5, "completion_tokens": 10**12}])
async def test_a_lie_about_usage_does_not_change_the_ledger(
    usage: Any, asked: OpenAIProvider, simulated: SimulatedServer
) -> None:
    """Absent or false: the oracle knows better."""
    simulated.script.replace([{"usage": usage}])
    assert (await asked.complete(asks(), "m", PATIENT)).usage is None
    assert (await read_stream(asked))[-1].usage is None
    billed = ledger(simulated)["billed"]
    assert billed["prompt_tokens"] == 12
    assert 0 < billed["completion_tokens"] < 1000


async def test_a_script_is_posted_and_deleted(
    simulated: SimulatedServer, asked: OpenAIProvider, http: aiohttp.ClientSession
) -> None:
    """Over HTTP, for a provider in another process."""
    url = f"{simulated.url}/script"
    assert await call(http, "POST", url, [{"status": 500}]) == (200, {"rules": 1})
    with pytest.raises(UpstreamError):
        await asked.complete(asks(), "m", PATIENT)
    assert await call(http, "DELETE", url) == (204, None)
    await asked.complete(asks(), "m", PATIENT)


async def test_a_bad_script_is_400_and_names_the_field(
    simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Instead of a fault that never happens."""
    status, body = await call(http, "POST", f"{simulated.url}/script", [{"staus": 1}])
    assert status == 400
    assert "[0].staus" in body["error"]["message"]


async def test_the_ledger_is_read_and_cleared(
    simulated: SimulatedServer, asked: OpenAIProvider, http: aiohttp.ClientSession
) -> None:
    """Over HTTP, for a provider in another process."""
    await asked.complete(asks(), "m", PATIENT)
    url = f"{simulated.url}/ledger"
    status, report = await call(http, "GET", url)
    assert (status, report["calls"], report["requests"][0]["model"]) == (200, 1, "m")
    assert await call(http, "DELETE", url) == (204, None)
    assert (await call(http, "GET", url))[1]["calls"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", [], 400),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, 400),
        ("/v1/chat/completions", {"model": "m", "messages": []}, 400),
        ("/v1/embeddings", {"model": "m"}, 400),
        ("/v1/embeddings", {"model": "m", "input": "x", "dimensions": 0}, 400),
        ("/v1/chat/completions", b'{"model":"m","messages":' + b"[" * 300 + b"]" * 300 + b"}", 400),
        ("/v1/nothing", {}, 404),
        ("/v1/models", {}, 405),
    ],
)
async def test_a_bad_request_is_refused_in_openais_shape(
    path: str, body: Any, status: int, simulated: SimulatedServer, http: aiohttp.ClientSession
) -> None:
    """Never a 500."""
    answered, error = await call(http, "POST", simulated.url + path, body)
    assert answered == status
    assert error["error"]["type"] == "invalid_request_error"


async def test_it_runs_as_a_command() -> None:
    """One line when it is ready; a second one on its port says so and exits with 2."""
    command = (sys.executable, "-m", "sidecar.providers.simulated", "--port")
    pipe = asyncio.subprocess.PIPE
    first = await asyncio.create_subprocess_exec(*command, "0", stdout=pipe)
    assert first.stdout is not None
    line = (await first.stdout.readline()).decode()
    port = line.split("/v1")[0].rsplit(":", 1)[1]
    second = await asyncio.create_subprocess_exec(*command, port, stderr=pipe)
    _, complaint = await second.communicate()
    first.terminate()
    assert line.startswith(f"simulated provider ready: http://127.0.0.1:{port}/v1")
    assert (second.returncode, complaint.count(b"\n")) == (2, 1)
    assert await first.wait() == 0
