"""A sidecar that has spent something, and no longer runs: its folder is asked by itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

from cli.helpers import Result, Running, run, serve

CONFIG = """\
providers: {sim: {kind: simulated, latency_ms: 0, tokens_per_s: 1000}}
models:
  gpt-4o: {targets: [{provider: sim, model: gpt-4o}]}
  mystery: {targets: [{provider: sim, model: mystery-1}]}
budgets:
  - {name: support, match: {department: support}, limit_usd: 50, window: month}
  - {name: users, match: {department: support}, each: [user], limit_usd: 5}
"""
TAGS = {"x-sidecar-department": "support", "x-sidecar-user": "ann"}


def ask(sidecar: Running, question: str, *, model: str = "gpt-4o", **tags: str) -> None:
    """One answered question."""
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    headers = {"Content-Type": "application/json", **tags}
    address = f"{sidecar.data_url}/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310 (our own address)
        reply.read()


def start(folder: Path) -> Running:
    """A sidecar with budgets, its state in the folder."""
    (folder / "sidecar.yaml").write_text(CONFIG)
    return serve(folder)


def spend(sidecar: Running) -> None:
    """A question that two departments ask, twice each; one of them no budget pays for."""
    for _ in range(2):
        ask(sidecar, "How tall is the Eiffel tower?", **TAGS)
        ask(sidecar, "What is it?", model="mystery", **{"x-sidecar-department": "lab"})


def stop(process: subprocess.Popen[str]) -> None:
    """Let it end in good order."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def free_port() -> str:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def offline(folder: Path, *arguments: str) -> Result:
    """A command where no sidecar runs; the line that says so is taken off."""
    port = free_port()
    told = run(*arguments, cwd=folder, SIDECAR__ADMIN__PORT=port)
    line = f"no sidecar runs at http://127.0.0.1:{port}: opening .sidecar itself\n"
    return Result(told.status, told.out, told.err.removeprefix(line))
