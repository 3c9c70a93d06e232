"""The toggle: one call moves all traffic of a model, and nobody's request fails for it.

The provider's own ledger says who was asked.
"""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .running import (
    DONE,
    Provider,
    Reply,
    Sidecar,
    config_for,
    serving,
    simulated,
    start_sidecar,
    until,
)

STREAMS = 50
TOKENS_PER_S = 10
LONG = {"max_tokens": 40}
"""Of streams that are still under way when all of them have begun."""
BIG, SMALL = "gpt-4o", "gpt-4o-mini"


def targets(model: str) -> list[dict[str, str]]:
    """One target at the provider."""
    return [{"provider": "p", "model": model}]


MODELS = {
    BIG: {"targets": targets(BIG), "variants": {"cheap": targets(SMALL)}, "max_in_flight": 500},
    SMALL: {"targets": targets(SMALL)},
    "org/own": {"targets": targets("own"), "variants": {"cheap": targets(SMALL)}},
}
OFF = {"mode": "off"}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that takes its time."""
    with simulated(tmp_path_factory.mktemp("slow"), tokens_per_s=TOKENS_PER_S) as provider:
        yield provider


@pytest.fixture
def sidecar(provider: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """Three models, two of them with a variant `cheap`; nothing is cached."""
    with serving(provider, tmp_path, models=MODELS, cache=OFF) as sidecar:
        yield sidecar


def toggle(sidecar: Sidecar, name: str, variant: str | None) -> Reply:
    """One toggle."""
    return sidecar.admin("PUT", f"/api/routes/{name}", {"active": variant})


def routes(sidecar: Sidecar) -> dict[str, Any]:
    """What the admin plane tells of all models."""
    return sidecar.admin("GET", "/api/routes").json["routes"]


def who(sidecar: Sidecar, model: str = BIG) -> str:
    """Who answers for a model, as the reply says."""
    reply = sidecar.ask("Who are you?", model=model)
    assert reply.status == 200, reply.body
    return reply.headers["x-sidecar-model"]


def asked(provider: Provider) -> Counter[str]:
    """How often each model was asked, by the provider's own ledger."""
    return Counter(row["model"] for row in provider.ledger["requests"])


def test_a_toggle_under_fifty_streams_fails_none(slow: Provider, tmp_path: Path) -> None:
    """Those that began end on the old model, those that come after begin on the new one."""
    with (
        serving(slow, tmp_path, models=MODELS, cache=OFF) as sidecar,
        ThreadPoolExecutor(2 * STREAMS) as crowd,
    ):
        before = [
            crowd.submit(sidecar.ask, f"Before {n}?", stream=True, **LONG) for n in range(STREAMS)
        ]
        until(lambda: slow.calls == STREAMS, "fifty streams under way")
        assert not any(stream.done() for stream in before)
        assert routes(sidecar)[BIG]["in_flight"] == STREAMS
        assert toggle(sidecar, BIG, "cheap").status == 200
        after = [crowd.submit(sidecar.ask, f"After {n}?", stream=True) for n in range(STREAMS)]
        replies = [stream.result() for stream in (*before, *after)]
    assert {(reply.status, reply.events[-1]) for reply in replies} == {(200, DONE)}
    models = [reply.chunks[0]["model"] for reply in replies]
    assert models == [BIG] * STREAMS + [SMALL] * STREAMS
    assert asked(slow) == {BIG: STREAMS, SMALL: STREAMS}


def test_toggling_to_and_fro_under_load_fails_none(sidecar: Sidecar, provider: Provider) -> None:
    """Every reply says truly who gave it: the ledger counts the same."""
    with ThreadPoolExecutor(STREAMS) as crowd:
        streams = [
            crowd.submit(sidecar.ask, f"Question {n}?", stream=True) for n in range(6 * STREAMS)
        ]
        flips = 0
        while not all(stream.done() for stream in streams):
            assert toggle(sidecar, BIG, None if flips % 2 else "cheap").status == 200
            flips += 1
        replies = [stream.result() for stream in streams]
    assert {(reply.status, reply.events[-1]) for reply in replies} == {(200, DONE)}
    assert Counter(reply.chunks[0]["model"] for reply in replies) == asked(provider)


def test_a_toggle_holds_from_the_next_request_until_it_is_taken_back(
    sidecar: Sidecar, provider: Provider
) -> None:
    """Null returns to what config says."""
    assert who(sidecar) == BIG
    told = toggle(sidecar, BIG, "cheap").json
    assert (told["saved"], list(told["routes"])) == (True, [BIG])
    assert who(sidecar) == SMALL
    toggle(sidecar, BIG, None)
    assert who(sidecar) == BIG
    assert [row["model"] for row in provider.ledger["requests"]] == [BIG, SMALL, BIG]


