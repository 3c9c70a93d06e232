"""The process dies at any moment; what was acknowledged by a flush is served afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cache.making import entry, opened, vector

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.cache.making import entry, opened, vector

async def main(path, start):
    async with opened(path) as cache:
        word = start
        while True:
            for _ in range(7):
                # Every third one replaces an older, so that deletions are under way too.
                old = word - 5 if word % 3 == 0 else word
                cache.put(entry(old, text=f"answer {word}"), vector(old))
                word += 1
            if await cache.flush():
                print(word, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def _write_until_killed(path: Path, start: int, acknowledgements: int) -> int:
    """Kill a writer in the midst of its work; gives the last word that it had flushed."""
    command = [sys.executable, "-c", WRITER, str(path), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [int(writer.stdout.readline()) for _ in range(acknowledgements)][-1]
        writer.send_signal(signal.SIGKILL)
        told = writer.stdout.read().split()
    return int(told[-1]) if told else last


def _expected(words: int) -> dict[int, str]:
    """The newest answer to each word."""
    return {word - 5 if word % 3 == 0 else word: f"answer {word}" for word in range(words)}


@pytest.mark.parametrize("acknowledgements", [1, 9, 40])
async def test_acknowledged_entries_survive_a_kill(path: Path, acknowledgements: int) -> None:
    """After kill -9, twice, every flushed entry is there in both tiers, in its newest form."""
    words = _write_until_killed(path, 0, acknowledgements)
    words = _write_until_killed(path, words, acknowledgements)
    async with opened(path) as cache:
        for word, answer in _expected(words).items():
            kept = await cache.get(entry(word).key)
            assert kept is not None
            # A later one may have been committed just before the end.
            assert kept.completion.choices[0].text in (answer, *_later(word, words))
            near = await cache.nearest(kept.scope, vector(word), k=1, floor=0.99)
            assert [each.entry for each in near] == [kept]


def _later(word: int, words: int) -> list[str]:
    return [f"answer {later}" for later in (word, word + 5) if later >= words]
