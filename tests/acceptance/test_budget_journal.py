"""The journal of money cut and flipped while nobody looks: right figures, or a refusal.

All was spent before the damage. Whatever is left of the files, no dollar of the budget may
be granted again in silence, and calls that no budget is for go on as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.money_errors import BudgetExceededError, BudgetUnavailableError
from tests.budget import making

from .money import PRICES, budget, code, fresh, oracle, settled
from .running import Provider, Sidecar, config_for, start_sidecar, until
from .test_state_files import DAMAGES, Damage, cut, flipped, flipped_once

SEED = 5
PAID = {"x-sidecar-feature": "paid"}
TINY = "0.002"
REFUSAL = "Calls on a budget are refused until then"
SECTIONS = {
    "budgets": [budget(TINY, match={"feature": "paid"})],
    "prices": PRICES,
    "listen": {"port": 0, "drain_s": 0},
}


@dataclass(frozen=True)
class Past:
    """A state in which all is spent, and how much that was."""

    folder: Path
    spent: int


def lived(provider: Provider, folder: Path, end: signal.Signals) -> Past:
    """The state of a process that spent its budget and was ended by this signal."""
    provider.forget()
    sidecar = start_sidecar(folder, config_for(provider, folder, SECTIONS))
    until(lambda: sidecar.post(fresh("A?"), PAID).status == 402, "a refusal")
    spent = settled(sidecar)["spent"]
    assert spent == oracle(provider)
    assert sidecar.admin("GET", "/api/budgets/unsettled").status == 200  # all is on disk
    sidecar.process.popen.send_signal(end)
    sidecar.process.popen.wait()
    return Past(folder / "state", spent)


@pytest.fixture(scope="module")
def closed(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Ended in peace: all is in the file itself."""
    return lived(shared_provider, tmp_path_factory.mktemp("closed"), signal.SIGTERM)


