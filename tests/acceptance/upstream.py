"""A server that answers every call with the bytes it was given: what no script can say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream(ThreadingHTTPServer):
    """Counts its calls; `content_type` and `content` are what it says next.

    Before that it refuses once for each of `refusals`, a status and headers; `times` are when
    it was asked, in monotonic seconds.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls = 0
        self.status = 200
        self.content_type = "application/json"
        self.content = b"{}"
        self.heard: list[str] = []
        self.bodies: list[bytes] = []
        self.times: list[float] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []

    @property
    def base_url(self) -> str:
        """What a sidecar's config names."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def say(
        self, content: bytes, content_type: str = "application/json", status: int = 200
    ) -> None:
        """Answer like this from now on."""
        self.calls = 0
        self.content, self.content_type, self.status = content, content_type, status


class _Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_POST(self) -> None:
        self.server.calls += 1
        self.server.times.append(time.monotonic())
        self.server.heard.append(str(self.headers))
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refusals:
            self._say(*self.server.refusals.pop(0), b'{"error":{"message":"not now"}}')
        else:
            head = {"Content-Type": self.server.content_type}
            self._say(self.server.status, head, self.server.content)

    def _say(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Upstream]:
    """One until the block ends."""
    with Upstream() as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        yield upstream
        upstream.shutdown()
