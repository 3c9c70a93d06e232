"""`Idempotency-Key` where something breaks: the process, the disk, the first try."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .running import (
    Provider,
    Reply,
    Sidecar,
    asking,
    send,
    serving,
    simulated,
    start_sidecar,
    until,
)
from .test_idempotency import UNCACHED, ask, leave_after_asking

DAY_S = 86_400


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that takes its time."""
    with simulated(tmp_path_factory.mktemp("slow"), latency_ms=800) as provider:
        yield provider


@pytest.fixture
def waiting(slow: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar before it, to be ended by the test."""
    slow.forget()
    with serving(slow, tmp_path) as sidecar:
        yield sidecar


def stored(sidecar: Sidecar) -> Path:
    """The file of kept answers."""
    return sidecar.folder / "state" / "idempotency.sqlite"


def started_again(sidecar: Sidecar) -> Sidecar:
    """The next process on the same state."""
    return start_sidecar(sidecar.folder, sidecar.config)


def test_the_end_of_the_process_waits_for_what_is_made_for_nobody(
    waiting: Sidecar, slow: Provider
) -> None:
    """The client left and means to come again: the next process gives it the answer."""
    leave_after_asking(waiting, "end", asking("Once?", **UNCACHED))
    waiting.process.popen.send_signal(signal.SIGINT)
    waiting.process.popen.wait(20)
    assert slow.outcomes == ["completed"]
    second = started_again(waiting)
    try:
        assert ask(second, "end").headers["idempotent-replayed"] == "true"
    finally:
        second.process.kill()
    assert slow.calls == 1


def test_what_was_being_made_when_it_was_killed_is_made_again(
    waiting: Sidecar, slow: Provider
) -> None:
    """Nobody knows of it any more; no half of it is taken for an answer."""
    leave_after_asking(waiting, "killed", asking("Once?", **UNCACHED))
    until(lambda: slow.calls == 1, "the call on its way")
    waiting.process.kill()
    second = started_again(waiting)
    try:
        reply = ask(second, "killed")
    finally:
        second.process.kill()
    assert (reply.status, "idempotent-replayed" in reply.headers) == (200, False)
    assert slow.calls == 2


def test_a_purge_means_what_is_still_being_made_too(waiting: Sidecar, slow: Provider) -> None:
    """The client gets it, and it is not kept."""
    with ThreadPoolExecutor(1) as crowd:
        first = crowd.submit(ask, waiting, "purged", headers={"x-sidecar-tenant": "shop"})
        until(lambda: slow.calls == 1, "the call on its way")
        waiting.purge(tenant="shop")
        assert first.result().status == 200
    again = ask(waiting, "purged", headers={"x-sidecar-tenant": "shop"})
    assert (again.status, "idempotent-replayed" in again.headers, slow.calls) == (200, False, 2)


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "stream"])
def test_when_the_first_fails_all_who_waited_are_told(
    waiting: Sidecar, slow: Provider, fields: Any
) -> None:
    """One call, one error, and a row each that names what was tried; counted once."""
    slow.script({"times": 1, "status": 500, "delay_ms": 500})
    with ThreadPoolExecutor(5) as crowd:
        replies = list(crowd.map(lambda _: ask(waiting, "fails", **fields), range(5)))
    assert {reply.status for reply in replies} == {503}
    rows = [waiting.row(reply) for reply in replies]
    assert {row["error"] for row in rows} == {"all_targets_failed"}
    assert {attempt["status"] for row in rows for attempt in row["attempts"]} == {500}
    assert [len(row["attempts"]) for row in rows] == [1] * 5
    assert sorted(row["outcome"] for row in rows) == ["bypass"] + ["coalesced"] * 4
    assert waiting.gauge("sidecar_provider_attempts_total") == 1
    assert (slow.calls, ask(waiting, "fails", **fields).status) == (1, 200)


def test_where_nothing_can_be_looked_up_keys_are_refused(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Nobody is asked twice for want of a memory; who sends no key doesn't notice."""
    sidecar = serve()
    stored(sidecar).mkdir()
    reply = ask(sidecar, "blind")
    told = (reply.status, reply.json["error"]["code"], reply.headers["retry-after"])
    assert told == (503, "idempotency_unavailable", "1")
    assert "without the header" in reply.json["error"]["message"]
    row = sidecar.row(reply)
    assert (row["status"], row["error"]) == (503, "idempotency_unavailable")
    assert provider.calls == 0
    assert sidecar.ask("Once?", **UNCACHED).status == 200
    stored(sidecar).rmdir()
    assert ask(sidecar, "blind").status == 200


def test_what_is_over_leaves_the_disk_with_the_next_start(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Though no other key comes; what is not over stays."""
    first = serve()
    for key in ("old", "new"):
        assert ask(first, key).status == 200
    first.process.kill()
    with closing(sqlite3.connect(stored(first))) as file, file:
        oldest = "(SELECT min(kept_at) FROM answers)"
        file.execute(f"UPDATE answers SET kept_at = kept_at - {DAY_S} WHERE kept_at = {oldest}")  # noqa: S608
    second = started_again(first)
    try:
        until(lambda: kept(stored(first)) == 1, "the old answer is gone")
        assert "idempotent-replayed" in ask(second, "new").headers
    finally:
        second.process.kill()


def kept(file: Path) -> int:
    """How many answers are on disk."""
    with closing(sqlite3.connect(file)) as opened:
        return opened.execute("SELECT count(*) FROM answers").fetchone()[0]


CLIENTS = [{"key": "key-a", "tenant": "shop"}, {"key": "key-b", "tenant": "shop"}]


def test_a_client_is_told_by_its_own_key(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """Not by whatever else it sends beside it, which others can send too."""
    sidecar = serve(clients=CLIENTS)

    def asked(own: str, beside: str) -> Reply:
        said = {"x-api-key": own, "Authorization": f"Bearer {beside}"}
        return ask(sidecar, "owned", headers=said)

    assert "idempotent-replayed" not in asked("key-a", "any").headers
    assert "idempotent-replayed" not in asked("key-b", "any").headers
    assert "idempotent-replayed" in asked("key-a", "other").headers
    assert provider.calls == 2


@pytest.mark.parametrize(
    "headers",
    [{"Cache-Control": "no-cache"}, {"x-sidecar-user": "bob"}, {"x-sidecar-timeout-ms": "9000"}],
    ids=lambda headers: next(iter(headers)),
)
def test_other_headers_make_no_other_request(
    running: Sidecar, provider: Provider, headers: dict[str, str]
) -> None:
    """Key and body decide, as the contract has it."""
    key = f"headers-{next(iter(headers))}"
    assert ask(running, key).status == 200
    assert "idempotent-replayed" in ask(running, key, headers=headers).headers
    assert provider.calls == 1


def test_features_in_a_header_are_part_of_a_message(running: Sidecar, provider: Provider) -> None:
    """Anthropic's clients put them there, and the answer depends on them."""
    body = {**asking("Once?", **UNCACHED), "max_tokens": 50}

    def message(**betas: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in betas.items()}
        said = {"Idempotency-Key": "betas", **named}
        return send("POST", f"{running.url}/messages", body, said)

    assert message().status == 200
    assert message(anthropic_beta="a-feature-2025-01-01").status == 422
    assert message().headers["idempotent-replayed"] == "true"