@pytest.fixture(scope="module")
def killed(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Ended by force: the newest is in the log beside the file."""
    return lived(shared_provider, tmp_path_factory.mktemp("killed"), signal.SIGKILL)


@contextmanager
def living(provider: Provider, past: Past, folder: Path, *damages: tuple[str, Damage]):
    """A sidecar on a copy of that state with these files damaged."""
    shutil.copytree(past.folder, folder / "state")
    chance = random.Random(SEED)  # noqa: S311
    for name, damage in damages:
        file = folder / "state" / name
        file.write_bytes(damage(file.read_bytes(), chance))
    sidecar = start_sidecar(folder, config_for(provider, folder, SECTIONS))
    try:
        yield sidecar
    finally:
        sidecar.process.kill()


def assert_grants_nothing_in_silence(sidecar: Sidecar, past: Past, provider: Provider) -> None:
    """402 by the right figures, or 503 and one line of why; others are served."""
    provider.forget()
    refused = sidecar.post(fresh("May I?"), PAID)
    told = sidecar.process.said
    if refused.status == 402:
        assert settled(sidecar)["spent"] >= past.spent
        assert REFUSAL not in told
    else:
        assert code(refused) == (503, "budget_unavailable")
        assert told.count(REFUSAL) == 1
        assert "money.sqlite" in told
        assert sidecar.admin("GET", "/api/budgets").json["failure"]
    assert provider.calls == 0
    for _ in range(3):
        assert sidecar.post(fresh("And I?")).status == 200
    assert sidecar.admin("GET", "/readyz").status == 200
    assert "Traceback" not in sidecar.process.said


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_file(
    shared_provider: Provider, closed: Past, tmp_path: Path, damage: Damage
) -> None:
    """Of a process that ended in peace."""
    with living(shared_provider, closed, tmp_path, ("money.sqlite", damage)) as sidecar:
        assert_grants_nothing_in_silence(sidecar, closed, shared_provider)


def of_a_half(damage: Damage) -> Damage:
    """Done to the first half of what was really written: a log is longer than that."""

    def half(content: bytes, chance: random.Random) -> bytes:
        written = len(content.rstrip(b"\0"))
        return damage(content[: written // 2], chance) + content[written // 2 :]

    return half


@pytest.mark.parametrize("damage", [of_a_half(flipped), of_a_half(flipped_once)])
def test_a_damaged_log(
    shared_provider: Provider, killed: Past, tmp_path: Path, damage: Damage
) -> None:
    """Of a process that was killed."""
    with living(shared_provider, killed, tmp_path, ("money.sqlite-wal", damage)) as sidecar:
        assert_grants_nothing_in_silence(sidecar, killed, shared_provider)


def test_a_lost_file_beside_its_log(
    shared_provider: Provider, killed: Past, tmp_path: Path
) -> None:
    """Half a journal is none."""
    with living(shared_provider, killed, tmp_path, ("money.sqlite", cut)) as sidecar:
        assert_grants_nothing_in_silence(sidecar, killed, shared_provider)


@pytest.mark.parametrize("past", ["closed", "killed"])
def test_an_undamaged_copy_knows_all(
    shared_provider: Provider, request: pytest.FixtureRequest, tmp_path: Path, past: str
) -> None:
    """Or the tests above would prove nothing."""
    found: Past = request.getfixturevalue(past)
    with living(shared_provider, found, tmp_path) as sidecar:
        assert settled(sidecar)["spent"] == found.spent
        assert_grants_nothing_in_silence(sidecar, found, shared_provider)


def test_a_sound_copy_put_in_its_place_is_taken_at_the_next_start(
    shared_provider: Provider, closed: Past, tmp_path: Path
) -> None:
    """As the line in the log says; and until then nothing of the damaged one is changed."""
    file = tmp_path / "state" / "money.sqlite"
    garbage = ("money.sqlite", lambda *_: b"This is no database at all.\n" * 500)
    with living(shared_provider, closed, tmp_path, garbage) as sidecar:
        spoiled = file.read_bytes()
        assert code(sidecar.post(fresh("A?"), PAID)) == (503, "budget_unavailable")
        assert file.read_bytes() == spoiled
    shutil.copy(closed.folder / "money.sqlite", file)
    sidecar = start_sidecar(tmp_path, config_for(shared_provider, tmp_path, SECTIONS))
    try:
        assert settled(sidecar)["spent"] == closed.spent
    finally:
        sidecar.process.kill()


# The same by the library, at many places.


async def spend(path: Path, count: int) -> None:
    """Everything, in that many charges, each of them on disk before the next."""
    async with making.opened(path, [making.budget(limit=count)]) as budgets:
        for number in range(count):
            making.settled(await budgets.reserve(making.spending(number, 1)), 1)
            await budgets.flush()
        making.copied(path, path.parent / "killed")


def refuses(path: Path, count: int) -> bool:
    """Whether nothing is granted again."""
    return asyncio.run(_refuses(path, count))


async def _refuses(path: Path, count: int) -> bool:
    async with making.opened(path, [making.budget(limit=count)]) as budgets:
        try:
            await budgets.reserve(making.spending("next", 1))
        except (BudgetExceededError, BudgetUnavailableError):
            return True
        return False


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The files that a kill leaves after twenty charges."""
    asyncio.run(spend(tmp_path / "money.sqlite", 20))
    return tmp_path / "killed" / "money.sqlite"


def frames(log: bytes) -> int:
    """Bytes of the log that were written in its present round."""
    salt, end = log[16:24], 32
    while log[end + 8 : end + 16] == salt:
        end += 24 + 4096
    return end


def test_no_flipped_byte_of_a_log_grants_anything_again(written: Path) -> None:
    """But for its last commit: there it can't be told from one that was being written."""
    log = written.with_name("money.sqlite-wal")
    sound, base = log.read_bytes(), written.read_bytes()
    used = frames(sound)
    assert used > 20 * 4096
    for place in [*range(0, 64, 5), *range(64, used - 6 * 4120, 4999)]:
        written.write_bytes(base)
        log.write_bytes(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])
        written.with_name("money.sqlite-shm").unlink(missing_ok=True)
        assert refuses(written, 20), place


@pytest.fixture
def whole(written: Path) -> Callable[[bytes], None]:
    """Put a main file in the place of the one with all in it; no log is beside it."""
    with closing(sqlite3.connect(written, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def put(content: bytes) -> None:
        for suffix in ("-wal", "-shm"):
            written.with_name(written.name + suffix).unlink(missing_ok=True)
        written.write_bytes(content)

    return put


def test_no_cut_of_a_file_grants_anything_again(
    written: Path, whole: Callable[[bytes], None]
) -> None:
    """At whatever length, a page's end included."""
    sound = written.read_bytes()
    for length in [*range(512, len(sound), 1024), len(sound) - 1]:
        whole(sound[:length])
        assert refuses(written, 20), length
    whole(sound)
    assert refuses(written, 20)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts SET committed = 0",
        "UPDATE accounts SET committed = committed - 1",
        "DELETE FROM accounts",
        "UPDATE charges SET nano = 0 WHERE seq = 7",
        "DELETE FROM charges WHERE seq = 7",
    ],
)
def test_sums_that_are_not_those_of_the_charges_grant_nothing_again(
    written: Path, whole: Callable[[bytes], None], change: str
) -> None:
    """As a flipped bit would leave them that no structure shows."""
    with closing(sqlite3.connect(written, isolation_level=None)) as connection:
        assert connection.execute(change).rowcount
    assert refuses(written, 20)
