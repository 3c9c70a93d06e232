"""Where a config comes from: file, environment, embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.helpers import loaded, refused, written
from sidecar import config as package
from sidecar.config import overrides
from sidecar.config.loading import load
from sidecar.config.model import Config
from sidecar.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_named_file_goes_before_all_others(here: Path) -> None:
    """`--config`, then `$SIDECAR_CONFIG`, then ./sidecar.yaml, then the embedded default."""
    for number, name in enumerate(("sidecar.yaml", "env.yaml", "named.yaml"), start=1):
        (here / name).write_text(f"listen: {{port: {number}}}")
    environ = {"SIDECAR_CONFIG": "env.yaml"}
    assert load("named.yaml", environ).listen.port == 3
    assert load(None, environ).listen.port == 2
    assert load(None, {"SIDECAR_CONFIG": ""}).listen.port == 1
    (here / "sidecar.yaml").unlink()
    assert load(None, {}).listen.port == 8080


@pytest.mark.parametrize("environ", [{}, {"SIDECAR_CONFIG": "absent.yaml"}])
def test_a_named_file_that_is_absent_is_an_error(here: Path, environ: dict[str, str]) -> None:
    """Starting with another config than was asked for would be worse."""
    with pytest.raises(ConfigError, match=r"absent.yaml: can't be read: No such file"):
        load(None if environ else "absent.yaml", environ)


def test_a_folder_is_no_config(here: Path) -> None:
    """A volume that was mounted wrongly looks like this."""
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(str(here), {})


def test_the_package_offers_config_and_load() -> None:
    """Also after their modules were imported by name."""
    assert package.load is load
    assert package.Config is Config


# Overrides


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("SIDECAR__CACHE__MAX_WRONG_HIT_RATE", "0.005", "cache.max_wrong_hit_rate", 0.005),
        ("sidecar__cache__ttl", "7d", "cache.ttl", "7d"),
        ("SIDECAR__STATE_DIR", "/x", "state_dir", "/x"),
        ("SIDECAR__CACHE__MODE", "off", "cache.mode", "off"),
        ("SIDECAR__CACHE__VERIFY", "false", "cache.verify", False),
        ("SIDECAR__CACHE__AUDIT__SHARE", "0.5", "cache.audit.share", 0.5),
        ("SIDECAR__CACHE__AUDIT", "{share: 0.5}", "cache.audit.share", 0.5),
        ("SIDECAR__LISTEN__ALLOWED_HOSTS", "[a, b]", "listen.allowed_hosts", ["a", "b"]),
        ("SIDECAR__LISTEN__ALLOWED_HOSTS", "- a\n- b", "listen.allowed_hosts", ["a", "b"]),
        ("SIDECAR__LISTEN__UNIX_SOCKET", "null", "listen.unix_socket", None),
        ("SIDECAR__MODELS__GPT_4O__MAX_IN_FLIGHT", "5", "models.gpt-4o.max_in_flight", 5),
        ("SIDECAR__MODELS__GPT_4O__TARGETS__0__WEIGHT", "7", "models.gpt-4o.targets.0.weight", 7),
        ("SIDECAR__PROVIDERS__SIM__LATENCY_MS", "0", "providers.sim.latency_ms", 0),
    ],
)
def test_any_key_can_be_overridden(
    here: Path, name: str, value: str, path: str, expected: object
) -> None:
    """Nested keys, lists, names that a shell can't spell; in any case."""
    node: Any = load(None, {name: value}).masked()
    for step in path.split("."):
        node = node[int(step)] if isinstance(node, list) else node[step]
    assert node == expected


def test_an_override_goes_before_the_file_and_leaves_the_rest(tmp_path: Path) -> None:
    """Only the named key changes."""
    listen = loaded(tmp_path, "listen: {port: 81, drain_s: 3}", SIDECAR__LISTEN__PORT="82").listen
    assert (listen.port, listen.drain_s) == (82, 3)


def test_an_override_can_mend_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    """It is looked at afterwards."""
    assert loaded(tmp_path, "listen: {port: x}", SIDECAR__LISTEN__PORT="82").listen.port == 82


def test_an_override_of_what_the_environment_put_in_is_told_as_itself(tmp_path: Path) -> None:
    """Its value is the variable's, no longer the file's."""
    text = "listen: {port: ${PORT}}"
    (told,) = refused(tmp_path, text, PORT="x", SIDECAR__LISTEN__PORT="y")
    assert told.startswith("SIDECAR__LISTEN__PORT: listen.port: ")
    assert told.endswith('got "y"')


