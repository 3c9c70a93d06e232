"""Streams into answers and back: nothing is lost, and nothing grows without end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Choice, Chunk, Completion, Delta, ToolCall, ToolCallDelta, Usage
from sidecar.errors import UpstreamInvalidError
from sidecar.wire.assemble import Assembler, TooLargeError, assemble, replay
from sidecar.wire.openai_reply import build_chunk, build_completion, parse_chunk, parse_completion
from sidecar.wire.sse import DONE, SseDecoder

SAMPLES = Path(__file__).parent / "samples"
STREAMS = sorted(path.name for path in SAMPLES.glob("*.sse"))


def chunks(name: str) -> list[Chunk]:
    """A sample's chunks."""
    events = SseDecoder().feed((SAMPLES / name).read_bytes())
    return [parse_chunk(event.data) for event in events if event.data != DONE]


def told(*deltas: Delta, **fields) -> Completion:
    """What these deltas tell together, each in a chunk of its own."""
    return assemble([Chunk("x", 1, "m", (delta,), **fields) for delta in deltas])


def test_text():
    """Pieces of text add up; the end and the last usage count."""
    answer = assemble(chunks("openai_text.sse"))
    assert answer.choices == (Choice(0, "Bonjour, été 🇫🇷 and\nbye", "stop"),)
    assert answer.usage == Usage(19, 5)
    assert answer.extra == {"service_tier": "default", "system_fingerprint": "fp_34"}


def test_tool_calls():
    """Calls add up by their index."""
    assert assemble(chunks("openai_tools.sse")).choices == (
        Choice(
            0,
            None,
            "tool_calls",
            (
                ToolCall("call_a", "get_weather", '{"city":"Paris"}'),
                ToolCall("call_b", "get_time", "{}"),
            ),
        ),
    )


def test_custom_tool_call():
    """A call that is no function keeps its kind."""
    (choice,) = assemble(chunks("openai_custom_tool.sse")).choices
    assert choice.tool_calls == (ToolCall("call_b", "run_sql", "SELECT 1", "custom"),)


def test_reasoning():
    """Fields unknown here continue, those beside the delta are repeated."""
    (choice,) = assemble(chunks("vllm_reasoning.sse")).choices
    assert (choice.text, choice.finish) == ("Four.", "stop")
    assert choice.extra["reasoning_content"] == "Two and two make four."
    assert choice.extra["choice.stop_reason"] == "</s>"


def test_cumulated_usage():
    """Of usage that comes with every event the last counts, not the sum."""
    assert assemble(chunks("vllm_reasoning.sse")).usage == Usage(13, 9)


def test_repeated_role():
    """A role that comes with every event adds nothing to the text."""
    assert assemble(chunks("ollama_text.sse")).choices == (Choice(0, "Hello!", "stop"),)


def test_empty_first_chunk():
    """The head is taken from the first event that has one."""
    answer = assemble(chunks("azure_text.sse"))
    assert (answer.id, answer.created) == ("chatcmpl-S1", 1751000100)
    assert "prompt_filter_results" in answer.extra


def test_interleaved_choices():
    """Choices are told apart by their index, and stand in its order."""
    b, d = Delta(1, text="b"), Delta(1, text="d", finish="length")
    answer = told(b, Delta(0, text="a"), d, Delta(0, text="c"))
    assert answer.choices == (Choice(0, "ac"), Choice(1, "bd", "length"))


def test_refusal():
    """A refusal is not text."""
    assert told(Delta(refusal="I "), Delta(refusal="can't")).choices == (
        Choice(0, refusal="I can't"),
    )


def test_logprobs():
    """Log probabilities continue list by list."""
    answer = told(
        Delta(text="a", logprobs={"content": [{"token": "a"}], "refusal": None}),
        Delta(text="b", logprobs={"content": [{"token": "b"}], "refusal": None}),
    )
    assert answer.choices[0].logprobs == {
        "content": [{"token": "a"}, {"token": "b"}],
        "refusal": None,
    }


def test_repeated_id_and_name():
    """A server that repeats a call's id and name in each piece names it once."""
    piece = ToolCallDelta(0, "c", "f", "x", "function")
    assert told(Delta(tool_calls=(piece,)), Delta(tool_calls=(piece,))).choices[0].tool_calls == (
        ToolCall("c", "f", "xx"),
    )


def test_cut_stream_has_no_end():
    """A stream that was cut gives an answer without a finish."""
    assert assemble(chunks("openai_text.sse")[:3]).choices == (Choice(0, "Bonjour"),)


def test_empty_stream_has_no_choices():
    """A stream that told nothing gives no choice that could be taken for an answer."""
    assert assemble([]).choices == ()


