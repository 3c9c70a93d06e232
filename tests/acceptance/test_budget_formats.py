"""Every format before every kind of provider: charged as billed, refused in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from .models import every_kind, one_try
from .money import PRICES, RATES, budget, code, fresh, nano, settled, state
from .running import Provider, Sidecar, send, until

CLAUDE = "claude-sonnet-4-5"
ALL_PRICES = {**PRICES, CLAUDE: {"input": 3, "output": 15}}
ALL_RATES = {**RATES, CLAUDE: (3_000, 15_000)}
CAP = 16
FORMATS = pytest.mark.parametrize("format_", ["chat", "response", "message"])
KINDS = pytest.mark.parametrize("kind", ["openai", "anthropic", "azure"])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
REFUSED = (openai.APIStatusError, anthropic.APIStatusError)
BROKE = {"x-sidecar-feature": "broke"}

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def paying(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A budget with room, one without, one with room for a call, and a model without a price."""
    base = every_kind(shared_provider)
    unpriced = {
        f"unpriced-{kind}": one_try([{"provider": kind[0], "model": "mystery"}])
        for kind in ("openai", "anthropic")
    }
    return serve(
        providers=base["providers"],
        models={**base["models"], **unpriced},
        prices=ALL_PRICES,
        budgets=[
            budget(1000),
            budget(0, name="zero", match={"feature": "broke"}),
            # More than the worst case of one call here, and less than that of two.
            budget("0.0015", name="narrow", match={"feature": "busy"}, each=["user"]),
        ],
    )


@pytest.fixture(scope="module")
def call(paying: Sidecar) -> Iterator[Call]:
    """One call by an SDK as it comes, its retries too; a miss unless told otherwise."""
    numbers = count()
    with (
        OpenAI(base_url=paying.url, api_key="x") as openai_sdk,
        Anthropic(base_url=paying.url.removesuffix("/v1"), api_key="x") as anthropic_sdk,
    ):
        assert (openai_sdk.max_retries, anthropic_sdk.max_retries) == (2, 2)

        def ask(format_: str, model: str, tags: Any = None, retries: int = 2, **more: Any) -> Any:
            said = f"Question {next(numbers)}?"
            gpt = openai_sdk.with_options(max_retries=retries)
            claude = anthropic_sdk.with_options(max_retries=retries)
            turns: Any = [{"role": "user", "content": said}]
            common: Any = {"model": model, "extra_headers": tags, **more}
            if format_ == "chat":
                return gpt.chat.completions.create(messages=turns, max_tokens=CAP, **common)
            if format_ == "response":
                return gpt.responses.create(input=said, max_output_tokens=CAP, **common)
            return claude.messages.create(messages=turns, max_tokens=CAP, **common)

        yield ask


def billed(provider: Provider) -> int:
    """What the provider billed, whoever's model it was, in nano-dollars."""
    return sum(
        row["billed"]["prompt_tokens"] * ALL_RATES[row["model"]][0]
        + row["billed"]["completion_tokens"] * ALL_RATES[row["model"]][1]
        for row in provider.ledger["requests"]
    )


def requests(sidecar: Sidecar) -> float:
    """How many requests were answered so far."""
    return sidecar.gauge("sidecar_requests_total")


@FORMATS
@KINDS
@STREAMS
def test_it_is_charged_what_was_billed(
    call: Call, paying: Sidecar, provider: Provider, *, format_: str, kind: str, stream: bool
) -> None:
    """To the nano-dollar, by the provider's own ledger, and nothing stays in doubt."""
    before = settled(paying)
    answer = call(format_, f"by-{kind}", stream=stream)
    if stream:
        assert len(list(answer)) > 2
    after = settled(paying)
    assert after["spent"] - before["spent"] == billed(provider) > 0
    assert (provider.calls, after["unsettled"]) == (1, before["unsettled"])


@FORMATS
@KINDS
@STREAMS
def test_spent_money_is_402_and_never_tried_again(
    call: Call, paying: Sidecar, provider: Provider, *, format_: str, kind: str, stream: bool
) -> None:
    """The SDK raises at once, in the format's own shape; nobody was asked, nothing is held."""
    before = requests(paying)
    with pytest.raises(REFUSED) as raised:
        call(format_, f"by-{kind}", BROKE, stream=stream)
    assert raised.value.status_code == 402
    assert raised.value.response.headers["x-should-retry"] == "false"
    error = raised.value.response.json()["error"]
    assert_shaped(format_, raised.value, "insufficient_quota", "billing_error")
    assert "zero has spent $0 of its $0 this month" in error["message"]
    assert (requests(paying) - before, provider.calls) == (1, 0)
    assert state(paying)["held"] == 0


