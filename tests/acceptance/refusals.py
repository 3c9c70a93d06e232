"""What a refusal must look like, and requests that no decent client would send."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from .running import PATIENCE_S, Reply

KINDS = {403: "permission_error", 401: "authentication_error"}


def assert_refused(reply: Reply, status: int, code: str, param: str | None = None) -> str:
    """It was refused in OpenAI's shape; its message."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    error: dict[str, Any] = reply.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    kind = KINDS.get(status, "invalid_request_error")
    assert (error["type"], error["code"], error["param"]) == (kind, code, param)
    assert error["message"]
    assert "\n" not in error["message"]
    return str(error["message"])


def exchange(url: str, *pieces: bytes, within_s: float = PATIENCE_S) -> bytes:
    """Write bytes to a socket as they are; all that came back until the other side closed.

    Writing ends early where the other side has closed: what it said is read even so.
    """
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=within_s) as peer:
        _write(peer, pieces)
        return _read(peer)


def _write(peer: socket.socket, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            peer.sendall(piece)
    except ConnectionError:
        return


def _read(peer: socket.socket) -> bytes:
    said = b""
    try:
        while piece := peer.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def head(method: str, path: str, *lines: bytes) -> bytes:
    """The head of a request that is answered once, with header lines as they are."""
    start = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode()
    return start + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def status_of(said: bytes) -> int:
    """The status of a raw reply."""
    assert said.startswith(b"HTTP/1."), said[:100]
    return int(said.split(b" ", 2)[1])
