"""The sidecar inside another program: `from sidecar import Config, create_app`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .running import PATIENCE_S, ROOT, Provider, config_for

PROGRAM = """
import asyncio, json, sys, threading
from aiohttp import ClientSession, web
from sidecar import Config, create_app

async def served(tree):
    runner = web.AppRunner(create_app(Config.parse(tree)))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    url = f"http://{host}:{port}/v1/chat/completions"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Who serves me?"}]}
    found = []
    async with ClientSession() as session:
        for _ in range(2):
            async with session.post(url, json=body) as reply:
                found.append([reply.status, reply.headers["x-sidecar-cache"]])
    await runner.cleanup()
    return found

tree = json.loads(sys.argv[1])
told = [asyncio.run(served(tree)) for _ in range(int(sys.argv[2]))]
left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
print(json.dumps({"told": told, "left": left}))
"""


def run(provider: Provider, folder: Path, times: int) -> dict[str, list[object]]:
    """What the program found, once it has ended by itself."""
    tree = config_for(provider, folder, {})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(tree), str(times)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found(
    shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[object]]:
    """A program that serves twice, one after the other, from one state directory."""
    return run(shared_provider, tmp_path_factory.mktemp("library"), times=2)


def test_it_is_served_by_a_runner_of_one_s_own(found: dict[str, list[object]]) -> None:
    """A miss, then a hit."""
    assert found["told"][0] == [[200, "miss"], [200, "exact"]]


def test_cleaning_up_frees_the_state_for_the_next(found: dict[str, list[object]]) -> None:
    """In the same process; and what was stored is there."""
    assert found["told"][1] == [[200, "exact"], [200, "exact"]]


def test_no_thread_is_left_over(found: dict[str, list[object]]) -> None:
    """None that works on, none that keeps the program from its end."""
    assert found["left"] == []
