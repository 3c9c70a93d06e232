"""Log lines: one a request, and never what was asked."""

import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from sidecar.clock import ManualClock
from sidecar.domain import Choice, Completion, Outcome
from sidecar.events import EntriesEvicted
from sidecar.observe.log import log_request, set_up, without_client_bytes
from sidecar.trail import Trail


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The process's log as it was before."""
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    server.removeFilter(without_client_bytes)


@pytest.fixture
def stream() -> io.StringIO:
    """Where the log goes."""
    return io.StringIO()


def lines(stream: io.StringIO) -> list[str]:
    """What was logged."""
    return stream.getvalue().splitlines()


def test_a_request_is_one_line_of_json(stream, make_row):
    """With the fields that an operator filters by."""
    set_up("json", "info", stream)
    log_request(make_row(outcome="miss", reason="not_found", total_ms=12.345))
    (line,) = map(orjson.loads, lines(stream))
    told = (line["level"], line["request_id"], line["cache"], line["reason"], line["ms"])
    assert told == ("info", "req_1", "miss", "not_found", 12.35)


def test_a_stream_that_is_no_terminal_gets_json(stream, make_row):
    """`auto` asks the stream."""
    set_up("auto", "info", stream)
    log_request(make_row())
    assert orjson.loads(lines(stream)[0])["status"] == 200


def test_text_is_for_readers(stream, make_row):
    """One short line."""
    set_up("text", "info", stream)
    log_request(make_row(reason="not_found"))
    (line,) = lines(stream)
    assert line.endswith("req_1 200 miss gpt-4o (not_found) 0.0 ms")


def test_other_events_are_not_logged(stream):
    """Evictions are for metrics."""
    set_up("json", "info", stream)
    log_request(EntriesEvicted("expired", 1))
    assert lines(stream) == []


def test_requests_are_silent_above_their_level(stream, make_row):
    """`level: warning` logs no requests."""
    set_up("json", "warning", stream)
    log_request(make_row())
    assert lines(stream) == []


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_neither_question_nor_answer_nor_key_is_ever_in_a_line(stream, make_call, log_format):
    """A whole request with a secret in every input leaves none of them in the log."""
    set_up(log_format, "debug", stream)
    call = make_call(
        "canary-question", unknown={"x": "canary-field"}, labels={"user": "canary-label"}
    )
    trail = Trail(call, ManualClock())
    trail.understood(b"s", b"k", "targets")
    trail.hit(Outcome.SEMANTIC, "e1", "gpt-4o", "openai")
    Completion("1", 1, "m", (Choice(0, "canary-answer", "stop"),))
    log_request(trail.close(200))
    assert len(lines(stream)) == 1
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("field", ["user", "tenant", "session", "department", "feature"])
def test_who_asked_stands_in_the_ledger_and_not_in_the_log(stream, make_row, field):
    """A line names the request; its row names the caller."""
    set_up("json", "info", stream)
    log_request(make_row(**{field: "canary"}))
    assert "canary" not in stream.getvalue()


def test_a_name_can_not_forge_a_line(stream, make_call):
    """A model's name with a line break in it stays in its line."""
    set_up("text", "info", stream)
    call = make_call(model="x\n00:00:00 INFO    req_0 200 forged")
    log_request(Trail(call, ManualClock()).close(404))
    assert len(lines(stream)) == 1


def test_an_exception_is_part_of_its_line(stream):
    """A log shipper sees one record."""
    set_up("json", "info", stream)
    logging.getLogger("x").error("broken", exc_info=LookupError("gone"))
    (line,) = map(orjson.loads, lines(stream))
    assert line["message"] == "broken"
    assert "LookupError: gone" in line["exception"]


@pytest.mark.parametrize("odd", ["\udcff", 2**70], ids=["half a character", "a huge integer"])
def test_what_json_can_not_hold_is_logged_all_the_same(stream, odd):
    """A line is never lost for one odd value."""
    set_up("json", "info", stream)
    logging.getLogger("x").info("odd", extra={"fields": {"value": odd}})
    assert orjson.loads(lines(stream)[0])["message"] == "odd"


def test_what_a_client_sent_in_place_of_http_is_not_quoted(stream):
    """aiohttp's own complaint shows the bytes, and these may be a prompt's."""
    set_up("json", "info", stream)
    kind = type("BadHttpMessage", (Exception,), {"__module__": "aiohttp.http_exceptions"})
    logging.getLogger("aiohttp.server").error("Error, canary", exc_info=kind("b'canary'"))
    assert "BadHttpMessage" in lines(stream)[0]
    assert "canary" not in stream.getvalue()


def test_setting_up_twice_logs_once(stream, make_row):
    """A reload doesn't double every line."""
    set_up("json", "info", stream)
    set_up("json", "info", stream)
    log_request(make_row())
    assert len(lines(stream)) == 1
