"""Writes the shipped table of prices from LiteLLM's price map: sorted, a model a line.

    python -m training.make_prices --data DIR --date 2026-11-12

The map does not tell its date, so it is said: the day that its version was published.

Left out is whatever its tokens alone don't price, for a price that is too low lets a
budget be overspent: what costs by the image, second, character or query too, what always
searches, zeros that stand for "not known", and speech. Where the map contradicts itself
the dearer reading is taken.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Final

from sidecar.budget.price import Price, Rates, Tier
from sidecar.budget.price_rows import COLUMNS, write_row

SOURCE: Final = "common/litellm_model_prices_1.109.1.json.gz"
VERSION: Final = re.compile(r"_([\d.]+)\.json")
TARGET: Final = Path(__file__).parents[1] / "sidecar" / "budget" / "shipped" / "prices.tsv"
MODES: Final = frozenset(("chat", "responses", "completion", "embedding"))
BARE: Final = frozenset(("openai", "anthropic"))
"""Whose models stand without a vendor before their name."""

VENDORS: Final = {
    "openai": "openai", "text-completion-openai": "openai", "azure": "azure",
    "azure_text": "azure", "anthropic": "anthropic", "bedrock": "bedrock",
    "bedrock_converse": "bedrock", "bedrock_mantle": "bedrock_mantle", "gemini": "gemini",
    "mistral": "mistral", "groq": "groq", "deepseek": "deepseek", "xai": "xai",
    "cohere": "cohere", "cohere_chat": "cohere", "together_ai": "together_ai",
    "fireworks_ai": "fireworks_ai", "fireworks_ai-embedding-models": "fireworks_ai",
    "perplexity": "perplexity", "openrouter": "openrouter", "ollama": "ollama",
}  # fmt: skip
"""The map's words for a vendor, and ours. Google's cloud has a word for each maker."""

_BESIDE_TOKENS: Final = re.compile(
    r"(in|out)put_cost_per_(image|query|request|second|character|video\w*)$"
    r"|output_cost_per_image_token$|input_cost_per_(image|video)_token$"
    r"|code_interpreter\w+|citation_cost_per_token"
)
"""Fields of what is billed beside, or apart from, tokens of text."""

_EXTRA: Final = re.compile(
    r"search-(api|preview)|deep-research|computer-use|-audio|audio-|-tts|-realtime|-live"
    r"|sonar|-online|/preset/|multi-agent|commitment|routers?/|model.router"
)
"""Names of models that bill more than the tokens seen here, or have no price of their own."""

_SIZES: Final = re.compile(r"together-ai-")
"""Prices of a whole class of sizes, which is no model's name."""

_ABOVE: Final = re.compile(r"(?:in|out)put_cost_per_token_above_(\d+)k_tokens")
_REGION: Final = re.compile(r"(?<=^azure/)[a-z-]+/|(?<=^bedrock/)(us|[a-z]{2})(-gov)?-[a-z]+-\d/")
_PICO: Final = 10**12
Row = Mapping[str, Any]


def main() -> None:
    """Write the table, or say in one line what is missing."""
    given = _arguments()
    source: Path = given.data / SOURCE
    if not source.is_file():
        sys.exit(f"there is no {source}: --data names the folder that holds {SOURCE}")
    with gzip.open(source, "rt", encoding="utf-8") as file:
        models = json.load(file, parse_float=Decimal)
    prices = priced(models)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("".join(_lines(prices, source.name, given.date)), encoding="utf-8")
    print(f"{len(prices)} of {len(models)} models in {TARGET}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data")
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="of the map")
    return parser.parse_args()


def _lines(prices: Mapping[str, Price], name: str, day: date) -> Iterator[str]:
    found = VERSION.search(name)
    version = found[1] if found else "unknown"
    yield f"# date {day}: facts from LiteLLM's price map, version {version}, MIT licence\n"
    yield "# Written by training/make_prices.py; rates are pico-dollars a token.\n"
    yield "\t".join(COLUMNS) + "\n"
    for key in sorted(prices):
        yield write_row(key, prices[key]) + "\n"


