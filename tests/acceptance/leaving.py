"""Clients that hang up: a raw connection with one request on it, to be closed at any point."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

from .running import PATIENCE_S, Sidecar

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


def request_bytes(running: Sidecar, body: Any) -> bytes:
    """One chat completion as it goes over the wire."""
    place = urlsplit(running.url)
    content = json.dumps(body).encode()
    head = (
        f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def called(running: Sidecar, body: Any) -> socket.socket:
    """A connection on which this was asked; close it to leave."""
    place = urlsplit(running.url)
    client = socket.create_connection((place.hostname or "", place.port or 0), PATIENCE_S)
    client.sendall(request_bytes(running, body))
    return client


def read_until(client: socket.socket, mark: bytes, times: int = 1) -> bytes:
    """What came until `mark` was in it so often."""
    received = b""
    while received.count(mark) < times:
        piece = client.recv(65536)
        assert piece, f"it ended before {mark!r}: {received!r}"
        received += piece
    return received


def reset(client: socket.socket) -> None:
    """Leave without the courtesy of a regular end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    client.close()
