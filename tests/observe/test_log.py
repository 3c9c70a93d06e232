"""The process's log: one record a line, and nothing of what a client sent."""

import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from sidecar.observe.log import set_up, without_client_bytes


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


def test_a_stream_that_is_no_terminal_gets_json(stream):
    """`auto` asks the stream."""
    set_up("auto", "info", stream)
    logging.getLogger("x").info("hello")
    assert orjson.loads(lines(stream)[0])["message"] == "hello"


def test_text_is_for_readers(stream):
    """One short line."""
    set_up("text", "info", stream)
    logging.getLogger("x").info("hello")
    assert lines(stream)[0].endswith("INFO    hello")


def test_lines_beneath_the_level_are_not_written(stream):
    """`level: warning` is quiet."""
    set_up("json", "warning", stream)
    logging.getLogger("x").info("hello")
    assert lines(stream) == []


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


def test_setting_up_twice_logs_once(stream):
    """A reload doesn't double every line."""
    set_up("json", "info", stream)
    set_up("json", "info", stream)
    logging.getLogger("x").info("hello")
    assert len(lines(stream)) == 1
