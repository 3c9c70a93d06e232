"""`sidecar check`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from cli.helpers import run
from sidecar.config.model import Config

FILE = """\
cache: {ttl: 90m, threshold: 0.9}
admin: {token: "${TOKEN}"}
"""
SECRET = "s3cr3t-canary"  # noqa: S105


def checked(folder: Path, *arguments: str) -> str:
    """What it prints of a good config."""
    (folder / "sidecar.yaml").write_text(FILE)
    told = run("check", *arguments, cwd=folder, TOKEN=SECRET)
    assert (told.status, told.err) == (0, "")
    return told.out


def test_it_prints_the_whole_config_as_yaml(tmp_path: Path) -> None:
    """Resolved: what was given, and every default."""
    shown = yaml.safe_load(checked(tmp_path))
    assert shown["cache"]["ttl"] == "90m"
    assert shown.keys() == Config.model_fields.keys()


def test_secrets_are_masked(tmp_path: Path) -> None:
    """Its output ends up in tickets."""
    for arguments in ([], ["--json"]):
        shown = checked(tmp_path, *arguments)
        assert SECRET not in shown
        assert "**********" in shown


def test_it_says_who_answers_and_what_is_not_in_force(tmp_path: Path) -> None:
    """Plainly, and the limit on wrong hits first, with what applies instead."""
    comments = [line for line in checked(tmp_path).splitlines() if line.startswith("# ")]
    floor = "a semantic hit needs a cosine of at least 0.92 and equal numbers"
    assert ": simulated (for real answers set OPENAI_API_KEY" in comments[0]
    assert re.fullmatch(r"# prices of 20\d\d-\d\d-\d\d, as shipped; .*", comments[1])
    assert comments[2:] == [
        f"# cache.max_wrong_hit_rate is not in force yet: {floor}",
        f"# cache.threshold is not in force yet: {floor}",
    ]


def test_json_has_the_same_for_machines(tmp_path: Path) -> None:
    """Config, notes and providers apart."""
    shown = json.loads(checked(tmp_path, "--json"))
    assert shown["config"]["cache"]["ttl"] == "90m"
    assert len(shown["notes"]) == 2
    assert "simulated" in shown["providers"]
    assert shown["prices"].startswith("prices of 20")


UNPRICED = """\
providers: {p: {kind: openai, base_url: "http://127.0.0.1:9/v1"}}
models:
  gpt-4o: {targets: [{provider: p, model: gpt-4o}]}
  own: {targets: [{provider: p, model: own-1}], variants: {x: [{provider: p, model: own-2}]}}
  free: {targets: [{provider: p, model: free-1}]}
prices: {own-1: {input: 1, output: 2}}
budgets: [{name: b, match: {model: "ow*", user: ann}, limit_usd: 5}]
"""


def test_a_target_without_a_price_that_a_budget_may_pay_is_told(tmp_path: Path) -> None:
    """Else the first caller would learn it; what no budget pays for is not refused."""
    (tmp_path / "u.yaml").write_text(UNPRICED)
    told = run("check", "--config", "u.yaml", cwd=tmp_path)
    assert told.status == 0
    assert [line for line in told.out.splitlines() if "price is known" in line] == [
        "# no price is known for own-2 of p: calls to it will be refused where the budget b pays;"
        " set prices.own-2"
    ]


def test_a_setting_that_would_not_be_enforced_is_refused(tmp_path: Path) -> None:
    """Above all what is there to protect."""
    (tmp_path / "b.yaml").write_text("cache:\nadmin: {read_only_token: t}\n")
    told = run("check", "--config", "b.yaml", cwd=tmp_path)
    assert (told.status, told.err) == (
        2,
        "b.yaml:2: admin.read_only_token: not available in this version: remove it; "
        "it would not be enforced\n",
    )


KEYED = """\
models: {m: {targets: [{provider: a, model: m}]}}
providers:
  a: {kind: openai, base_url: http://127.0.0.1:9/v1, api_key_file: key}
  b:
    kind: anthropic
    api_key: "${KEY}"
"""


def test_key_files_are_opened(tmp_path: Path) -> None:
    """A config whose keys can't be used is none; each is told with its line, none is shown."""
    (tmp_path / "k.yaml").write_text(KEYED)
    told = run("check", "--config", "k.yaml", cwd=tmp_path, KEY=f"{SECRET}\u00e9")
    assert (told.status, told.out) == (2, "")
    assert told.err.splitlines() == [
        "k.yaml:3: providers.a.api_key_file: key can't be read: No such file or directory",
        "k.yaml:6: providers.b.api_key: api_key holds what no header can carry,"
        " such as a line break",
    ]


def test_a_key_file_that_is_good_is_not_shown(tmp_path: Path) -> None:
    """Its name is, and the key of the environment is masked."""
    (tmp_path / "k.yaml").write_text(KEYED)
    (tmp_path / "key").write_text(f"{SECRET}\n")
    told = run("check", "--config", "k.yaml", cwd=tmp_path, KEY=SECRET)
    assert (told.status, told.err) == (0, "")
    assert "api_key_file: key" in told.out
    assert SECRET not in told.out


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    """As a start would refuse it."""
    (tmp_path / "k.yaml").write_text(KEYED)
    (tmp_path / "key").write_text("\n")
    told = run("check", "--config", "k.yaml", cwd=tmp_path, KEY=SECRET)
    assert told.status == 2
    assert told.err.startswith("k.yaml:3: providers.a.api_key_file: key is empty")