def test_all_models_with_the_variant_are_toggled_at_once(sidecar: Sidecar) -> None:
    """`*` names them; those without it are left alone, and null takes all of it back."""
    told = toggle(sidecar, "*", "cheap").json["routes"]
    assert list(told) == [BIG, "org/own"]
    assert [who(sidecar, name) for name in MODELS] == [SMALL, SMALL, SMALL]
    assert list(toggle(sidecar, "*", None).json["routes"]) == [BIG, "org/own"]
    assert who(sidecar, "org/own") == "own"


def test_a_name_with_a_slash_is_a_name(sidecar: Sidecar) -> None:
    """Written as it is, or escaped."""
    assert toggle(sidecar, "org/own", "cheap").status == 200
    assert toggle(sidecar, "org%2Fown", None).json["routes"]["org/own"]["overridden"] is False


def test_the_routes_are_told_whole(sidecar: Sidecar) -> None:
    """Who answers, by whose choice, who else could, and how their breakers are."""
    toggle(sidecar, BIG, "cheap")
    found = routes(sidecar)
    assert list(found) == list(MODELS)
    closed = {"state": "closed"}
    told = found[BIG]
    assert {key: told[key] for key in ("active", "configured", "overridden", "in_flight")} == {
        "active": "cheap", "configured": "targets", "overridden": True, "in_flight": 0,
    }  # fmt: skip
    (target,) = told["variants"]["targets"]
    assert (target["provider"], target["model"], target["weight"]) == ("p", BIG, 100)
    assert target["breaker"]["state"] == closed["state"]
    assert told["fallbacks"] == []
    assert sidecar.admin("GET", "/api/status").json["toggled"] == {BIG: "cheap"}


@pytest.mark.parametrize(
    ("name", "variant", "status", "words"),
    [
        ("nobody", "cheap", 404, "gpt-4o"),
        ("nobody", None, 404, "gpt-4o"),
        (BIG, "dear", 400, "targets, cheap"),
        (BIG, "", 400, "targets, cheap"),
        ("*", "dear", 400, "targets, cheap"),
    ],
)
def test_what_is_not_there_is_refused_and_the_known_are_named(
    sidecar: Sidecar, name: str, variant: str | None, status: int, words: str
) -> None:
    """And nothing is toggled."""
    refused = toggle(sidecar, name, variant)
    assert refused.status == status
    assert words in refused.json["error"]["message"]
    assert sidecar.admin("GET", "/api/status").json["toggled"] == {}


def test_a_toggle_survives_a_restart(provider: Provider, tmp_path: Path) -> None:
    """Also one that ends by force; the file is its owner's alone, and the start tells it."""
    config = config_for(provider, tmp_path, {"models": MODELS, "cache": OFF})
    first = start_sidecar(tmp_path, config)
    toggle(first, BIG, "cheap")
    first.process.kill()
    file = tmp_path / "state" / "toggles.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = start_sidecar(tmp_path, config)
    try:
        assert who(second) == SMALL
        assert second.process.words_after("toggled") == f"{BIG} to cheap"
        toggle(second, BIG, None)
    finally:
        second.process.kill()
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b'{"gpt-4o": 1}', b"\xff", b"[" * 99_999])
def test_a_bad_file_is_set_aside_with_one_line(
    provider: Provider, tmp_path: Path, content: bytes
) -> None:
    """It starts all the same, on what config says."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "toggles.json"
    file.write_bytes(content)
    with serving(provider, tmp_path, models=MODELS, cache=OFF) as sidecar:
        assert who(sidecar) == BIG
        assert sidecar.process.said.count("toggles.json is damaged, set aside") == 1
    assert file.with_name("toggles.json.damaged").read_bytes() == content


def test_a_choice_that_config_does_not_offer_any_more_is_dropped(
    provider: Provider, tmp_path: Path
) -> None:
    """With one line: a start never fails for it."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "toggles.json"
    file.write_text(json.dumps({BIG: "gone", SMALL: "targets", "nobody": "cheap"}))
    with serving(provider, tmp_path, models=MODELS, cache=OFF) as sidecar:
        assert sidecar.admin("GET", "/api/status").json["toggled"] == {SMALL: "targets"}
        assert sidecar.process.said.count("is not toggled to") == 2
    assert json.loads(file.read_text()) == {SMALL: "targets"}
