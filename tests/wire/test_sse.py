"""Server-sent events: the events never depend on how the bytes were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import UpstreamInvalidError
from sidecar.wire.sse import DONE, DONE_EVENT, SseDecoder, SseEvent, SseTooLargeError, encode

FRAGMENTS = [
    b"data", b":", b" ", b"event", b"id", b"\n", b"\r", b"\r\n", b"\n\n", b"x",
    "é".encode(), "🇫🇷".encode(), b"\xef\xbb\xbf", b"data: a\n\n", b"\x0b", b"\x85", b"\xe2\x80\xa8",
]  # fmt: skip
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)


def whole(data: bytes) -> list[SseEvent]:
    """The events, fed in one piece."""
    return SseDecoder().feed(data)


def cut(data: bytes, places: list[int]) -> list[SseEvent]:
    """The events, fed in pieces."""
    decoder, events, start = SseDecoder(), [], 0
    for place in [*sorted(places), len(data)]:
        events += decoder.feed(data[start:place])
        start = max(start, place)
    return events


def by_the_book(data: bytes) -> list[SseEvent]:
    """The standard's algorithm, line by line, without regard to speed."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, kept, name = [], [], None
    for line in text.split(b"\n")[:-1]:
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not line:
            if kept:
                events.append(SseEvent(b"\n".join(kept), name))
            kept, name = [], None
        elif field == b"data":
            kept.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace") or None
    return events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_each_newline(newline):
    """Lines end with LF, CRLF or CR."""
    stream = newline.join([b"event: ping", b"data: 1", b"", b"data: 2", b"", b""])
    assert whole(stream) == [SseEvent(b"1", "ping"), SseEvent(b"2")]


def test_lines_are_joined():
    """Data lines of one event are joined with LF, empty ones too."""
    assert whole(b"data: a\ndata\ndata:b\n\n") == [SseEvent(b"a\n\nb")]


def test_comments_and_unknown_fields_are_skipped():
    """Comments, ids and retry times are no events."""
    assert whole(b": keep-alive\n\nid: 7\nretry: 10\n\nfoo: bar\ndata: x\n\n") == [SseEvent(b"x")]


def test_one_space_is_dropped():
    """One space behind the colon belongs to the format, more belong to the data."""
    assert whole(b"data:  x\n\n") == [SseEvent(b" x")]


def test_event_without_data_is_none():
    """A name without data is no event, and doesn't name the next one."""
    assert whole(b"event: ping\n\ndata: x\n\n") == [SseEvent(b"x")]


def test_unended_event_is_none():
    """What has no blank line behind it is never given out."""
    assert whole(b"data: x\n") == []


def test_other_separators_end_no_line():
    """Bytes that end a line elsewhere (VT, NEL, U+2028) are data here."""
    data = b"a\x0bb\x0cc\x1cd\x85e\xe2\x80\xa8f"
    assert whole(b"data: " + data + b"\n\n") == [SseEvent(data)]


def test_byte_order_mark_is_dropped():
    """A mark at the very start is skipped, however it is cut; elsewhere it is not."""
    stream = b"\xef\xbb\xbfdata: \xef\xbb\xbfx\n\n"
    assert cut(stream, list(range(len(stream)))) == [SseEvent(b"\xef\xbb\xbfx")]


def test_event_is_given_at_once():
    """An event whose last line ends with CR is not held back for a possible LF."""
    decoder = SseDecoder()
    assert decoder.feed(b"data: x\r\r") == [SseEvent(b"x")]
    assert decoder.feed(b"\ndata: y\r\n\r") == [SseEvent(b"y")]


def test_empty_chunk_changes_nothing():
    """An empty chunk between CR and LF doesn't make two line ends of one."""
    decoder = SseDecoder()
    decoder.feed(b"data: a\r")
    decoder.feed(b"")
    assert decoder.feed(b"\ndata: b\n\n") == [SseEvent(b"a\nb")]


@given(streams)
def test_as_the_standard_says(data):
    """Any bytes give the events that the standard's own algorithm gives."""
    assert whole(data) == by_the_book(data)


@given(streams)
def test_byte_by_byte(data):
    """Fed byte by byte, the events are those of the whole."""
    assert cut(data, list(range(len(data)))) == whole(data)


@given(streams, st.lists(st.integers(0, 200), max_size=8))
def test_cut_anywhere(data, places):
    """Cut at any places, the events are those of the whole."""
    assert cut(data, [min(place, len(data)) for place in places]) == whole(data)


def feed_in_steps(decoder: SseDecoder, stream: bytes, step: int) -> None:
    """Pieces of `step` bytes."""
    for start in range(0, len(stream), step):
        decoder.feed(stream[start : start + step])


@pytest.mark.parametrize(
    "flood",
    [b"data: " + b"x" * 200, b"x" * 200, b": " + b"x" * 200, b"event: " + b"x" * 200,
     b"data: x\n" * 40, b"data\n" * 40],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_large_events_are_refused(flood, step):
    """An event over the limit is the provider's fault, in one line, in many, or without end."""
    decoder = SseDecoder(max_event_bytes=100)
    stream = flood + b"\n\n" if b"data" in flood or b"event" in flood else flood
    with pytest.raises(SseTooLargeError) as caught:
        feed_in_steps(decoder, stream, step)
    assert isinstance(caught.value, UpstreamInvalidError)
    assert caught.value.reason == "too_large"


def test_limit_is_for_one_event():
    """Any number of events under the limit may come, and comments between them."""
    decoder = SseDecoder(max_event_bytes=100)
    for _ in range(100):
        assert len(decoder.feed(b": comment\ndata: " + b"x" * 60 + b"\n\n")) == 1


def test_huge_event_in_small_pieces():
    """A large event in tiny pieces is put together in linear time: it ends before the timeout."""
    decoder = SseDecoder(max_event_bytes=4_000_000)
    for _ in range(1_000_000):
        decoder.feed(b"xyz")
    assert decoder.feed(b"\ndata: end\n\n") == [SseEvent(b"end")]


@given(st.binary(max_size=50), st.none() | st.sampled_from(["ping", "message_start"]))
def test_encode_is_undone_by_decoding(data, name):
    """What is encoded is decoded to the same, with every line end an LF."""
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert whole(encode(data, name)) == [SseEvent(expected, name)]


def test_done():
    """The end of an OpenAI stream, as data and as bytes."""
    assert encode(DONE) == DONE_EVENT
    assert whole(DONE_EVENT) == [SseEvent(DONE)]
