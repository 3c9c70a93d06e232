"""Prompts made by rule from a seed, so that a benchmark needs no data set."""

from __future__ import annotations

import json
import random

_ASKS = (
    "How do I {verb} my {thing} on {place}?",
    "What is the best way to {verb} a {thing} for {place}?",
    "Why does it take so long to {verb} the {thing} at {place}?",
    "Who can help me {verb} the {thing} in {place}?",
    "Is there a fee when I {verb} my {thing} through {place}?",
)
_VERBS = (
    "cancel", "renew", "change", "return", "reset", "insure", "move", "share", "print",
    "verify", "replace", "book", "refund", "upgrade", "register", "lock", "export", "track",
)  # fmt: skip
_THINGS = (
    "subscription", "passport", "order", "password", "invoice", "ticket", "library card",
    "parking permit", "laptop", "mobile contract", "bank card", "hotel room", "gift voucher",
    "insurance policy", "train pass", "photo album", "calendar", "prescription", "rental car",
)  # fmt: skip
_PLACES = (
    "the website", "the airport", "my phone", "a small company", "the town hall", "my account",
    "the weekend", "a business trip", "the university", "the new office", "Germany", "Japan",
    "the school", "a large family", "the clinic", "the app", "a friend", "the customer desk",
)  # fmt: skip
_WRAPS = (
    "{}", "{} Thanks!", "{} Please.", "Hi, {}", "Hello, {}", "Please tell me: {}",
    "{} Thank you.", "Quick question: {}", "hey {}", "{} ?",
)  # fmt: skip


def questions(count: int, seed: int = 7) -> list[str]:
    """That many different questions."""
    every = [
        ask.format(verb=verb, thing=thing, place=place)
        for ask in _ASKS
        for verb in _VERBS
        for thing in _THINGS
        for place in _PLACES
    ]
    random.Random(seed).shuffle(every)
    if count > len(every):
        raise ValueError(f"there are only {len(every)} questions")
    return every[:count]


def rewordings(base: list[str], count: int, seed: int = 7) -> list[str]:
    """Different texts that mean what one of `base` means: greetings, thanks, other case."""
    made = [wrap.format(text) for wrap in _WRAPS[1:] for text in base]
    made += [wrap.format(text.lower()) for wrap in _WRAPS for text in base]
    random.Random(seed).shuffle(made)
    if count > len(made):
        raise ValueError(f"there are only {len(made)} rewordings")
    return made[:count]


def body(question: str, *, stream: bool = False, model: str = "gpt-4o-mini") -> bytes:
    """A chat completion's request."""
    request = {"model": model, "messages": [{"role": "user", "content": question}]}
    return json.dumps(request | ({"stream": True} if stream else {})).encode()
