"""The backend's own suite stands in tests/extra, since it needs torch."""

from __future__ import annotations

import sys

import pytest

from sidecar.embed import open_embedder
from sidecar.errors import ConfigError


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command, whether the package is absent here or not."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError) as told:
        open_embedder("any", backend="sentence-transformers")
    assert 'pip install "semantic-sidecar[sentence-transformers]"' in told.value.message
