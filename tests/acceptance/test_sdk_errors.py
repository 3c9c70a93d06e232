"""Errors as the `openai` SDK's own exceptions, whether or not the cache holds an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from .running import Provider, Sidecar, config_for, send, until
from .test_sdk_answers import ASKED, MESSAGES, NEAR

CLOSED_PORT_URL = "http://127.0.0.1:1/v1"
WARMED = pytest.mark.parametrize("before", [None, ASKED, NEAR], ids=["cold", "exact", "near"])


@pytest.fixture(scope="module")
def shared_sidecar(
    serve: Callable[..., Sidecar], shared_provider: Provider, tmp_path_factory: Any
) -> Sidecar:
    """One that also knows a model nobody answers for, and one that is given little time."""
    base = config_for(shared_provider, tmp_path_factory.mktemp("unused"), {})
    dead = {"kind": "openai", "base_url": CLOSED_PORT_URL}
    hasty = {"targets": [{"provider": "p", "model": "hasty"}], "timeout": {"total": "200ms"}}
    return serve(
        listen={"port": 0, "max_body_mb": 1},
        providers={**base["providers"], "dead": dead},
        models={
            **base["models"],
            "gpt-dead": {"targets": [{"provider": "dead", "model": "gpt-dead"}]},
            "gpt-hasty": hasty,
        },
    )


@pytest.fixture
def client(running: Sidecar) -> Iterator[OpenAI]:
    """The SDK, which must not hide a failure by trying again."""
    with OpenAI(base_url=running.url, api_key="x", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **fields: Any) -> Any:
    """One answer, to the end of its stream if it is one."""
    asked = {"model": "gpt-4o", "messages": MESSAGES, **fields}
    answer = client.chat.completions.create(**asked)
    return list(answer) if fields.get("stream") else answer


@WARMED
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_bad_request(client: OpenAI, running: Sidecar, before: str | None, stream: bool) -> None:
    """`BadRequestError` names the field, whatever the cache holds."""
    if before:
        running.ask(before)
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, temperature=9, stream=stream)
    assert (raised.value.param, raised.value.code) == ("temperature", "invalid_request")
    assert raised.value.type == "invalid_request_error"


@WARMED
def test_an_unknown_model(client: OpenAI, running: Sidecar, before: str | None) -> None:
    """`NotFoundError` with the code that apps look for."""
    if before:
        running.ask(before)
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, model="gpt-9")
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_rate_limit(client: OpenAI, provider: Provider, stream: bool) -> None:
    """`RateLimitError` with the provider's own body and the time to wait."""
    provider.script({"status": 429, "retry_after": 7})
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, stream=stream)
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_the_callers_fault_at_the_provider(client: OpenAI, provider: Provider, status: int) -> None:
    """What the provider refuses is passed on with its own status and words."""
    provider.script({"status": status})
    with pytest.raises(openai.APIStatusError) as raised:
        ask(client)
    assert (raised.value.status_code, raised.value.type) == (status, "simulated_error")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [500, 503, 401])
def test_a_failing_provider(client: OpenAI, provider: Provider, status: int, stream: bool) -> None:
    """`InternalServerError` 503 `all_targets_failed`, naming the attempt."""
    provider.script({"status": status})
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (503, "all_targets_failed")
    assert isinstance(raised.value.body, dict)
    attempt = raised.value.body["attempts"][0]
    assert (attempt["provider"], attempt["model"], attempt["status"]) == ("p", "gpt-4o", status)
    assert attempt["reason"]
    assert attempt["ms"] >= 0


def test_a_provider_that_is_gone(client: OpenAI) -> None:
    """A refused connection is told like any other failure."""
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, model="gpt-dead")
    assert isinstance(raised.value.body, dict)
    assert raised.value.code == "all_targets_failed"
    assert raised.value.body["attempts"][0]["reason"] == "connect"


def test_a_provider_that_is_too_slow(client: OpenAI, provider: Provider) -> None:
    """504 `upstream_timeout` once the configured time is over."""
    provider.script({"delay_ms": 20_000})
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, model="gpt-hasty")
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")


def test_a_client_that_waits_no_longer(
    client: OpenAI, running: Sidecar, provider: Provider
) -> None:
    """The SDK's own time-out ends the call at the provider too."""
    provider.script({"delay_ms": 20_000})
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=0.3)
    until(lambda: provider.outcomes == ["left"], "the provider sees that its reader left")
    running.idle()


def test_nobody_is_there(client: OpenAI) -> None:
    """`APIConnectionError` is for a sidecar that does not run, and for nothing else."""
    with pytest.raises(openai.APIConnectionError):
        ask(client.with_options(base_url=CLOSED_PORT_URL))


def test_a_stream_that_breaks(client: OpenAI, provider: Provider) -> None:
    """`APIError` in the middle of a stream, after the chunks that came."""
    provider.script({"cut_after_events": 5})
    seen = []
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError) as raised:
        seen.extend(stream)
    assert len(seen) == 5
    assert raised.value.code == "all_targets_failed"


async def test_a_stream_that_breaks_while_awaited(running: Sidecar, provider: Provider) -> None:
    """The asynchronous client is told in the same way."""
    provider.script({"cut_after_events": 5})
    async with AsyncOpenAI(base_url=running.url, api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True
        )
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass


def test_the_sdk_does_not_try_again(running: Sidecar, provider: Provider) -> None:
    """How often a provider is asked is the route's to say, whatever the SDK's own retries are."""
    provider.script({"status": 500})
    with (
        OpenAI(base_url=running.url, api_key="x", max_retries=5) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        ask(client)
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert provider.calls == 1


@pytest.mark.parametrize("asked", [ASKED, NEAR], ids=["exact", "semantic"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_hit_needs_no_provider(
    client: OpenAI, running: Sidecar, provider: Provider, asked: str, stream: bool
) -> None:
    """What is cached is answered while the provider fails."""
    running.ask(asked)
    provider.script({"status": 503})
    assert ask(client, stream=stream)


def test_only_if_cached(client: OpenAI, provider: Provider) -> None:
    """504 `cache_miss` where the client allowed no call."""
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, extra_headers={"Cache-Control": "only-if-cached"})
    assert (raised.value.status_code, raised.value.code) == (504, "cache_miss")
    assert provider.calls == 0


def test_a_body_that_is_too_large(client: OpenAI, provider: Provider) -> None:
    """413, and no provider is asked."""
    with pytest.raises(openai.APIStatusError) as raised:
        ask(client, messages=[{"role": "user", "content": "x" * 1_100_000}])
    assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")
    assert provider.calls == 0


def test_a_body_that_is_not_json(running: Sidecar, provider: Provider) -> None:
    """415 for what a form post could send."""
    url = f"{running.url}/chat/completions"
    reply = send("POST", url, {"model": "gpt-4o"}, {"Content-Type": "text/plain"})
    assert (reply.status, reply.json["error"]["code"]) == (415, "unsupported_media_type")
    assert provider.calls == 0


def test_what_is_not_served(client: OpenAI, provider: Provider) -> None:
    """Another endpoint of OpenAI's is a `NotFoundError`, never passed on."""
    with pytest.raises(openai.NotFoundError) as raised:
        client.completions.create(model="gpt-4o", prompt="Hello")
    assert set(raised.value.body) == {"message", "type", "param", "code"}
    assert provider.calls == 0
