"""Real processes on free ports; what they say goes into files, so that nothing blocks."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import sidecar

from .models import one_try

ROOT = Path(sidecar.__file__).parent.parent
PATIENCE_S = 20.0
MODELS = ("gpt-4o", "gpt-4o-mini")
DONE = "[DONE]"


def until(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """What `condition` gives as soon as it is true; fails with `what` where it never is."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came about: {what}"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Reply:
    """An HTTP reply. `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def cache(self) -> str:
        """How it was answered."""
        return self.headers["x-sidecar-cache"]

    @property
    def reason(self) -> str:
        """Why it was not served or not stored; empty where there is nothing to tell."""
        return self.headers.get("x-sidecar-reason", "")

    @property
    def text(self) -> str:
        """The first choice's text, whole or put together from a stream."""
        if self.headers["content-type"].startswith("application/json"):
            return self.json["choices"][0]["message"]["content"]
        deltas = [c["choices"][0]["delta"] for c in self.chunks if c.get("choices")]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def events(self) -> list[str]:
        """The data of every server-sent event."""
        lines = self.body.decode().split("\n\n")
        return [line.removeprefix("data: ") for line in lines if line]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """Every event that is JSON."""
        return [json.loads(event) for event in self.events if event != DONE]


def send(
    method: str,
    url: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection of its own; bytes are sent as they are, all else as JSON."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=PATIENCE_S)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    declared = {} if body is None else {"Content-Type": "application/json"}
    try:
        path = url.removeprefix(f"{place.scheme}://{place.netloc}")
        connection.request(method, path, content, {**declared, **(headers or {})})
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, named, answer.read())
    finally:
        connection.close()


def asking(question: str, **fields: Any) -> dict[str, Any]:
    """The body that asks one question."""
    messages = [{"role": "user", "content": question}]
    return {"model": "gpt-4o", "messages": messages, **fields}


@dataclass(frozen=True)
class Process:
    """A process whose output goes to `output`."""

    popen: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """All that it wrote so far."""
        return self.output.read_text(errors="replace")

    def kill(self) -> None:
        """End it without a word."""
        self.popen.kill()
        self.popen.wait()

    def words_after(self, start: str) -> str:
        """The rest of the line that begins with `start`, as soon as it is there."""

        def found() -> str:
            lines = (line.strip() for line in self.said.splitlines())
            told = [line for line in lines if line.startswith(start)]
            if not told and self.popen.poll() is not None:
                raise AssertionError(f"it ended with {self.popen.returncode}: {self.said}")
            return told[0].removeprefix(start).strip() if told else ""

        return until(found, f"a line that begins with {start!r}")


def start(folder: Path, *command: str, **environ: str) -> Process:
    """Run a module of this project with this environment and no other."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"said-{time.monotonic_ns()}"
    with output.open("wb") as said:
        popen = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environ},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    return Process(popen, output)


@dataclass(frozen=True)
class Provider:
    """A running simulated provider; its ledger is the oracle."""

    process: Process
    url: str

    @property
    def base_url(self) -> str:
        """What an OpenAI client wants."""
        return f"{self.url}/v1"

    @property
    def ledger(self) -> dict[str, Any]:
        """What it did since it was last made to forget."""
        return send("GET", f"{self.url}/ledger").json

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return self.ledger["calls"]

    @property
    def outcomes(self) -> list[str]:
        """How each call ended for it."""
        return [row["outcome"] for row in self.ledger["requests"]]

    def script(self, *rules: dict[str, Any]) -> None:
        """Fail like this from now on; no rules, no faults."""
        reply = send("POST", f"{self.url}/script", list(rules))
        assert reply.status == 200, reply.body

    def forget(self) -> None:
        """Empty the ledger and the script."""
        send("DELETE", f"{self.url}/ledger")
        self.script()


@dataclass(frozen=True)
class Sidecar:
    """A running sidecar. `url` ends with /v1, as a client wants it."""

    process: Process
    url: str
    admin_url: str
    folder: Path
    config: Mapping[str, Any] = field(repr=False)

    def post(self, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """One chat completion, by the whole body."""
        return send("POST", f"{self.url}/chat/completions", body, headers)

    def ask(self, question: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        """One chat completion, by the question and other fields."""
        return self.post(asking(question, **fields), headers)

    def admin(self, method: str, path: str, body: Any = None) -> Reply:
        """One request to the admin plane."""
        return send(method, f"{self.admin_url}{path}", body)

    def purge(self, **selector: Any) -> dict[str, Any]:
        """Forget entries; what the sidecar says of it."""
        reply = self.admin("POST", "/api/purge", selector)
        assert reply.status == 200, reply.body
        return reply.json

    def mode(self, mode: str) -> None:
        """The kill switch."""
        assert self.admin("PUT", "/api/mode", {"mode": mode}).status == 200

    def row(self, reply: Reply) -> dict[str, Any]:
        """The request's row, as soon as it is there."""
        path = f"/api/requests/{reply.headers['x-sidecar-request-id']}"
        found = until(lambda: (r := self.admin("GET", path)).status == 200 and r, "a row")
        return found.json

    @property
    def cache(self) -> dict[str, Any]:
        """How full the cache is."""
        return self.admin("GET", "/api/status").json["cache"]

    def gauge(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = self.admin("GET", "/metrics").body.decode().splitlines()
        told = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in told)

    def flush(self) -> None:
        """Wait until all that is cached is on disk."""
        until(lambda: not self.cache["pending_writes"], "no pending writes")

    def idle(self) -> None:
        """Wait until no request is being answered."""
        until(lambda: self.gauge("sidecar_in_flight") == 0, "no request in flight")


@contextmanager
def simulated(folder: Path, latency_ms: float = 0, tokens_per_s: float = 0) -> Iterator[Provider]:
    """A simulated provider until the block ends; instant unless told otherwise."""
    pace = ("--latency-ms", str(latency_ms), "--tokens-per-s", str(tokens_per_s))
    process = start(folder, "sidecar.providers.simulated", "--port", "0", *pace)
    try:
        base_url = process.words_after("simulated provider ready:").split()[0]
        yield Provider(process, base_url.removesuffix("/v1"))
    finally:
        process.kill()


def config_for(provider: Provider, folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose models are answered by `provider`; `changes` replace whole sections."""
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "state_dir": str(folder / "state"),
        # A busy machine must not turn a lookup into a miss.
        "embedding": {"timeout_ms": 10_000},
        "providers": {"p": {"kind": "openai", "base_url": provider.base_url}},
        "models": {name: one_try([{"provider": "p", "model": name}]) for name in MODELS},
        **changes,
    }


def start_sidecar(folder: Path, config: Mapping[str, Any], **environ: str) -> Sidecar:
    """Start a sidecar and wait until it is ready; the caller ends its process."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sidecar.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    process = start(folder, "sidecar", "serve", "--config", str(file), **environ)
    try:
        process.words_after("try")
        apps, admin = process.words_after("apps"), process.words_after("admin")
    except BaseException:
        process.kill()
        raise
    return Sidecar(process, apps, admin, folder, config)


@contextmanager
def serving(provider: Provider, folder: Path, **changes: Any) -> Iterator[Sidecar]:
    """A sidecar in front of `provider` until the block ends; state in `folder`."""
    running = start_sidecar(folder, config_for(provider, folder, changes))
    try:
        yield running
    finally:
        running.process.kill()
