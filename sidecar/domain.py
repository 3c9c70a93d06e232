"""Requests and answers, in no vendor's format: frozen data and nothing else.

Every wire format is read into these types. Parameters keep the names of OpenAI's Chat
Completions. Nothing may be lost: what no field names is in an `extra` or `unknown` mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from sidecar.attempts import Attempt as Attempt  # noqa: PLC0414  given on
from sidecar.attempts import Timeouts as Timeouts  # noqa: PLC0414
from sidecar.nothing import NOTHING as NOTHING  # noqa: PLC0414  given on
from sidecar.nothing import Json as Json  # noqa: PLC0414


class Endpoint(StrEnum):
    """Which door a request came through."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    COUNT_TOKENS = "count_tokens"


class Dialect(StrEnum):
    """In whose words the parts of a request are put that the domain does not name."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    RESPONSES = "responses"


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    FUNCTION = "function"


class Finish(StrEnum):
    """Why an answer ended; vendors may send other words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    FUNCTION_CALL = "function_call"


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a message that is plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not plain text (image, audio, file, or a kind unknown here), as sent."""

    kind: str
    raw: Mapping[str, Json]


Part: TypeAlias = Text | Attachment


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
    kind: str = "function"
    extra: Mapping[str, Json] = NOTHING


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is empty where the turn holds only tool calls."""

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    extra: Mapping[str, Json] = NOTHING

    @property
    def texts(self) -> tuple[str, ...]:
        """Its text parts, in order."""
        return tuple(part.text for part in self.content if isinstance(part, Text))

    @property
    def has_attachment(self) -> bool:
        """Whether a part is anything but text."""
        return any(isinstance(part, Attachment) for part in self.content)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What was asked.

    `parameters` are the fields that change an answer and are known here, `unknown` the rest.
    Both are passed on and belong to the scope; `labels` (metadata, user, store, safety_identifier)
    are passed on and don't. Attachments, `unknown` and `extra` are in the words of `dialect`,
    which belongs to the scope; a codec of another translates them or refuses them by name.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Json, ...] = ()
    parameters: Mapping[str, Json] = NOTHING
    unknown: Mapping[str, Json] = NOTHING
    labels: Mapping[str, Json] = NOTHING
    stream: bool = False
    include_usage: bool = False
    stream_options: Mapping[str, Json] = NOTHING
    dialect: Dialect = Dialect.OPENAI


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `input_tokens` includes what was read from a provider's cache and
    what was written to it, of which `cache_write_long_tokens` is kept longer than usual;
    `output_tokens` includes the reasoning.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One whole answer. `finish` is None while, or if, it never came to an end."""

    index: int = 0
    text: str | None = None
    finish: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    logprobs: Json = None
    extra: Mapping[str, Json] = NOTHING


@dataclass(frozen=True, slots=True)
class Completion:
    """A provider's whole reply. `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    extra: Mapping[str, Json] = NOTHING


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the tool call at `index`: id, name and kind come once, arguments add up."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    kind: str | None = None
    extra: Mapping[str, Json] = NOTHING


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the choice at `index`."""

    index: int = 0
    role: str | None = None
    text: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish: str | None = None
    logprobs: Json = None
    extra: Mapping[str, Json] = NOTHING

    @property
    def has_content(self) -> bool:
        """Whether a client would see something of it, beyond the role."""
        if self.text or self.refusal or self.tool_calls or self.finish:
            return True
        # Some servers send nulls in otherwise empty events, and facts beside the delta.
        return any(v and not name.startswith("choice.") for name, v in self.extra.items())


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream. The last one may hold usage and no delta."""

    id: str
    created: int
    model: str
    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None
    extra: Mapping[str, Json] = NOTHING


class SharingScope(StrEnum):
    """Among whom answers are shared."""

    USER = "user"
    TENANT = "tenant"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for usage and isolation. None of it comes from the model's side."""

    tenant: str = ""
    user: str = ""
    feature: str = ""
    department: str = ""
    session: str = ""
    client: str = ""
    client_key_digest: str = ""


@dataclass(frozen=True, slots=True)
class CacheControls:
    """What the client says about the cache for this call. It can only make config stricter."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None
    ttl_s: float | None = None
    scope: SharingScope | None = None
    tags: tuple[str, ...] = ()
    max_wrong: float | None = None


NOBODY = Caller()
NO_CONTROLS = CacheControls()


@dataclass(frozen=True, slots=True)
class Call:
    """One request with all that decides what happens to it. Times are Unix seconds.

    `client_key` is the client's own, for a provider that is to be asked with it alone.
    """

    id: str
    endpoint: Endpoint
    request: ChatRequest
    caller: Caller = NOBODY
    controls: CacheControls = NO_CONTROLS
    received_at: float = 0.0
    timeout_s: float | None = None
    route: str | None = None
    trace_parent: str | None = None
    client_key: str = field(default="", repr=False)


class Outcome(StrEnum):
    """How a request was answered: the value of `x-sidecar-cache`."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    COALESCED = "coalesced"
    MISS = "miss"
    BYPASS = "bypass"
    SHADOW = "shadow"
    STALE = "stale"
