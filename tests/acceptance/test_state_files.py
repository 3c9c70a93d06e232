"""State files cut and flipped while nobody looks: it starts, it serves, and it never serves wrong.

Each case damages both files in its own way. What fails its check is set aside with one
line; what passes it is sound, row by row.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .running import Provider, Sidecar, asking, config_for, send, start_sidecar, until

SEED = 11
FILES = ("cache.sqlite", "requests.sqlite")
QUESTIONS = [f"What is known about the {name}?" for name in ("otter", "heron", "lynx", "carp")] + [
    f"What is known about item {number} of the list? {'It is long. ' * 40}" for number in range(10)
]
SET_ASIDE = ("set aside as", "it is kept as")

Damage = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, chance: random.Random, count: int = 12) -> bytes:
    """Some bits the other way, anywhere."""
    spoiled = bytearray(content)
    for _ in range(count):
        spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def flipped_schema(content: bytes, chance: random.Random) -> bytes:
    """In the first page, where the tables are told."""
    return flipped(content[:4096], chance, 4) + content[4096:]


def flipped_once(content: bytes, chance: random.Random) -> bytes:
    """One bit behind the first page: as likely as not in the middle of an answer."""
    return content[:4096] + flipped(content[4096:], chance, 1)


def torn_page(content: bytes, chance: random.Random) -> bytes:
    """A page of which only the first half was written."""
    page = 4096 * chance.randrange(1, len(content) // 4096)
    return content[: page + 2048] + bytes(2048) + content[page + 4096 :]


def cut(content: bytes, chance: random.Random) -> bytes:
    """Ended anywhere."""
    return content[: chance.randrange(100, len(content))]


DAMAGES: dict[str, Damage] = {
    "empty": lambda *_: b"",
    "cut": cut,
    "flipped": flipped,
    "flipped once": flipped_once,
    "flipped schema": flipped_schema,
    "torn page": torn_page,
}


@dataclass(frozen=True)
class Past:
    """A state directory as a process left it, and what its answers were."""

    folder: Path
    answers: dict[str, str]


@contextmanager
def living(provider: Provider, folder: Path) -> Iterator[Sidecar]:
    """A sidecar on the state in `folder`."""
    sidecar = start_sidecar(folder, config_for(provider, folder, {"listen": LISTEN}))
    try:
        yield sidecar
    finally:
        sidecar.process.kill()


LISTEN = {"port": 0, "drain_s": 0}


def lived(provider: Provider, folder: Path, end: signal.Signals) -> Past:
    """The state of a process that answered all questions and was ended by this signal."""
    with living(provider, folder) as sidecar:
        answers = {question: sidecar.ask(question).text for question in QUESTIONS}
        sidecar.flush()
        path = folder / "state" / FILES[1]
        until(lambda: _rows(path) >= len(QUESTIONS), "rows in the ledger")
        sidecar.process.popen.send_signal(end)
        sidecar.process.popen.wait()
    return Past(folder / "state", answers)


def _rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM requests").fetchone()[0])
        except sqlite3.Error:
            return 0


@pytest.fixture(scope="module")
def closed(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Ended in peace: all is in the files themselves."""
    return lived(shared_provider, tmp_path_factory.mktemp("closed"), signal.SIGTERM)


@pytest.fixture(scope="module")
def killed(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Ended by force: the newest is in the journals beside the files."""
    return lived(shared_provider, tmp_path_factory.mktemp("killed"), signal.SIGKILL)


def spoiled(past: Past, folder: Path, damage: Damage, suffix: str = "") -> Path:
    """A copy of the state with both files, or both journals, damaged."""
    shutil.copytree(past.folder, folder / "state")
    chance = random.Random(SEED)  # noqa: S311
    for name in FILES:
        file = folder / "state" / f"{name}{suffix}"
        if file.exists():  # the ledger of requests leaves no journal behind
            file.write_bytes(damage(file.read_bytes(), chance))
    return folder


def assert_serves_right(sidecar: Sidecar, past: Past) -> None:
    """Every old question gets its own answer, from wherever, and so does a new one."""
    for question, answer in past.answers.items():
        reply = sidecar.ask(question)
        assert (reply.status, reply.text) == (200, answer)
        assert reply.cache in ("exact", "miss")
    assert sidecar.ask("And what is new?").status == 200


def assert_keeps(sidecar: Sidecar) -> None:
    """It stores again, answers and rows alike."""
    reply = sidecar.ask("What is kept of this?")
    sidecar.flush()
    assert sidecar.cache["store_ok"]
    until(lambda: not _ledger(sidecar)["failing"], "a ledger that works")
    assert sidecar.row(reply)["status"] == 200
    assert sidecar.ask("What is kept of this?").cache == "exact"


def _ledger(sidecar: Sidecar) -> dict[str, object]:
    told: dict[str, object] = sidecar.admin("GET", "/api/status").json["ledger"]
    return told


def assert_set_aside_with_a_line_each(sidecar: Sidecar) -> None:
    """As many lines as files, and no traceback."""
    state = sidecar.folder / "state"
    aside = [file for name in FILES for file in state.glob(f"{name}.damaged-*[0-9]")]
    lines = [
        line for line in sidecar.process.said.splitlines() if any(s in line for s in SET_ASIDE)
    ]
    assert len(lines) == len(aside), lines
    assert "Traceback" not in sidecar.process.said


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_cost_entries_and_nothing_else(
    shared_provider: Provider, closed: Past, tmp_path: Path, damage: Damage
) -> None:
    """Right answers, a store that works again, and a line for what was set aside."""
    with living(shared_provider, spoiled(closed, tmp_path, damage)) as sidecar:
        assert_serves_right(sidecar, closed)
        assert_keeps(sidecar)
        assert_set_aside_with_a_line_each(sidecar)


@pytest.mark.parametrize("damage", [cut, flipped])
def test_damaged_journals_cost_entries_and_nothing_else(
    shared_provider: Provider, killed: Past, tmp_path: Path, damage: Damage
) -> None:
    """What can't be read of a journal never happened."""
    with living(shared_provider, spoiled(killed, tmp_path, damage, "-wal")) as sidecar:
        assert_serves_right(sidecar, killed)
        assert_keeps(sidecar)
        assert_set_aside_with_a_line_each(sidecar)


def test_what_is_no_database_is_set_aside(
    shared_provider: Provider, closed: Past, tmp_path: Path
) -> None:
    """Both are there for whoever wants to look, for their owner alone."""
    folder = spoiled(closed, tmp_path, lambda *_: b"This is no database at all.\n" * 500)
    with living(shared_provider, folder) as sidecar:
        assert_serves_right(sidecar, closed)
        assert_keeps(sidecar)
        assert_set_aside_with_a_line_each(sidecar)
    aside = [next((folder / "state").glob(f"{name}.damaged-*")) for name in FILES]
    assert all(b"no database" in file.read_bytes() for file in aside)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in aside)


def test_an_undamaged_copy_is_served_whole(
    shared_provider: Provider, provider: Provider, closed: Past, tmp_path: Path
) -> None:
    """Or the tests above would prove nothing."""
    folder = spoiled(closed, tmp_path, lambda content, _: content)
    with living(shared_provider, folder) as sidecar:
        assert all(sidecar.ask(question).cache == "exact" for question in QUESTIONS)
    assert provider.calls == 0


def test_the_answers_are_the_provider_s(closed: Past, provider: Provider) -> None:
    """What they are held against is not the cache's own word."""
    for question, answer in closed.answers.items():
        said = send("POST", f"{provider.base_url}/chat/completions", asking(question))
        assert said.text == answer
