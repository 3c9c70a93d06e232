"""kill -9 under load: what was acknowledged and committed is served after it, and nothing else is.

*The window.* An acknowledged answer (`stored`) is queued for commit. One thread commits all
that has gathered, at once, while the next group gathers; so a kill can cost the group being
committed and the one behind it, and nothing older. What has left the queue
(`pending_writes` is 0 after the acknowledgement) is on disk for good.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count, product
from pathlib import Path

import pytest

from .running import (
    Provider,
    Reply,
    Sidecar,
    asking,
    config_for,
    send,
    start_sidecar,
    until,
)

SEED = 7
KILLS = 6
WRITERS = 3
FEWEST, MOST = 5, 40
VERBS = ("renew", "cancel", "print", "translate", "insure", "sell", "paint", "repair")
THINGS = ("passport", "subscription", "boat", "garden", "piano", "kitchen", "bicycle", "novel")
PLACES = ("Lisbon", "winter", "a hurry", "secret", "German", "the rain", "public", "two days")
QUESTIONS = [f"How do I {v} my {t} in {p}?" for v, t, p in product(VERBS, THINGS, PLACES)]
FRESH = {"Cache-Control": "no-cache"}  # write, and let no neighbour answer
KEPT = {"Cache-Control": "only-if-cached"}


@dataclass
class Notes:
    """What the client was told: answers acknowledged as stored, and those known committed."""

    asked: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    lives: list[int] = field(default_factory=list)  # how many were acknowledged at each death


class Killed(Exception):  # noqa: N818 (it is no error here)
    """The sidecar is gone."""


def quietly(work: Callable[[], Reply]) -> Reply:
    """What `work` gives; `Killed` where the other side is gone."""
    try:
        return work()
    except (OSError, HTTPException) as error:
        raise Killed from error


def write(sidecar: Sidecar, questions: Iterator[str], notes: Notes) -> None:
    """Ask and note what is acknowledged, until the sidecar is gone."""
    for question in questions:
        notes.asked.add(question)
        try:
            reply = quietly(lambda question=question: sidecar.ask(question, FRESH))
        except Killed:
            return
        assert reply.status == 200, reply.body
        assert reply.headers["cache-status"] == "sidecar; fwd=request; stored"
        notes.acknowledged[question] = reply.text


def watch(sidecar: Sidecar, notes: Notes) -> None:
    """Note what has left the queue of this life, until the sidecar is gone."""
    earlier = set(notes.acknowledged)
    while True:
        before = notes.acknowledged.keys() - earlier
        try:
            told = quietly(lambda: sidecar.admin("GET", "/api/status"))
        except Killed:
            return
        if not told.json["cache"]["pending_writes"]:
            notes.committed |= before


@contextmanager
def writing(sidecar: Sidecar, questions: Iterator[str], notes: Notes) -> Iterator[None]:
    """Writers and a watcher beside the block; it must end with the sidecar's death."""
    with ThreadPoolExecutor(WRITERS + 1) as threads:
        jobs = [threads.submit(write, sidecar, questions, notes) for _ in range(WRITERS)]
        jobs.append(threads.submit(watch, sidecar, notes))
        try:
            yield
        finally:
            sidecar.process.kill()
        for job in jobs:
            job.result()


class Shared:
    """An iterator that several threads may take from."""

    def __init__(self, items: list[str]) -> None:
        self._items = items
        self._next = count()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        place = next(self._next)
        if place >= len(self._items):
            raise StopIteration
        return self._items[place]


@dataclass(frozen=True)
class Survivor:
    """The sidecar after the last kill, and what its clients were told before."""

    sidecar: Sidecar
    notes: Notes
    deaths: int


@pytest.fixture(scope="module")
def survivor(
    shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Survivor]:
    """Killed under load several times, each time after another number of acknowledgements."""
    folder, chance, notes = tmp_path_factory.mktemp("kill"), random.Random(SEED), Notes()  # noqa: S311
    config = config_for(shared_provider, folder, {})
    questions = Shared(chance.sample(QUESTIONS, len(QUESTIONS)))
    for _ in range(KILLS):
        sidecar = start_sidecar(folder, config)
        enough = len(notes.acknowledged) + chance.randint(FEWEST, MOST)
        with writing(sidecar, questions, notes):
            until(lambda enough=enough: len(notes.acknowledged) >= enough, f"{enough} answers")
        notes.lives.append(len(notes.acknowledged))
    sidecar = start_sidecar(folder, config)
    yield Survivor(sidecar, notes, KILLS)
    sidecar.process.kill()


def test_nothing_committed_is_lost(survivor: Survivor) -> None:
    """Every answer that had left the queue before a kill is served after it, from the cache."""
    assert len(survivor.notes.committed) > survivor.deaths
    for question in sorted(survivor.notes.committed):
        reply = survivor.sidecar.ask(question, KEPT)
        assert (reply.status, reply.cache) == (200, "exact"), question
        assert reply.text == survivor.notes.acknowledged[question]


def test_what_is_lost_is_the_newest(survivor: Survivor) -> None:
    """Groups are committed in order, so nothing is lost that is older than something kept.

    Each other writer may have been told of one answer later than it was queued.
    """
    told, start = list(survivor.notes.acknowledged), 0
    for end in survivor.notes.lives:
        lost = [survivor.sidecar.ask(q, KEPT).status == 504 for q in told[start:end]]
        if True in lost:
            assert lost[lost.index(True) :].count(False) < WRITERS
        start = end


def test_whatever_is_served_is_what_the_provider_says(
    survivor: Survivor, provider: Provider
) -> None:
    """Also what nobody was told of: asked when the kill came, and stored or not."""
    for question in sorted(survivor.notes.asked):
        reply = survivor.sidecar.ask(question, KEPT)
        assert reply.status in (200, 504)
        if reply.status == 200 and reply.cache == "exact":
            said = send("POST", f"{provider.base_url}/chat/completions", asking(question))
            assert reply.text == said.text


def test_the_semantic_tier_is_whole_again(survivor: Survivor) -> None:
    """A question without its mark finds its own answer among all the others."""
    sidecar = survivor.sidecar
    until(lambda: not sidecar.cache["loading"], "all vectors are read")
    for question in sorted(survivor.notes.committed)[:20]:
        reply = sidecar.ask(question.removesuffix("?"), KEPT)
        assert (reply.status, reply.cache) == (200, "semantic"), question
        assert reply.text == survivor.notes.acknowledged[question]


def test_no_file_was_taken_for_damaged(survivor: Survivor) -> None:
    """A kill leaves a journal, and a journal is no damage."""
    assert "damaged" not in survivor.sidecar.process.said
    assert not list(Path(survivor.sidecar.config["state_dir"]).glob("*damaged*"))
