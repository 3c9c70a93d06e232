"""`Idempotency-Key`: answered once, whatever breaks between, and given again as it was."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from .refusals import assert_refused
from .running import Provider, Reply, Sidecar, asking, serving, simulated, start_sidecar, until
from .streams import assert_valid

# No cache answers these: what is given again is so by its key alone.
UNCACHED = {"temperature": 1.0}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
KINDS = pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])


def ask(
    sidecar: Sidecar, key: str, question: str = "Once?", headers: Any = None, **fields: Any
) -> Reply:
    """One question under a key, that no cache may answer."""
    said = {"Idempotency-Key": key, **(headers or {})}
    return sidecar.ask(question, said, **UNCACHED, **fields)


def given_again(first: Reply, again: Reply) -> None:
    """The same body byte by byte, under a request id of its own, and it says so."""
    assert (again.status, again.body) == (200, first.body)
    own = {"x-sidecar-request-id", "idempotent-replayed", "date", "transfer-encoding"}
    own |= {"content-length"}
    same = [{k: v for k, v in r.headers.items() if k not in own} for r in (first, again)]
    assert same[0] == same[1]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    ids = {reply.headers["x-sidecar-request-id"] for reply in (first, again)}
    assert len(ids) == 2


@KINDS
def test_the_same_again_is_given_again(running: Sidecar, provider: Provider, fields: Any) -> None:
    """A stream as a stream; one call upstream."""
    first = ask(running, f"again-{len(fields)}", **fields)
    given_again(first, ask(running, f"again-{len(fields)}", **fields))
    assert (first.cache, first.reason, provider.calls) == ("bypass", "temperature", 1)
    if fields:
        assert_valid(first, include_usage=True)


def test_without_a_key_it_is_asked_again(running: Sidecar, provider: Provider) -> None:
    """Else the tests here would prove nothing."""
    for _ in range(2):
        assert running.ask("Once?", **UNCACHED).status == 200
    assert provider.calls == 2


def test_a_body_spelled_otherwise_is_the_same(running: Sidecar, provider: Provider) -> None:
    """Order and white space are a serialiser's affair."""
    body = asking("Once?", **UNCACHED)
    turned = json.dumps(dict(reversed(body.items())), indent=2).encode()
    replies = [running.post(each, {"Idempotency-Key": "spelled"}) for each in (body, turned)]
    given_again(*replies)
    assert provider.calls == 1


@pytest.mark.parametrize("change", [{"stream": True}, {"user": "x"}, {"model": "gpt-4o-mini"}])
def test_another_body_is_refused(running: Sidecar, provider: Provider, change: Any) -> None:
    """422, whatever it differs in."""
    key = f"other-{next(iter(change))}"
    assert ask(running, key).status == 200
    reply = ask(running, key, **change)
    assert_refused(reply, 422, "idempotency_mismatch", param="Idempotency-Key")
    assert provider.calls == 1


def test_a_key_belongs_to_its_tenant_and_client(running: Sidecar, provider: Provider) -> None:
    """Others may use the same name for what they ask."""
    owners = [
        {},
        {"x-sidecar-tenant": "a"},
        {"x-sidecar-tenant": "b"},
        {"Authorization": "Bearer a"},
        {"Authorization": "Bearer b"},
    ]
    replies = [ask(running, "owned", headers=owner) for owner in owners]
    assert not [reply for reply in replies if "idempotent-replayed" in reply.headers]
    assert provider.calls == len(owners)
    assert "idempotent-replayed" in ask(running, "owned", headers=owners[-1]).headers


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_a_key_that_can_not_be_read_is_refused(running: Sidecar, key: str) -> None:
    """By the name of its header."""
    assert_refused(ask(running, key), 400, "invalid_request", param="Idempotency-Key")


def test_errors_are_not_kept(running: Sidecar, provider: Provider) -> None:
    """Whoever asks again is answered, and that is kept."""
    provider.script({"times": 1, "status": 400})
    assert ask(running, "failed").status == 400
    good = ask(running, "failed")
    given_again(good, ask(running, "failed"))


def test_a_stream_that_broke_is_not_kept(running: Sidecar, provider: Provider) -> None:
    """Half an answer is no answer."""
    provider.script({"times": 1, "cut_after_events": 4})
    assert "error" in ask(running, "broken", **STREAM).events[-1]
    good = ask(running, "broken", **STREAM)
    assert_valid(good, include_usage=True)
    given_again(good, ask(running, "broken", **STREAM))


def test_the_row_of_what_is_given_again_names_the_first(
    running: Sidecar, provider: Provider
) -> None:
    """No tokens are counted for it, for none were used; each of the two is counted once."""
    before = running.gauge("sidecar_requests_total")
    first, again = ask(running, "row"), ask(running, "row")
    told, row = running.row(first), running.row(again)
    assert running.gauge("sidecar_requests_total") == before + 2
    assert told["input_tokens"] > 0
    assert (row["input_tokens"], row["attempts"], row["outcome"]) == (None, [], "coalesced")
    first_id = first.headers["x-sidecar-request-id"]
    replays = [each for each in row["decisions"] if each["word"] == "replayed"]
    assert [each["detail"]["first"] for each in replays] == [first_id]
    assert told["decisions"] == [each for each in told["decisions"] if each not in replays]
    assert provider.calls == 1


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sidecar, Provider]]:
    """A sidecar in front of a provider that takes its time, and keeps its state."""
    folder = tmp_path_factory.mktemp("slow")
    with (
        simulated(folder / "provider", latency_ms=300, tokens_per_s=100) as provider,
        serving(provider, folder / "sidecar") as sidecar,
    ):
        yield sidecar, provider


