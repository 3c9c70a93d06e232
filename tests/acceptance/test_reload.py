"""A changed config is taken while requests are answered: whole or not at all."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from .running import DONE, Provider, Reply, Sidecar, send, serving, simulated, until
from .upstream import answering

BIG, SMALL = "gpt-4o", "gpt-4o-mini"
OFF = {"mode": "off"}


def answered_by(model: str) -> dict[str, Any]:
    """Models of which `gpt-4o` is answered by another."""
    return {BIG: {"targets": [{"provider": "p", "model": model}]}}


@pytest.fixture
def sidecar(provider: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """One model; nothing is cached."""
    with serving(provider, tmp_path, models=answered_by(BIG), cache=OFF) as sidecar:
        yield sidecar


def rewrite(sidecar: Sidecar, **changes: Any) -> None:
    """Write the config file again, with other sections, in one step."""
    fresh = sidecar.folder / "fresh.yaml"
    fresh.write_text(yaml.safe_dump({**sidecar.config, **changes}))
    fresh.replace(sidecar.folder / "sidecar.yaml")


def reload(sidecar: Sidecar, **changes: Any) -> Reply:
    """Write the file and have it read."""
    rewrite(sidecar, **changes)
    return sidecar.admin("POST", "/api/reload")


def state(sidecar: Sidecar) -> dict[str, Any]:
    """What is told of the config."""
    return sidecar.admin("GET", "/api/status").json["config"]


def who(sidecar: Sidecar) -> str:
    """Who answers for `gpt-4o`."""
    return sidecar.ask("Who are you?").headers["x-sidecar-model"]


def by_call(sidecar: Sidecar) -> None:
    """An operator's way."""
    assert sidecar.admin("POST", "/api/reload").status == 200


def by_signal(sidecar: Sidecar) -> None:
    """The old way."""
    sidecar.process.popen.send_signal(signal.SIGHUP)


def by_itself(_: Sidecar) -> None:
    """The file changed; nobody says a word."""


@pytest.mark.parametrize("ask", [by_call, by_signal, by_itself])
def test_a_new_config_is_taken(
    sidecar: Sidecar, provider: Provider, ask: Callable[[Sidecar], None]
) -> None:
    """By a call, by SIGHUP and by itself: other targets, other models, other providers."""
    assert who(sidecar) == BIG
    provider.forget()
    before = state(sidecar)
    models = {**answered_by(SMALL), "new": {"targets": [{"provider": "q", "model": "n"}]}}
    providers = {**sidecar.config["providers"], "q": {"kind": "simulated", "latency_ms": 0}}
    rewrite(sidecar, models=models, providers=providers)
    ask(sidecar)
    until(lambda: state(sidecar)["loaded_at"] > before["loaded_at"], "a reload")
    assert who(sidecar) == SMALL
    assert [row["model"] for row in provider.ledger["requests"]] == [SMALL]
    assert sidecar.ask("And you?", model="new").headers["x-sidecar-provider"] == "q"
    listed = send("GET", f"{sidecar.url}/models").json["data"]
    assert [each["id"] for each in listed] == [BIG, "new"]
    told = sidecar.admin("GET", "/api/status").json
    assert (told["models"][BIG], told["providers"]["q"]) == ([f"p/{SMALL}"], "simulated")


def test_what_a_reload_did_is_told(sidecar: Sidecar) -> None:
    """Which parts are new, and where they are from."""
    told = reload(sidecar, models=answered_by(SMALL)).json
    assert (told["changed"], told["needs_restart"]) == (["models"], [])
    assert told["source"] == str(sidecar.folder / "sidecar.yaml")
    assert "config reloaded (an operator asked): models changed" in sidecar.process.said
    assert reload(sidecar, models=answered_by(SMALL)).json["changed"] == []


def test_a_bad_config_is_refused_with_all_that_is_wrong(sidecar: Sidecar) -> None:
    """The old one goes on, and it is told in the reply, in the log and in the state."""
    models = {BIG: {"targets": [{"provider": "nobody", "model": BIG}]}}
    refused = reload(sidecar, models=models, log={"level": "loud"})
    error = refused.json["error"]
    assert (refused.status, error["code"]) == (400, "bad_config")
    assert len(error["problems"]) == 2
    for words in ("log.level: expected", "models.gpt-4o.targets[0].provider: no provider"):
        assert words in error["message"]
        assert words in state(sidecar)["error"]
        assert words in sidecar.process.said
    assert who(sidecar) == BIG
    assert reload(sidecar).status == 200
    assert state(sidecar)["error"] is None


