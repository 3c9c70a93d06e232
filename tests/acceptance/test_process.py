"""The process as whoever runs it sees it: its first words, its end, its files."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar import __version__

from .refusals import exchange, head
from .running import (
    PATIENCE_S,
    ROOT,
    Provider,
    Sidecar,
    asking,
    config_for,
    serving,
    simulated,
    start_sidecar,
    until,
)

QUESTION = "How is it going?"
TOKENS_PER_S = 10
SHORT = {"max_tokens": 15}
"""Of a stream that a test waits for; else it goes on for longer than any test needs."""


def ends(sidecar: Sidecar) -> int:
    """Its exit status, as soon as it has one."""
    return sidecar.process.popen.wait(PATIENCE_S)


# The start.


def test_the_first_words_tell_all_that_matters(running: Sidecar) -> None:
    """Version, both addresses, model, cache, provider, state and a line to try."""
    said = running.process.said
    words = ("apps", "admin", "model", "cache", "provider", "state", "try")
    told = {word: running.process.words_after(word) for word in words}
    assert said.startswith(f"semantic-sidecar {__version__} is ready\n")
    assert told["apps"] == running.url
    assert told["admin"] == running.admin_url
    assert "minilm" in told["model"]
    assert told["cache"] == "0 entries, mode serve"
    assert told["provider"] == "p answers gpt-4o, gpt-4o-mini"
    assert told["state"] == running.config["state_dir"]


def test_the_line_to_try_works_as_it_stands(running: Sidecar) -> None:
    """Copied into a shell."""
    done = subprocess.run(
        ["/bin/sh", "-c", running.process.words_after("try")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.startswith("HTTP/1.1 200 OK")
    assert "x-sidecar-cache: " in done.stdout
    assert "You asked: " in done.stdout


def test_state_is_for_its_owner_alone(running: Sidecar) -> None:
    """Prompts and answers are in it."""
    running.row(running.ask(QUESTION))
    running.flush()
    state = Path(running.config["state_dir"])
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()}
    assert {"lock", "cache.sqlite"} <= files.keys()
    assert set(files.values()) == {0o600}


# A Unix socket.


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """To the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@pytest.fixture
def with_socket(serve: Callable[..., Sidecar], tmp_path: Path) -> Path:
    """A Unix socket that a sidecar serves."""
    path = tmp_path / "s"
    serve(listen={"port": 0, "unix_socket": str(path)})
    return path


def test_a_unix_socket_serves_and_is_its_owner_s_alone(with_socket: Path) -> None:
    """The same as the port."""
    assert stat.S_IMODE(with_socket.stat().st_mode) == 0o600
    connection = UnixConnection(with_socket)
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(asking(QUESTION)),
        {"Content-Type": "application/json"},
    )
    assert connection.getresponse().status == 200
    connection.close()


