"""The embedded default: real where a key is at hand, simulated where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.helpers import parsed
from sidecar.config.defaults import provider_line
from sidecar.config.loading import load
from sidecar.config.model import Config

NAMES = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small"]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def owners(config: Config) -> dict[str, str]:
    """Who answers for each model."""
    return {name: model.targets[0].provider for name, model in config.models.items()}


def test_without_keys_all_four_models_are_simulated() -> None:
    """A fresh machine answers, and asks nobody."""
    assert owners(load(None, {})) == dict.fromkeys(NAMES, "sim")


def test_a_provider_whose_key_is_at_hand_is_real() -> None:
    """Each key brings its own models and no others."""
    config = load(None, {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": ""})
    assert owners(config) == dict.fromkeys(NAMES, "sim") | {"claude-sonnet-4-5": "claude"}
    assert config.masked()["providers"]["claude"] == {
        "kind": "anthropic",
        "base_url": "https://api.anthropic.com",
        "api_key": "**********",
        "api_key_file": None,
    }


def test_one_line_says_who_answers() -> None:
    """Nobody takes an invented answer for a real one."""
    assert provider_line(load(None, {"OPENAI_API_KEY": "k"})) == (
        "openai answers gpt-4o, gpt-4o-mini, text-embedding-3-small; claude-sonnet-4-5: simulated "
        "(for real answers set ANTHROPIC_API_KEY, or configure a provider)"
    )


def test_the_line_stays_short_with_many_models() -> None:
    """It stands in the start-up block."""
    targets = [{"provider": "sim", "model": "m"}]
    models = {f"m{number}": {"targets": targets} for number in range(9)}
    assert provider_line(parsed({"models": models})) == (
        "m0, m1, m2, m3, m4, m5 and 3 more: simulated"
    )


def test_the_line_tells_who_answers_now() -> None:
    """A variant that config has active is who answers."""
    variants = {"real": [{"provider": "mine", "model": "m"}]}
    model = {"targets": [{"provider": "sim", "model": "m"}], "variants": variants}
    providers = {"sim": {"kind": "simulated"}, "mine": {"kind": "openai"}}
    config = parsed({"providers": providers, "models": {"m": {**model, "active": "real"}}})
    assert provider_line(config) == "mine answers m"
