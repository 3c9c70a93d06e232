"""Everything that can be asked, at once and on little money: never a cent over, nothing held."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .leaving import called, reset
from .models import every_kind, one_try
from .money import PRICES, RATES, budget, fresh, nano, oracle, settled
from .running import Provider, Sidecar, send, serving, simulated

CLAUDE, EMBEDDER = "claude-sonnet-4-5", "text-embedding-3-small"
MOST = {**PRICES, CLAUDE: {"input": 3, "output": 15}, EMBEDDER: {"input": 0.5, "output": 0}}
ALL_RATES = {**RATES, CLAUDE: (3_000, 15_000), EMBEDDER: (500, 0)}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SEEN = [{"type": "text", "text": "What is it?"}, PICTURE]
LONG = [
    {"type": "text", "text": "word " * 300, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
]
CHATS: list[dict[str, Any]] = [
    {},
    {"stream": True},
    {"n": 3},
    {"n": 3, "stream": True},
    {"tools": [TOOL], "tool_choice": "required"},
    {"messages": [{"role": "user", "content": SEEN}]},
    {"response_format": {"type": "json_object"}},
    {"max_tokens": None},
    {"max_tokens": 5, "max_completion_tokens": 40},
    {"stop": ["x"], "seed": 1, "logprobs": True, "user": "ann"},
    {"service_tier": "priority"},
    {"max_tokens": 10**18},
]
RESPONSES: list[dict[str, Any]] = [
    {},
    {"stream": True},
    {"store": True, "max_output_tokens": 20},
    {"store": True, "stream": True, "max_output_tokens": 20},
    {"store": True, "background": True, "max_output_tokens": 20},
    {"tools": [{"type": "web_search"}]},
    {"previous_response_id": "resp_none"},
]
MESSAGES: list[dict[str, Any]] = [
    {},
    {"stream": True},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
    {"system": LONG},
    {"max_tokens": 1},
]
FAULTS: list[dict[str, Any]] = [
    {"times": 6, "status": 500},
    {"times": 4, "status": 429},
    {"times": 6, "usage": None},
    {"times": 4, "usage": {"prompt_tokens": 0, "completion_tokens": 0}},
    {"times": 4, "cut_after_events": 4},
    {"times": 4, "error_after_events": 4},
    {"times": 4, "reset": True},
    {"times": 3, "lost_reply": True},
]


def billed(provider: Provider) -> int:
    """What the provider billed, whoever's model it was, in nano-dollars."""
    return sum(
        row["billed"]["prompt_tokens"] * ALL_RATES[row["model"]][0]
        + row["billed"]["completion_tokens"] * ALL_RATES[row["model"]][1]
        for row in provider.ledger["requests"]
    )


def everything(seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Each kind of request by each kind of provider, in some order; none twice."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for kind in ("openai", "anthropic", "azure"):
        common = {"model": f"by-{kind}"}
        for number, more in enumerate(CHATS):
            body = fresh(f"Tell me of {kind} {number}?", **{**common, **more})
            asked.append(("chat/completions", {k: v for k, v in body.items() if v is not None}))
        for number, more in enumerate(RESPONSES):
            asked.append(("responses", {**common, "input": f"And of {kind} {number}?", **more}))
        for number, more in enumerate(MESSAGES):
            turns = [{"role": "user", "content": f"Or of {kind} {number}?"}]
            asked.append(("messages", {**common, "messages": turns, "max_tokens": 20, **more}))
            asked.append(("messages/count_tokens", {**common, "messages": turns}))
    texts = [f"text {number}" for number in range(9)]
    asked += [("embeddings", {"model": "e", "input": texts[: 1 + n]}) for n in range(9)]
    random.Random(seed).shuffle(asked)  # noqa: S311 - an order, no secret
    return asked


def config(provider: Provider) -> dict[str, Any]:
    """A model behind each kind of provider, and one that embeds."""
    sections = every_kind(provider)
    sections["models"]["e"] = one_try([{"provider": "o", "model": EMBEDDER}])
    return {**sections, "prices": MOST}


@pytest.mark.parametrize("mode", ["serve", "shadow", "off"])
def test_whatever_is_asked_the_limit_holds(provider, tmp_path: Path, mode: str):
    """In every mode; and what was charged is no less than what was billed."""
    limit = "0.15"
    cache = {"mode": mode}
    with (
        serving(
            provider, tmp_path, budgets=[budget(limit)], cache=cache, **config(provider)
        ) as sidecar,
        ThreadPoolExecutor(16) as pool,
    ):
        provider.script(*FAULTS)
        seen = set()
        for seed in range(2):
            asked = everything(seed)
            replies = pool.map(
                lambda each: send("POST", f"{sidecar.url}/{each[0]}", each[1]), asked
            )
            seen |= {reply.status for reply in replies}
        account = settled(sidecar)
        assert 0 < billed(provider) <= account["spent"] <= nano(limit)
        assert {200, 402, 429} <= seen
        assert 500 not in seen


def test_a_call_of_each_kind_is_charged_no_less_than_it_is_billed(provider, tmp_path: Path):
    """One after the other, so that what one is charged too much hides no other."""
    with serving(provider, tmp_path, budgets=[budget(1000)], **config(provider)) as sidecar:
        for path, body in everything(0):
            provider.forget()
            before = settled(sidecar)["spent"]
            reply = send("POST", f"{sidecar.url}/{path}", body)
            charged = settled(sidecar)["spent"] - before
            assert billed(provider) <= charged, (path, body, reply.body)
            assert charged <= billed(provider) or reply.status != 200 or "background" in body


def leave(sidecar: Sidecar, number: int) -> None:
    """Ask, and be gone at some moment."""
    more = {"stream": True} if number % 2 else {}
    text = f"How deep is sea {number % 7}?"
    client = called(sidecar, fresh(text, max_tokens=40, temperature=0, **more))
    time.sleep(random.Random(number).random() * 0.3)  # noqa: S311 - a moment, no secret
    with suppress(OSError):
        reset(client) if number % 3 else client.close()


def test_whoever_leaves_when_they_will_leaves_nothing_held(tmp_path: Path):
    """Leaders and followers, before, in and behind the answer; and the limit holds."""
    limit = "0.01"
    with (
        simulated(tmp_path / "p", latency_ms=30, tokens_per_s=200) as slow,
        serving(slow, tmp_path, budgets=[budget(limit)], prices=PRICES) as sidecar,
        ThreadPoolExecutor(20) as pool,
    ):
        list(pool.map(lambda number: leave(sidecar, number), range(200)))
        sidecar.idle()
        account = settled(sidecar)
        assert 0 < oracle(slow) <= account["spent"] <= nano(limit)
