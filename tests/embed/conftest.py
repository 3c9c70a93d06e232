from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.embed import open_embedder
from sidecar.embed.onnx import OnnxEmbedder
from tests.embed.embedders import Held


@pytest.fixture(scope="session")
def minilm() -> OnnxEmbedder:
    """The shipped model, loaded once."""
    embedder = open_embedder()
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


@pytest.fixture
def held() -> Iterator[Held]:
    """An embedder whose runs wait until the test lets them go, or the test ends."""
    embedder = Held()
    yield embedder
    embedder.go.set()
