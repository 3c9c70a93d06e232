"""Clients that leave at every await: all that was taken for them is given back.

Each scene holds a request at one place: its body on the way, the encoder, a connection
that does not come to stand, the first token, the middle of a stream, the wait before a
retry, another's flight, another's `Idempotency-Key`, a breaker's probe, embeddings. The
clients leave after a random time, with or without a word.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from .leaving import reset
from .running import PATIENCE_S, Provider, Sidecar, asking, simulated, until
from .watching import black_hole, held, request_ids, row_of, sent, work

SEED = 4
CLIENTS = 360
AT_ONCE = 12
LONGEST_S = 0.25
WARMERS = 36
"""Clients before the count, who stay for a second."""
PLACES = 4
"""How many calls of the narrow model may be under way."""
STREAM = {"stream": True}
UNCACHED = {"Cache-Control": "no-store"}


class Scene(NamedTuple):
    """What is asked, where, and how much of it is sent."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = {}  # noqa: RUF012  never changed
    share: float = 1.0


def scene(chance: random.Random, number: int) -> Scene:
    """One of all the places where a request can wait."""
    one_of_few = f"Tell me about item {chance.randrange(6)}, please"
    alone = f"Tell me about number {number}, please"
    turns = [{"role": "user", "content": alone}]
    scenes = [
        Scene("chat/completions", asking(alone), share=chance.random()),
        Scene("chat/completions", asking(alone)),
        Scene("chat/completions", asking(alone, **STREAM)),
        Scene("chat/completions", asking(one_of_few, **STREAM)),
        Scene("chat/completions", asking(one_of_few)),
        Scene("messages", {"model": "gpt-4o", "max_tokens": 90, "messages": turns, **STREAM}),
        Scene("responses", {"model": "claude", "input": alone, **STREAM}),
        Scene("chat/completions", asking(alone, model="unreachable")),
        Scene("chat/completions", asking(alone, model="unreachable", **STREAM)),
        Scene("chat/completions", asking(alone, model="busy", **STREAM)),
        Scene("chat/completions", asking(one_of_few, model="busy")),
        Scene("chat/completions", asking(alone, model="narrow", **STREAM)),
        Scene("chat/completions", asking(alone, model="guarded", **STREAM)),
        Scene("chat/completions", asking(f"{alone} fail", model="guarded")),
        Scene("chat/completions", asking(one_of_few), {**UNCACHED, "Idempotency-Key": one_of_few}),
        Scene("embeddings", {"model": "vectors", "input": [alone, "another"]}),
        Scene("messages/count_tokens", {"model": "claude", "messages": turns}),
    ]
    return scenes[number % len(scenes)]


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider slow enough to be left anywhere."""
    folder = tmp_path_factory.mktemp("paced")
    with simulated(folder, latency_ms=40, tokens_per_s=500) as provider:
        yield provider


@pytest.fixture(scope="module")
def watched(serve: Callable[..., Sidecar], paced: Provider) -> Iterator[Sidecar]:
    """A sidecar before it, whose every lazy part was made to open."""
    with black_hole() as port:
        watched = serve(**config(paced, port))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: leave(watched, n, after_s=1), range(WARMERS)))
        until(lambda: settled(watched), "idle")
        watched.purge(all=True)
        yield watched


def config(paced: Provider, nowhere: int) -> dict[str, Any]:
    """A model for each place to wait at."""
    patient = {"breaker": {"failures": 10_000}}
    return {
        "providers": {
            "p": {"kind": "openai", "base_url": paced.base_url},
            "a": {"kind": "anthropic", "base_url": paced.url, "api_key": "sk-test"},
            "hole": {"kind": "openai", "base_url": f"http://127.0.0.1:{nowhere}/v1"},
        },
        "models": {
            "gpt-4o": {**target("p", "gpt-4o"), **patient, "max_in_flight": 500},
            "claude": {**target("a", "claude"), **patient},
            "unreachable": {**target("hole", "x"), **patient, "timeout": {"connect": "1h"}},
            "busy": {**target("p", "busy"), **patient},
            "narrow": {**target("p", "narrow"), **patient, "max_in_flight": PLACES},
            "guarded": {**target("p", "guarded"), "breaker": {"failures": 1, "open": "40ms"}},
            "vectors": {**target("p", "vectors"), **patient},
        },
    }


def target(provider: str, model: str) -> dict[str, Any]:
    """Who answers."""
    return {"targets": [{"provider": provider, "model": model}]}


SCRIPT = (
    {"match": {"model": "busy"}, "status": 503, "retry_after": 4},
    {"match": {"model": "guarded", "contains": "fail"}, "status": 500},
    {"match": {"model": "vectors"}, "delay_ms": 80},
)


def leave(running: Sidecar, number: int, after_s: float | None = None) -> None:
    """Ask, and hang up after a while: a random one, unless told; or with the whole answer."""
    chance = random.Random(SEED + number)  # noqa: S311  guards no secret
    asked, place = scene(chance, number), urlsplit(running.url)
    content = json.dumps(asked.body).encode()
    lines = [f"{name}: {value}" for name, value in asked.headers.items()]
    head = "\r\n".join([
        f"POST /v1/{asked.path} HTTP/1.1", f"Host: {place.netloc}", *lines,
        "Content-Type: application/json", f"Content-Length: {len(content)}", "", "",
    ]).encode()  # fmt: skip
    with socket.create_connection((place.hostname or "", place.port or 0), PATIENCE_S) as client:
        client.sendall((head + content)[: int(len(head + content) * asked.share) or 1])
        linger(client, chance.uniform(0, LONGEST_S) if after_s is None else after_s)
        if chance.random() < 0.5:
            reset(client)


def linger(client: Any, seconds: float) -> None:
    """Read what comes until the time is over."""
    until_then = time.monotonic() + seconds
    with suppress(OSError):
        while (left_s := until_then - time.monotonic()) > 0:
            client.settimeout(left_s)
            if not client.recv(2000):
                return


def settled(running: Sidecar) -> bool:
    """Nobody is answered and no provider is asked."""
    now = work(running)
    return now["requests"] == now["calls"] == 0


class Crowd(NamedTuple):
    """What was held, and how many tasks there were, before hundreds came and left; who came."""

    held: Counter[str]
    tasks: int
    known: frozenset[str]


@pytest.fixture(scope="module")
def crowd(watched: Sidecar, paced: Provider) -> Crowd:
    """They have all been here, and everything is quiet again."""
    paced.forget()
    paced.script(*SCRIPT)
    before = Crowd(held(watched), work(watched)["tasks"], frozenset(request_ids(watched)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: leave(watched, number), range(CLIENTS)))
    until(lambda: settled(watched), "idle")
    return before


def test_leaving_at_every_await(crowd: Crowd, watched: Sidecar, paced: Provider) -> None:
    """Tasks, files, sockets and the provider's calls are all back where they were."""
    until(lambda: work(watched)["tasks"] <= crowd.tasks, "no task is left")
    until(lambda: held(watched)["callers"] <= crowd.held["callers"], "no caller's socket is left")
    after = held(watched)
    assert after["others"] <= crowd.held["others"], (crowd.held, after)
    hole = urlsplit(watched.config["providers"]["hole"]["base_url"]).port
    assert not after[f"to {hole}"]
    until(lambda: "running" not in paced.outcomes, "no call at the provider goes on")
    assert {"left", "completed", "refused"} <= set(paced.outcomes)