@pytest.mark.parametrize("text", ["models: [", "", "\x00", "{}: {}"])
def test_a_file_that_is_broken_or_gone_changes_nothing(sidecar: Sidecar, text: str) -> None:
    """Half a file, an empty one, none: what runs was good."""
    file = sidecar.folder / "sidecar.yaml"
    file.write_text(text) if text else file.unlink()
    assert sidecar.admin("POST", "/api/reload").status == 400
    assert who(sidecar) == BIG


def test_a_file_that_is_gone_is_no_change(sidecar: Sidecar) -> None:
    """Whoever replaces a file may first take it away: the default config is not what they want."""
    before = state(sidecar)
    (sidecar.folder / "sidecar.yaml").unlink()
    rewrite(sidecar, models=answered_by(SMALL))
    until(lambda: state(sidecar)["loaded_at"] > before["loaded_at"], "a reload")
    assert (who(sidecar), state(sidecar)["error"]) == (SMALL, None)


def test_what_needs_a_restart_is_named_and_keeps_its_value(sidecar: Sidecar) -> None:
    """Each time until the restart; the rest of the same file is in force."""
    changes: dict[str, Any] = {
        "listen": {"port": 1},
        "admin": {"port": 0, "token": "another"},
        "state_dir": "elsewhere",
        "cache": {"mode": "off", "max_entries": 5, "max_memory": "2MiB"},
        "models": answered_by(SMALL),
    }
    waiting = ["listen.port", "admin.token", "state_dir", "cache.max_entries", "cache.max_memory"]
    for _ in range(2):
        assert reload(sidecar, **changes).json["needs_restart"] == waiting
    assert f"wait for a restart: {', '.join(waiting)}" in sidecar.process.said
    assert who(sidecar) == SMALL
    assert not (sidecar.folder / "elsewhere").exists()


def test_streams_in_flight_end_on_what_they_began_with(tmp_path: Path) -> None:
    """While their model is answered by another, and their provider is gone from the config."""
    with (
        simulated(tmp_path / "slow", tokens_per_s=10) as slow,
        serving(slow, tmp_path, models=answered_by(BIG), cache=OFF) as sidecar,
        ThreadPoolExecutor(10) as crowd,
    ):
        ask = sidecar.ask
        streams = [crowd.submit(ask, f"{n}?", stream=True, max_tokens=30) for n in range(10)]
        until(lambda: slow.calls == 10, "ten streams under way")
        providers = {"q": {"kind": "simulated", "latency_ms": 0}}
        models = {BIG: {"targets": [{"provider": "q", "model": SMALL}]}}
        assert reload(sidecar, models=models, providers=providers).status == 200
        assert not any(stream.done() for stream in streams)
        assert who(sidecar) == SMALL
        replies = [stream.result() for stream in streams]
    assert {(reply.status, reply.events[-1]) for reply in replies} == {(200, DONE)}
    assert {reply.chunks[0]["model"] for reply in replies} == {BIG}


def test_the_kill_switch_survives_a_reload(provider: Provider, tmp_path: Path) -> None:
    """Unless the file's own mode is another one now."""
    with serving(provider, tmp_path, cache={"ttl": "1h"}) as sidecar:
        mode = lambda: sidecar.admin("GET", "/api/status").json["mode"]  # noqa: E731
        sidecar.mode("off")
        reload(sidecar, cache={"ttl": "2h"})
        assert mode() == "off"
        reload(sidecar, cache={"ttl": "2h", "mode": "shadow"})
        assert mode() == "shadow"


def test_a_toggle_survives_a_reload_that_still_offers_it(
    provider: Provider, tmp_path: Path
) -> None:
    """One that the new config doesn't offer is dropped with a line."""
    cheap = {"variants": {"cheap": [{"provider": "p", "model": SMALL}]}}
    models = {BIG: answered_by(BIG)[BIG] | cheap}
    with serving(provider, tmp_path, models=models, cache=OFF) as sidecar:
        sidecar.admin("PUT", f"/api/routes/{BIG}", {"active": "cheap"})
        reload(sidecar, models=models, tags={"defaults": {}})
        assert who(sidecar) == SMALL
        reload(sidecar, models=answered_by(BIG))
        assert who(sidecar) == BIG
        assert "is not toggled to cheap any more" in sidecar.process.said


