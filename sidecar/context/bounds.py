"""The most tokens that a request can take: what is held of a budget before it is sent. Pure.

Input is bounded by bytes. Every tokenizer in use makes a token of at least one byte of
the text that it reads, which is the text as it was sent or in one of Unicode's composed
forms. What stands around texts (roles, names of tools, a vendor's hidden lines) is bounded
by margins, which are above all that is published: 3 to 5 tokens a message, 530 for
Anthropic's use of tools, 735 for one of its own. A tool's schema is taken for no longer
than its JSON as Python would write it, with spaces and with escapes.

What can't be bounded so takes the model's context window, for no model reads more. Where
that is not known either, the request is refused by name, and so is what is billed beside
its tokens: no bound of them would hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from unicodedata import is_normalized, normalize

from sidecar.context.beyond import image_of, is_textual, why_uncountable, why_unpriced, window_of
from sidecar.context.native_bounds import (
    native_cap,
    pieces,
    why_uncountable_natively,
    why_unpriced_natively,
    with_native_cap,
)
from sidecar.context.tokens import count, encoding_for
from sidecar.domain import NOTHING, ChatRequest, Json, Message, Part, Text, ToolCall
from sidecar.errors import InvalidRequestError
from sidecar.native import NativeRequest
from sidecar.wire.anthropic_tools import BETA_HEADER
from sidecar.wire.body import dump

PER_REQUEST: Final = 256
"""A template's own lines, such as today's date and what the model is called."""

PER_REQUEST_OF_OPENAI: Final = 32
PER_MESSAGE: Final = 16
PER_PART: Final = 8
PER_CALL: Final = 32
PER_FIELD: Final = 32
PER_FORMAT: Final = 512
TOOLS: Final = 1024
PER_TOOL: Final = 64
PER_OWN_TOOL: Final = 2048
PER_ITEM: Final = 8

_OLDER: Final = "max_tokens"
_NEWER: Final = "max_completion_tokens"
_CAPS: Final = (_OLDER, _NEWER)
_CAPS_OF_SERVERS: Final = ("n_predict", "max_new_tokens", "max_output_tokens", "num_predict")
"""Words for a cap that some servers of OpenAI's words know, and prefer to its own."""

