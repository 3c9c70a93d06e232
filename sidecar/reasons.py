"""Why something was not served from the cache, or not stored in it: one word each.

The words appear in `x-sidecar-reason`, in `Cache-Status` as `detail`, in the request
row and in metrics, so they are part of the public face: README's table is made from
`HELP`, and a word is never reused for another meaning.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One decision against the cache."""

    # Neither read nor written
    MODE_OFF = "mode_off"
    NO_STORE = "no_store"
    TEMPERATURE = "temperature"
    SEVERAL_CHOICES = "several_choices"
    LOGPROBS = "logprobs"
    MEDIA = "media"
    STATEFUL = "stateful"
    NATIVE = "native"
    TOOLS = "tools"
    NO_USER = "no_user"
    # Not read, but written
    NO_CACHE = "no_cache"
    # Looked, and not served
    NOT_FOUND = "not_found"
    SHADOW = "shadow"
    TOO_OLD = "too_old"
    CACHE_UNAVAILABLE = "cache_unavailable"
    # The meaning was not compared
    NOT_A_QUESTION = "not_a_question"
    TOOLS_EXACT_ONLY = "tools_exact_only"
    UNPROVEN = "unproven"
    TOO_LONG = "too_long"
    UNKNOWN_TOKENS = "unknown_tokens"
    EMBED_TIMEOUT = "embed_timeout"
    EMBED_BUSY = "embed_busy"
    EMBED_FAILED = "embed_failed"
    # A candidate was near, and was refused
    BELOW_THRESHOLD = "below_threshold"
    NUMBERS_DIFFER = "numbers_differ"
    # Answered, and not stored
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    REFUSAL = "refusal"
    TOOL_CALLS = "tool_calls"
    UNFINISHED = "unfinished"
    EMPTY = "empty"
    FALLBACK = "fallback"
    DEGRADED = "degraded"
    NOT_KEPT = "not_kept"
    TTL_ZERO = "ttl_zero"


HELP: dict[Reason, str] = {
    Reason.MODE_OFF: "the cache is switched off, by config, by a rule or by the kill switch",
    Reason.NO_STORE: "the client sent `Cache-Control: no-store`",
    Reason.TEMPERATURE: "the temperature is above `cache.max_temperature`",
    Reason.SEVERAL_CHOICES: "more than one choice was asked for (`n` > 1)",
    Reason.LOGPROBS: "log probabilities were asked for",
    Reason.MEDIA: "a message holds an image, audio or a file",
    Reason.STATEFUL: "the provider keeps, or has kept, a part of the conversation",
    Reason.NATIVE: "it asks for what only the provider's own API has words for, "
    "such as a tool that runs there",
    Reason.TOOLS: "tools were offered and `cache.tools` is `off`",
    Reason.NO_USER: "the scope is `user` and the request names no user",
    Reason.NO_CACHE: "the client sent `Cache-Control: no-cache`",
    Reason.NOT_FOUND: "nothing stored in this scope is equal or near",
    Reason.SHADOW: "shadow mode decided to serve, recorded it, and did not",
    Reason.TOO_OLD: "the entry is older than the client's `max-age`",
    Reason.CACHE_UNAVAILABLE: "the cache could not be read, so the request went on as a miss",
    Reason.NOT_A_QUESTION: "the last message is not a user's text, so only equal requests match",
    Reason.TOOLS_EXACT_ONLY: "tools were offered, so only equal requests match",
    Reason.UNPROVEN: "the client sent `x-sidecar-max-wrong`, and no limit can be proven yet",
    Reason.TOO_LONG: "the question is longer than the embedding model can see",
    Reason.UNKNOWN_TOKENS: "the embedding model has no token for a part of the question",
    Reason.EMBED_TIMEOUT: "the embedding did not come within `embedding.timeout_ms`",
    Reason.EMBED_BUSY: "too many texts were waiting for the embedding model",
    Reason.EMBED_FAILED: "the embedding model failed or gave no usable vector",
    Reason.BELOW_THRESHOLD: "the nearest entry is not near enough",
    Reason.NUMBERS_DIFFER: "the nearest entry's question holds other numbers",
    Reason.TRUNCATED: "the answer was cut at its token limit",
    Reason.FILTERED: "the answer was withheld by a content filter",
    Reason.REFUSAL: "the model refused",
    Reason.TOOL_CALLS: "the answer calls tools and `cache.tools` is `off`",
    Reason.UNFINISHED: "the answer did not come to a regular end",
    Reason.EMPTY: "the answer holds no text",
    Reason.FALLBACK: "a fallback answered and `cache.store_fallback` is off",
    Reason.DEGRADED: "a budget sent it to a cheaper variant and `cache.store_fallback` is off",
    Reason.NOT_KEPT: "the cache has no room for the answer, or it was purged meanwhile",
    Reason.TTL_ZERO: "the time to live is zero",
}
