"""Vetoes over a pair of questions: pure, microseconds, each with a reason.

A guard may veto, it may never approve. Embeddings hardly see numbers ("top 5" and
"top 50" are neighbours), so numbers are compared as they are written and read.
"""

from __future__ import annotations

import re
import unicodedata

from sidecar.reasons import Reason

# A figure with its sign, its leading point and inner separators; or a run of letters.
_TOKEN = re.compile(r"(?:(?<![\w)])-)?(?:(?<![\w.])\.(?=\d))?\d+(?:[.,:/\u2044]\d+)*|[^\W\d_]+")
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?\Z")
# "one" is left out: as a pronoun ("which one") it is no number.
_WORDS = {
    "zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16",
    "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "20",
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70",
    "eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000",
    "million": "1000000", "billion": "1000000000", "trillion": "1000000000000",
    "dozen": "12",
    "first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5",
    "sixth": "6", "seventh": "7", "eighth": "8", "ninth": "9", "tenth": "10",
    "eleventh": "11", "twelfth": "12", "thirteenth": "13", "fourteenth": "14",
    "fifteenth": "15", "sixteenth": "16", "seventeenth": "17", "eighteenth": "18",
    "nineteenth": "19", "twentieth": "20", "thirtieth": "30", "fortieth": "40",
    "fiftieth": "50", "sixtieth": "60", "seventieth": "70", "eightieth": "80",
    "ninetieth": "90", "hundredth": "100",
    "half": "1/2", "quarter": "1/4", "twice": "2", "double": "2", "triple": "3",
}  # fmt: skip
# Minus as it is typed where the keyboard has none: hyphens, figure and en dash, the sign itself.
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))


def numbers(text: str) -> tuple[str, ...]:
    """The numbers of a text, in their order, in one form.

    `1,000` is `1000`, `05` is `5`, `.5` is `0.5`, `٣` is `3`, `two` is `2`, `½` is `1/2`. What
    could be a version or a time stays as it is written: `1.10` is not `1.1`.
    """
    plain = text if text.isascii() else _plain(text)
    found = (_number(token) for token in _TOKEN.findall(plain))
    return tuple(number for number in found if number)


def _plain(text: str) -> str:
    """The text with a figure for every sign that is one: ², ½, full-width digits, dashes."""
    pairs = zip(" " + text, text, strict=False)
    apart = "".join(f" {sign}" if _are_apart(before, sign) else sign for before, sign in pairs)
    return unicodedata.normalize("NFKC", apart).translate(_MINUS)


def _are_apart(one: str, other: str) -> bool:
    """Whether NFKC would make one number of two: of `1½` it makes `11/2`, of `10²` `102`."""
    return one.isnumeric() and other.isnumeric() and one.isdecimal() != other.isdecimal()


def _number(token: str) -> str:
    if token[-1].isalpha():
        return _WORDS.get(token.lower(), "")
    digits = "".join(_ascii_digit(sign) for sign in token)
    if _GROUPED.match(digits):
        digits = digits.replace(",", "")
    sign, size = ("-", digits[1:]) if digits[0] == "-" else ("", digits)
    if size.isdecimal():
        return sign + (size.lstrip("0") or "0")
    return sign + ("0" + size if size[0] == "." else size.replace("\u2044", "/"))


def _ascii_digit(sign: str) -> str:
    return str(unicodedata.decimal(sign)) if sign.isdecimal() else sign


def why_numbers_differ(one: str, other: str) -> Reason | None:
    """Veto a pair whose numbers are not the same ones in the same order."""
    return None if numbers(one) == numbers(other) else Reason.NUMBERS_DIFFER