def test_every_call_stands_in_a_row(crowd: Crowd, watched: Sidecar, paced: Provider) -> None:
    """Of all those who left the trail tells as many attempts as the ledger saw calls.

    One that was given up while its request was being sent may be told and never have come.
    """
    rows = [row_of(watched, each) for each in request_ids(watched) if each not in crowd.known]
    chats = [row for row in rows if "count" not in row["endpoint"]]
    reasons = Counter(reason for row in chats for reason in sent(row))
    asked = sum(row["endpoint"] != "count_tokens" for row in paced.ledger["requests"])
    assert reasons.total() - reasons["cancelled"] <= asked <= reasons.total(), reasons
    assert {row["status"] for row in chats} >= {200, 499}
    assert reasons.keys() >= {"ok", "cancelled", "overloaded", "status_500"}


def test_all_places_are_free_again(crowd: Crowd, watched: Sidecar, paced: Provider) -> None:
    """As many calls as the narrow model may have are answered at once, whoever left before."""
    paced.script()
    with ThreadPoolExecutor(PLACES) as pool:
        ask = lambda n: watched.ask(f"Place {n}?", UNCACHED, model="narrow").status  # noqa: E731
        assert list(pool.map(ask, range(PLACES))) == [200] * PLACES


def test_a_probe_that_was_left_keeps_no_breaker_half_open(
    crowd: Crowd, watched: Sidecar, paced: Provider
) -> None:
    """The target that is well again is asked again."""
    paced.script()
    ask = lambda: watched.ask("Are you well?", UNCACHED, model="guarded").status == 200  # noqa: E731
    until(ask, "an answer of the guarded target")
    states = watched.admin("GET", "/api/routes").json["routes"]["guarded"]["variants"]["targets"]
    assert [told["breaker"]["state"] for told in states] == ["closed"]


def test_nothing_was_logged_as_a_fault(crowd: Crowd, watched: Sidecar) -> None:
    """A client that leaves is no error of ours."""
    assert "Traceback" not in watched.process.said
    assert '"level":"error"' not in watched.process.said