def priced(models: Mapping[str, Row]) -> dict[str, Price]:
    """The price of every model that tokens alone price, by its key."""
    prices: dict[str, Price] = {}
    for name, row in models.items():
        vendor = _vendor(row)
        if vendor is None or not _is_priced_by_tokens(name, vendor, row):
            continue
        key, price = _key(name, vendor), _price(row)
        prices[key] = dearer(prices[key], price) if key in prices else price
    return prices


def _vendor(row: Row) -> str | None:
    named = row.get("litellm_provider") or ""
    if named.startswith("vertex_ai"):
        return "vertex_ai"
    return VENDORS.get(named) if row.get("mode") in MODES else None


def _is_priced_by_tokens(name: str, vendor: str, row: Row) -> bool:
    if row.get("mode") not in MODES or _EXTRA.search(name) or _SIZES.match(name):
        return False
    if any(_BESIDE_TOKENS.match(field) and row[field] for field in row):
        return False
    if vendor == "perplexity" and "search_context_cost_per_query" in row:
        return False
    if vendor == "ollama":
        # What runs at home costs nothing; what only looks so does.
        return not name.endswith("cloud")
    made = row.get("output_cost_per_token") or row["mode"] == "embedding"
    return bool(row.get("input_cost_per_token") and made)


def _key(name: str, vendor: str) -> str:
    if vendor in BARE:
        return name
    # A target does not tell its region, so it has the price of the dearest.
    return _REGION.sub("", name if name.startswith(f"{vendor}/") else f"{vendor}/{name}")


def _price(row: Row) -> Price:
    base = _rates(row, "", None)
    thresholds = sorted({int(found[1]) for field in row if (found := _ABOVE.fullmatch(field))})
    tiers = (Tier(k * 1000, _rates(row, f"_above_{k}k_tokens", base)) for k in thresholds)
    return Price(
        base,
        tuple(tiers),
        row.get("max_input_tokens") or None,
        row.get("max_output_tokens") or None,
        bool(row.get("supports_reasoning")),
    )


def _rates(row: Row, end: str, base: Rates | None) -> Rates:
    """The rates of a tier. A kind that it doesn't name has the base's, or that of its like."""

    def rate(name: str, otherwise: int) -> int:
        told = row.get(name + end)
        return otherwise if told is None else _pico(told)

    entered = rate("input_cost_per_token", base.input if base else 0)
    made = rate("output_cost_per_token", base.output if base else 0)
    # To write to a cache is never cheaper than to read the prompt anew.
    write = max(entered, rate("cache_creation_input_token_cost", entered))
    longer = (rate(f"cache_creation_input_token_cost_above_{h}hr", write) for h in (1, 12))
    thought = base.reasoning if base and base.reasoning > base.output else made
    reasoning = rate("output_cost_per_reasoning_token", max(made, thought))
    cached = rate("cache_read_input_token_cost", base.cached_input if base else entered)
    return Rates(entered, cached, write, made, reasoning, max(write, *longer))


def _pico(dollars: Decimal) -> int:
    """Pico-dollars, what is finer rounded up."""
    return int((Decimal(dollars) * _PICO).to_integral_value(ROUND_CEILING))


def dearer(one: Price, other: Price) -> Price:
    """Of two prices of one name the dearer, kind by kind and tier by tier."""
    above = {tier.above_input_tokens for price in (one, other) for tier in price.tiers}
    limits = one.max_input_tokens, other.max_input_tokens
    made = one.max_output_tokens, other.max_output_tokens
    return Price(
        _dearer(one.rates, other.rates),
        tuple(Tier(n, _dearer(_at(one, n), _at(other, n))) for n in sorted(above)),
        max(filter(None, limits), default=None),
        max(filter(None, made), default=None),
        one.reasons or other.reasons,
    )


def _dearer(one: Rates, other: Rates) -> Rates:
    kinds = ("input", "cached_input", "cache_write", "output", "reasoning", "longest_write")
    return Rates(*(max(getattr(one, kind), getattr(other, kind)) for kind in kinds))


def _at(price: Price, above: int) -> Rates:
    """The rates of a call with just more input than that."""
    reached = [tier.rates for tier in price.tiers if tier.above_input_tokens <= above]
    return reached[-1] if reached else price.rates


if __name__ == "__main__":
    main()
