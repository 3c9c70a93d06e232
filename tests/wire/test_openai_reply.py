"""OpenAI chat replies: nothing of a provider's is lost, and what is no answer is refused."""

from pathlib import Path

import orjson
import pytest

from sidecar.domain import Choice, Chunk, Completion, Delta, Usage
from sidecar.errors import (
    InvalidRequestError,
    SidecarError,
    UpstreamError,
    UpstreamInvalidError,
)
from sidecar.wire.openai_reply import (
    build_chunk,
    build_completion,
    build_error,
    parse_chunk,
    parse_completion,
)
from sidecar.wire.sse import DONE, SseDecoder

SAMPLES = Path(__file__).parent / "samples"
WHOLE = sorted(path.name for path in SAMPLES.glob("*.json"))
STREAMS = sorted(path.name for path in SAMPLES.glob("*.sse"))
MESSAGE = {"role": "assistant", "content": "Hi"}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}


def events(name: str) -> list[bytes]:
    """A sample's events, but for the last."""
    found = [event.data for event in SseDecoder().feed((SAMPLES / name).read_bytes())]
    assert found[-1] == DONE
    return found[:-1]


def whole(**fields) -> Completion:
    """A whole reply, changed in these fields."""
    return parse_completion(orjson.dumps({"id": "x", "choices": [CHOICE], **fields}))


def piece(**fields) -> Chunk:
    """An event, changed in these fields."""
    return parse_chunk(orjson.dumps({"id": "x", "choices": [], **fields}))


def lost(sent, given, path="") -> list[str]:
    """Where `given` differs from `sent`. Usage is normalised, and nulls may be left out."""
    if isinstance(sent, dict) and isinstance(given, dict):
        kept = {key for key, value in sent.items() if value is not None or key in given} - {"usage"}
        return [place for key in kept for place in lost(sent[key], given.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(given, list) and len(sent) == len(given):
        pairs = zip(sent, given, strict=True)
        return [place for i, pair in enumerate(pairs) for place in lost(*pair, f"{path}[{i}]")]
    return [] if sent == given else [f"{path}: {sent!r} became {given!r}"]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_replies_keep_every_field(name):
    """A reply that was read and written has every field that it came with."""
    raw = (SAMPLES / name).read_bytes()
    assert lost(orjson.loads(raw), orjson.loads(build_completion(parse_completion(raw)))) == []


@pytest.mark.parametrize("name", WHOLE)
def test_whole_replies_read_back_the_same(name):
    """What is written reads back as what was read."""
    completion = parse_completion((SAMPLES / name).read_bytes())
    assert parse_completion(build_completion(completion)) == completion


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_keep_every_field(name):
    """An event that was read and written has every field that it came with."""
    for raw in events(name):
        sent = {**orjson.loads(raw), "object": "chat.completion.chunk"}
        given = orjson.loads(build_chunk(parse_chunk(raw), include_usage=False))
        assert lost(sent, given) == []


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_read_back_the_same(name):
    """What is written reads back as what was read."""
    for raw in events(name):
        chunk = parse_chunk(raw)
        assert parse_chunk(build_chunk(chunk, include_usage=True)) == chunk


def test_whole_reply():
    """The parts of a reply have their places."""
    completion = parse_completion((SAMPLES / "openai_text.json").read_bytes())
    assert completion == Completion(
        "chatcmpl-BxQ2c9",
        1751000000,
        "gpt-4o-mini-2024-07-18",
        (Choice(0, "The capital of France is Paris. 🇫🇷", "stop", extra={"annotations": []}),),
        Usage(1214, 9, 1024, 0),
        {"service_tier": "default", "system_fingerprint": "fp_34a54ae93c"},
    )


def test_fields_beside_the_message():
    """Fields on the two levels of a choice can't be taken for one another."""
    choice = {**CHOICE, "stop_reason": 7, "message": {**MESSAGE, "stop_reason": 8}}
    completion = whole(choices=[choice])
    assert completion.choices[0].extra == {"stop_reason": 8, "choice.stop_reason": 7}
    written = orjson.loads(build_completion(completion))["choices"][0]
    assert (written["stop_reason"], written["message"]["stop_reason"]) == (7, 8)


def test_content_in_parts():
    """Content that comes as a list is kept as it is."""
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}]
    completion = whole(choices=[{**CHOICE, "message": {"content": parts}}])
    assert completion.choices[0].text is None
    assert orjson.loads(build_completion(completion))["choices"][0]["message"]["content"] == parts


def test_careless_head():
    """A missing id, time or model is no reason to refuse an answer."""
    completion = whole(id=None, created="now", model=5)
    assert (completion.id, completion.created, completion.model) == ("", 0, "")


@pytest.mark.parametrize("created", [-1, 1e308, True])
def test_absurd_time(created):
    """A time that none can be is none."""
    assert whole(created=created).created == 0


def test_choices_without_index():
    """A choice without an index has its place in the list."""
    choices = [{"message": MESSAGE}, {"message": MESSAGE}]
    assert [choice.index for choice in whole(choices=choices).choices] == [0, 1]


