"""`sidecar healthcheck`."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli.helpers import Running, run


class NotReady(BaseHTTPRequestHandler):
    """Answers as a sidecar that drains, or tries to send its asker elsewhere."""

    def do_GET(self) -> None:
        """Any path."""
        elsewhere = "302" in self.path
        self.send_response(302 if elsewhere else 503)
        if elsewhere:
            self.send_header("Location", "/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def not_ready() -> Iterator[str]:
    """Address of one that is not ready."""
    with HTTPServer(("127.0.0.1", 0), NotReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of one that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_ready_sidecar_is_exit_0_and_needs_no_token(running: Running, tmp_path: Path) -> None:
    """Probes carry no secrets."""
    told = run("healthcheck", "--admin-url", running.admin_url, cwd=tmp_path)
    assert (told.status, told.out, told.err) == (0, f"ready: {running.admin_url}\n", "")


def test_the_address_comes_from_the_config(running: Running, tmp_path: Path) -> None:
    """Of which only that much has to be right: the probe may lack the other variables."""
    port = running.admin_url.rpartition(":")[2]
    (tmp_path / "sidecar.yaml").write_text("admin: {port: ${P}, token: ${NOT_HERE}}\n")
    assert run("healthcheck", cwd=tmp_path, P=port).status == 0
    assert run("healthcheck", cwd=tmp_path, SIDECAR__ADMIN__PORT=port).status == 0


def test_a_wildcard_address_is_asked_on_loopback(running: Running, tmp_path: Path) -> None:
    """0.0.0.0 can be listened on, not connected to everywhere."""
    port = running.admin_url.rpartition(":")[2]
    environ = {"SIDECAR__ADMIN__HOST": "0.0.0.0", "SIDECAR__ADMIN__PORT": port}  # noqa: S104
    told = run("healthcheck", cwd=tmp_path, **environ)
    assert told.out == f"ready: http://127.0.0.1:{port}\n"


def test_one_that_is_not_ready_is_exit_1(not_ready: str, tmp_path: Path) -> None:
    """With a line that says how it answered."""
    told = run("healthcheck", "--admin-url", not_ready, cwd=tmp_path)
    assert (told.status, told.out) == (1, "")
    assert told.err == f"not ready: {not_ready}/readyz answered 503\n"


def test_a_redirect_is_not_followed(not_ready: str, tmp_path: Path) -> None:
    """The answer of another address proves nothing."""
    told = run("healthcheck", "--admin-url", f"{not_ready}/302", cwd=tmp_path)
    assert (told.status, told.err.split()[-1]) == (1, "302")


def test_nobody_there_is_exit_1(nobody: str, tmp_path: Path) -> None:
    """No traceback, no waiting."""
    told = run("healthcheck", "--admin-url", nobody, cwd=tmp_path)
    assert (told.status, told.err) == (1, f"not ready: no sidecar runs at {nobody}\n")


def test_one_that_hangs_is_exit_1_in_bounded_time(silent: str, tmp_path: Path) -> None:
    """A probe must not hang with what it probes."""
    began = time.monotonic()
    told = run("healthcheck", "--admin-url", silent, cwd=tmp_path)
    assert time.monotonic() - began < 20
    assert (told.status, told.err) == (1, f"not ready: {silent} did not answer: timed out\n")


def test_json_says_the_same(nobody: str, tmp_path: Path) -> None:
    """On stdout, whatever the answer."""
    told = run("healthcheck", "--json", "--admin-url", nobody, cwd=tmp_path)
    assert (told.status, json.loads(told.out)["ready"]) == (1, False)


@pytest.mark.parametrize("url", ["host:1", "ftp://h", "http://", "http://h:x", "http://h:0"])
def test_what_is_no_address_is_bad_usage(url: str, tmp_path: Path) -> None:
    """Exit 2: it would never be ready."""
    told = run("healthcheck", "--admin-url", url, cwd=tmp_path)
    assert (told.status, told.err.count("\n")) == (2, 1)


def test_a_port_that_is_not_known_beforehand_is_bad_usage(tmp_path: Path) -> None:
    """With port 0 the address must be given."""
    told = run("healthcheck", cwd=tmp_path, SIDECAR__ADMIN__PORT="0")
    assert (told.status, "give --admin-url" in told.err) == (2, True)
