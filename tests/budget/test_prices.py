"""A price is found by its exact name, config's before the shipped one, and never guessed."""

from __future__ import annotations

import re
import tracemalloc
from datetime import date
from decimal import Decimal
from importlib.resources import files

import pytest

from sidecar.budget.price import Price, Rates, worst_cost
from sidecar.budget.price_rows import read_row, write_row
from sidecar.budget.prices import PriceTable
from sidecar.config import money


def own(dollars: str, **more: str | int) -> money.Price:
    """A price of config's, the same for input and output."""
    return money.Price.model_validate({"input": dollars, "output": dollars, **more})


def shipped(kind: str, provider: str, model: str) -> Price | None:
    """The price in the shipped table."""
    return PriceTable().find(kind, provider, model)


def require(kind: str, provider: str, model: str) -> Price:
    """The price in the shipped table, which must be there."""
    price = shipped(kind, provider, model)
    assert price is not None
    return price


def openai(model: str) -> Price | None:
    """The price of a model at OpenAI's own address."""
    return shipped("openai", "openai", model)


def test_the_models_served_without_a_config() -> None:
    """What the embedded default serves is priced as its vendors list it."""
    assert require("openai", "openai", "gpt-4o-mini").rates == Rates(
        150_000, 75_000, 150_000, 600_000, 600_000, 150_000
    )
    assert require("openai", "openai", "gpt-4o").rates.output == 10_000_000
    assert require("openai", "openai", "text-embedding-3-small").rates.input == 20_000
    claude = require("anthropic", "claude", "claude-sonnet-4-5").rates
    assert claude == Rates(3_000_000, 300_000, 3_750_000, 15_000_000, 15_000_000, 6_000_000)


def test_the_simulated_provider_costs_what_it_stands_for() -> None:
    """A demo shows real prices, whoever's model it simulates."""
    assert shipped("simulated", "sim", "gpt-4o") == openai("gpt-4o")
    claude = shipped("anthropic", "claude", "claude-sonnet-4-5")
    assert shipped("simulated", "claude", "claude-sonnet-4-5") == claude


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-minix",
        "gpt-4",
        "gpt-4o-2024",
        "gpt-4o-20249999",
        "gpt-4o-mini-1",
        "",
        "gpt",
        "#",
        "\n",
    ],
)
def test_a_beginning_is_no_name(model) -> None:
    """A model that only looks like a known one has no price; `gpt-4` has its own, a dear one."""
    assert openai(model) in (None, require("openai", "openai", "gpt-4"))
    assert (openai(model) is None) == (model != "gpt-4")


def test_a_snapshot_has_its_own_price() -> None:
    """The first gpt-4o was dearer than the later ones."""
    assert require("openai", "openai", "gpt-4o-2024-05-13").rates.input == 5_000_000
    assert require("openai", "openai", "gpt-4o-2024-11-20").rates.input == 2_500_000


@pytest.mark.parametrize("end", ["-2031-02-28", "-20310228", "@20310228"])
def test_an_unknown_snapshot_costs_what_its_model_does(end) -> None:
    """A date behind a name, as each vendor writes it."""
    assert openai(f"gpt-4o{end}") == openai("gpt-4o")


@pytest.mark.parametrize(
    "model",
    [
        "ft:gpt-4o-mini-2024-07-18:acme::x1",
        "ft:gpt-4o-mini:acme::x1",
        "ft:gpt-4o-mini-2024-07-18",
    ],
)
def test_a_fine_tuned_model_costs_what_such_do(model) -> None:
    """Whoever's it is, and with the snapshot named or not: twice the plain model's price."""
    price = require("openai", "openai", model)
    assert price.rates.input == 2 * require("openai", "openai", "gpt-4o-mini").rates.input


def test_an_unknown_fine_tuned_model_has_no_price() -> None:
    """The price of its base would be too low."""
    assert openai("ft:gpt-4o-mini-2031-01-01:acme::x1") is None
    assert openai("ft:gpt-5:acme::x1") is None
    assert openai("ft:gpt-4o-min:acme::x1") is None


