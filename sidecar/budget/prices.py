"""Who costs what: config's own prices first, then the table that was shipped.

A price is found by name and never guessed: a model that only begins like a known one has
none. The one exception is a date behind a name, for a snapshot that is newer than the
table costs what its model does; a snapshot with a price of its own comes first.

Names are as vendors of OpenAI's words are asked: bare for OpenAI and Anthropic, behind
`azure/` for Azure (the dearest region, for a deployment does not tell its own), behind the
vendor's name where the provider is called like the vendor. A provider that is called like
a vendor never has another one's price: a model may cost more where it is resold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from math import ceil
from typing import Final

from sidecar.budget.price import Price, Rates
from sidecar.budget.price_rows import read_row
from sidecar.config import money
from sidecar.errors import SidecarError

VENDORS: Final = {
    "bedrock": "bedrock", "bedrock_mantle": "bedrock_mantle", "cohere": "cohere",
    "deepseek": "deepseek", "fireworks": "fireworks_ai", "fireworks_ai": "fireworks_ai",
    "gemini": "gemini", "google": "gemini", "groq": "groq", "mistral": "mistral",
    "ollama": "ollama", "openrouter": "openrouter", "perplexity": "perplexity",
    "together": "together_ai", "together_ai": "together_ai", "vertex": "vertex_ai",
    "vertex_ai": "vertex_ai", "xai": "xai",
}  # fmt: skip
"""What begins the keys of a provider with this name."""

_DATE: Final = r"[-@]20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
_DATED: Final = re.compile(rf"(.+?){_DATE}")
_FINE_TUNED: Final = "ft:"
_SINCE: Final = re.compile(rb"# date ([\d-]+)")
_PICO: Final = 10**6
"""Pico-dollars a token of a dollar for a million tokens."""

_WRITE: Final = Fraction(5, 4)
_WRITE_LONG: Final = Fraction(8, 5)
"""Claude's writes to its cache: of the input's price, and of the shorter write's."""

_MOST_KEPT: Final = 1000


class PriceTable:
    """Prices of all models. `overrides` are config's `prices`.

    Their keys are a model's name, or `provider/model`, which comes first; with `*` at the
    end a key is the beginning of either, and the longest that fits counts.
    """

    def __init__(self, overrides: Mapping[str, money.Price] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._shipped = _Shipped()
        self._found: dict[tuple[str, str, str], Price | None] = {}

    @property
    def date(self) -> str:
        """The day that the shipped table tells the prices of, as `2026-01-31`."""
        return self._shipped.date

    def find(self, kind: str, provider: str, model: str) -> Price | None:
        """The price of a provider's model; None where it is not known.

        `kind` and `provider` are the provider's in config.
        """
        asked = kind, provider, model
        if asked not in self._found:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[asked] = self._look(kind, provider, model)
        return self._found[asked]

    def _look(self, kind: str, provider: str, model: str) -> Price | None:
        shipped = self._of_vendor(kind, provider, model)
        own = self._override(provider, model)
        if own is None:
            return shipped
        is_claude = kind == "anthropic" or "claude" in model.lower()
        return _priced(own, shipped or Price(Rates(0, 0, 0, 0, 0)), is_claude=is_claude)

    def _override(self, provider: str, model: str) -> money.Price | None:
        names = f"{provider}/{model}", model
        for name in names:
            if name in self._overrides:
                return self._overrides[name]
        begun = [
            key
            for key in self._overrides
            if key.endswith("*") and any(name.startswith(key[:-1]) for name in names)
        ]
        return self._overrides[max(begun, key=len)] if begun else None

    def _of_vendor(self, kind: str, provider: str, model: str) -> Price | None:
        prefix = _prefix(kind, provider)
        if not prefix and "/" in model:
            return None  # a vendor's key, and not one of this provider's names
        return self._shipped.find(prefix, model)


def _prefix(kind: str, provider: str) -> str:
    """What begins a provider's keys. The simulated one answers for anybody by bare name."""
    if kind == "azure":
        return "azure/"
    vendor = VENDORS.get(provider.lower().replace("-", "_")) if kind == "openai" else None
    return f"{vendor}/" if vendor else ""


def _priced(own: money.Price, shipped: Price, *, is_claude: bool) -> Price:
    """What config says, with the limits of the shipped table where it says none."""
    write = Fraction(own.input) * _WRITE if is_claude else own.input
    if own.cache_write is not None:
        write = own.cache_write
    rates = Rates(
        _pico(own.input),
        _pico(own.input if own.cached_input is None else own.cached_input),
        _pico(write),
        _pico(own.output),
        _pico(own.output if own.reasoning is None else own.reasoning),
        _pico(Fraction(write) * _WRITE_LONG if is_claude else write),
    )
    return replace(
        shipped,
        rates=rates,
        tiers=(),
        max_input_tokens=own.max_input_tokens or shipped.max_input_tokens,
        max_output_tokens=own.max_output_tokens or shipped.max_output_tokens,
    )


def _pico(dollars: Decimal | Fraction) -> int:
    """Pico-dollars a token, rounded up, of dollars for a million tokens."""
    return ceil(Fraction(dollars) * _PICO)


class _Shipped:
    """The shipped table, kept as the bytes of its file: what is never asked is never parsed."""

    def __init__(self) -> None:
        self._bytes = b""

    @property
    def date(self) -> str:
        found = _SINCE.match(self._table)
        if found is None:
            raise _damaged()
        return found[1].decode()

    def find(self, prefix: str, model: str) -> Price | None:
        """By the exact name, then by what stands before a date."""
        for name in _spellings(model):
            if price := self._row(prefix + name):
                return price
        tuned = _FINE_TUNED in model and not _DATED.fullmatch(model)
        return self._dearest_dated(prefix + _base_of(model)) if tuned else None

    def _row(self, key: str) -> Price | None:
        at = self._table.find(f"\n{key}\t".encode())
        return None if at < 0 else self._parsed(at + 1)

    def _dearest_dated(self, key: str) -> Price | None:
        """Of a fine-tuned model that names its base without a date: its dearest snapshot."""
        dated = re.compile(rf"^{re.escape(key)}{_DATE}\t".encode(), re.MULTILINE)
        found = [self._parsed(match.start()) for match in dated.finditer(self._table)]
        return max(found, key=lambda price: _order(price.rates), default=None)

    def _parsed(self, at: int) -> Price:
        try:
            return read_row(self._table[at : self._table.index(b"\n", at)].decode())[1]
        except ValueError:
            raise _damaged() from None

    @property
    def _table(self) -> bytes:
        if not self._bytes:
            self._bytes = (files(__package__) / "shipped" / "prices.tsv").read_bytes()
        return self._bytes


def _spellings(model: str) -> Iterator[str]:
    """The names under which a model may stand, the most exact first."""
    name = _base_of(model)
    yield name
    if dated := _DATED.fullmatch(name):
        yield dated[1]


def _base_of(model: str) -> str:
    """A fine-tuned model without its owner and number: `ft:base:owner:name:id` is `ft:base`."""
    if not model.startswith(_FINE_TUNED):
        return model
    return ":".join(model.split(":")[:2])


def _order(rates: Rates) -> tuple[int, int]:
    return rates.dearest_input, rates.dearest_output


def _damaged() -> SidecarError:
    return SidecarError("the shipped table of prices is damaged; install the package again")
