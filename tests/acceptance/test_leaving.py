"""Clients that leave at any point: nothing stays open, nothing half is kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from .leaving import called, request_bytes, reset
from .running import Provider, Sidecar, asking, simulated, until
from .streams import told

SEED = 20
CLIENTS = 240
AT_ONCE = 12
QUESTIONS = [f"Tell me about item {number}, please" for number in range(12)]


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider slow enough to be left in the middle of an answer."""
    folder = tmp_path_factory.mktemp("paced")
    with simulated(folder, latency_ms=20, tokens_per_s=2000) as provider:
        yield provider


@pytest.fixture(scope="module")
def watched(serve: Callable[..., Sidecar], paced: Provider) -> Sidecar:
    """A sidecar that asks it, warmed up: what it opens once, it has opened."""
    watched = serve(providers={"p": {"kind": "openai", "base_url": paced.base_url}})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda n: watched.ask(f"warm up {n}", n=2), range(AT_ONCE)))
    watched.purge(all=True)
    return watched


def open_files(running: Sidecar) -> int:
    """Sockets, files and the rest."""
    return psutil.Process(running.process.popen.pid).num_fds()


def leave_somewhere(running: Sidecar, number: int) -> None:
    """Ask, and leave: in the request, before the head, in the stream, with or without a word."""
    chance = random.Random(SEED + number)  # noqa: S311 (guards no secret)
    fields = {"stream": True} if chance.random() < 0.7 else {}
    headers_too = chance.random() < 0.2
    body = asking(chance.choice(QUESTIONS), **fields)
    client = called(running, body)
    with suppress(OSError):
        client.settimeout(chance.choice((0.001, 0.01, 0.03, 0.06)))
        for _ in range(chance.randrange(12)):
            client.recv(chance.choice((1, 100, 2000)))
        if headers_too:
            whole = request_bytes(running, body)
            client.sendall(whole[: chance.randrange(len(whole))])
    reset(client) if chance.random() < 0.5 else client.close()


def test_leaving_at_any_point(watched: Sidecar, paced: Provider) -> None:
    """After hundreds of aborts no request is in flight and no file or socket is left open."""
    until(lambda: watched.gauge("sidecar_in_flight") == 0, "idle before")
    before = open_files(watched)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: leave_somewhere(watched, number), range(CLIENTS)))
    watched.idle()
    assert {"left", "completed"} <= set(paced.outcomes)
    until(lambda: open_files(watched) <= before, "all files and sockets closed")
    until(lambda: "running" not in paced.outcomes, "no call at the provider goes on")


def test_what_is_kept_is_whole(watched: Sidecar, paced: Provider) -> None:
    """Whatever the leavers brought into the cache, everyone now gets the whole answer."""
    paced.forget()
    for question in QUESTIONS:
        kept = watched.ask(question, stream=True)
        anew = watched.ask(question, {"Cache-Control": "no-store"}, stream=True)
        assert told(kept) == told(anew)
    assert watched.process.popen.poll() is None


def test_nothing_was_logged_as_a_fault(watched: Sidecar) -> None:
    """A client that leaves is no error of ours."""
    assert "Traceback" not in watched.process.said
    assert '"level":"error"' not in watched.process.said
