"""Fields that no type names: joined by their type."""

import pytest

from sidecar.wire.merge import joined, merged, text_bytes, weight_bytes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([None, None], None),
        (["a", None, "b"], "ab"),
        ([[1], [2, 3]], [1, 2, 3]),
        ([1, 2], 2),
        ([True, None], True),
        (["a", 1], 1),
        ([{"a": "x", "b": 1}, {"a": "y", "b": None, "c": [1]}], {"a": "xy", "b": 1, "c": [1]}),
    ],
)
def test_by_type(values, expected):
    """Strings and lists continue, objects are joined, of the rest the last counts."""
    assert joined(values) == expected


def test_said_once():
    """Ids and names inside objects are repeated, not continued."""
    audio = [{"id": "audio_1", "data": "AA"}, {"id": "audio_1", "data": "BB"}, {"id": None}]
    assert joined(audio) == {"id": "audio_1", "data": "AABB"}


def test_words_beside_the_message_are_repeated():
    """A stop reason that comes twice is one, while reasoning continues."""
    parts = [{"choice.stop_reason": "a", "reasoning": "x"}, {"choice.stop_reason": "b"},
             {"choice.stop_reason": None, "reasoning": "y"}]  # fmt: skip
    assert merged(parts) == {"choice.stop_reason": "b", "reasoning": "xy"}


def test_lists_beside_the_message_continue():
    """Token ids come in pieces."""
    assert merged([{"choice.token_ids": [1]}, {"choice.token_ids": [2]}]) == {
        "choice.token_ids": [1, 2]
    }


def test_nothing_is_changed_in_place():
    """Joining leaves its input alone, for chunks are shared."""
    first, second = {"a": [1]}, {"a": [2]}
    merged([first, second])
    assert (first, second) == ({"a": [1]}, {"a": [2]})


def test_weight():
    """Text counts in UTF-8, and every container and number counts something."""
    assert text_bytes("aé") == 3
    assert weight_bytes({"é": ["aé", 1, None]}) >= 2 + 3 + 3 * 8
