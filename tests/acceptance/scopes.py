"""Scopes that must never share an answer, and questions that are near each other in all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .running import asking

NEAR_QUESTIONS = (
    ("How do I reset my password?", "How can I reset my password?"),
    ("What is the capital of France?", "What's the capital of France?"),
    ("How do I cancel my order?", "How can I cancel my order?"),
    ("What is the weather in Paris today?", "What's the weather in Paris today?"),
    ("How long does shipping take to Norway?", "How long does shipping to Norway take?"),
    ("How do I export my invoices?", "How can I export my invoices?"),
    ("How do I change my email address?", "How can I change my email address?"),
    ("What is the best way to learn Spanish?", "What's the best way to learn Spanish?"),
    ("How do I bake sourdough bread?", "How can I bake sourdough bread?"),
    ("How do I delete my account?", "How can I delete my account?"),
    ("What is the boiling point of water?", "What's the boiling point of water?"),
    ("How do I install Python on Windows?", "How can I install Python on Windows?"),
    ("How do I update my billing address?", "How can I update my billing address?"),
    ("What is the tallest mountain in Europe?", "What's the tallest mountain in Europe?"),
    ("How do I remove a coffee stain?", "How can I remove a coffee stain?"),
    ("What is the currency of Japan?", "What's the currency of Japan?"),
    ("How do I tie a bow tie?", "How can I tie a bow tie?"),
    ("How do I track my parcel?", "How can I track my parcel?"),
    ("How do I enable dark mode?", "How can I enable dark mode?"),
)  # fmt: skip
"""Each pair is one question to the semantic tier: cosine above 0.92 and the same numbers."""


@dataclass(frozen=True)
class Place:
    """One scope: what a request in it has beside its question."""

    headers: dict[str, str] = field(default_factory=dict)
    before: tuple[dict[str, Any], ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def by_meaning(self) -> bool:
        """Whether the semantic tier serves here."""
        return not (self.fields.get("tools") or self.fields.get("functions"))

    def body(self, question: str) -> dict[str, Any]:
        """The question, asked here."""
        body = {**asking(question), **self.fields}
        body["messages"] = [*self.before, {"role": "user", "content": question, **self.last}]
        return body


def _user(name: str, **headers: str) -> Place:
    return Place({"x-sidecar-cache-scope": "user", "x-sidecar-user": name, **headers})


def _says(*texts: str) -> Place:
    """Earlier turns, user and assistant by turns."""
    roles = ("user", "assistant")
    turns = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return Place(before=tuple(turns))


def _after(*messages: dict[str, Any]) -> Place:
    return Place(before=messages)


def _tool(name: str, description: str = "") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description}}


def _call(id_: str, city: str, result: str) -> Place:
    function = {"name": "lookup", "arguments": f'{{"city":"{city}"}}'}
    call = {"id": id_, "type": "function", "function": function}
    return _after(
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": result},
        {"role": "assistant", "content": "Done"},
    )


TENANTS = [Place({"x-sidecar-tenant": name}) for name in ("a", "b", "A", "a b", "ab", "0")]
USERS = [
    _user("ann"),
    _user("bob"),
    _user("Ann"),
    _user("ann", **{"x-sidecar-tenant": "a"}),
    _user("bob", **{"x-sidecar-tenant": "a"}),
    _user("a", **{"x-sidecar-tenant": "ann"}),
]
SYSTEMS = [
    *(_after({"role": "system", "content": text}) for text in ("Be kind", "Be kind.", "Be rude")),
    _after({"role": "developer", "content": "Be kind"}),
    _after({"role": "system", "content": "Be kind", "name": "boss"}),
    _after({"role": "system", "content": "Be"}, {"role": "system", "content": "kind"}),
    _after({"role": "system", "content": "kind"}, {"role": "system", "content": "Be"}),
    _after({"role": "system", "content": "Be kind"}, {"role": "developer", "content": "Be rude"}),
    _after({"role": "system", "content": [{"type": "text", "text": "Be polite"}]}),
]
TURNS = [
    _says("Hello", "Hello, how can I help?"),
    _says("Hello", "Hi, how can I help?"),
    _says("Hi", "Hello, how can I help?"),
    _says("Cancel my order", "Shall I?"),
    _says("Cancel my account", "Shall I?"),
    _says("Hello", "Hello, how can I help?", "Cancel my order", "Shall I?"),
    _says("Cancel my order", "Shall I?", "Hello", "Hello, how can I help?"),
    _says("Hello"),
    _after({"role": "user", "content": "Hello", "name": "ann"}),
    _after({"role": "assistant", "content": "Hello"}),
    _after({"role": "assistant", "content": None, "refusal": "Hello"}),
    _call("c1", "Oslo", "Rain"),
    _call("c1", "Oslo", "Sun"),
    _call("c1", "Rome", "Rain"),
    _call("c2", "Oslo", "Rain"),
    Place(last={"name": "ann"}),
    Place(last={"name": "bob"}),
]
TOOLS = [
    *(Place(fields={"tools": [_tool(name)]}) for name in ("lookup_zip", "lookup_fax")),
    Place(fields={"tools": [_tool("lookup_zip", "Finds it")]}),
    Place(fields={"tools": [_tool("lookup_zip"), _tool("lookup_fax")]}),
    Place(fields={"tools": [_tool("lookup_fax"), _tool("lookup_zip")]}),
    Place(fields={"tools": [_tool("lookup_zip")], "tool_choice": "none"}),
    Place(fields={"tools": [_tool("lookup_zip")], "parallel_tool_calls": False}),
    Place(fields={"functions": [{"name": "lookup_zip"}]}),
]
_PARAMETERS: dict[str, list[Any]] = {
    "model": ["gpt-4o-mini"],
    "temperature": [0, 0.1, 0.2, 0.3],
    "top_p": [0, 0.5, 0.9],
    "seed": [0, 1, -1, 2**53 + 1],
    "max_tokens": [500, 501],
    "max_completion_tokens": [500, 501],
    "presence_penalty": [0, 0.5, -0.5],
    "frequency_penalty": [0, 0.5],
    "stop": ["§", ["§"], ["§", "¶"], ["¶", "§"], []],
    "logit_bias": [{"1": 5}, {"1": -5}, {"2": 5}],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string"}}},
        {"type": "json_schema", "json_schema": {"name": "b", "schema": {"type": "string"}}},
    ],
    "reasoning_effort": ["low", "high"],
    "verbosity": ["low", "high"],
    "n": [1],
    "service_tier": ["flex", "default"],
    "prompt_cache_key": ["a", "b"],
    "parallel_tool_calls": [True, False],
    "prediction": [{"type": "content", "content": "a"}],
    "guided_regex": ["a", "b"],
    "x_flag": [None, 0, 1, "1", True, False, "", [], {}, [1], {"a": 1}, {"b": 1}, {"a": {"b": 1}}],
    "top_k": [1, 40, 40.5],
    "Temperature": [0.1],
}
PARAMETERS = [
    Place(fields={name: value}) for name, values in _PARAMETERS.items() for value in values
]
PLACES = [Place(), *TENANTS, *USERS, *SYSTEMS, *TURNS, *TOOLS, *PARAMETERS]
"""No two of them may share an answer."""
