"""Waits and retries: ours as the provider asks for, and the SDKs' own no more on top."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from .models import every_kind
from .running import Provider, Sidecar
from .upstream import Upstream, answering

ASKED = "How do I reset my password?"
TURNS: Any = [{"role": "user", "content": ASKED}]
KINDS = pytest.mark.parametrize("kind", ["o", "a", "z"], ids=["openai", "anthropic", "azure"])
FORMATS = pytest.mark.parametrize("format_", ["chat", "response", "message"])
THRICE = 3
NO_WAIT = {"attempts": THRICE, "base_ms": 0, "max_ms": 2500}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
HEAD = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
ANSWER = json.dumps({**HEAD, "choices": [CHOICE]}).encode()


def tried(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A model that asks three times without a wait of its own."""
    patient = {"failures": 10_000}
    return {"targets": [{"provider": kind, "model": name}], "retry": NO_WAIT, "breaker": patient,
            **more}  # fmt: skip


NAMES = ("failing", "limited", "later", "lost", "slow")


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with a model for each kind and test, for targets have budgets of retries."""
    formats = ("chat", "response", "message")
    models: dict[str, Any] = {
        f"{name}-{format_}-{kind}": tried(kind, f"{name}-{format_}", timeout={"total": "500ms"})
        for name in NAMES
        for format_ in formats
        for kind in "oaz"
    }
    guarded = tried("o", "guarded", breaker={"failures": 1, "open": "1h"})
    return serve(
        providers=every_kind(shared_provider)["providers"], models={**models, "guarded": guarded}
    )


@pytest.fixture(scope="module")
def sdks(shared_sidecar: Sidecar) -> Iterator[Callable[..., Any]]:
    """One call by an SDK in a format, the SDK's own retries as they come."""
    url = shared_sidecar.url
    with (
        OpenAI(base_url=url, api_key="x") as gpt,
        Anthropic(base_url=url.removesuffix("/v1"), api_key="x") as claude,
    ):
        assert (gpt.max_retries, claude.max_retries) == (2, 2)

        def call(format_: str, model: str) -> Any:
            if format_ == "chat":
                return gpt.chat.completions.create(model=model, messages=TURNS)
            if format_ == "response":
                return gpt.responses.create(model=model, input=ASKED)
            return claude.messages.create(model=model, max_tokens=90, messages=TURNS)

        yield call


@pytest.fixture
def ask(sdks: Callable[..., Any], running: Sidecar) -> Callable[..., Any]:
    """The same, with nothing cached."""
    return sdks


Ask = Callable[..., Any]
ERRORS = (openai.APIStatusError, anthropic.APIStatusError)


@FORMATS
@KINDS
def test_an_outage_is_not_multiplied(ask: Ask, provider: Provider, kind: str, format_: str) -> None:
    """Three tries are three, though the SDK would try three times itself."""
    provider.script({"status": 500})
    with pytest.raises(ERRORS) as raised:
        ask(format_, f"failing-{format_}-{kind}")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert provider.calls == THRICE


@FORMATS
@KINDS
@pytest.mark.parametrize("fault", ["lost", "slow"])
def test_what_got_no_answer_is_sent_once(
    ask: Ask, provider: Provider, kind: str, format_: str, fault: str
) -> None:
    """It may have been paid for: neither we nor the SDK send it again."""
    provider.script({"lost_reply": True} if fault == "lost" else {"delay_ms": 3000})
    with pytest.raises(ERRORS):
        ask(format_, f"{fault}-{format_}-{kind}")
    assert provider.calls == 1


@FORMATS
@KINDS
def test_a_limit_that_was_obeyed_here_is_not_obeyed_again(
    ask: Ask, provider: Provider, kind: str, format_: str
) -> None:
    """A provider that goes on saying 429 is asked three times, and the app is told so."""
    provider.script({"status": 429, "retry_after": 0.05})
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
        ask(format_, f"limited-{format_}-{kind}")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert provider.calls == THRICE


