"""Tokens are counted as OpenAI's models count them, from ranks that are theirs."""

from __future__ import annotations

import base64
import threading
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.context import tokens
from sidecar.context.tokens import MOST_CHARS, count, encoding_for, pieces, read_ranks

ENCODINGS = ("cl100k_base", "o200k_base")
WORDS = st.sampled_from(
    [
        "a",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "don't",
        "I'LL",
        "123",
        "1",
        "…",
        "/",
        "\u00a0",
        "好",
        "😀",
    ]
)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
        ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    ],
)
def test_the_ranks_are_openais(name: str, digest: str) -> None:
    """Written as OpenAI publishes them, they have the digest that tiktoken itself expects."""
    ranks = read_ranks(name).items()
    lines = (b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in ranks)
    assert sha256(b"".join(lines)).hexdigest() == digest


@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [
        ("", 0, 0),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_known_counts(text: str, cl100k: int, o200k: int) -> None:
    """As OpenAI's cookbook has them; what looks like a special token is plain text."""
    assert (count(text, "cl100k_base"), count(text, "o200k_base")) == (cl100k, o200k)


@pytest.mark.parametrize("name", ENCODINGS)
@given(words=st.lists(WORDS, max_size=60))
def test_cutting_changes_no_count(name: str, words: list[str]) -> None:
    """A text that is long enough to be cut counts as if it were not, wherever its spaces are."""
    unit = "".join(words) + " x"
    text = unit * (2 * MOST_CHARS // len(unit) + 1)
    whole = tokens._require(name).encode_ordinary(text)
    assert count(text, name) == len(whole)


@given(st.text(alphabet="ab \n\u00a0", max_size=40), st.integers(0, 4))
def test_pieces_are_the_text(text: str, times: int) -> None:
    """Nothing is lost, and no piece is longer than allowed."""
    long = text * (times * 300)
    made = list(pieces(long))
    assert "".join(made) == long
    assert all(0 < len(piece) <= MOST_CHARS for piece in made)


@pytest.mark.parametrize("sign", [" ", "a", "A", "\n", "好", "😀", "é́"])
def test_no_text_is_too_long(sign: str) -> None:
    """A run of one sign, which is the worst there is, is counted without a crash."""
    assert 0 < count(sign * 200_000, "o200k_base") <= 400_000 * 2


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("ft:gpt-4o-mini:acme::abc", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("claude-sonnet-4-5", None),
        ("llama3", None),
        ("gpt-4oh", None),
        ("gpt-45", None),
        ("o11", None),
        ("o1x-mini", None),
        ("my-gpt-4o", None),
        ("", None),
    ],
)
def test_which_models_are_known(model: str, encoding: str | None) -> None:
    """By their names' beginnings; a name that only looks alike is not known."""
    assert encoding_for(model) == encoding


def test_many_threads_load_one_encoding() -> None:
    """Whoever asks first loads it, all others wait for that."""
    tokens._loaded.pop("cl100k_base", None)
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(tokens._require("cl100k_base")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert len(found) == 4


def test_an_unknown_encoding_is_an_error() -> None:
    """And not a count."""
    with pytest.raises(KeyError):
        count("x", "p50k_base")
