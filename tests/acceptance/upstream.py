"""A server that answers every call with the bytes it was given: what no script can say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream(ThreadingHTTPServer):
    """Counts its calls; `content_type` and `content` are what it says next."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls = 0
        self.status = 200
        self.content_type = "application/json"
        self.content = b"{}"
        self.heard: list[str] = []
        self.bodies: list[bytes] = []

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
        self.server.heard.append(str(self.headers))
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.content_type)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Upstream]:
    """One until the block ends."""
    with Upstream() as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        yield upstream
        upstream.shutdown()
