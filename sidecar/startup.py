"""The block that a start prints: what runs, where, on whose answers, and a line to try."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from sidecar.config import Config
from sidecar.config.defaults import provider_line

QUESTION = "How do I reset my password?"


def block(config: Config, status: Mapping[str, Any], data_url: str, admin_url: str) -> str:
    """The whole block, a line a fact."""
    embedding, cache = status["embedding"], status["cache"]
    toggled = status.get("toggled", {}).items()
    lines = [
        ("apps", f"{data_url}/v1"),
        ("admin", admin_url),
        ("model", f"{embedding['model']}, {embedding['dimension']} dimensions"),
        ("cache", f"{cache['entries']:,} entries, mode {status['mode']}"),
        ("provider", provider_line(config)),
        ("state", str(status["state_dir"])),
        *(("toggled", f"{model} to {variant}") for model, variant in toggled),
        *(("note", note) for note in (*config.notes, *status.get("prices", {}).get("notes", ()))),
        ("try", _curl(data_url, next(iter(config.models), "gpt-4o-mini"))),
    ]
    rows = (f"  {name:<9} {text}" for name, text in lines)
    return "\n".join((f"semantic-sidecar {status['version']} is ready", *rows))


def _curl(data_url: str, model: str) -> str:
    message = {"role": "user", "content": QUESTION}
    body = json.dumps({"model": model, "messages": [message]})
    address = f"{data_url}/v1/chat/completions"
    return f"curl -si {address} -H 'content-type: application/json' -d {shlex.quote(body)}"
