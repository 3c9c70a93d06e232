"""Which ways of writing a value in JSON are one value to the key, and which are two."""

import unicodedata
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.key import CacheKey, canonical
from sidecar.wire.openai_request import parse_chat_request
from tests.cache.keying import BASE, ORIGINAL, key_of


def body() -> dict:
    """A request as JSON, with letters and numbers of several forms."""
    return {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "café"},
            {"role": "user", "content": "naïve?", "name": "Zoë"},
        ],
        "temperature": 0,
        "logit_bias": {"5": 1.0, "7": -2},
        "x_unknown": {"ä": [1, 2.0, {"b": None, "a": "é"}]},
    }


def key_of_bytes(data: bytes) -> CacheKey:
    """The key of a request as it comes in."""
    return key_of(parse_chat_request(data))


FROM_BYTES = key_of_bytes(orjson.dumps(body()))


def shuffled(value: object, data) -> object:
    """The same JSON with fields in another order, other forms of letters and of numbers."""
    if isinstance(value, dict):
        names = data.draw(st.permutations(sorted(value)))
        return {form_of(name, data): shuffled(value[name], data) for name in names}
    if isinstance(value, list):
        return [shuffled(item, data) for item in value]
    if isinstance(value, str):
        return form_of(value, data)
    if isinstance(value, int | float) and value == int(value):
        return data.draw(st.sampled_from([int(value), float(value)]))
    return value


def form_of(text: str, data) -> str:
    """The same text with its accents joined to their letters, or apart."""
    return unicodedata.normalize(data.draw(st.sampled_from(["NFC", "NFD"])), text)


@given(st.data())
def test_spelling_makes_no_difference(data):
    """Field order, white space in JSON, the Unicode form and 0 or 0.0 are one request."""
    option = data.draw(st.sampled_from([0, orjson.OPT_INDENT_2]))
    value = shuffled(body(), data)
    # Field names that are OpenAI's own are ASCII, so that no form can change them.
    assert key_of_bytes(orjson.dumps(value, option=option)).exact == FROM_BYTES.exact


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_the_canonical_form_is_its_own(value):
    """Taken twice it is the same, so that a stored key is found again."""
    assert canonical(canonical(value)) == canonical(value)


@given(JSON, JSON)
def test_different_values_have_different_scopes(one, other):
    """An unknown field is never confused with another value of it."""
    if orjson.dumps(canonical(one), option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        canonical(other), option=orjson.OPT_SORT_KEYS
    ):
        return
    assert key_of(replace(BASE, unknown={"x": one})).scope != (
        key_of(replace(BASE, unknown={"x": other})).scope
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [(0, False), (1, True), (0, None), (0, "0"), ([], {}), ("", None), ([1], 1), (0.1, 0.2)],
)
def test_values_that_python_takes_for_equal_are_told_apart(one, other):
    """JSON's true is no 1, and an empty list is no absent one."""
    assert key_of(replace(BASE, unknown={"x": one})) != key_of(replace(BASE, unknown={"x": other}))


@pytest.mark.parametrize(("one", "other"), [(0, 0.0), (0, -0.0), (5, 5.0), (-3, -3.0)])
def test_whole_numbers_have_one_form(one, other):
    """A client that writes 0.0 asks what one that writes 0 asks."""
    assert key_of(replace(BASE, unknown={"x": one})) == key_of(replace(BASE, unknown={"x": other}))


def test_a_float_too_large_to_be_exact_stays_one():
    """2⁵³ as a float need not be the number that was written."""
    assert isinstance(canonical(2.0**53), float)
    assert canonical(2.0**53 - 1) == 2**53 - 1


def test_fields_that_differ_by_unicode_form_alone_both_count():
    """Neither hides the other's value."""
    both = {"é": 1, "e\u0301": 2}
    assert canonical(both) == both
    assert canonical({"e\u0301": 2}) == {"é": 2}


def test_a_deep_body_has_a_key():
    """What the door lets in can be keyed."""
    deep: object = 1
    for _ in range(120):
        deep = [deep]
    assert key_of(replace(BASE, unknown={"x": deep})).scope != ORIGINAL.scope