def test_cache_rules_and_the_log_level_are_taken(provider: Provider, tmp_path: Path) -> None:
    """From the next request on."""
    with serving(provider, tmp_path, log={"level": "error"}) as sidecar:
        assert [sidecar.ask("Cached?").cache for _ in range(2)] == ["miss", "exact"]
        silent = sidecar.process.said
        rule = {"match": {"model": BIG}, "set": {"mode": "off"}}
        reload(sidecar, cache={"rules": [rule]}, log={"level": "info"})
        reply = sidecar.ask("Cached?")
        assert (reply.cache, silent) == ("bypass", sidecar.process.said[: len(silent)])
        request_id = reply.headers["x-sidecar-request-id"]
        until(lambda: request_id in sidecar.process.said, "a line of this request")


def test_whether_a_fallback_s_answer_is_kept_is_taken(provider: Provider, tmp_path: Path) -> None:
    """For chat and for embeddings, and what replies disclose with it."""
    fallback = {"fallbacks": [{"provider": "p", "model": SMALL}], "retry": {"attempts": 1}}
    with serving(provider, tmp_path, models={BIG: answered_by(BIG)[BIG] | fallback}) as sidecar:
        provider.script({"match": {"model": BIG}, "status": 503})
        told = []
        for number, keeps in enumerate((False, True, False)):
            reload(sidecar, models={BIG: answered_by(BIG)[BIG] | fallback},
                   cache={"store_fallback": keeps, "disclose": keeps})  # fmt: skip
            question = f"What is kept of number {number}?"
            replies = [sidecar.ask(question) for _ in range(2)]
            told.append((replies[1].cache, "age" in replies[1].headers))
            assert replies[0].headers["x-sidecar-model"] == SMALL
    assert told == [("miss", False), ("exact", True), ("miss", False)]


def test_a_new_model_has_a_name_in_the_metrics(sidecar: Sidecar) -> None:
    """And its target a breaker that can be watched before it is ever asked."""
    reload(sidecar, models={"new": answered_by(SMALL)[BIG]})
    sidecar.ask("Who are you?", model="new")
    named = 'sidecar_requests_total{cache="bypass",endpoint="chat",model="new"'

    def series() -> str:
        return sidecar.admin("GET", "/metrics").body.decode()

    until(lambda: named in series(), "the model's own series")
    assert f'sidecar_breaker_state{{model="{SMALL}",provider="p"}} 0.0' in series()


def test_a_key_file_that_is_not_there_refuses_a_start_and_a_reload(sidecar: Sidecar) -> None:
    """The config's file, its line, the key and the file that is missing are named."""
    base_url = sidecar.config["providers"]["p"]["base_url"]
    keyed = {"p": {"kind": "openai", "base_url": base_url, "api_key_file": "/absent/key"}}
    refused = reload(sidecar, providers=keyed)
    (problem,) = refused.json["error"]["problems"]
    file, line, told = problem.split(":", 2)
    assert file == str(sidecar.folder / "sidecar.yaml")
    assert "api_key_file" in Path(file).read_text().splitlines()[int(line) - 1]
    assert told == (
        " providers.p.api_key_file: /absent/key can't be read: No such file or directory"
    )
    assert who(sidecar) == BIG


def test_a_changed_key_file_is_taken_without_a_reload(provider: Provider, tmp_path: Path) -> None:
    """The new key is sent; neither is ever shown."""
    keys, file = ("canary-key-one", "canary-key-two"), tmp_path / "key"
    file.write_text(keys[0])
    with answering() as upstream:
        keyed = {"kind": "openai", "base_url": upstream.base_url, "api_key_file": str(file)}
        config = {"providers": {"p": keyed}, "cache": OFF, "log": {"level": "debug"}}
        with serving(provider, tmp_path, **config) as sidecar:
            sidecar.ask("First?")
            file.write_text("")
            sidecar.ask("Kept?")
            file.write_text(f"{keys[1]}\n")

            def is_taken() -> bool:
                sidecar.ask("Second?")
                return f"Bearer {keys[1]}" in upstream.heard[-1]

            until(is_taken, "the new key")
            told = sidecar.admin("GET", "/api/status").body.decode() + sidecar.process.said
    assert [f"Bearer {keys[0]}" in heard for heard in upstream.heard[:2]] == [True, True]
    assert not any(key in told for key in keys)