def test_a_secret_override_is_taken_as_it_is(here: Path) -> None:
    """Text that looks like a number, or like YAML, stays that text."""
    for secret in ("0123", "a: b", "true", "#x", "&x", "*x"):
        token = load(None, {"SIDECAR__ADMIN__TOKEN": secret}).admin.token
        assert token is not None
        assert token.get_secret_value() == secret


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "SIDECAR__CACHE__MAX_WRONG_HIT_RATE",
            "2%",
            'cache.max_wrong_hit_rate: expected a number between 0 and 1, got "2%"',
        ),
        ("SIDECAR__CACHE__TLL", "1h", "cache.tll: unknown key; did you mean ttl?"),
        ("SIDECAR__NEW__KEY", "1", "new: unknown key"),
        ("SIDECAR__", "1", "expected names between two underscores, as in SIDECAR__CACHE__TTL"),
        ("SIDECAR__CACHE____TTL", "1", "expected names between two underscores, as in"),
        ("SIDECAR__STATE_DIR__X", "1", "state_dir: expected a text"),
        ("SIDECAR__CACHE__RULES", "[", "not valid YAML"),
        ("SIDECAR__CACHE__RULES", "[!!python/name:os.system x]", "not a value that is known"),
        ("SIDECAR__MODELS__GPT_4O__TARGETS__7__WEIGHT", "1", "7: expected a place in a list of 1"),
        ("SIDECAR__MODELS__GPT_4O__TARGETS__X__WEIGHT", "1", "X: expected a place in a list of 1"),
    ],
)
def test_a_bad_override_is_named_by_its_variable(
    here: Path, name: str, value: str, line: str
) -> None:
    """That is the place to change."""
    with pytest.raises(ConfigError) as error:
        load(None, {name: value})
    (told,) = error.value.message.splitlines()
    assert told.startswith(f"{name}: ")
    assert line in told


def test_two_variables_for_one_key_are_refused(here: Path) -> None:
    """Neither is the obvious one."""
    with pytest.raises(ConfigError, match="SIDECAR__CACHE__TTL says it too"):
        load(None, {"SIDECAR__CACHE__TTL": "1h", "sidecar__cache__ttl": "2h"})


def test_a_variable_that_fits_two_names_is_refused(tmp_path: Path) -> None:
    """`A_B` is both `a-b` and `a.b`."""
    targets = "{targets: [{provider: sim, model: m}]}"
    (told,) = refused(
        tmp_path,
        f"models: {{a-b: {targets}, a.b: {targets}}}",
        SIDECAR__MODELS__A_B__MAX_IN_FLIGHT="1",
    )
    assert told == "SIDECAR__MODELS__A_B__MAX_IN_FLIGHT: A_B: fits both a-b and a.b"


def test_variables_of_other_programs_are_none_of_ours(here: Path) -> None:
    """Kubernetes sets SIDECAR_PORT for a service of that name."""
    assert load(None, {"SIDECAR_PORT": "tcp://10.0.0.1:80", "SIDECAR_X": "y"}).listen.port == 8080


# Whatever comes, it is a config or a ConfigError

KEYS = st.sampled_from(
    ["listen", "port", "cache", "ttl", "rules", "models", "targets", "a", "${X}"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["${X}", "${X:-1}", "1h", "sim", "openai"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
LENIENT = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def whole_or_refused(folder: Path, text: str | bytes, environ: dict[str, str]) -> None:
    """`load` returns a config or raises ConfigError with a line a problem."""
    try:
        assert isinstance(load(written(folder, text), environ), Config)
    except ConfigError as error:
        assert all(line.strip() for line in error.message.split("\n"))  # noqa: PT017


@LENIENT
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_bytes_are_a_config_or_refused(tmp_path: Path, text: str | bytes) -> None:
    """Nothing else comes out of a file that holds anything at all."""
    whole_or_refused(
        tmp_path, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, {}
    )


@LENIENT
@given(st.dictionaries(st.sampled_from(list(Config.model_fields)), VALUES, max_size=4))
def test_any_tree_is_a_config_or_refused(tmp_path: Path, tree: dict[str, Any]) -> None:
    """Nor out of one whose keys are right and whose values are anything."""
    whole_or_refused(tmp_path, yaml.safe_dump(tree, allow_unicode=True), {"X": "x"})


@LENIENT
@given(
    st.dictionaries(
        st.lists(KEYS | st.sampled_from(["0", "GPT_4O", ""]), max_size=4).map(
            lambda steps: overrides.PREFIX + "__".join(steps)
        ),
        st.text(max_size=12) | st.sampled_from(["[1]", "{a: 1}", "[", "null", "5"]),
        max_size=3,
    )
)
def test_any_environment_is_a_config_or_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """Nor out of any overrides."""
    whole_or_refused(tmp_path, "listen: {port: 0}", environ)
