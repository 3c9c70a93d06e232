"""The bill of one attempt: what it was held for, what was heard of it, what it is charged.

The provider's word on usage is believed where it is plausible: whole numbers, some for the
input, some for an answer that says something, not above what was held. Where there is no
such word, what could have been used is charged:

- the bytes never left, or the provider answered with an error: nothing;
- a stream that its provider ended too early, by an error event or an orderly close: the
  input and what came, for all that was sent has arrived. Not so where a model thinks
  unseen;
- anything else (a time-out, a reset, a caller who left): the whole hold.

An answer that is longer than it was held for, since its server obeys no cap, is charged
for all of it that can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidecar.budget.local import Hold
from sidecar.budget.price import Price, Tokens, cost, worst_cost
from sidecar.budget.terms import MAX_NANO, Charge, ChargeKind
from sidecar.context.bounds import input_bound
from sidecar.domain import ChatRequest, Choice, Chunk, Completion, Delta, Usage
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.native import NativeRequest
from sidecar.route.wishes import Paid
from sidecar.wire.body import dump

ORDERLY = frozenset({"cut", "error_in_stream", "overloaded", "rate_limited"})
"""Reasons of failures before which everything that was sent has arrived, if it was read."""
GATEWAY_GAVE_UP = frozenset((504, 524))
"""Statuses by which something in between tells that it has waited in vain: the provider is
at work all the same, and bills it."""

PER_EVENT = 4
"""Tokens of an event that its texts don't show, such as the marks around a tool call."""
FREE = Charge(0, ChargeKind.FREE)
UNKNOWN = Charge(0, ChargeKind.EMITTED)
"""Of something that was used and has no price."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an attempt sends and what it may cost. Without a price nothing is known.

    The token counts are upper bounds; None where nothing was held.
    """

    price: Price | None
    request: ChatRequest
    input_tokens: int | None = None
    output_tokens: int | None = None
    charge_cancelled: str = "bound"

    @property
    def worst(self) -> int:
        """The most that it can cost, in nano-dollars."""
        if self.price is None or self.input_tokens is None or self.output_tokens is None:
            raise AssertionError("only what is bounded is held")
        return worst_cost(self.price, self.input_tokens, self.output_tokens)

    def with_input(self, tokens: int) -> Terms:
        """The same with a closer bound of the input."""
        return replace(self, input_tokens=tokens)


