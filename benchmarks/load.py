"""A load generator in a process of its own: raw HTTP/1.1 on kept-alive connections.

    python -m benchmarks.load --port 8080 --connections 16 --requests 2000 < bodies.jsonl

It sends the bodies read from stdin, one a line, in turn and over again, and prints one
JSON object: requests per second, latencies, time to the first piece of the body, and how
often each value of `x-sidecar-cache` and each status came. It parses as little as can be,
so that the server is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from typing import cast

import numpy as np
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CACHE = re.compile(rb"\r\nx-sidecar-cache: *(\w+)", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Sends one request after another; the next goes out when the last answer is whole."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent_at = 0.0
        self._first_at = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        request = next(self._run.requests, None)
        if request is None:
            self._transport.close()
            return
        self._buffer, self._first_at = b"", 0.0
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        if body and not self._first_at:
            self._first_at = time.perf_counter()
        if self._is_whole(head, body):
            self._run.record(head, self._sent_at, self._first_at, time.perf_counter())
            self._run.after_pause(self._send)

    def _is_whole(self, head: bytes, body: bytes) -> bool:
        if length := _LENGTH.search(head):
            return len(body) >= int(length.group(1))
        return body.endswith(_LAST_CHUNK)

    def connection_lost(self, exc: Exception | None) -> None:
        """The run ended, or the server broke it off."""
        if not self.closed.done():
            self.closed.set_result(exc)


class Run:
    """The requests of a run and what came of them."""

    def __init__(self, requests: list[bytes], count: int, pause_s: float) -> None:
        self.requests = islice(cycle(requests), count)
        self._pause_s = pause_s
        self._latency_s: list[float] = []
        self._first_s: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._cache: Counter[str] = Counter()

    def after_pause(self, send: Callable[[], None]) -> None:
        """Send the next request of a connection when its pause is over."""
        if self._pause_s:
            asyncio.get_running_loop().call_later(self._pause_s, send)
        else:
            send()

    def record(self, head: bytes, sent_at: float, first_at: float, ended_at: float) -> None:
        """Note one answer."""
        self._latency_s.append(ended_at - sent_at)
        self._first_s.append(first_at - sent_at)
        self._statuses[head[9:12].decode()] += 1
        if cache := _CACHE.search(head):
            self._cache[cache.group(1).decode()] += 1

    def result(self, wall_s: float) -> dict[str, object]:
        """The figures."""
        return {
            "requests": len(self._latency_s),
            "per_s": len(self._latency_s) / wall_s,
            "latency_ms": _percentiles(self._latency_s),
            "first_ms": _percentiles(self._first_s),
            "status": dict(self._statuses),
            "cache": dict(self._cache),
        }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.percentile(seconds, [50, 90, 99]) * 1e3
    return dict(zip(("p50", "p90", "p99"), map(float, values), strict=True))


def request_bytes(arguments: argparse.Namespace, body: bytes) -> bytes:
    """A whole HTTP request."""
    lines = (
        f"POST {arguments.path} HTTP/1.1",
        f"Host: {arguments.host}:{arguments.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *arguments.header,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


async def drive(arguments: argparse.Namespace, bodies: list[bytes]) -> dict[str, object]:
    """Send everything; the figures."""
    requests = [request_bytes(arguments, body) for body in bodies]
    run = Run(requests, arguments.requests or len(requests), arguments.pause_ms / 1e3)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: Connection(run), arguments.host, arguments.port))[1]
        for _ in range(arguments.connections)
    ]
    await asyncio.gather(*(connection.closed for connection in connections))
    return run.result(time.perf_counter() - began)


def main() -> int:
    """Read bodies, drive, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, default=0, help="0: each body once")
    parser.add_argument("--pause-ms", type=float, default=0, help="between an answer and the next")
    parser.add_argument("--header", action="append", default=[], help="sent with each request")
    arguments = parser.parse_args()
    bodies = [line for line in sys.stdin.buffer.read().split(b"\n") if line]
    print(json.dumps(uvloop.run(drive(arguments, bodies))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
