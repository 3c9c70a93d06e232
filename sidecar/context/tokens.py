"""Counts tokens as OpenAI's models do, from ranks that are shipped: nothing is fetched.

It refuses to guess: a model whose tokenizer is not known here has no encoding, and then
there is no count. Loading takes a third of a second and tens of megabytes, so an encoding
is loaded when it is first wanted and kept; call `count` off the event loop.

The ranks are checked by hash before use. Text is cut where no token can reach across, so
that no text, however long, is one piece of work; only in a run of 4,096 signs without an
end of a word may a count be a few tokens too high.
"""

from __future__ import annotations

import lzma
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import tiktoken

from sidecar.errors import SidecarError

MOST_CHARS = 4096
_BREAKS, _SPACES = "\r\n", " \t\u00a0\u3000"
_BEHIND_BREAK = re.compile(r"[^\S\r\n]*[^\s/]")
_FINE_TUNED = "ft:"
_PREFIXES = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5-", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("chatgpt-4o-", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4-mini", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5-turbo", "cl100k_base"),
    ("gpt-35-turbo", "cl100k_base"),
    ("text-embedding-3-", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
)
"""Beginnings of model names; the first that fits decides. What follows must be a new word."""


@dataclass(frozen=True, slots=True)
class _Shipped:
    """How text is split before its pieces are merged, and the digest of the file of ranks."""

    pattern: str
    sha256: str


_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHIPPED = {
    "cl100k_base": _Shipped(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"
        r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        "45b4bf87a58e3bb231cbb664bfaf2260e94131b780b3c07ef3e819beddac1b77",
    ),
    "o200k_base": _Shipped(
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "63da5cffa3eb65a69837e0ec22c8aac4de3b8ff185f054963e31ff0aa07d331b",
    ),
}
_lock = threading.Lock()
_loaded: dict[str, tiktoken.Encoding] = {}


def encoding_for(model: str) -> str | None:
    """The name of the encoding that a model uses; None where it is not known."""
    name = model.lower().removeprefix(_FINE_TUNED)
    for prefix, encoding in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest != name and (not rest or prefix.endswith("-") or rest[0] in "-:"):
            return encoding
    return None


def count(text: str, encoding: str) -> int:
    """The tokens of `text`, all of it read as plain text. `KeyError` for an unknown encoding."""
    loaded = _require(encoding)
    return sum(len(loaded.encode_ordinary(piece)) for piece in pieces(text))


def pieces(text: str) -> Iterator[str]:
    """The text in parts of bounded length, cut where both patterns let no token reach across."""
    at = 0
    while len(text) - at > MOST_CHARS:
        end = _cut(text, at)
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]


def _cut(text: str, at: int) -> int:
    last = at + MOST_CHARS
    return next((end for end in range(last, at, -1) if _is_border(text, end)), last)


def _is_border(text: str, at: int) -> bool:
    """Whether a token ends here, whatever stands around."""
    before, after = text[at - 1], text[at]
    if before in _BREAKS:
        # White space up to the last line break is one piece; what follows begins anew.
        return _BEHIND_BREAK.match(text, at) is not None
    if after in _BREAKS:
        # Signs take the line breaks behind them along, words and numbers don't.
        return before.isalnum()
    return after in _SPACES and not before.isspace()


def _require(name: str) -> tiktoken.Encoding:
    """The encoding, loaded once, whoever asks first."""
    if (encoding := _loaded.get(name)) is None:
        with _lock:
            if (encoding := _loaded.get(name)) is None:
                encoding = _loaded[name] = _load(name)
    return encoding


def _load(name: str) -> tiktoken.Encoding:
    shipped = _SHIPPED[name]
    return tiktoken.Encoding(
        name, pat_str=shipped.pattern, mergeable_ranks=read_ranks(name), special_tokens={}
    )


def read_ranks(name: str) -> dict[bytes, int]:
    """Every token with its rank. `SidecarError` where the file is not the one that was shipped."""
    packed = (files(__package__) / "ranks" / f"{name}.xz").read_bytes()
    if sha256(packed).hexdigest() != _SHIPPED[name].sha256:
        raise SidecarError(f"the token ranks {name} are damaged; install the package again")
    return dict(_unpacked(lzma.decompress(packed)))


def _unpacked(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Tokens stand in the order of their rank, each behind one byte that tells its length."""
    at = rank = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at + 1 : end], rank
        at, rank = end, rank + 1
