"""Running the command as a user does: a process of its own, its environment given."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import sidecar

ROOT = Path(sidecar.__file__).parent.parent
TOKEN = "t0ken-of-the-admin"  # noqa: S105
QUIET = {"SIDECAR__LISTEN__PORT": "0", "SIDECAR__ADMIN__PORT": "0"}


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


def run(*arguments: str, cwd: Path, **environ: str) -> Result:
    """`sidecar ARGUMENTS` in a folder, with this environment and no other."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Running:
    """A sidecar that serves."""

    process: subprocess.Popen[str]
    data_url: str
    admin_url: str

    def ask(self, question: str, tenant: str) -> None:
        """One answered question, so that something is cached."""
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
        request = urllib.request.Request(  # noqa: S310 (our own address)
            f"{self.data_url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "x-sidecar-tenant": tenant},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
            reply.read()


def serve(cwd: Path, **environ: str) -> Running:
    """Start a sidecar on free ports and wait until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "serve"],
        cwd=cwd,
        env={
            "PYTHONPATH": str(ROOT),
            **QUIET,
            "SIDECAR__PROVIDERS__SIM__LATENCY_MS": "0",
            **environ,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    urls: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().partition(" ")
        urls[name] = value.strip()
        if name == "try":
            return Running(process, urls["apps"], urls["admin"])
    raise AssertionError(f"it ended with {process.wait()}")
