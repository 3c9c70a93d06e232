from __future__ import annotations

import pytest

from sidecar.embed.onnx import OnnxEmbedder
from sidecar.embed.visible import Visibility


@pytest.fixture(scope="module")
def visibility(minilm: OnnxEmbedder) -> Visibility:
    """As the shipped tokenizer sees."""
    return Visibility(minilm.tokenizer.normalizer.normalize_str)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("zero\u200bwidth", id="zero-width space"),
        pytest.param("a\u00adb", id="soft hyphen"),
        pytest.param("\u202eabc", id="right-to-left override"),
        pytest.param("bell\x07", id="control character"),
        pytest.param("two\x0bwords", id="vertical tab, which would join words"),
        pytest.param("broken \ufffd", id="replacement character"),
        pytest.param("icon \ue000", id="private use"),
        pytest.param("\U000e0041 tag", id="tag character"),
        pytest.param("lone \ud800", id="surrogate"),
        pytest.param("el año nuevo", id="accent"),
        pytest.param("el an\u0303o nuevo", id="accent as a mark of its own"),
        pytest.param("がか", id="voiced kana"),
        pytest.param("мой", id="Cyrillic short i"),
        pytest.param("if x:\n  a()\n  b()", id="indentation"),
        pytest.param("if x:\n\ta()", id="indentation by tab"),
    ],
)
def test_hides_what_the_tokenizer_deletes(visibility: Visibility, text: str) -> None:
    """What would vanish before the model sees it is told."""
    assert visibility.hides_part_of(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("How do I reset my password?", id="plain"),
        pytest.param("two\nlines\r\n\nand a\ttab", id="layout"),
        pytest.param("a\u00a0b\u3000c", id="wide spaces"),
        pytest.param("“quotes” – dash … €5 ½", id="typographic signs"),
        pytest.param("你好", id="Chinese"),
        pytest.param("안녕", id="Korean, which decomposes and loses nothing"),
    ],
)
def test_lets_visible_text_through(visibility: Visibility, text: str) -> None:
    """What reaches the model is not refused for looking unusual."""
    assert not visibility.hides_part_of(text)


def test_the_tokenizer_does_hide_accents(minilm: OnnxEmbedder) -> None:
    """The reason for the rule: without it these two would have one vector."""
    tokens = [minilm.tokenizer.encode(text).ids for text in ("el año", "el ano")]
    assert tokens[0] == tokens[1]


def test_a_tokenizer_that_keeps_accents_hides_none() -> None:
    """The rule follows the tokenizer at hand, not a list of characters."""
    assert not Visibility(str).hides_part_of("el año nuevo がか")