def test_empty_finish_is_none():
    """An empty finish reason is no end."""
    assert whole(choices=[{**CHOICE, "finish_reason": ""}]).choices[0].finish is None
    assert (
        piece(choices=[{"delta": {"content": "x"}, "finish_reason": ""}]).deltas[0].finish is None
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": "x"},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"choices": [{**CHOICE, "message": {"content": 5}}]},
        {"choices": [{**CHOICE, "message": {"content": {}}}]},
        {"choices": [{**CHOICE, "message": {"refusal": 5}}]},
        {"choices": [{**CHOICE, "message": {"tool_calls": 5}}]},
        {"choices": [{**CHOICE, "finish_reason": 5}]},
        {"choices": [{**CHOICE, "index": -1}]},
        {"choices": [{**CHOICE, "index": "0"}]},
        {"choices": [{**CHOICE, "index": True}]},
    ],
)
def test_malformed_replies(fields):
    """A 200 that holds no answer is the provider's fault."""
    with pytest.raises(UpstreamInvalidError) as caught:
        whole(**fields)
    assert caught.value.reason == "invalid_body"


@pytest.mark.parametrize("body", [b"", b"<html>sk-canary</html>", b"[]", b'{"choices": [', b"\xff"])
@pytest.mark.parametrize("parse", [parse_completion, parse_chunk])
def test_no_json(parse, body):
    """A body that is no JSON object is the provider's fault, and is not quoted."""
    with pytest.raises(UpstreamInvalidError) as caught:
        parse(body)
    assert caught.value.reason == "invalid_body"
    assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": None},
        {"choices": {}},
        {"choices": ["x"]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": "x"}, "index": -1}]},
        {"choices": [{"delta": {"role": 5}}]},
        {"choices": [{"delta": {"refusal": 5}}]},
        {"choices": [{"delta": {"tool_calls": [5]}}]},
        {"choices": [{"delta": {"content": "x"}, "finish_reason": 5}]},
        {"choices": [CHOICE]},
    ],
)
def test_malformed_chunks(fields):
    """An event that holds no piece of an answer is the provider's fault."""
    with pytest.raises(UpstreamInvalidError) as caught:
        piece(**fields)
    assert caught.value.reason == "invalid_body"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"message": "sk-canary", "type": "server_error", "code": None}, "server_error"),
        ({"message": "sk-canary", "type": "BadRequestError", "code": 400}, "400"),
        ({"message": "x", "code": "sk-canary in a sentence", "type": "t"}, "t"),
        ({"message": "sk-canary"}, "no code given"),
        ("sk-canary", "no code given"),
        (["sk-canary"], "no code given"),
    ],
)
@pytest.mark.parametrize(
    ("parse", "reason"), [(parse_completion, "error_in_body"), (parse_chunk, "error_in_stream")]
)
def test_error_with_status_200(parse, reason, error, word):
    """An error that came with a 200 is an error; only its code is told on."""
    with pytest.raises(UpstreamError) as caught:
        parse(orjson.dumps({"error": error, "choices": [CHOICE]}))
    assert caught.value.reason == reason
    assert not isinstance(caught.value, UpstreamInvalidError)
    assert caught.value.message.endswith(word)
    assert "sk-canary" not in str(caught.value)


def test_null_error_is_none():
    """A field that says that there was no error is none."""
    assert whole(error=None).choices


def test_lying_usage_is_unknown():
    """Usage that can't be true makes no answer invalid."""
    assert whole(usage={"prompt_tokens": -1, "completion_tokens": 10**12}).usage is None
    assert piece(usage={"prompt_tokens": "9"}).usage is None


def test_usage_chunk_without_choices():
    """The event that tells usage may lack the list of choices."""
    chunk = piece(choices=None, usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert (chunk.deltas, chunk.usage) == ((), Usage(1, 2))


def test_choice_that_says_nothing():
    """A choice without a delta, as a content filter sends it, says nothing and loses nothing."""
    (delta,) = piece(choices=[{"index": 0, "content_filter_offsets": {"start": 0}}]).deltas
    assert delta == Delta(0, extra={"choice.content_filter_offsets": {"start": 0}})


def test_usage_is_null_until_the_end():
    """A client that asked for usage sees null in every event but the last."""
    chunk = Chunk("x", 1, "m", (Delta(0, text="Hi"),))
    assert orjson.loads(build_chunk(chunk, include_usage=True))["usage"] is None
    last = orjson.loads(build_chunk(Chunk("x", 1, "m", (), Usage(1, 2)), include_usage=True))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 3)


def test_no_usage_where_not_asked_for():
    """A client that did not ask sees no usage, though the provider was asked."""
    chunk = Chunk("x", 1, "m", (Delta(0, text="Hi"),), Usage(1, 2))
    assert "usage" not in orjson.loads(build_chunk(chunk, include_usage=False))


def test_field_on_the_last_chunk():
    """A field of ours can be added beside the choices."""
    chunk = Chunk("x", 1, "m", (), Usage(1, 2))
    built = orjson.loads(build_chunk(chunk, include_usage=True, extra={"sidecar": {"a": 1}}))
    assert built["sidecar"] == {"a": 1}


def test_error_body():
    """An error has OpenAI's four fields, and details beside them."""
    error = SidecarError("no luck", param="model", detail={"attempts": [1]})
    assert orjson.loads(build_error(error)) == {
        "error": {
            "message": "no luck",
            "type": "server_error",
            "param": "model",
            "code": "internal",
            "attempts": [1],
        }
    }


def test_details_displace_nothing():
    """Details can't take the place of message, type, param or code."""
    error = InvalidRequestError("no luck", detail={"message": "x", "code": "x", "param": "x"})
    built = orjson.loads(build_error(error))["error"]
    assert (built["message"], built["code"], built["param"]) == ("no luck", "invalid_request", None)
