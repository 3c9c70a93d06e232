"""What is given on of a stream, and when."""

from sidecar.domain import Chunk, Delta
from sidecar.route.wishes import Held


def test_a_stream_is_held_until_it_has_content():
    """Role and id alone commit nobody; from the first content on all goes through."""
    told: list[Chunk] = []
    held = Held(told.append)
    role, empty, text, more = (
        Chunk("1", 1, "m", (Delta(**delta),))
        for delta in ({"role": "assistant"}, {"text": ""}, {"text": "h"}, {"text": ""})
    )
    assert not held.take(role)
    held.restart()
    assert not held.take(role)
    assert not held.take(empty)
    assert (told, held.begun) == ([], False)
    assert held.take(text)
    assert held.take(more)
    assert (told, held.begun) == ([role, empty, text, more], True)


def test_a_stream_without_content_is_given_on_at_its_end():
    """An empty answer is one."""
    told: list[Chunk] = []
    held = Held(told.append)
    held.take(Chunk("1", 1, "m", (Delta(role="assistant"),)))
    held.release()
    assert len(told) == 1
