"""A process that is killed and started again serves everything that it had committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .running import Provider, Sidecar, start_sidecar
from .streams import told
from .test_replay import STREAM
from .test_sdk_answers import WITH_TOOLS

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
TOPICS = [f"Tell me about topic {number}" for number in range(8)]


@pytest.fixture(scope="module")
def restarted(serve: Callable[..., Sidecar], shared_provider: Provider) -> Iterator[Sidecar]:
    """A sidecar on the state of one that was killed in the middle of its life."""
    shared_provider.forget()
    first = serve()
    for question in (ASKED, *TOPICS):
        first.ask(question, {"x-sidecar-tenant": "a", "x-sidecar-cache-tags": "t"}, **STREAM)
    first.ask(ASKED, **WITH_TOOLS)
    first.flush()
    first.process.kill()
    second = start_sidecar(first.folder, first.config)
    yield second
    second.process.kill()


def test_the_exact_tier(restarted: Sidecar, provider: Provider) -> None:
    """Every entry, for its own tenant and no other."""
    for question in (ASKED, *TOPICS):
        hit = restarted.ask(question, {"x-sidecar-tenant": "a"})
        assert (hit.cache, hit.text.count(question)) == ("exact", 1)
    assert restarted.ask(ASKED, {"Cache-Control": "only-if-cached"}).status == 504
    assert provider.calls == 0


def test_the_semantic_tier(restarted: Sidecar, provider: Provider) -> None:
    """Vectors come from the disk as they were."""
    hit = restarted.ask(NEAR, {"x-sidecar-tenant": "a"})
    assert (hit.cache, provider.calls) == ("semantic", 0)
    assert "How do I reset my password?" in hit.text


def test_calls_of_tools(restarted: Sidecar, provider: Provider) -> None:
    """An answer that calls a tool comes back whole."""
    hit = restarted.ask(ASKED, **WITH_TOOLS)
    assert (hit.cache, provider.calls) == ("exact", 0)
    assert told(hit)["calls"][0]["function"]["name"] == "get_weather"


def test_tags(restarted: Sidecar) -> None:
    """Entries can be purged by the tags that they were stored with."""
    assert restarted.purge(tag="t", dry_run=True)["matched"] == 1 + len(TOPICS)
