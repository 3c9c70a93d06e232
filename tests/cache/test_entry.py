import gc
import tracemalloc
from dataclasses import replace

import pytest

from sidecar.cache.entry import Entry, Selector, disk_bytes, memory_bytes
from sidecar.wire.openai_reply import build_completion, parse_completion
from tests.cache.making import entry, noise

KEPT = entry(
    "a", tenant="shop", user="ann", prompt="greet@2", tags=("faq", "eu"), model="asked",
    answered_model="answered",
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant", "shop"),
        ("user", "ann"),
        ("tag", "eu"),
        ("model", "asked"),
        ("model", "answered"),
        ("prompt", "greet@2"),
        ("prompt", "greet"),
        ("entry", KEPT.id),
        ("all", ""),
    ],
)
def test_selector_means_entry(field: str, value: str) -> None:
    """Each field selects the entry that has the value; a prompt's id means all its versions."""
    assert Selector(field, value).matches(KEPT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant", "sho"),
        ("user", ""),
        ("tag", "e"),
        ("model", "openai"),
        ("prompt", "greet@"),
        ("prompt", "gree"),
        ("prompt", "greet@20"),
        ("entry", KEPT.id[:-1]),
    ],
)
def test_selector_spares_others(field: str, value: str) -> None:
    """A part of a value, or a value of another field, selects nothing."""
    assert not Selector(field, value).matches(KEPT)


def test_unknown_field_is_refused() -> None:
    """A selector that could never match is an error, not a purge of nothing."""
    with pytest.raises(ValueError, match="select by one of tenant"):
        Selector("color", "red")


def _copy(original: Entry, number: int) -> Entry:
    body = build_completion(original.completion)
    return replace(
        original, id=f"{number:016}", completion=parse_completion(body), key=bytes(32 * [1]),
        question=f"{original.question} {number}",
    )  # fmt: skip


@pytest.mark.parametrize("length", [40, 4_000])
def test_memory_is_estimated(length: int) -> None:
    """The estimate is within a factor of two of what the allocator says."""
    original = entry("a", text=noise(1, length))
    tracemalloc.start()
    kept = [_copy(original, number) for number in range(200)]
    gc.collect()
    real = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    assert real / 2 < memory_bytes(kept[0]) < real * 2


def test_vector_counts_on_disk() -> None:
    """A vector adds its own bytes, and a little, to what an entry takes on disk."""
    weight = memory_bytes(entry())
    assert 1536 < disk_bytes(weight, 1536) - disk_bytes(weight, 0) < 2000
