import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.rows import (
    DamagedRowError,
    decode_entry,
    decode_vector,
    encode_entry,
    encode_vector,
    frame,
    pack_tags,
    unpack_tags,
)
from sidecar.cache.slots import Place
from sidecar.domain import Choice, Completion
from tests.cache.making import completion, digest, entry, vector

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT, TEXT, st.lists(TEXT, max_size=4), st.floats(0, 2e9), st.floats(0, 1e6))
def test_entry_comes_back(
    question: str, answer: str, tags: list[str], expires_at: float, value: float
) -> None:
    """What is written is what is read, whatever the text."""
    kept = entry(
        question=question, completion=completion(answer), tags=tuple(tags), expires_at=expires_at,
        value=value,
    )  # fmt: skip
    assert decode_entry(encode_entry(3, kept, 10), Place(3, kept.key)) == kept


@pytest.mark.parametrize("column", range(18))
def test_changed_column_is_damage(column: int) -> None:
    """A change in any column, the seal included, is noticed."""
    kept = entry(tags=("a",), prompt="p@1")
    record = list(encode_entry(3, kept, 10))
    match record[column]:
        case bytes() as raw:
            record[column] = bytes([raw[0] ^ 1]) + raw[1:]
        case str() as text:
            record[column] = text + "x"
        case number:
            record[column] = number + 1
    with pytest.raises(DamagedRowError):
        decode_entry(record, Place(3, kept.key))


def test_any_flipped_bit_of_a_vector_is_damage() -> None:
    """A vector in which one bit differs is not used."""
    draw = random.Random(5)  # noqa: S311 - no secret
    row, key, scope, raw, seal = _vector_record(vector("a").tobytes())
    for _ in range(100):
        flipped = bytearray(raw)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        with pytest.raises(DamagedRowError):
            decode_vector((row, key, scope, bytes(flipped), seal), frame("mini"))


def _vector_record(raw: bytes, embedding: str = "mini") -> tuple[Any, ...]:
    """What the reader is given of a row: all of it but the model that it asked for."""
    row, key, scope, _, vector_, seal = encode_vector(3, entry(), embedding, raw)
    return row, key, scope, vector_, seal


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("other", [None, "text", 7, 7.5, b""])
def test_vector_with_a_part_of_another_kind_is_damage(part: int, other: object) -> None:
    """Whatever stands in a column, it is damage and no other error."""
    record: list[object] = list(_vector_record(b"abcd"))
    if part == 0:
        other = 4  # a row number is always a number
    record[part] = other
    with pytest.raises(DamagedRowError):
        decode_vector(record, frame("mini"))


def test_vector_of_another_model_is_damage() -> None:
    """The model that made a vector is sealed with it, though it isn't read back."""
    with pytest.raises(DamagedRowError):
        decode_vector(_vector_record(b"abcd", "mini"), frame("other"))


@given(st.binary(max_size=50), TEXT, st.integers(1, 2**62))
def test_vectors_seal_is_that_of_any_row(raw: bytes, embedding: str, row: int) -> None:
    """What checks a vector agrees with what seals every row, whatever is in it."""
    made = encode_vector(row, entry(), embedding, raw)
    read = decode_vector((*made[:3], *made[4:]), frame(embedding))
    assert read == (row, entry().key, entry().scope, raw)


@pytest.mark.parametrize("place", [Place(4, entry().key), Place(3, digest("other"))])
def test_row_of_another_entry_is_damage(place: Place) -> None:
    """A whole row that stands where another was expected is no answer either."""
    with pytest.raises(DamagedRowError):
        decode_entry(encode_entry(3, entry(), 10), place)


def test_moved_text_is_damage() -> None:
    """Text that moves from one column to the next changes the seal."""
    kept = entry(tenant="ab", user="c")
    record = list(encode_entry(3, kept, 10))
    record[8:10] = ["a", "bc"]
    with pytest.raises(DamagedRowError):
        decode_entry(record, Place(3, kept.key))


def test_lost_column_is_damage() -> None:
    """NULL where something was written is noticed."""
    record = list(encode_entry(3, entry(), 10))
    record[4] = None
    with pytest.raises(DamagedRowError):
        decode_entry(record, Place(3, entry().key))


def test_vector_names_its_entry() -> None:
    """A vector's row says whose it is."""
    row = decode_vector(_vector_record(b"abcd"), frame("mini"))
    assert row == (3, entry().key, entry().scope, b"abcd")


def test_text_without_utf8_is_refused() -> None:
    """A lone surrogate is an error when it is written, not when it is read."""
    answer = Completion("i", 1, "m", (Choice(0, "\ud800", "stop"),))
    with pytest.raises((TypeError, ValueError)):
        encode_entry(3, entry(completion=answer), 10)


@given(st.lists(st.text("a\\n\n", max_size=6), max_size=5))
def test_tags_come_back(tags: list[str]) -> None:
    """Tags with line ends and backslashes are what they were."""
    assert unpack_tags(pack_tags(tags)) == tuple(tags)
