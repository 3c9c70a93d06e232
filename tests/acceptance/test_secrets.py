"""A unique word in every input, looked for in everything that must not hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .running import Reply, Sidecar, until
from .upstream import Upstream, answering

PROMPT = "canary-prompt-7f3a"
ANSWER = "canary-answer-91c2"
CLIENT_KEY = "canary-client-key-55d0"
COOKIE = "canary-cookie-e81b"
PROVIDER_KEY = "canary-provider-key-0b6e"
KEYS = (CLIENT_KEY, COOKIE, PROVIDER_KEY)
EVERYTHING = (PROMPT, ANSWER, *KEYS)
HEADERS = {
    "Authorization": f"Bearer {CLIENT_KEY}",
    "api-key": CLIENT_KEY,
    "Cookie": f"session={COOKIE}",
}
BODY: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": f"You know {PROMPT}"},
        {"role": "user", "content": f"What about {PROMPT}?"},
    ],
    "x_unknown": PROMPT,
}
MESSAGE = {"role": "assistant", "content": ANSWER}
WHOLE = json.dumps({"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]})
QUOTING = json.dumps({"error": {"message": f"bad {PROVIDER_KEY} for {PROMPT}", "code": "bad"}})
CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ANSWER}}]})
SAID: list[tuple[str, int, str, bool]] = [
    (WHOLE, 200, "application/json", False),
    (f"data: {CHUNK}\n\ndata: {QUOTING}\n\n", 200, "text/event-stream", True),
    (f"data: {CHUNK}\n\ndata: {{{PROMPT}\n\n", 200, "text/event-stream", True),
    (f"not json {PROMPT}", 200, "application/json", False),
    (QUOTING, 200, "application/json", False),
    (QUOTING, 401, "application/json", False),
    (QUOTING, 500, "application/json", True),
    (f"<html>{PROMPT}", 503, "text/html", False),
]
WRONG: list[bytes] = [
    json.dumps({**BODY, "temperature": PROMPT}).encode(),
    json.dumps({**BODY, "messages": [{"role": PROMPT, "content": PROMPT}]}).encode(),
    json.dumps({**BODY, "messages": [{"role": "user", "content": {PROMPT: 1}}]}).encode(),
    json.dumps({**BODY, "tools": PROMPT}).encode(),
    json.dumps(BODY).encode()[:-3],
    PROMPT.encode(),
]


@dataclass(frozen=True)
class Run:
    """What came of it all."""

    sidecar: Sidecar
    upstream: Upstream
    answers: list[Reply]
    failures: list[Reply]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider that quotes what it should not."""
    with answering() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def run(serve: Callable[..., Sidecar], upstream: Upstream) -> Run:
    """Requests that succeed and requests that fail in every way, with the most talkative log."""
    key = {"kind": "openai", "base_url": upstream.base_url, "api_key": PROVIDER_KEY}
    sidecar = serve(log={"level": "debug"}, providers={"p": key})
    answers, failures = [], []
    for content, status, kind, stream in SAID:
        upstream.say(content.encode(), kind, status)
        body = {**BODY, "stream": stream}
        reply = sidecar.post(body, HEADERS | {"Cache-Control": "no-cache"})
        (answers if status == 200 and ANSWER in reply.body.decode() else failures).append(reply)
    answers += [sidecar.post(BODY, HEADERS)]
    failures += [sidecar.post(body, HEADERS) for body in WRONG]
    failures += [sidecar.post(BODY, HEADERS | {"x-sidecar-cache-ttl": "soon"})]
    until(lambda: sidecar.process.said.count("sidecar.requests") >= len(answers), "a log")
    return Run(sidecar, upstream, answers, failures)


def test_the_requests_did_what_they_should(run: Run) -> None:
    """Some were answered, one from the cache, and some failed: else nothing was tried."""
    assert [reply.status for reply in run.answers] == [200] * 4
    assert run.answers[-1].cache == "exact"
    assert {reply.status for reply in run.failures} == {400, 502, 503}


def test_the_log(run: Run) -> None:
    """Neither prompts nor answers nor keys, at level debug."""
    assert not [word for word in EVERYTHING if word in run.sidecar.process.said]


@pytest.mark.parametrize("path", ["/metrics", "/api/status"])
def test_the_admin_plane(run: Run, path: str) -> None:
    """Numbers and names alone."""
    told = run.sidecar.admin("GET", path).body.decode()
    assert not [word for word in EVERYTHING if word in told]


def test_the_rows(run: Run) -> None:
    """A request's trail holds digests in place of what was said."""
    for reply in (*run.answers, *run.failures):
        told = json.dumps(run.sidecar.row(reply))
        assert not [word for word in EVERYTHING if word in told]


def test_error_bodies(run: Run) -> None:
    """An error tells what is wrong, and quotes neither the caller nor the provider."""
    for reply in run.failures:
        assert not [word for word in EVERYTHING if word in reply.body.decode()]


def test_heads(run: Run) -> None:
    """No header of any reply holds one."""
    for reply in (*run.answers, *run.failures):
        assert not [word for word in EVERYTHING if word in str(reply.headers)]


def test_errors_in_streams(run: Run) -> None:
    """What a provider says in the middle of a stream is not passed on word by word."""
    for reply in run.answers:
        assert not [word for word in (PROMPT, *KEYS) if word in reply.body.decode()]


def test_the_disk(run: Run) -> None:
    """Keys are never written; what is asked and answered is, for it is a cache."""
    run.sidecar.flush()
    files = [file for file in run.sidecar.folder.glob("state/**/*") if file.is_file()]
    held = b"".join(file.read_bytes() for file in files)
    assert ANSWER.encode() in held
    assert not [word for word in KEYS if word.encode() in held]


def test_what_the_provider_is_sent(run: Run) -> None:
    """The configured key, and nothing of the caller's head."""
    heard = "".join(run.upstream.heard)
    assert f"Bearer {PROVIDER_KEY}" in heard
    assert not [word for word in (CLIENT_KEY, COOKIE, "x-sidecar") if word in heard.lower()]
