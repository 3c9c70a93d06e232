"""What a running sidecar can't change."""

from __future__ import annotations

from typing import Any

import pytest

from config.helpers import MODELS, parsed
from sidecar.config.restart import changed, kept, needs_restart

RUNNING = parsed({"models": MODELS})


@pytest.mark.parametrize(
    ("tree", "keys"),
    [
        ({"listen": {"port": 1, "drain_s": 5}}, ("listen.port", "listen.drain_s")),
        ({"admin": {"token": "t"}}, ("admin.token",)),
        ({"state_dir": "x"}, ("state_dir",)),
        ({"embedding": {"timeout_ms": 1}}, ("embedding.timeout_ms",)),
        ({"usage": {"retention": "1h"}}, ("usage.retention",)),
        ({"log": {"format": "json", "level": "debug"}}, ("log.format",)),
        ({"cache": {"max_entries": 1, "ttl": "1h"}}, ("cache.max_entries",)),
        ({"cache": {"max_memory": "2MiB", "max_disk": "2MiB"}},
         ("cache.max_memory", "cache.max_disk")),
    ],
)  # fmt: skip
def test_what_waits_for_a_restart_is_named_as_the_file_has_it(
    tree: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """Key by key, and the values stay."""
    wanted = parsed({"models": MODELS, **tree})
    assert needs_restart(RUNNING, wanted) == keys
    assert needs_restart(RUNNING, kept(RUNNING, wanted)) == ()


def test_the_rest_of_the_same_section_is_taken() -> None:
    """A level beside a format, a TTL beside a size."""
    wanted = parsed(
        {
            "models": MODELS,
            "log": {"format": "json", "level": "debug"},
            "cache": {"max_entries": 1, "ttl": "1h"},
        }
    )
    new = kept(RUNNING, wanted)
    assert (new.log.level, new.log.format) == ("debug", "auto")
    assert (new.cache.ttl_s, new.cache.max_entries) == (3600, 100_000)
    assert changed(RUNNING, wanted) == ("log", "cache")


def test_what_can_change_is_the_new_config_s() -> None:
    """Models, providers, clients, limits, tags."""
    wanted = parsed(
        {
            "models": {"n": MODELS["m"]},
            "providers": {"sim": {"kind": "simulated"}},
            "clients": [{"key": "k"}],
            "rate_limits": [{"requests_per_minute": 1}],
            "tags": {"required": ["user"]},
        }
    )
    assert kept(RUNNING, wanted) == wanted
    assert needs_restart(RUNNING, wanted) == ()
    assert set(changed(RUNNING, wanted)) >= {"models", "clients", "rate_limits", "tags"}


def test_the_same_config_changes_nothing() -> None:
    """A file that was only touched."""
    assert changed(RUNNING, RUNNING) == needs_restart(RUNNING, RUNNING) == ()