def test_completion_can_be_asked_at_any_time():
    """Asking in between changes nothing."""
    assembler = Assembler()
    assembler.feed(Chunk("x", 1, "m", (Delta(text="a", extra={"r": "1"}),)))
    assert assembler.completion() == assembler.completion()
    assembler.feed(Chunk("x", 1, "m", (Delta(text="b", extra={"r": "2"}),), Usage(1, 2)))
    assert assembler.completion().choices == (Choice(0, "ab", extra={"r": "12"}),)
    assert assembler.usage == Usage(1, 2)


@pytest.mark.parametrize(
    "flood",
    [
        Chunk("", 0, "", (Delta(text="é" * 50),)),
        Chunk("", 0, "", (Delta(text=""),)),
        Chunk("", 0, "", (Delta(refusal="x" * 100),)),
        Chunk("", 0, "", (Delta(tool_calls=(ToolCallDelta(0, arguments="x" * 100),)),)),
        Chunk("", 0, "", (Delta(extra={"r": "x" * 100}),)),
        Chunk("", 0, "", (Delta(logprobs={"content": [1, 2, 3]}),)),
        Chunk("", 0, "", (), None, {"x": ["y" * 100]}),
    ],
)
def test_bounded(flood):
    """Whatever a provider repeats without end, it is refused before it fills the memory."""
    assembler = Assembler(max_bytes=10_000)
    with pytest.raises(TooLargeError) as caught:
        feed_again_and_again(assembler, flood)
    assert isinstance(caught.value, UpstreamInvalidError)
    assert caught.value.reason == "too_large"


def test_counts_what_the_text_takes():
    """Text counts by its bytes: what is just within the limit is kept."""
    assembler = Assembler(max_bytes=1000)
    assembler.feed(Chunk("", 0, "", (Delta(text="é" * 400),)))
    with pytest.raises(TooLargeError):
        assembler.feed(Chunk("", 0, "", (Delta(text="é" * 400),)))


def feed_again_and_again(assembler: Assembler, chunk: Chunk) -> None:
    """A thousand times the same."""
    for _ in range(1000):
        assembler.feed(chunk)


texts = st.text(max_size=200)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip
names = st.sampled_from(["reasoning_content", "annotations", "x", "id", "name"])
calls = st.builds(
    ToolCall, id=texts, name=texts, arguments=texts, kind=st.sampled_from(["function", "custom"]),
    extra=st.dictionaries(st.sampled_from(["x", "y"]), json),
)  # fmt: skip
choices = st.builds(
    Choice,
    index=st.integers(0, 9),
    text=st.none() | texts,
    finish=st.none() | st.sampled_from(["stop", "length", "tool_calls"]),
    tool_calls=st.lists(calls, max_size=3).map(tuple),
    refusal=st.none() | texts,
    logprobs=st.none() | st.dictionaries(st.sampled_from(["content", "refusal"]), json),
    extra=st.dictionaries(names | st.sampled_from(["choice.stop_reason", "choice.x"]), json),
)
answers = st.builds(
    Completion,
    id=texts,
    created=st.integers(0, 2**40),
    model=texts,
    choices=st.lists(choices, min_size=1, max_size=3, unique_by=lambda choice: choice.index).map(
        lambda found: tuple(sorted(found, key=lambda choice: choice.index))
    ),
    usage=st.none() | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
    extra=st.dictionaries(st.sampled_from(["system_fingerprint", "service_tier", "y"]), json),
)


@given(answers)
def test_a_replayed_answer_is_the_same_answer(answer):
    """Replayed and put together again, an answer is what it was."""
    assert assemble(replay(answer)) == answer


@given(answers)
def test_the_same_through_bytes(answer):
    """The same holds when the stream is written and read in between."""
    written = [build_chunk(chunk, include_usage=True) for chunk in replay(answer)]
    assert assemble(map(parse_chunk, written)) == parse_completion(build_completion(answer))


@pytest.mark.parametrize("name", STREAMS)
def test_a_replayed_stream_tells_the_same(name):
    """A stream that was put together and replayed tells the same answer."""
    answer = assemble(chunks(name))
    assert assemble(replay(answer)) == answer


@given(st.lists(texts, max_size=8), st.lists(texts, max_size=8))
def test_pieces_add_up(said, thought):
    """However an answer is cut into pieces, it is the same answer."""
    deltas = [Delta(text=piece) for piece in said] + [
        Delta(extra={"r": piece}) for piece in thought
    ]
    (choice,) = told(Delta(role="assistant", text=""), *deltas).choices
    assert choice.text == "".join(said)
    assert choice.extra.get("r", "") == "".join(thought)
