"""Servers on one core, load on the other, rounds interleaved, medians at the end."""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
READY_S = 30.0


@dataclass(frozen=True)
class Server:
    """A process that listens on `port`; `ready_s` is how long it took to."""

    port: int
    process: subprocess.Popen[bytes]
    ready_s: float
    admin_port: int = 0

    def resident_mb(self) -> float:
        """Resident memory in megabytes (10⁶ bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kib = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kib.split()[1]) * 1024 / 1e6


def free_port() -> int:
    """A port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(core: int) -> Any:
    """What a child process does first: stay on one core."""
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def server(
    command: Sequence[str], port: int, core: int, *, given: bytes = b"", path: str = ""
) -> Iterator[Server]:
    """Run a server until the block ends; entered when `path`, or the port, answers."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_LOG") else subprocess.DEVNULL,
        preexec_fn=pinned(core),  # noqa: PLW1509  no threads here
    )
    try:
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        wait_until_answers(process, port, path)
        yield Server(port, process, time.perf_counter() - began)
    finally:
        process.kill()
        process.wait()


def wait_until_answers(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Return when the server answers; RuntimeError when it ended or takes too long."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            if path:
                urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
            else:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}")


@contextmanager
def simulated(*, latency_ms: float = 0, tokens_per_s: float = 0) -> Iterator[Server]:
    """The shipped simulated provider, on the load's core; instant by default."""
    port = free_port()
    command = [
        "sidecar.providers.simulated", "--port", str(port),
        "--latency-ms", str(latency_ms), "--tokens-per-s", str(tokens_per_s),
    ]  # fmt: skip
    with server(command, port, LOAD_CORE) as running:
        yield running


@contextmanager
def sidecar(
    folder: Path, upstream: Server, sections: Mapping[str, Any] | None = None, **cache: Any
) -> Iterator[Server]:
    """A sidecar whose one model is answered by `upstream`; state in `folder`.

    `sections` are added to its config.
    """
    port, admin = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "listen": {"port": port},
        "admin": {"port": admin},
        "state_dir": str(folder / "state"),
        "cache": cache,
        "providers": {"up": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream.port}/v1"}},
        "models": {"gpt-4o-mini": {"targets": [{"provider": "up", "model": "gpt-4o-mini"}]}},
        **(sections or {}),
    }
    file = folder / "sidecar.yaml"
    file.write_text(yaml.safe_dump(config))
    with server(
        ["sidecar", "serve", "--config", str(file)], admin, SERVER_CORE, path="/readyz"
    ) as s:
        yield Server(port, s.process, s.ready_s, admin)


def load(  # noqa: PLR0913  the arguments of a command line
    port: int,
    bodies: Sequence[bytes],
    *,
    connections: int = 1,
    requests: int = 0,
    headers: Sequence[str] = (),
    pause_ms: float = 0,
) -> dict[str, Any]:
    """Drive a server from the load's core; the figures of `benchmarks.load`."""
    command = [
        sys.executable, "-m", "benchmarks.load", "--port", str(port),
        "--connections", str(connections), "--requests", str(requests),
        "--pause-ms", str(pause_ms), *(f"--header={header}" for header in headers),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        input=b"\n".join(bodies),
        capture_output=True,
        check=True,
        preexec_fn=pinned(LOAD_CORE),
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def median(values: Sequence[float]) -> float:
    """The middle of the rounds."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The median with the least and the most, to tell noise from change."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def machine() -> str:
    """What it ran on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    names = ("aiohttp", "uvloop", "onnxruntime", "numpy", "faiss-cpu", "orjson")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{model}, {len(CORES)} cores, Python {platform.python_version()}; {versions}"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])
