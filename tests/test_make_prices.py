"""The shipped table is made of what tokens alone price, and of the dearer reading in doubt."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from sidecar.budget.price import Price, Rates, Tier
from training.make_prices import SOURCE, TARGET, dearer, priced


def row(**more: Any) -> dict[str, Any]:
    """A model of OpenAI's as the map has it: 1 and 4 dollars a million."""
    return {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": Decimal("0.000001"),
        "output_cost_per_token": Decimal("0.000004"),
        **more,
    }


def price_of(**more: Any) -> Price:
    """The price of one such model."""
    return priced({"m": row(**more)})["m"]


def test_a_plain_model() -> None:
    """Kinds that the map does not name cost as input and as output."""
    assert price_of().rates == Rates(*[10**6] * 3, *[4 * 10**6] * 2, 10**6)


def test_kinds_have_their_own_rates() -> None:
    """Cached input, both writes and reasoning; limits beside them."""
    price = price_of(
        cache_read_input_token_cost=Decimal("1E-7"),
        cache_creation_input_token_cost=Decimal("0.00000125"),
        cache_creation_input_token_cost_above_1hr=Decimal("0.000002"),
        output_cost_per_reasoning_token=Decimal("0.000005"),
        max_input_tokens=100,
        max_output_tokens=50,
        supports_reasoning=True,
    )
    rates = Rates(1_000_000, 100_000, 1_250_000, 4_000_000, 5_000_000, 2_000_000)
    assert price == Price(rates, (), 100, 50, reasons=True)


def test_finer_rates_are_rounded_up() -> None:
    """No rate is written down lower than it is."""
    assert price_of(input_cost_per_token=Decimal("1.00000001E-7")).rates.input == 100_001


def test_a_write_is_never_cheaper_than_input() -> None:
    """The map has a few such, and they are its mistakes."""
    assert price_of(cache_creation_input_token_cost=Decimal(0)).rates.cache_write == 10**6


def test_a_tier_takes_the_bases_where_it_lacks_a_kind() -> None:
    """What becomes dearer above a number is told; what isn't stays, and never falls below input."""
    price = price_of(
        cache_read_input_token_cost=Decimal("1E-7"),
        input_cost_per_token_above_200k_tokens=Decimal("0.000002"),
        output_cost_per_token_above_200k_tokens=Decimal("0.000006"),
    )
    rates = Rates(2_000_000, 100_000, 2_000_000, 6_000_000, 6_000_000, 2_000_000)
    assert price.tiers == (Tier(200_000, rates),)


def test_prices_of_other_deliveries_are_no_tiers() -> None:
    """Batches, priority and flex are other ways to ask, which the usual price is not for."""
    assert not price_of(
        input_cost_per_token_above_200k_tokens_batches=Decimal(1),
        input_cost_per_token_priority=Decimal(1),
    ).tiers


@pytest.mark.parametrize(
    "more",
    [
        {"input_cost_per_token": 0},
        {"output_cost_per_token": Decimal("0.0")},
        {"input_cost_per_token": None},
        {"input_cost_per_request": Decimal("0.005")},
        {"input_cost_per_query": Decimal("0.005")},
        {"input_cost_per_character": Decimal("0.005")},
        {"input_cost_per_second": Decimal("0.005")},
        {"output_cost_per_image": Decimal("0.005")},
        {"output_cost_per_image_token": Decimal("0.005")},
        {"citation_cost_per_token": Decimal("0.005")},
        {"mode": "image_generation"},
        {"mode": "audio_speech"},
        {"mode": None},
        {"litellm_provider": "nobody"},
    ],
)
def test_what_tokens_do_not_price_is_left_out(more) -> None:
    """Half a price, none, a price beside tokens, or another trade."""
    assert priced({"m": row(**more)}) == {}


@pytest.mark.parametrize(
    ("name", "vendor", "key"),
    [
        ("m", "anthropic", "m"),
        ("azure/eu/m", "azure", "azure/m"),
        ("azure/global-standard/m", "azure", "azure/m"),
        ("deepseek-chat", "deepseek", "deepseek/deepseek-chat"),
        ("us.anthropic.m", "bedrock_converse", "bedrock/us.anthropic.m"),
        ("bedrock/us-gov-west-1/m", "bedrock", "bedrock/m"),
        ("groq/openai/m", "groq", "groq/openai/m"),
        ("gemini-m", "vertex_ai-language-models", "vertex_ai/gemini-m"),
    ],
)
def test_keys_name_the_vendor_and_no_region(name, vendor, key) -> None:
    """A name is found by its vendor, wherever it runs."""
    assert list(priced({name: row(litellm_provider=vendor)})) == [key]


def test_of_two_regions_the_dearer_counts() -> None:
    """Kind by kind, in whichever order the map has them."""
    cheap, dear = (
        row(litellm_provider="azure", input_cost_per_token=Decimal(rate))
        for rate in ("1E-6", "2E-6")
    )
    for names in (("azure/eu/m", "azure/m"), ("azure/m", "azure/eu/m")):
        prices = priced(dict(zip(names, (cheap, dear), strict=True)))
        assert prices["azure/m"].rates.input == 2_000_000


def test_of_two_prices_each_tier_is_the_dearer() -> None:
    """Where only one has a tier, the other's rates there are those of its lower one."""
    low, high = Rates(*[1] * 5), Rates(*[9] * 5)
    both = dearer(Price(high), Price(low, (Tier(10, Rates(*[20] * 5)),), 5, None))
    assert both.rates == Rates(*[9] * 6)
    assert both.tiers == (Tier(10, Rates(*[20] * 6)),)
    assert both.max_input_tokens == 5


def test_free_at_home() -> None:
    """Ollama's models cost nothing, unless they run in its cloud."""
    free = row(litellm_provider="ollama", input_cost_per_token=0, output_cost_per_token=0)
    assert list(priced({"ollama/m": free, "ollama/m-cloud": free})) == ["ollama/m"]


def test_a_missing_map_is_told_in_one_line(tmp_path) -> None:
    """Without the data the script says what it looked for, and writes nothing."""
    before = TARGET.read_bytes()
    run = subprocess.run(
        [sys.executable, "-m", "training.make_prices", "--data", tmp_path, "--date", "2026-01-31"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert SOURCE in run.stderr
    assert TARGET.read_bytes() == before


def test_numbers_are_read_as_they_stand() -> None:
    """A rate goes through no float on its way: 2.7E-7 stays 270,000 pico-dollars."""
    packed = gzip.compress(b'{"m": {"input_cost_per_token": 2.7E-7}}')
    read = json.loads(gzip.decompress(packed), parse_float=Decimal)
    assert price_of(**read["m"]).rates.input == 270_000