def test_azure_has_the_price_of_its_dearest_region() -> None:
    """A deployment does not tell where it is; gpt-4o costs a tenth more in the EU."""
    assert require("azure", "az", "gpt-4o").rates.output == 11_000_000
    assert shipped("azure", "az", "claude-sonnet-4-5") is None


def test_a_vendor_is_known_by_the_providers_name() -> None:
    """Servers of OpenAI's words have their vendor's prices, under its usual names."""
    assert require("openai", "groq", "openai/gpt-oss-20b").rates.input == 75_000
    together = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    assert shipped("openai", "together", together) == shipped("openai", "Together-AI", together)
    assert shipped("openai", "together", together) is not None


def test_a_vendor_has_no_price_of_another() -> None:
    """What OpenAI charges says nothing of the one who sells it again."""
    assert shipped("openai", "groq", "gpt-4o") is None
    assert shipped("openai", "openrouter", "gpt-4o") is None
    assert shipped("openai", "proxy", "groq/openai/gpt-oss-20b") is None
    assert shipped("openai", "proxy", "ollama/llama3") is None


def test_home_costs_nothing_and_the_cloud_does() -> None:
    """Ollama's own models are free; those that it runs elsewhere are not known."""
    assert worst_cost(require("openai", "ollama", "llama3"), 10**6, 10**6) == 0
    assert shipped("openai", "ollama", "gpt-oss:120b-cloud") is None


@pytest.mark.parametrize(
    "model", ["gpt-4o-search-preview", "gpt-5-search-api", "o3-deep-research", "gpt-audio"]
)
def test_what_tokens_do_not_price_is_left_out(model) -> None:
    """Searches and speech cost more than their tokens: better no price than one too low."""
    assert openai(model) is None


def test_no_paid_model_is_free() -> None:
    """Zeros stand for 'not known' in the map, save at home, and for what embeddings write."""
    paid = {key: price.rates for key, price in rows() if not key.startswith("ollama/")}
    assert all(rates.input > 0 for rates in paid.values())
    makes_nothing = [key for key, rates in paid.items() if rates.output == 0]
    assert len(makes_nothing) < 100
    assert not [key for key in makes_nothing if re.search("gpt|claude|chat|instruct|grok", key)]


def test_rows_are_sorted_and_differ() -> None:
    """A new version of the table shows in a diff as what has changed."""
    keys = [key for key, _ in rows()]
    assert keys == sorted(set(keys))
    assert len(keys) > 1000


def test_every_row_is_as_it_would_be_written() -> None:
    """Reading and writing a row are each other's inverse, tiers and limits included."""
    for line in lines():
        assert write_row(*read_row(line)) == line


def test_rates_of_a_row_are_plausible() -> None:
    """Writing to a cache is not cheaper than reading anew, and tiers stand in order."""
    for key, price in rows():
        for rates in (price.rates, *(tier.rates for tier in price.tiers)):
            assert rates.cache_write >= rates.input, key
            assert rates.longest_write >= rates.cache_write, key
        above = [tier.above_input_tokens for tier in price.tiers]
        assert above == sorted(set(above)), key


@pytest.mark.parametrize("line", ["", "key", "k\t1\t2", "k\ta\t1\t1\t1\t1\t1\t\t\t0\t"])
def test_a_damaged_row_is_no_price(line) -> None:
    """Half a line must not become a cheap model."""
    with pytest.raises(ValueError):  # noqa: PT011  int's own words differ
        read_row(line)


def test_the_date_is_told() -> None:
    """How old the table is can be shown."""
    assert date.fromisoformat(PriceTable().date) > date(2025, 1, 1)


def test_little_is_kept_in_memory() -> None:
    """The table is not taken apart for the few models that are asked for."""
    tracemalloc.start()
    table = PriceTable()
    for model in ("gpt-4o", "gpt-4o-mini", "gpt-4o-2031-01-01"):
        assert table.find("openai", "openai", model)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