@pytest.mark.parametrize("format_", ["chat", "message"])
def test_a_wait_that_is_too_long_for_us_is_the_caller_s(
    ask: Ask, provider: Provider, format_: str
) -> None:
    """The SDK waits as it is told, asks once more and is answered."""
    provider.script({"status": 429, "retry_after": 3, "times": 1})
    began = time.monotonic()
    assert ask(format_, f"later-{format_}-o")
    assert time.monotonic() - began >= 3
    assert provider.calls == 2


def test_while_nobody_is_asked_an_sdk_may_come_again(running: Sidecar, provider: Provider) -> None:
    """An open breaker costs the provider nothing, so the reply does not forbid it."""
    provider.script({"status": 500, "delay_ms": 300})
    opening = running.ask("Are you well?", model="guarded")
    assert (opening.status, opening.headers["x-should-retry"]) == (503, "false")
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda n: running.ask(f"And now {n}?", model="guarded"), range(4)))
    assert {reply.status for reply in replies} == {503}
    refused = [r for r in replies if r.json["error"]["attempts"][0]["reason"] == "breaker_open"]
    assert len(refused) >= 3
    assert not any("x-should-retry" in reply.headers for reply in refused)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider whose refusals have any headers."""
    with answering() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def obeying(serve: Callable[..., Sidecar], upstream: Upstream) -> Sidecar:
    """A sidecar that asks it, without a wait of its own."""
    provider = {"kind": "openai", "base_url": upstream.base_url}
    models = {name: tried("p", name) for name in ("429", "503", "later")}
    return serve(providers={"p": provider}, models=models)


def in_seconds(seconds: float) -> dict[str, str]:
    """A wait as an HTTP date."""
    return {"Retry-After": formatdate(time.time() + seconds, usegmt=True)}


WAITS: dict[str, tuple[Callable[[], dict[str, str]], float, float]] = {
    "milliseconds": (lambda: {"retry-after-ms": "400"}, 0.4, 0.9),
    "azure's": (lambda: {"x-ms-retry-after-ms": "400"}, 0.4, 0.9),
    "seconds": (lambda: {"Retry-After": "1"}, 1.0, 1.5),
    "parts": (lambda: {"Retry-After": "0.4"}, 0.4, 0.9),
    "date": (lambda: in_seconds(2), 0.9, 2.5),
    "past": (lambda: in_seconds(-60), 0.0, 0.5),
    "finest": (lambda: {"Retry-After": "2", "retry-after-ms": "300"}, 0.3, 0.8),
    "unknown": (lambda: {"Retry-After": "-1"}, 0.0, 0.5),
    "no number": (lambda: {"Retry-After": "soon", "retry-after-ms": "nan"}, 0.0, 0.5),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_is_the_provider_s(
    obeying: Sidecar, upstream: Upstream, name: str, status: int
) -> None:
    """As long as it says, in each of the forms that it may say it in."""
    headers, least_s, most_s = WAITS[name]
    upstream.say(ANSWER)
    upstream.times.clear()
    upstream.refusals = [(status, headers())]
    reply = obeying.ask(ASKED, {"Cache-Control": "no-store"}, model=str(status))
    assert (reply.status, upstream.calls) == (200, 2)
    waited = upstream.times[1] - upstream.times[0]
    assert least_s <= waited < most_s


@pytest.mark.parametrize("status", [429, 503])
def test_a_longer_wait_than_ours_is_told_and_not_waited_for(
    obeying: Sidecar, upstream: Upstream, status: int
) -> None:
    """The target is not asked again before its time."""
    upstream.say(ANSWER)
    upstream.refusals = [(status, {"Retry-After": "3600"})]
    began = time.monotonic()
    reply = obeying.ask(ASKED, {"Cache-Control": "no-store"}, model="later")
    assert time.monotonic() - began < 2
    assert (reply.status, upstream.calls) == (status, 1)
    if status == 429:
        assert reply.headers["retry-after"] == "3600"
