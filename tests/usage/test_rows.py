"""Rows as columns, and back."""

import orjson
import pytest

from sidecar.domain import Attempt
from sidecar.events import Decision, RequestRow
from sidecar.usage.rows import NAMES, to_record, to_values

ATTEMPT = Attempt("openai", "gpt-4o", None, "cut", 12.5)


def test_every_field_has_a_column():
    """None is left out, now or later."""
    assert RequestRow._fields == NAMES


def test_a_row_reads_back_as_it_was_written(make_row):
    """Nested parts as JSON, flags as true and false."""
    decision = Decision("flight", "joined", 1.5, {"leader": "req_0"})
    row = make_row(
        attempts=(ATTEMPT,), decisions=(decision,), stages_ms={"embed": 4.0}, stream=True
    )
    record = to_record(to_values(row))
    assert record["attempts"] == [
        {
            "provider": "openai",
            "model": "gpt-4o",
            "status": None,
            "reason": "cut",
            "ms": 12.5,
            "cost_nanousd": 0,
            "estimated": False,
        }
    ]
    assert record["decisions"][0]["detail"] == {"leader": "req_0"}
    assert (record["stages_ms"], record["stream"], record["stored"]) == (
        {"embed": 4.0},
        True,
        False,
    )


def test_a_decision_without_detail_can_be_written(make_row):
    """The shared empty mapping is JSON's empty object."""
    record = to_record(to_values(make_row(decisions=(Decision("policy", "no_cache", 0.0),))))
    assert record["decisions"][0]["detail"] == {}


def test_a_record_is_json(make_row):
    """The admin plane passes it on as it is."""
    orjson.dumps(to_record(to_values(make_row(attempts=(ATTEMPT,)))))


def test_columns_of_another_schema_are_refused(make_row):
    """A row is never read with its values shifted by one."""
    with pytest.raises(ValueError, match="zip"):
        to_record(to_values(make_row())[1:])