def assert_shaped(format_: str, error: Any, of_openai: str, of_anthropic: str) -> None:
    """It names its kind in the words of the format."""
    told = error.response.json()
    if format_ == "message":
        assert isinstance(error, anthropic.APIStatusError)
        assert (told["type"], told["error"]["type"]) == ("error", of_anthropic)
    else:
        assert isinstance(error, openai.APIStatusError)
        assert told["error"]["type"] == of_openai == error.type
        assert error.code in ("budget_exceeded", "budget_busy", "budget_unavailable")


@pytest.fixture
def busy(paying: Sidecar, provider: Provider, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The tags of a user, one for each test, whose whole money is in flight for a moment."""
    user = request.node.name.translate({ord(sign): "-" for sign in "[]"})
    tags = {"x-sidecar-feature": "busy", "x-sidecar-user": user}
    provider.script({"times": 1, "delay_ms": 1500})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(paying.post, fresh("Who is first?", model="by-openai"), tags)
        until(lambda: provider.calls == 1, "a call in flight", within_s=5)
        assert state(paying, "narrow", f"user={user}")["held"] > 0
        yield tags
        assert first.result().status == 200


@FORMATS
@STREAMS
def test_money_in_flight_is_429_and_the_sdk_gets_its_answer_later(
    call: Call, paying: Sidecar, provider: Provider, busy: Any, *, format_: str, stream: bool
) -> None:
    """It waits as it is told, asks again by itself, and is answered when money is free."""
    refused = paying.post(fresh("Me too?", model="by-openai"), busy)
    assert (code(refused), refused.headers["retry-after"]) == ((429, "budget_busy"), "1")
    before = requests(paying)
    answer = call(format_, "by-openai", busy, stream=stream)
    assert list(answer) if stream else answer
    # The first, and the one that was refused at least once.
    until(lambda: 3 <= requests(paying) - before <= 4, "three requests")
    assert provider.calls == 2


@FORMATS
def test_money_in_flight_has_the_sdk_s_own_error(
    call: Call, provider: Provider, busy: Any, format_: str
) -> None:
    """`RateLimitError` of the one SDK and of the other, where it may not wait."""
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
        call(format_, "by-openai", busy, retries=0)
    assert_shaped(format_, raised.value, "rate_limit_error", "rate_limit_error")
    assert provider.calls == 1


@FORMATS
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_model_without_a_price_is_503_in_every_format(
    call: Call, paying: Sidecar, provider: Provider, format_: str, kind: str
) -> None:
    """The message says which setting is missing, and nobody was asked."""
    with pytest.raises(REFUSED) as raised:
        call(format_, f"unpriced-{kind}")
    assert raised.value.status_code == 503
    assert_shaped(format_, raised.value, "server_error", "api_error")
    assert "set prices.mystery" in raised.value.response.json()["error"]["message"]
    assert provider.calls == 0


@KINDS
@STREAMS
def test_usage_that_never_came_is_charged_by_the_bound(
    call: Call, paying: Sidecar, provider: Provider, kind: str, stream: bool
) -> None:
    """Of whichever vendor: at least what was billed, and listed as in doubt."""
    before = settled(paying)
    provider.script({"times": 1, "usage": None})
    answer = call("chat", f"by-{kind}", stream=stream)
    if stream:
        list(answer)
    after = settled(paying)
    charged = after["spent"] - before["spent"]
    assert charged >= billed(provider) > 0
    assert after["unsettled"] - before["unsettled"] == charged


def test_the_cost_is_told_in_the_head_of_every_format(paying: Sidecar, provider: Provider) -> None:
    """The same figure as the provider's, whoever speaks."""
    turns = [{"role": "user", "content": "How deep is it?"}]
    asked: dict[str, Any] = {"model": "by-anthropic"}
    bodies = {
        "chat/completions": {"messages": turns, "max_tokens": CAP},
        "responses": {"input": "How deep is it?", "max_output_tokens": CAP},
        "messages": {"messages": turns, "max_tokens": CAP},
    }
    for path, body in bodies.items():
        provider.forget()
        reply = send(
            "POST", f"{paying.url}/{path}", {**asked, **body}, {"cache-control": "no-store"}
        )
        assert reply.status == 200, reply.body
        assert nano(reply.headers["x-sidecar-cost-usd"]) == billed(provider) > 0