_FORMATS: Final = frozenset(("response_format", "output_format", "output_config"))
_NO_PROMPT: Final = frozenset(
    (*_CAPS, "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "n")
) | {
    "top_logprobs", "logprobs", "seed", "stop", "logit_bias", "parallel_tool_calls",
    "prompt_cache_key", "prompt_cache_retention", "service_tier", "prediction", "betas",
    BETA_HEADER,
}  # fmt: skip
"""Fields that say how to answer and never become text that a model reads."""

_CAPS_THOUGHT: Final = re.compile(r"(?:ft:)?(?:.*/)?(?:o\d|gpt-[5-9]|codex-)")
"""OpenAI's models that refuse `max_tokens`; older servers of its words know no other cap."""

_GROWS: Final = tuple(bytes([sign]) for sign in b',:{}[]"\\\n')
"""Each may get a space, an escape, or a line with its indent where JSON is written otherwise."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """How text and JSON are measured, and what is added for the whole."""

    text: Callable[[str], int]
    json: Callable[[bytes], int]
    whole: int


def input_bound(request: ChatRequest, *, window: int | None, model: str | None = None) -> int:
    """Input tokens that no tokenizer makes more of, at a target's `model`.

    `window` is that model's context window in tokens. Where the model is None an image
    takes the window, for what it takes differs from model to model. `InvalidRequestError`
    where the window is needed and None, and where tokens are not all that is paid for.
    """
    if unpriced := _why_unpriced(request):
        raise _refusal(f"{unpriced}: it is not paid for by the usual price of tokens; leave it out")
    most = _bound(request, model, _BYTES)
    unseen = _why_uncountable(request, model)
    if unseen is None:
        return most
    if window is None:
        key = f"prices.{model or request.model}.max_input_tokens"
        raise _refusal(f"{unseen}: its tokens can't be told beforehand; leave it out, or set {key}")
    return max(most, window_of(request, window))


def exact_bound(request: ChatRequest, model: str) -> int | None:
    """The same, nearer, for a model of OpenAI's; None where its tokens can't be counted.

    Counts every text, and loads the ranks when first wanted: call it off the event loop.
    It trusts the name, so it is for OpenAI's own address, not for a deployment's name.
    """
    encoding = encoding_for(model)
    if encoding is None or isinstance(request, NativeRequest):
        return None  # of a body in its own words it is not known how it is read
    if why_unpriced(request) or why_uncountable(request, model):
        return None

    def counted(text: str) -> int:
        return count(text, encoding)

    measure = _Measure(counted, lambda raw: counted(raw.decode()), PER_REQUEST_OF_OPENAI)
    return _bound(request, model, measure)


def embedding_bound(
    items: Iterable[str | Sequence[int]], parameters: Mapping[str, Json] = NOTHING
) -> int:
    """Input tokens of texts and of lists of token numbers.

    Each may be read behind a text in `parameters`, such as an instruction.
    """
    each = PER_ITEM + (json_bytes(dump(parameters)) if parameters else 0)
    return sum(each + (text_bytes(item) if isinstance(item, str) else len(item)) for item in items)


def output_bound(request: ChatRequest, cap: int) -> int:
    """Output tokens of all choices. `cap` is for each, where the request sets none itself.

    Of several caps the largest counts: which of them a server obeys is its own affair.
    """
    if isinstance(request, NativeRequest):
        own_cap = native_cap(request)
        return cap if own_cap is None else own_cap
    own = [request.parameters[name] for name in _CAPS if name in request.parameters]
    most: int = max([*(own or [cap]), *_caps_of_servers(request)])
    # What was predicted and did not come true is billed as if the model had written it.
    predicted = request.parameters.get("prediction")
    wrong = len(dump(predicted)) if predicted else 0
    return (most + wrong) * _choices(request)


def with_cap(
    request: ChatRequest, cap: int, model: str, *, only_speaks_alike: bool = False
) -> ChatRequest:
    """The request to `model` with a cap, where it has none, in the word that this one takes.

    With `only_speaks_alike` the server is not OpenAI's own: it may know the older word alone,
    and would pass over the newer one in silence.
    """
    if isinstance(request, NativeRequest):
        return with_native_cap(request, cap)
    is_newer, said = _CAPS_THOUGHT.match(model.lower()), request.parameters
    own = [name for name in _CAPS if name in said]
    if not own:
        return replace(request, parameters={**said, _NEWER if is_newer else _OLDER: cap})
    if own == [_NEWER] and only_speaks_alike and not is_newer:
        rest = {name: value for name, value in said.items() if name != _NEWER}
        return replace(request, parameters={**rest, _OLDER: said[_NEWER]})
    return request


def text_bytes(text: str) -> int:
    """Bytes of a text in the longest of the forms in which tokenizers read it."""
    if text.isascii():
        return len(text)
    if is_normalized("NFKC", text):  # then it is in the other form too
        return _length(text)
    return max(map(_length, (text, normalize("NFC", text), normalize("NFKC", text))))


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def json_bytes(raw: bytes) -> int:
    """Bytes of JSON however it is written: with spaces and lines, with escapes for all else."""
    grown = 2 * sum(raw.count(sign) for sign in _GROWS)
    if raw.isascii():
        return len(raw) + grown
    text = raw.decode()
    # A sign of two bytes or more takes six as an escape, or twelve where it has four.
    escaped = 3 * len(raw) - 2 * len(text.encode("ascii", "ignore"))
    return max(escaped, text_bytes(text)) + grown


_BYTES: Final = _Measure(text_bytes, json_bytes, PER_REQUEST)


def _caps_of_servers(request: ChatRequest) -> Iterable[int]:
    for name in _CAPS_OF_SERVERS:
        cap = request.unknown.get(name)
        if type(cap) is int and cap >= 0:
            yield cap
        elif cap is not None:  # -1 means that there is no end
            raise _refusal(f"{name}: only a number from 0 on can be a cap")


def _why_unpriced(request: ChatRequest) -> str | None:
    if isinstance(request, NativeRequest):
        return why_unpriced_natively(request)
    return why_unpriced(request)


def _why_uncountable(request: ChatRequest, model: str | None) -> str | None:
    if isinstance(request, NativeRequest):
        return why_uncountable_natively(request)
    return why_uncountable(request, model)


def _choices(request: ChatRequest) -> int:
    asked = (request.parameters.get("n"), request.unknown.get("best_of"))
    return max((n for n in asked if type(n) is int and n > 0), default=1)


def _bound(request: ChatRequest, model: str | None, measure: _Measure) -> int:
    if isinstance(request, NativeRequest):
        return measure.whole + _of_native(request, measure)
    messages = sum(_of_message(message, model, measure) for message in request.messages)
    fields = _of_fields(request.parameters, measure) + _of_fields(request.unknown, measure)
    return measure.whole + messages + _of_tools(request.tools, measure) + fields


def _of_native(request: NativeRequest, measure: _Measure) -> int:
    """The whole body, for nothing else is read, and what may stand around its parts."""
    tools = request.body.get("tools") or ()
    around = PER_MESSAGE * (2 + pieces(request)) + PER_FORMAT
    around += TOOLS + (PER_TOOL + PER_OWN_TOOL) * len(tools) if tools else 0
    return around + measure.json(dump(request.body))


def _of_message(message: Message, model: str | None, measure: _Measure) -> int:
    tokens = PER_MESSAGE + sum(_of_part(part, model, measure) for part in message.content)
    for text in (message.name, message.refusal, message.tool_call_id):
        if text:
            tokens += PER_PART + measure.text(text)
    tokens += sum(_of_call(call, measure) for call in message.tool_calls)
    return tokens + (measure.json(dump(message.extra)) if message.extra else 0)


def _of_part(part: Part, model: str | None, measure: _Measure) -> int:
    if isinstance(part, Text):
        return PER_PART + measure.text(part.text)
    if is_textual(part):
        return PER_PART + measure.json(dump(part.raw))
    # What has no bound of its own is left to the context window.
    return PER_PART + (image_of(part, model) or 0)


def _of_call(call: ToolCall, measure: _Measure) -> int:
    tokens = PER_CALL + measure.text(call.name) + measure.text(call.id)
    tokens += measure.json(call.arguments.encode("utf-8", "replace"))
    return tokens + (measure.json(dump(call.extra)) if call.extra else 0)


def _of_tools(tools: Sequence[Json], measure: _Measure) -> int:
    if not tools:
        return 0
    own = sum(tool.get("type") not in ("function", "custom", None) for tool in tools)
    return TOOLS + PER_TOOL * len(tools) + PER_OWN_TOOL * own + measure.json(dump(tools))


def _of_fields(fields: Mapping[str, Json], measure: _Measure) -> int:
    return sum(
        (PER_FORMAT if name in _FORMATS else PER_FIELD) + measure.json(dump({name: value}))
        for name, value in fields.items()
        if name not in _NO_PROMPT
    )


def _refusal(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"a budget can't pay for {why}", param="messages")
