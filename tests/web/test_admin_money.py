"""The admin plane's part on money: options, CSV, and one clear word to change a charge."""

import pytest

from tests.web.operating import TOKEN, ask


@pytest.mark.parametrize("path", ["/api/usage", "/api/usage/closing", "/api/usage/charges"])
async def test_reports_on_money_get_the_options_of_the_url(client, url, path):
    """Each once: of two values for one option nobody knows which was meant."""
    status, told = await ask(client, f"{url}{path}?by=user&since=7d")
    assert (status, told["asked"]) == (200, {"by": "user", "since": "7d"})
    status, told = await ask(client, f"{url}{path}?by=user&by=model")
    assert (status, told["error"]["code"]) == (400, "invalid_request")


async def test_a_report_comes_as_csv_for_a_spreadsheet(client, url):
    """In which a caller's tag is no formula."""
    for options, text in (
        ("by=user&", "user,cost_usd\r\n'=1+1,0.5\r\n"),
        ("", "cost_usd\r\n7\r\n"),
    ):
        path = f"{url}/api/usage?{options}format=csv"
        async with client.get(path, headers=TOKEN) as response:
            assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert await response.text() == text
    status, told = await ask(client, f"{url}/api/usage?format=xml")
    assert (status, told["error"]["param"]) == (400, "format")


async def test_a_charge_is_reconciled_by_texts(client, url, desk):
    """A number of JSON is no exact dollars."""
    path = f"{url}/api/budgets/reconcile"
    told = {"charge": "req_1:1", "cost_usd": "0.5", "note": "by phone"}
    assert await ask(client, path, "POST", told) == (200, {"charge": "req_1:1"})
    assert desk.finance.done == [("req_1:1", "0.5", "by phone")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"charge": "a"},
        {"charge": "a", "cost_usd": 0.5},
        {"charge": "a", "cost_usd": None},
        {"charge": 1, "cost_usd": "0.5"},
        {"charge": "a", "cost_usd": "0.5", "note": 1},
    ],
)
async def test_a_reconciliation_that_is_unclear_changes_nothing(client, url, desk, body):
    """Money is moved by a clear word alone."""
    status, told = await ask(client, f"{url}/api/budgets/reconcile", "POST", body)
    assert (status, told["error"]["code"]) == (400, "invalid_request")
    assert desk.finance.done == []
