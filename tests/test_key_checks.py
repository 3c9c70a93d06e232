"""Keys that a config names: looked at before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import Config
from sidecar.errors import ConfigError
from sidecar.key_checks import key_problems, load_with_keys

URL = "http://127.0.0.1:9"


def problems(**provider: Any) -> list[str]:
    """What is told of one provider."""
    models = {"m": {"targets": [{"provider": "p", "model": "m"}]}}
    return [
        str(p) for p in key_problems(Config.parse({"providers": {"p": provider}, "models": models}))
    ]


@pytest.mark.parametrize("kind", ["openai", "anthropic", "azure"])
def test_every_kind_that_has_a_key_is_looked_at(kind: str, tmp_path: Path) -> None:
    """A folder in the place of a file; a key that would break out of its header."""
    told = problems(kind=kind, base_url=URL, api_key_file=str(tmp_path))
    assert told == [f"providers.p.api_key_file: {tmp_path} can't be read: Is a directory"]
    (bad,) = problems(kind=kind, base_url=URL, api_key="canary\r\nx-evil: 1")
    assert bad.startswith("providers.p.api_key: ")
    assert "canary" not in bad


@pytest.mark.parametrize(
    "provider",
    [
        {"kind": "simulated"},
        {"kind": "openai"},
        {"kind": "openai", "api_key": "sk-1"},
        {"kind": "openai", "api_key": "from_client"},
    ],
)
def test_what_is_good_or_needs_no_key_is_no_problem(provider: dict[str, Any]) -> None:
    """No key at all is for servers that want none."""
    assert problems(**provider) == []


def test_a_file_of_the_home_folder_is_found(tmp_path: Path, monkeypatch) -> None:
    """As a start finds it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("sk-1")
    assert problems(kind="openai", api_key_file="~/key") == []


def test_all_are_told_where_they_stand_also_in_the_environment(tmp_path: Path) -> None:
    """A variable that overrides the file is the place to change."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "models: {m: {targets: [{provider: a, model: m}]}}\n"
        "providers:\n"
        "  a: {kind: openai, api_key_file: /absent/a}\n"
        "  b: {kind: openai}\n"
    )
    environ = {"SIDECAR__PROVIDERS__B__API_KEY_FILE": "/absent/b"}
    with pytest.raises(ConfigError) as refused:
        load_with_keys(str(file), environ)
    first, second = sorted(refused.value.message.splitlines(), key=lambda line: "/absent/b" in line)
    assert first.startswith(f"{file}:3: providers.a.api_key_file: /absent/a ")
    assert second.startswith(
        "SIDECAR__PROVIDERS__B__API_KEY_FILE: providers.b.api_key_file: /absent/b "
    )


def test_it_loads_no_web_framework() -> None:
    """`sidecar check` and a start that is refused are over at once."""
    told = "import sys, sidecar.key_checks; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_key_that_runs_already_is_not_looked_at_again(tmp_path: Path) -> None:
    """Its file may be empty for the moment in which it is written; one that is new may not."""
    key, file = tmp_path / "key", tmp_path / "c.yaml"
    key.write_text("sk-1")
    provider = f"{{kind: openai, api_key_file: {key}}}"
    text = f"models: {{m: {{targets: [{{provider: a, model: m}}]}}}}\nproviders:\n  a: {provider}\n"
    file.write_text(text)
    running = load_with_keys(str(file), {})
    key.write_text("")
    assert load_with_keys(str(file), {}, running) == running
    file.write_text(f"{text}  b: {provider}\n")
    with pytest.raises(ConfigError) as refused:
        load_with_keys(str(file), {}, running)
    assert refused.value.message.startswith(f"{file}:4: providers.b.api_key_file: {key} is empty")
    assert "\n" not in refused.value.message


def test_a_name_that_leads_elsewhere_now_is_looked_at_again(tmp_path: Path) -> None:
    """Only the same provider has its key already."""
    key, file = tmp_path / "key", tmp_path / "c.yaml"
    key.write_text("sk-1")
    text = (
        "models: {m: {targets: [{provider: a, model: m}]}}\n"
        "providers: {a: {kind: openai, api_key_file: PLACE}}\n"
    )
    file.write_text(text.replace("PLACE", str(key)))
    running = load_with_keys(str(file), {})
    file.write_text(text.replace("PLACE", "/absent"))
    with pytest.raises(ConfigError, match=r"providers\.a\.api_key_file: /absent can't be read"):
        load_with_keys(str(file), {}, running)
