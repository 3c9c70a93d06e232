"""A full disk: what is paid by a budget is refused, all else goes on, and later all does.

Two kinds of full: a file system without space, and a journal of money that may not grow.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .money import PRICES, billed, budget, code, fresh, oracle, settled, state
from .running import Provider, Reply, asking, config_for, start_sidecar, until
from .test_disk_full import Disk, Kind, Scene, StiffFiles, small_disk

PAID = {"x-sidecar-feature": "paid"}
KEPT = asking("How tall is the Eiffel tower?", max_tokens=100)
FULL = (503, "budget_unavailable")


@dataclass
class StiffJournal(StiffFiles):
    """Any disk, where the journal of money may grow no more."""

    def fill(self, pid: int) -> None:
        """Soon: its log may not be written beyond its middle."""
        (log,) = self.path.rglob("money.sqlite-wal")
        # It is as long as it ever gets from the start; its second half is not written yet.
        room = (log.stat().st_size // 2, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, room)


@contextmanager
def stiff_journal(path: Path) -> Iterator[Disk]:
    """Wherever that is."""
    yield StiffJournal(path)


@pytest.fixture(params=[small_disk, stiff_journal], ids=lambda kind: kind.__name__)
def scene(request: pytest.FixtureRequest, provider: Provider, tmp_path: Path) -> Iterator[Scene]:
    """A sidecar with a budget for one feature, and an answer that it keeps; its disk has room."""
    kind: Kind = request.param
    place = tmp_path / "disk"
    place.mkdir()
    sections = {"budgets": [budget(1, match={"feature": "paid"})], "prices": PRICES}
    with kind(place) as disk:
        config = config_for(provider, tmp_path, {"state_dir": str(place / "state"), **sections})
        scene = Scene(start_sidecar(tmp_path / "run", config), disk)
        try:
            assert scene.sidecar.post(KEPT, PAID).status == 200
            scene.sidecar.flush()
            yield scene
        finally:
            scene.sidecar.process.kill()


def fill(scene: Scene) -> None:
    """Until a call on the budget is refused: what is left of a page may take some."""
    scene.fill()
    until(lambda: pay(scene).status == 503, "a refusal")


def pay(scene: Scene) -> Reply:
    """A call on the budget."""
    return scene.sidecar.post(fresh("And this?"), PAID)


def test_what_a_budget_pays_is_refused_and_all_else_goes_on(
    scene: Scene, provider: Provider
) -> None:
    """Nobody is asked in vain; hits are served on the budget too; others ask as they like."""
    fill(scene)
    called = provider.calls
    refused = pay(scene)
    assert code(refused) == FULL
    assert "x-should-retry" not in refused.headers
    assert provider.calls == called
    for _ in range(20):
        assert scene.sidecar.post(KEPT, PAID).cache == "exact"
        assert scene.sidecar.post(fresh("Free?")).status == 200
    assert provider.calls == called + 20
    assert scene.sidecar.admin("GET", "/readyz").status == 200
    assert state(scene.sidecar)["held"] == 0


def test_it_goes_on_by_itself_when_there_is_room(scene: Scene, provider: Provider) -> None:
    """What was spent meanwhile is known then, and after a kill; one line each for both ends."""
    fill(scene)
    for _ in range(20):
        assert code(pay(scene)) == FULL
    scene.free()
    until(lambda: pay(scene).status == 200, "an answer")
    spent = settled(scene.sidecar)["spent"]
    assert spent == oracle(provider) > 0
    told = scene.sidecar.process.said
    assert told.count("can't write the money journal") == 1
    assert "can be used again (write)" in told
    assert "Traceback" not in told
    scene.sidecar.admin("GET", "/api/budgets/unsettled")  # all so far is on disk
    assert settled(scene.again())["spent"] == spent


@pytest.mark.parametrize("scene", [stiff_journal], indirect=True)
def test_a_call_in_flight_when_the_disk_fills_is_charged_all_the_same(
    scene: Scene, provider: Provider
) -> None:
    """Its hold was written before; what it cost is kept until it can be written."""
    fill(scene)  # so that the next time it is full at once
    scene.free()
    until(lambda: pay(scene).status == 200, "an answer")
    provider.script({"times": 1, "delay_ms": 1500})
    called = provider.calls
    with ThreadPoolExecutor(1) as pool:
        flying = pool.submit(pay, scene)
        until(lambda: provider.calls == called + 1, "it was sent")
        fill(scene)
        assert not flying.done()
        assert flying.result().status == 200
    assert settled(scene.sidecar)["spent"] == oracle(provider)
    scene.free()
    until(lambda: pay(scene).status == 200, "an answer")
    assert settled(scene.sidecar)["spent"] == oracle(provider)
    scene.sidecar.admin("GET", "/api/budgets/unsettled")
    assert settled(scene.again())["spent"] == oracle(provider)


@pytest.mark.parametrize("scene", [small_disk], indirect=True)
def test_a_start_on_a_full_disk_forgets_nothing(scene: Scene, provider: Provider) -> None:
    """It serves what it can; with room again and a new start the figures are those of before."""
    fill(scene)
    spent = settled(scene.sidecar)["spent"]
    assert spent == oracle(provider)
    sidecar = scene.again()
    assert sidecar.post(fresh("Free?")).status == 200
    called = provider.calls
    if (reply := pay(scene)).status != 200:  # the log's index may find its place even so
        assert (code(reply), provider.calls) == (FULL, called)
    assert "Traceback" not in sidecar.process.said
    scene.free()
    sidecar = scene.again()
    assert pay(scene).status == 200
    free = sum(billed(row) for row in provider.ledger["requests"] if "Free?" in str(row))
    account, truth = settled(sidecar), oracle(provider) - free
    # What the last call cost may have found no room: then it is charged in full, in doubt.
    assert truth <= account["spent"] <= truth + account["unsettled"]