# The end.


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that takes its time."""
    with simulated(tmp_path_factory.mktemp("slow"), tokens_per_s=TOKENS_PER_S) as provider:
        yield provider


Draining = Callable[[float], AbstractContextManager[Sidecar]]


@pytest.fixture
def draining(slow: Provider, tmp_path: Path) -> Draining:
    """A sidecar before the slow provider, by its `drain_s`."""
    return lambda drain_s: serving(slow, tmp_path, listen={"port": 0, "drain_s": drain_s})


@contextmanager
def streaming(sidecar: Sidecar, **fields: object) -> Iterator[http.client.HTTPResponse]:
    """A stream that has begun."""
    connection = http.client.HTTPConnection(urlsplit(sidecar.url).netloc, timeout=PATIENCE_S)
    body = json.dumps(asking(QUESTION, stream=True, **fields))
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    yield response
    connection.close()


def test_an_open_stream_is_finished_before_the_end(draining: Draining) -> None:
    """SIGTERM while it runs: it comes to its own end, then the process does, with 0."""
    with draining(6) as sidecar, streaming(sidecar, **SHORT) as stream:
        sidecar.process.popen.send_signal(signal.SIGTERM)
        assert stream.read().endswith(b"data: [DONE]\n\n")
        assert ends(sidecar) == 0


def test_a_drain_goes_on_answering_while_its_end_is_far(draining: Draining) -> None:
    """The news that it ends takes time to reach those who call."""
    with draining(600) as sidecar:
        sidecar.process.popen.send_signal(signal.SIGTERM)
        until(lambda: sidecar.admin("GET", "/readyz").status == 503, "not ready")
        assert sidecar.ask(QUESTION, **SHORT).status == 200


def test_while_it_drains_it_is_not_ready_and_refuses_new_calls_near_the_end(
    draining: Draining,
) -> None:
    """503 `draining` with the time to call again; the admin plane still answers."""
    with draining(4) as sidecar, streaming(sidecar):
        sidecar.process.popen.send_signal(signal.SIGTERM)
        until(lambda: sidecar.admin("GET", "/readyz").status == 503, "not ready")
        refused = sidecar.ask(QUESTION)
        assert (refused.status, refused.json["error"]["code"]) == (503, "draining")
        assert refused.headers["retry-after"] == "1"
        assert sidecar.admin("GET", "/api/status").json["draining"]


def test_without_time_to_drain_it_ends_at_once(draining: Draining) -> None:
    """An open stream is cut, and its reader can tell: no `[DONE]`, no proper end."""
    with draining(0) as sidecar, streaming(sidecar) as stream:
        sidecar.process.popen.send_signal(signal.SIGTERM)
        assert ends(sidecar) == 0
        try:
            rest = stream.read()
        except (http.client.IncompleteRead, ConnectionError):
            rest = b""
        assert b"[DONE]" not in rest


def test_an_interrupt_ends_it_when_all_is_answered(draining: Draining) -> None:
    """Ctrl-C waits for what is open and no longer, whatever `drain_s` says."""
    with draining(600) as sidecar, streaming(sidecar, **SHORT) as stream:
        sidecar.process.popen.send_signal(signal.SIGINT)
        assert stream.read().endswith(b"data: [DONE]\n\n")
        assert ends(sidecar) == 0


def test_a_second_signal_ends_it_at_once(draining: Draining) -> None:
    """Whoever asks twice means it."""
    with draining(600) as sidecar, streaming(sidecar):
        sidecar.process.popen.send_signal(signal.SIGTERM)
        sidecar.process.words_after("draining")
        sidecar.process.popen.send_signal(signal.SIGTERM)
        assert ends(sidecar) == 0


def test_what_was_answered_before_the_end_is_there_after_it(
    shared_provider: Provider, tmp_path: Path
) -> None:
    """An end in peace writes what is queued, without a flush from anyone."""
    config = config_for(shared_provider, tmp_path, {"listen": {"port": 0, "drain_s": 0}})
    first = start_sidecar(tmp_path, config)
    assert first.ask(QUESTION).cache == "miss"
    first.process.popen.send_signal(signal.SIGTERM)
    assert ends(first) == 0
    second = start_sidecar(tmp_path, config)
    try:
        assert second.process.words_after("cache").startswith("1 entries")
        assert second.ask(QUESTION).cache == "exact"
    finally:
        second.process.kill()


def test_an_idle_connection_does_not_delay_the_end(
    shared_provider: Provider, tmp_path: Path
) -> None:
    """Clients keep theirs open."""
    listen = {"port": 0, "drain_s": 0}
    with serving(shared_provider, tmp_path, listen=listen) as sidecar:
        place = urlsplit(sidecar.url)
        with socket.create_connection((place.hostname, place.port)):
            assert exchange(sidecar.url, head("GET", "/v1/models")).startswith(b"HTTP/1.1 200")
            sidecar.process.popen.send_signal(signal.SIGTERM)
            assert ends(sidecar) == 0


# The probe.


def healthcheck(url: str) -> subprocess.CompletedProcess[str]:
    """`sidecar healthcheck`."""
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "healthcheck", "--admin-url", url],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_probe_says_yes_while_it_runs(running: Sidecar) -> None:
    """With exit status 0, for exec probes."""
    assert healthcheck(running.admin_url).returncode == 0


def test_the_probe_says_no_when_nothing_runs() -> None:
    """With exit status 1 and one line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = healthcheck(url)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
