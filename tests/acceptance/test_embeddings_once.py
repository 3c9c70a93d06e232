"""Embeddings that are asked for twice: at the same time, or again under an `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from .models import one_try
from .refusals import assert_refused
from .running import Provider, Reply, Sidecar, send, start_sidecar, until

MODEL = "text-embedding-3-small"


@pytest.fixture(scope="module")
def shared(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with a model for embeddings."""
    return serve(models={MODEL: one_try([{"provider": "p", "model": MODEL}])})


@pytest.fixture
def running(shared: Sidecar, provider: Provider) -> Sidecar:
    """The sidecar with nothing cached and no answer kept; the provider's ledger is empty."""
    shared.purge(all=True)
    return shared


def embed(sidecar: Sidecar, given: Any, **headers: str) -> Reply:
    """One request for embeddings; `_` in a header's name stands for a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return send("POST", f"{sidecar.url}/embeddings", {"model": MODEL, "input": given}, named)


def keyed(sidecar: Sidecar, key: str, given: Any = "once", **headers: str) -> Reply:
    """One request under a key, that no cache may answer."""
    return embed(sidecar, given, Idempotency_Key=key, Cache_Control="no-store", **headers)


def given_again(first: Reply, again: Reply) -> None:
    """The same body byte by byte, under a request id of its own, and it says so."""
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-sidecar-request-id"] != first.headers["x-sidecar-request-id"]


def test_the_same_at_the_same_time_is_asked_for_once(running: Sidecar, provider: Provider) -> None:
    """By twenty clients with the real SDK: one call, one of them pays, all have the vectors."""
    provider.script({"delay_ms": 500})
    before = running.gauge("sidecar_coalesced_total")
    client = openai.OpenAI(base_url=running.url, api_key="any", max_retries=0)
    with client, ThreadPoolExecutor(20) as crowd:
        asking = lambda _: client.embeddings.create(model=MODEL, input=["a", "b"])  # noqa: E731
        replies = list(crowd.map(asking, range(20)))
    assert len({str(reply.data) for reply in replies}) == 1
    assert [row["messages"] for row in provider.ledger["requests"]] == [["a", "b"]]
    until(lambda: running.gauge("sidecar_coalesced_total") == before + 19, "all counted")


def test_a_failure_at_the_same_time_is_everyones(running: Sidecar, provider: Provider) -> None:
    """Nobody asks again in turn."""
    provider.script({"delay_ms": 500, "status": 500})
    with ThreadPoolExecutor(10) as crowd:
        replies = list(crowd.map(lambda _: embed(running, "a"), range(10)))
    assert {reply.status for reply in replies} == {503}
    assert provider.calls == 1
    told = [running.row(reply)["attempts"] for reply in replies]
    assert [[attempt["status"] for attempt in attempts] for attempts in told] == [[500]] * 10


def test_the_same_again_is_given_again(running: Sidecar, provider: Provider) -> None:
    """One call upstream; a row each, the second naming the first."""
    first = keyed(running, "again", ["a", "b"])
    again = keyed(running, "again", ["a", "b"])
    given_again(first, again)
    assert (first.cache, first.reason, provider.calls) == ("bypass", "no_store", 1)
    told, row = running.row(first), running.row(again)
    assert (told["input_tokens"], told["attempts"][0]["reason"]) == (2, "ok")
    assert (row["endpoint"], row["input_tokens"], row["attempts"]) == ("embeddings", None, [])
    replays = [each["detail"] for each in row["decisions"] if each["word"] == "replayed"]
    assert replays == [{"first": first.headers["x-sidecar-request-id"]}]


def test_another_body_is_refused(running: Sidecar, provider: Provider) -> None:
    """422; so is a chat under the same key."""
    assert keyed(running, "other").status == 200
    reply = keyed(running, "other", "another text")
    assert_refused(reply, 422, "idempotency_mismatch", param="Idempotency-Key")
    assert provider.calls == 1


def test_a_key_belongs_to_its_tenant_and_client(running: Sidecar, provider: Provider) -> None:
    """Others may use the same name for what they ask."""
    owners = [{}, {"x_sidecar_tenant": "a"}, {"Authorization": "Bearer a"}]
    replies = [keyed(running, "owned", **owner) for owner in owners]
    assert not [reply for reply in replies if "idempotent-replayed" in reply.headers]
    assert provider.calls == len(owners)


def test_errors_are_not_kept(running: Sidecar, provider: Provider) -> None:
    """Whoever asks again is answered, and that is kept."""
    provider.script({"times": 1, "status": 400})
    failed = keyed(running, "failed")
    assert (failed.status, running.row(failed)["status"]) == (400, 400)
    given_again(keyed(running, "failed"), keyed(running, "failed"))


def test_a_key_that_can_not_be_read_is_refused(running: Sidecar, provider: Provider) -> None:
    """By the name of its header."""
    assert_refused(keyed(running, ""), 400, "invalid_request", param="Idempotency-Key")
    assert provider.calls == 0


def test_what_two_ask_at_once_under_a_key_is_asked_once(
    running: Sidecar, provider: Provider
) -> None:
    """Uncached as it is."""
    provider.script({"delay_ms": 500})
    with ThreadPoolExecutor(10) as crowd:
        replies = list(crowd.map(lambda _: keyed(running, "crowd"), range(10)))
    assert {reply.status for reply in replies} == {200}
    assert (len({reply.body for reply in replies}), provider.calls) == (1, 1)
    assert sum("idempotent-replayed" not in reply.headers for reply in replies) == 1


def test_a_client_that_left_finds_its_answer(running: Sidecar, provider: Provider) -> None:
    """The work went on, and the second try pays nothing."""
    provider.script({"delay_ms": 500})
    late = keyed(running, "left", x_sidecar_timeout_ms="50")
    assert (late.status, late.json["error"]["code"]) == (504, "upstream_timeout")
    assert keyed(running, "left").headers["idempotent-replayed"] == "true"
    assert provider.outcomes == ["completed"]


def test_answers_survive_a_kill(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """The next process gives them again, though it can't even ask a provider."""
    first = serve(models={MODEL: one_try([{"provider": "p", "model": MODEL}])})
    given = keyed(first, "survives")
    first.process.kill()
    provider.script({"status": 500})
    second = start_sidecar(first.folder, first.config)
    try:
        given_again(given, keyed(second, "survives"))
        assert keyed(second, "new").status >= 500
    finally:
        second.process.kill()