class Bill:
    """One attempt's. Without a hold's accounts nothing limits it, and its cost is only told."""

    def __init__(self, hold: Hold, terms: Terms) -> None:
        self.terms = terms
        self._hold = hold
        self._events = 0
        self._bytes = 0
        self._has_spoken = False
        self._charge: Charge | None = None
        self._usage: Usage | None = None

    @property
    def request(self) -> ChatRequest:
        """What is to be sent: with a cap of its output where a budget needs one."""
        return self.terms.request

    def emitted(self, chunk: Chunk) -> None:
        """A part of a stream has come."""
        self._events += 1
        self._bytes += content_bytes(chunk)
        self._has_spoken = self._has_spoken or any(map(speaks, chunk.deltas))
        self._usage = chunk.usage or self._usage

    def answered(self, completion: Completion) -> None:
        """The whole answer has come."""
        if not self._events:
            self._bytes = sum(map(answer_bytes, completion.choices))
            self._events = len(completion.choices)
            self._has_spoken = any(map(speaks, completion.choices))
        self._charge = self._by_usage(completion.usage, completion.model)

    def failed(self, error: UpstreamError) -> None:
        """No answer has come."""
        status = error.upstream_status or 0
        if error.never_sent or (status >= 400 and status not in GATEWAY_GAVE_UP):
            self._charge = FREE
        elif self._events and error.reason in ORDERLY and error.has_all_come:
            self._charge = self._by_events()

    def unsent(self) -> None:
        """It was given up before anything was sent."""
        self._charge = FREE

    def used(self, usage: Usage | None, model: str) -> None:
        """The whole of what was wanted has come, by a provider's word on its tokens."""
        self._charge = self._by_usage(usage, model)

    def close(self) -> Paid:
        """Charge it, once: what is known by now."""
        if self._charge is None:  # a caller left, a time-out, a bug: who knows what was used
            emitted = self.terms.charge_cancelled == "emitted" and self._events
            self._charge = self._by_events() if emitted else self._whole()
        self._hold.settle(self._charge)
        is_estimate = self._charge.kind in (ChargeKind.BOUND, ChargeKind.EMITTED)
        # An error costs nothing at whatever price.
        is_known = self.terms.price is not None or self._charge.kind is ChargeKind.FREE
        return Paid(self._charge.nano if is_known else None, is_estimate)

    def _by_usage(self, usage: Usage | None, model: str) -> Charge:
        tokens, price = tokens_of(usage), self.terms.price
        if price is None:
            return Charge(0, ChargeKind.ACTUAL, tokens, model)
        if tokens is None or self._says_too_little(tokens):
            return replace(self._whole(), answered_model=model)
        nano = cost(price, tokens)
        if self._hold.accounts and nano > self._hold.amount:
            return replace(self._overrun(price, tokens), answered_model=model)
        return Charge(min(nano, MAX_NANO), ChargeKind.ACTUAL, tokens, model)

    def _says_too_little(self, tokens: Tokens) -> bool:
        """Whether it counts nothing where there is something: some servers tell only zeros."""
        return tokens.input == 0 or (tokens.output == 0 and self._has_spoken)

    def _overrun(self, price: Price, tokens: Tokens) -> Charge:
        """More than was held. Believed is what can be seen: a cap that was not obeyed.

        Of the input no more than its bound can have been used.
        """
        seen = min(tokens.output, self._bytes + PER_EVENT * self._events)
        nano = worst_cost(price, min(tokens.input, self._input()), seen)
        return Charge(min(max(self._hold.amount, nano), MAX_NANO), ChargeKind.BOUND)

    def _by_events(self) -> Charge:
        """The input and what came of the answer, as far as it can be seen."""
        price = self.terms.price
        if price is None:
            return UNKNOWN
        if self._hold.accounts and not self._shows_all(price):
            return self._whole()
        return Charge(self._seen(price), ChargeKind.EMITTED)

    def _shows_all(self, price: Price) -> bool:
        """Whether what came of a stream tells how much the model has made of it.

        Not where a model thinks unseen, nor where events are passed on unread.
        """
        return not (price.reasons or isinstance(self.request, NativeRequest))

    def _whole(self) -> Charge:
        """All that was held. Where nothing was, what can be seen must do."""
        if self.terms.price is None:
            return UNKNOWN
        if self._hold.accounts:
            return Charge(self._hold.amount, ChargeKind.BOUND)
        return Charge(self._seen(self.terms.price), ChargeKind.EMITTED)

    def _seen(self, price: Price) -> int:
        """By the bytes, and by what the provider had told of the usage so far."""
        output, told = self._bytes + PER_EVENT * self._events, tokens_of(self._usage)
        nano = max(worst_cost(price, self._input(), output), cost(price, told) if told else 0)
        return min(nano, self._hold.amount if self._hold.accounts else MAX_NANO)

    def _input(self) -> int:
        """As bounded before; where nothing was held, as far as it can be bounded."""
        if self.terms.input_tokens is not None:
            return self.terms.input_tokens
        try:
            return input_bound(self.terms.request, window=0)
        except InvalidRequestError:
            return 0


def speaks(part: Delta | Choice) -> bool:
    """Whether it holds words of the model's."""
    return bool(part.text or part.refusal or part.tool_calls)


def content_bytes(chunk: Chunk) -> int:
    """UTF-8 bytes of what a chunk adds to an answer; no token is shorter than one."""
    return sum(
        _length(delta.text)
        + _length(delta.refusal)
        + sum(_length(call.arguments) + _length(call.name) for call in delta.tool_calls)
        + (len(dump(delta.extra)) if delta.extra else 0)
        for delta in chunk.deltas
    )


def answer_bytes(choice: Choice) -> int:
    """UTF-8 bytes of a whole answer."""
    return (
        _length(choice.text)
        + _length(choice.refusal)
        + sum(_length(call.arguments) + _length(call.name) for call in choice.tool_calls)
        + (len(dump(choice.extra)) if choice.extra else 0)
    )


def _length(text: str | None) -> int:
    return len(text.encode("utf-8", "surrogatepass")) if text else 0


def tokens_of(usage: Usage | None) -> Tokens | None:
    """Usage as it is priced; None where there is none, or its parts are more than the whole."""
    if usage is None:
        return None
    try:
        return Tokens(
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            usage.cache_write_long_tokens,
        )
    except ValueError:
        return None
