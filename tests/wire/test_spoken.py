"""The text of an answer, in whichever form it came."""

import pytest

from sidecar.wire.spoken import spoken

TEXT = {"type": "text", "text": "a"}
NO_TEXTS = [{"type": "thinking", "thinking": [TEXT]}, {"type": "text", "text": 5}, "b", None]


@pytest.mark.parametrize(
    ("text", "content", "said"),
    [
        (None, None, ""),
        ("b", None, "b"),
        ("b", "no list", "b"),
        (None, [TEXT, *NO_TEXTS, TEXT], "aa"),
        ("b", [TEXT], "ab"),
        (None, [], ""),
    ],
)
def test_texts_are_said_in_their_order(text, content, said):
    """Thoughts and whatever else stands among them are not."""
    assert spoken(text, {"content": content}) == said
