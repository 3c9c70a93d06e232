"""The block that a start prints."""

import shlex

import orjson
import pytest

from sidecar.config import Config
from sidecar.startup import block

STATUS = {
    "version": "1.2.3",
    "mode": "serve",
    "embedding": {"model": "minilm", "dimension": 384},
    "cache": {"entries": 12_345},
    "state_dir": "/var/lib/sidecar",
}
DATA, ADMIN = "http://127.0.0.1:8080", "http://127.0.0.1:9090"


@pytest.fixture
def printed() -> list[str]:
    """The lines of a start with the default config."""
    return block(Config(), STATUS, DATA, ADMIN).splitlines()


@pytest.mark.parametrize(
    "fact",
    ["1.2.3", f"{DATA}/v1", ADMIN, "minilm", "12,345 entries", "mode serve", "/var/lib/sidecar"],
)
def test_the_block_tells_every_fact(printed, fact):
    """Version, addresses, model, cache, where state lives."""
    assert fact in "\n".join(printed)


def test_the_last_line_can_be_pasted_into_a_shell(printed):
    """It asks a configured model over the data plane."""
    words = shlex.split(printed[-1].strip().removeprefix("try"))
    assert words[:3] == ["curl", "-si", f"{DATA}/v1/chat/completions"]
    assert orjson.loads(words[-1])["model"] in Config().models


def test_a_models_name_can_not_break_out_of_the_line():
    """Quotes in it are quoted."""
    target = {"targets": [{"provider": "sim", "model": "m"}]}
    config = Config.model_validate(
        {"providers": {"sim": {"kind": "simulated"}}, "models": {"it's; rm -rf ~": target}}
    )
    words = shlex.split(block(config, STATUS, DATA, ADMIN).splitlines()[-1])
    assert orjson.loads(words[-1])["model"] == "it's; rm -rf ~"


def test_a_toggle_that_outlived_a_restart_is_told():
    """Else nobody would look for the reason why another model answers."""
    told = block(Config(), {**STATUS, "toggled": {"gpt-4o": "cheap"}}, DATA, ADMIN)
    assert "  toggled   gpt-4o to cheap" in told.splitlines()


def test_a_target_without_a_price_is_told():
    """Better at the start than to the first caller."""
    told = block(Config(), {**STATUS, "prices": {"notes": ["no price"]}}, DATA, ADMIN)
    assert "  note      no price" in told.splitlines()