def test_config_comes_first() -> None:
    """An operator's own contract counts, in dollars per million tokens."""
    table = PriceTable({"gpt-4o-mini": own("0.1", cached_input="0.05")})
    price = table.find("openai", "openai", "gpt-4o-mini")
    assert price is not None
    assert price.rates == Rates(100_000, 50_000, 100_000, 100_000, 100_000, 100_000)


def test_the_most_exact_key_counts() -> None:
    """Provider and model, then the model, then the longest beginning."""
    keys = ("a/m-1", "m-1", "a/m-*", "a/*", "m*", "*")
    for index, key in enumerate(keys):
        table = PriceTable({key: own(str(at)) for at, key in enumerate(keys) if at >= index})
        price = table.find("openai", "a", "m-1")
        assert price is not None
        assert price.rates.input == index * 10**6, key


def test_a_pattern_fits_only_what_begins_so() -> None:
    """A star stands at the end alone, and a key without one is a whole name."""
    table = PriceTable({"gpt-x*": own("1"), "gpt-y": own("2"), "other/*": own("3")})
    assert table.find("openai", "openai", "gpt-y-2") is None
    assert table.find("openai", "openai", "my-gpt-x") is None
    assert table.find("openai", "openai", "gpt-x-2") is not None


def test_config_is_rounded_up() -> None:
    """A rate finer than a pico-dollar a token is never taken for less."""
    price = PriceTable({"m": own("0.0000011")}).find("openai", "a", "m")
    assert price is not None
    assert price.rates.input == 2


def test_reasoning_and_writes_of_config() -> None:
    """What config says of them counts; what it does not say is as input, and as output."""
    table = PriceTable({"m": own("1", reasoning="3", cache_write="2"), "n": own("1")})
    price, plain = table.find("openai", "a", "m"), table.find("openai", "a", "n")
    assert price is not None
    assert plain is not None
    assert (price.rates.reasoning, price.rates.cache_write) == (3_000_000, 2_000_000)
    assert plain.rates == Rates(*[10**6] * 6)


@pytest.mark.parametrize(("kind", "model"), [("anthropic", "m"), ("openai", "claude-x")])
def test_writes_of_claude_are_dearer(kind, model) -> None:
    """Anthropic's own ratios hold where config says nothing: 1.25 and twice the input."""
    price = PriceTable({model: own("4")}).find(kind, "a", model)
    assert price is not None
    assert (price.rates.cache_write, price.rates.longest_write) == (5_000_000, 8_000_000)


def test_limits_are_the_shipped_ones_unless_config_has_its_own() -> None:
    """A price of one's own says nothing of how much a model reads, unless it does."""
    table = PriceTable({"gpt-4o": own("1"), "gpt-4o-mini": own("1", max_input_tokens=7)})
    wide, narrow = (table.find("openai", "openai", m) for m in ("gpt-4o", "gpt-4o-mini"))
    assert wide is not None
    assert narrow is not None
    assert wide.max_input_tokens == 128_000
    assert narrow.max_input_tokens == 7
    assert narrow.max_output_tokens == 16_384


def test_config_has_no_tiers() -> None:
    """One price of one's own holds however long the prompt is."""
    price = PriceTable({"claude-haiku-5-5": own("1")}).find("anthropic", "c", "claude-haiku-5-5")
    assert price is not None
    assert price.tiers == ()
    assert Decimal(worst_cost(price, 0, 10**6)) == 10**9


def test_many_names_do_not_fill_memory() -> None:
    """What was found is kept up to a number of names, and found again beyond it."""
    table = PriceTable({"*": own("1")})
    found = {table.find("openai", "a", f"m-{number}") for number in range(2500)}
    assert len(found) == 1


def lines() -> list[str]:
    """The rows of the shipped table."""
    text = (files("sidecar.budget") / "shipped" / "prices.tsv").read_text(encoding="utf-8")
    return text.splitlines()[3:]


def rows() -> list[tuple[str, Price]]:
    """The same, read."""
    return [read_row(line) for line in lines()]
