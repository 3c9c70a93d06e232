"""Answers that rest on more than their request are none of the cache's business."""

from __future__ import annotations

import pytest

from sidecar.cache.outside import why_outside
from sidecar.cache.policy import Settings, permit
from sidecar.native import NativeRequest
from sidecar.reasons import Reason

FUNCTION = {"type": "function", "function": {"name": "f"}}
SEARCH = {"type": "web_search_20260318", "name": "web_search"}


@pytest.mark.parametrize(
    ("reason", "asked"),
    [
        (Reason.STATEFUL, {"unknown": {"container": "c1"}}),
        (Reason.STATEFUL, {"unknown": {"container": {}}}),
        (Reason.STATEFUL, {"unknown": {"thread": {"id": "t"}}}),
        (Reason.STATEFUL, {"unknown": {"diagnostics": {"previous_message_id": "msg_1"}}}),
        (Reason.STATEFUL, {"unknown": {"fallback_credit_token": "t"}}),
        (Reason.STATEFUL, {"unknown": {"container": "c1"}, "tools": (SEARCH,)}),
        (Reason.NATIVE, {"unknown": {"mcp_servers": [{"url": "https://a"}]}}),
        (Reason.NATIVE, {"unknown": {"data_sources": [{"type": "azure_search"}]}}),
        (Reason.NATIVE, {"parameters": {"web_search_options": {}}}),
        (Reason.NATIVE, {"tools": (FUNCTION, SEARCH)}),
        (Reason.NATIVE, {"tools": ({"type": "code_execution_20250825"},)}),
        (Reason.NATIVE, {"tools": ({"type": "mcp_toolset"},)}),
        (Reason.NATIVE, {"tools": ({"type": 5},)}),
    ],
)
def test_what_looks_outside_is_neither_read_nor_written(make_call, reason, asked):
    """Kept at the provider, looked up there, or run there: each with its word."""
    call = make_call(**asked)
    assert why_outside(call.request) is reason
    permission = permit(call, Settings())
    assert (permission.bypass, permission.coalesces) == (reason, False)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"unknown": {"container": None, "mcp_servers": []}},
        {"unknown": {"thinking": {"type": "adaptive"}, "top_k": 5}},
        {"tools": (FUNCTION,)},
        {"tools": ({"type": "custom", "custom": {"name": "f"}}, {"function": {"name": "f"}})},
        {"tools": ({"type": "bash_20250124", "name": "bash"},)},
        {"tools": ({"type": "text_editor_20250728"}, {"type": "computer_toolset_20260801"})},
        {"tools": ({"type": "browser_toolset_20260801"}, {"type": "memory_20250818"})},
    ],
)
def test_what_the_client_holds_and_runs_itself_does_not(make_call, asked):
    """Nothing asked for, and tools whose results come with the next request."""
    assert why_outside(make_call(**asked).request) is None


@pytest.mark.parametrize(("is_stateful", "reason"), [(True, "stateful"), (False, "native")])
def test_a_request_in_words_of_its_own(is_stateful, reason):
    """What only one provider understands is its own affair."""
    assert why_outside(NativeRequest("m", (), is_stateful=is_stateful)) == reason