@KINDS
def test_the_same_at_the_same_time_is_asked_once(
    slow: tuple[Sidecar, Provider], fields: Any
) -> None:
    """Twenty callers, one call, one body."""
    sidecar, provider = slow
    provider.forget()
    key = f"crowd-{len(fields)}"
    with ThreadPoolExecutor(20) as crowd:
        replies = list(crowd.map(lambda _: ask(sidecar, key, **fields), range(20)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert provider.calls == 1
    assert sum("idempotent-replayed" not in reply.headers for reply in replies) == 1


def test_another_body_at_the_same_time_is_refused(slow: tuple[Sidecar, Provider]) -> None:
    """While the first is still being made."""
    sidecar, provider = slow
    provider.forget()
    with ThreadPoolExecutor(2) as crowd:
        first = crowd.submit(ask, sidecar, "race")
        until(lambda: sidecar.gauge("sidecar_in_flight") == 1, "the first on its way")
        assert ask(sidecar, "race", "Other?").status == 422
        assert first.result().status == 200
    assert provider.calls == 1


@KINDS
def test_a_client_that_left_finds_its_answer(slow: tuple[Sidecar, Provider], fields: Any) -> None:
    """The connection broke, the work went on, and the second try pays nothing.

    Each of the two is counted once, and the first one's row tells that nobody waited for it.
    """
    sidecar, provider = slow
    provider.forget()
    before = sidecar.gauge("sidecar_requests_total")
    key = f"left-{len(fields)}"
    leave_after_asking(sidecar, key, asking("Once?", **UNCACHED, **fields))
    reply = ask(sidecar, key, **fields)
    assert (reply.status, reply.headers["idempotent-replayed"]) == (200, "true")
    assert provider.outcomes == ["completed"]
    sidecar.idle()
    until(lambda: sidecar.gauge("sidecar_requests_total") == before + 2, "two rows")
    first = first_of(sidecar, reply)
    assert (first["status"], first["error"], first["output_tokens"] > 0) == (200, "", True)
    assert "left" in [each["word"] for each in first["decisions"] if each["stage"] == "client"]


def test_a_client_that_waits_no_longer_finds_its_answer(slow: tuple[Sidecar, Provider]) -> None:
    """Its own limit ends its waiting, not the work; the second try waits longer."""
    sidecar, provider = slow
    provider.forget()
    late = ask(sidecar, "late", headers={"x-sidecar-timeout-ms": "50"})
    assert (late.status, late.json["error"]["code"]) == (504, "upstream_timeout")
    reply = ask(sidecar, "late")
    assert reply.headers["idempotent-replayed"] == "true"
    assert provider.outcomes == ["completed"]
    told = first_of(sidecar, reply)
    assert (told["status"], told["error"]) == (200, "")
    assert "upstream_timeout" in [each["word"] for each in told["decisions"]]


def leave_after_asking(sidecar: Sidecar, key: str, body: Any) -> None:
    """Ask, and hang up as soon as the request is being answered."""
    place = urlsplit(sidecar.url)
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        f"Idempotency-Key: {key}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port)) as peer:
        peer.sendall(head.encode() + content)
        until(lambda: sidecar.gauge("sidecar_in_flight") == 1, "the request on its way")


def first_of(sidecar: Sidecar, reply: Reply) -> Any:
    """The row of the request that an answer was made for, by the row of one that shared it."""
    decisions = sidecar.row(reply)["decisions"]
    (first,) = {each["detail"]["first"] for each in decisions if each["stage"] == "idempotency"}
    return sidecar.admin("GET", f"/api/requests/{first}").json


@KINDS
def test_answers_survive_a_kill(
    serve: Callable[..., Sidecar], provider: Provider, fields: Any
) -> None:
    """The next process gives them again, though it can't even ask a provider."""
    first = serve()
    given = ask(first, "survives", **fields)
    first.process.kill()
    provider.script({"status": 500})
    second = start_sidecar(first.folder, first.config)
    try:
        given_again(given, ask(second, "survives", **fields))
        assert ask(second, "new", **fields).status >= 500
    finally:
        second.process.kill()


def test_without_a_cache_keys_hold_all_the_same(running: Sidecar, provider: Provider) -> None:
    """The kill switch stops the cache, and `no-store` speaks of it."""
    running.mode("off")
    first = ask(running, "off", headers={"Cache-Control": "no-store"})
    given_again(first, ask(running, "off", headers={"Cache-Control": "no-store"}))
    assert provider.calls == 1
