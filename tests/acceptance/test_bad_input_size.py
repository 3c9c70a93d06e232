"""Bodies without end: refused before they are all there, for little memory."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from .refusals import assert_refused, head, status_of
from .running import Sidecar, asking

GIB = 1 << 30
PIECE = b" " * (1 << 16)
CHUNK = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
CHAT = "/v1/chat/completions"
JSON = b"Content-Type: application/json"
LIMIT = 10_000_000
MOST_RISE = 32 << 20
ON_THE_WAY = 16 << 20
"""What the kernel's buffers may hold beyond what was read."""


class Watched:
    """A sidecar, and the most that its resident memory rose by while it was looked at."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        self._process = psutil.Process(sidecar.process.popen.pid)
        self._before = self._process.memory_info().rss
        self.rise = 0

    def look(self) -> None:
        """Note how it stands now."""
        self.rise = max(self.rise, self._process.memory_info().rss - self._before)


@pytest.fixture
def watched(running: Sidecar) -> Watched:
    """One that has already answered, so that what grows is not its first request's."""
    for number in range(20):
        assert running.ask(f"Is everybody warm, all {number} of them?").status == 200
    return Watched(running)


def refused(watched: Watched, start: bytes, pieces: Iterator[bytes]) -> tuple[bytes, int]:
    """Write until something comes back; all that came, and how many bytes it took."""
    place = urlsplit(watched.sidecar.url)
    sent = 0
    with socket.create_connection((place.hostname, place.port), timeout=20) as peer:
        peer.sendall(start)
        for piece in pieces:
            if select.select([peer], [], [], 0)[0]:
                break
            peer.sendall(piece)
            sent += len(piece)
            watched.look()
        said = b""
        while piece := peer.recv(1 << 16):
            said += piece
    watched.look()
    return said, sent


def assert_too_large(said: bytes) -> None:
    """413 in the contract's shape."""
    assert status_of(said) == 413
    error = json.loads(said.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == "request_too_large"
    assert "listen.max_body_mb" in error["message"]


def a_gibibyte_of(piece: bytes) -> Iterator[bytes]:
    """White space, of which JSON may have any amount."""
    return (piece for _ in range(GIB // len(PIECE)))


def test_an_announced_gibibyte_is_refused_before_it_is_read(watched: Watched) -> None:
    """By its Content-Length alone."""
    start = head("POST", CHAT, JSON, b"Content-Length: %d" % GIB)
    said, _ = refused(watched, start, iter(()))
    assert_too_large(said)


def test_a_gibibyte_that_was_announced_costs_little(watched: Watched) -> None:
    """Its sender, who goes on writing, is told early, and memory stays as it was."""
    start = head("POST", CHAT, JSON, b"Content-Length: %d" % GIB)
    said, sent = refused(watched, start, a_gibibyte_of(PIECE))
    assert_too_large(said)
    assert sent < ON_THE_WAY
    assert watched.rise < MOST_RISE


def test_a_gibibyte_in_chunks_is_refused_at_the_limit(watched: Watched) -> None:
    """Nobody knows its size before, so it is counted as it comes."""
    start = head("POST", CHAT, JSON, b"Transfer-Encoding: chunked")
    said, sent = refused(watched, start, a_gibibyte_of(CHUNK))
    assert_too_large(said)
    assert sent < LIMIT + ON_THE_WAY
    assert watched.rise < MOST_RISE


def test_a_body_just_under_the_limit_is_answered(watched: Watched) -> None:
    """The limit is what config says, to the byte."""
    body = json.dumps(asking("Is this all of it?")).encode()
    assert watched.sidecar.post(body + b" " * (LIMIT - len(body))).status == 200


def test_a_body_one_byte_over_the_limit_is_refused(watched: Watched) -> None:
    """And the one above is not too large by luck."""
    body = json.dumps(asking("Is this all of it?")).encode()
    reply = watched.sidecar.post(body + b" " * (LIMIT + 1 - len(body)))
    assert_refused(reply, 413, "request_too_large")


def test_the_admin_plane_refuses_what_is_large_too(running: Sidecar) -> None:
    """Its bodies are never more than a line."""
    reply = running.admin("POST", "/api/purge", b'{"all": true}' + b" " * (1 << 20))
    assert_refused(reply, 413, "request_too_large")


def test_others_are_answered_while_endless_bodies_come(watched: Watched) -> None:
    """Eight callers that never finish what they announced hold nobody up."""
    place = urlsplit(watched.sidecar.url)
    start = head("POST", CHAT, JSON, b"Content-Length: 1000000")
    open_ones = []
    try:
        for _ in range(8):
            open_ones.append(socket.create_connection((place.hostname, place.port), timeout=20))
            open_ones[-1].sendall(start + PIECE)
        assert watched.sidecar.ask("Is anyone still there?").status == 200
    finally:
        for peer in open_ones:
            peer.close()
    watched.sidecar.idle()
