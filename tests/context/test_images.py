"""An image takes at most what its vendor says, by the family of the model."""

from __future__ import annotations

import pytest

from sidecar.context.images import image_bound


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("gpt-4o", 1_445),
        ("gpt-4o-2024-11-20", 1_445),
        ("ft:gpt-4o-2024-08-06:acme::x", 1_445),
        ("gpt-4o-mini", 48_169),
        ("gpt-4o-mini-2024-07-18", 48_169),
        ("openai/gpt-4o-mini", 48_169),
        ("ft:gpt-4o-mini:acme::x", 48_169),
        ("GPT-4.1", 1_445),
        ("gpt-4.1-nano", 3_779),
        ("o1", 1_275),
        ("o4-mini", 3_779),
        ("gpt-5", 3_779),
        ("gpt-5-mini", 3_779),
        ("gpt-5.4", 24_600),
        ("gpt-6-sol", 24_600),
        ("claude-sonnet-4-5", 4_784),
        ("anthropic/claude-opus-5", 4_784),
    ],
)
def test_the_most_of_an_image(model, most) -> None:
    """Each family has its own; gpt-4o-mini takes 33 times what gpt-4o does."""
    assert image_bound(model) == most


@pytest.mark.parametrize(
    "model", ["llama3", "gemini-2.5-pro", "my-gpt-4o", "o10", "gpt-35-turbo", ""]
)
def test_of_other_models_nobody_tells(model) -> None:
    """A name that is not known is not taken for one that is."""
    assert image_bound(model) is None


@pytest.mark.parametrize(
    ("detail", "most"), [("low", 85), ("high", 1_445), ("auto", 1_445), (7, 1_445)]
)
def test_only_low_makes_it_small(detail, most) -> None:
    """Any other word leaves the size to the image."""
    assert image_bound("gpt-4o", detail) == most
