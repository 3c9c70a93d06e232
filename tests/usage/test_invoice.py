"""A provider's invoice beside our own charges."""

import pytest

from sidecar.errors import InvalidRequestError
from sidecar.usage.invoice import compare, differing, read_invoice

CENT = 10**7


def read(text: str):
    """The sums of an invoice."""
    return read_invoice(text.splitlines())


def test_lines_of_one_day_and_model_are_summed():
    """Vendors tell input and output apart; exactly, for floats would drift."""
    told = read("date,model,cost_usd\n2026-10-05,gpt-4o,0.1\n2026-10-05,gpt-4o,0.2\n")
    assert told == {("2026-10-05", "gpt-4o"): 300_000_000}


@pytest.mark.parametrize(
    "head",
    [
        "date,model,cost",
        "Usage_Date_UTC,Model_Version,Cost_USD",
        "start_time_iso,line_item,amount_value",
    ],
)
def test_vendors_names_of_columns_are_known(head):
    """Whatever else stands beside them."""
    assert read(f'{head},other\n2026-10-05T00:00:00Z,m,"$1,234.5",x\n') == {
        ("2026-10-05", "m"): 1_234_500_000_000
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: no column for the day"),
        ("date,cost\n", "line 1: no column for the model"),
        ("date,model\n", "line 1: no column for the cost"),
        ("date,model,cost\n2026-10-05,m,1\nsoon,m,1\n", "line 3: expected a day"),
        ("date,model,cost\n2026-10-05,m,much\n", "line 2: expected dollars"),
        ("date,model,cost\n2026-10-05,m,nan\n", "line 2: expected dollars"),
        ("date,model,cost\n2026-10-05,m\n", "line 2: expected dollars"),
    ],
)
def test_what_is_no_invoice_is_refused_with_its_line(text, told):
    """A line that is passed over would hide a difference."""
    with pytest.raises(InvalidRequestError, match=told):
        read(text)


def test_both_sides_are_compared():
    """Also what only one of them knows."""
    lines = compare(
        {("d1", "a"): 5 * CENT, ("d1", "b"): CENT}, {("d1", "a"): 7 * CENT, ("d2", "a"): 1}
    )
    assert [(line.day, line.model, line.difference, line.told()["note"]) for line in lines] == [
        ("d1", "a", 2 * CENT, ""),
        ("d1", "b", -CENT, "only here"),
        ("d2", "a", 1, "only on the invoice"),
    ]


def test_rounding_to_the_cent_is_no_difference():
    """Half a cent either way; more is one."""
    lines = compare(
        {("d", "a"): 0, ("d", "b"): 0}, {("d", "a"): CENT // 2, ("d", "b"): CENT // 2 + 1}
    )
    assert [line.model for line in differing(lines)] == ["b"]
