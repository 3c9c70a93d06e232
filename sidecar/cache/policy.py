"""May this be read, may it be written, and for how long? A reason, never a bare no.

Pure: the operator's settings and the call go in, a `Permission` comes out. A client
can make the settings stricter, never looser. The words are documented in
`sidecar.reasons.HELP`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson

from sidecar.cache.outside import why_outside
from sidecar.domain import (
    Attachment,
    Call,
    ChatRequest,
    Choice,
    Completion,
    Finish,
    SharingScope,
    ToolCall,
)
from sidecar.reasons import Reason


class Mode(StrEnum):
    """What the cache does; from eager to careful."""

    SERVE = "serve"
    SHADOW = "shadow"
    OFF = "off"


class ToolPolicy(StrEnum):
    """What happens to requests that offer tools."""

    EXACT = "exact"
    OFF = "off"


_CAREFUL = (Mode.SERVE, Mode.SHADOW, Mode.OFF)
_NARROW = (SharingScope.SHARED, SharingScope.TENANT, SharingScope.USER)
# Parts that are text with something beside it: no medium, but no plain question either.
_TEXT_KINDS = ("text", "refusal", "thinking", "redacted_thinking")
_REGULAR = (Finish.STOP, Finish.TOOL_CALLS, Finish.FUNCTION_CALL)
_CUT_SHORT = {
    Finish.LENGTH.value: Reason.TRUNCATED,
    Finish.CONTENT_FILTER.value: Reason.FILTERED,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator allows for one call, after rules. Times in seconds."""

    mode: Mode = Mode.SERVE
    ttl_s: float = 86_400.0
    max_temperature: float = 0.3
    tools: ToolPolicy = ToolPolicy.EXACT
    sharing: SharingScope = SharingScope.TENANT
    stale_if_error_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Permission:
    """What a call may do. None means allowed, a reason means not, and why.

    `meaning` is about comparing and storing by meaning, beside `read` and `write`.
    """

    read: Reason | None
    write: Reason | None
    meaning: Reason | None
    ttl_s: float
    sharing: SharingScope
    shadow: bool = False

    @property
    def bypass(self) -> Reason | None:
        """The reason, where the cache is neither read nor written."""
        return self.read if self.write else None

    @property
    def coalesces(self) -> bool:
        """Whether this call may share a flight: only what may read the exact tier does."""
        return self.read is None and not self.shadow


def more_careful(first: Mode, second: Mode) -> Mode:
    """The kill switch and a rule may both speak; the more careful one is heard."""
    return max(first, second, key=_CAREFUL.index)


def sharing_of(call: Call, settings: Settings) -> SharingScope:
    """Among whom the answer is shared: the narrower of what config and client say."""
    asked = call.controls.scope
    if asked is None:
        return settings.sharing
    return max(asked, settings.sharing, key=_NARROW.index)


def permit(call: Call, settings: Settings) -> Permission:
    """Decide all permissions of a call at once."""
    sharing = sharing_of(call, settings)
    ttl_s = settings.ttl_s
    if call.controls.ttl_s is not None:
        ttl_s = min(ttl_s, call.controls.ttl_s)
    if reason := why_bypass(call, settings, sharing):
        return Permission(reason, reason, reason, ttl_s, sharing)
    return Permission(
        read=Reason.NO_CACHE if call.controls.no_cache else None,
        write=Reason.TTL_ZERO if ttl_s <= 0 else None,
        meaning=why_not_by_meaning(call.request),
        ttl_s=ttl_s,
        sharing=sharing,
        shadow=settings.mode is Mode.SHADOW,
    )


def why_bypass(call: Call, settings: Settings, sharing: SharingScope) -> Reason | None:
    """Why a call is neither read from nor written to the cache."""
    if settings.mode is Mode.OFF:
        return Reason.MODE_OFF
    if call.controls.no_store:
        return Reason.NO_STORE
    if sharing is SharingScope.USER and not call.caller.user:
        return Reason.NO_USER
    if settings.tools is ToolPolicy.OFF and offers_tools(call.request):
        return Reason.TOOLS
    return _why_uncacheable(call.request, settings.max_temperature)


def _why_uncacheable(request: ChatRequest, max_temperature: float) -> Reason | None:
    """What in the request itself forbids it."""
    if reason := why_outside(request) or (Reason.MEDIA if _has_media(request) else None):
        return reason
    parameters = request.parameters
    if not parameters:
        return None
    if (parameters.get("temperature") or 0) > max_temperature:
        return Reason.TEMPERATURE
    if (parameters.get("n") or 1) > 1:
        return Reason.SEVERAL_CHOICES
    asks_logprobs = parameters.get("logprobs") or parameters.get("top_logprobs")
    return Reason.LOGPROBS if asks_logprobs else None


def why_not_by_meaning(request: ChatRequest) -> Reason | None:
    """Why only the exact tier may serve or keep an answer to this."""
    last = request.messages[-1]
    if last.role != "user" or last.has_attachment or not "".join(last.texts).strip():
        return Reason.NOT_A_QUESTION
    if offers_tools(request):
        return Reason.TOOLS_EXACT_ONLY
    return None


def offers_tools(request: ChatRequest) -> bool:
    """Whether the model may call something, in today's field or in the older one."""
    return bool(request.tools or request.parameters.get("functions"))


def _has_media(request: ChatRequest) -> bool:
    spoken = request.parameters.get("audio") or "audio" in (
        request.parameters.get("modalities") or ()
    )
    return bool(spoken) or any(
        isinstance(part, Attachment) and part.kind not in _TEXT_KINDS
        for message in request.messages
        for part in message.content
    )


def why_unstorable(completion: Completion, settings: Settings) -> Reason | None:
    """Why an answer is not kept: only what came to a regular end is."""
    if len(completion.choices) != 1:
        return Reason.SEVERAL_CHOICES if completion.choices else Reason.UNFINISHED
    return _why_choice_unstorable(completion.choices[0], settings)


def _why_choice_unstorable(choice: Choice, settings: Settings) -> Reason | None:
    if choice.finish not in _REGULAR:
        # A word this version doesn't know proves no regular end.
        return _CUT_SHORT.get(choice.finish or "", Reason.UNFINISHED)
    if choice.refusal:
        return Reason.REFUSAL
    if _calls_tools(choice):
        if not all(map(_can_be_called, choice.tool_calls)):
            return Reason.UNFINISHED
        return Reason.TOOL_CALLS if settings.tools is ToolPolicy.OFF else None
    if choice.finish != Finish.STOP:  # it ends with a call that it doesn't hold
        return Reason.UNFINISHED
    return None if (choice.text or "").strip() else Reason.EMPTY


def calls_tools(completion: Completion) -> bool:
    """Whether an answer wants a tool called: such are found by equality alone."""
    return any(map(_calls_tools, completion.choices))


def _calls_tools(choice: Choice) -> bool:
    return bool(choice.tool_calls or choice.extra.get("function_call"))


def _can_be_called(call: ToolCall) -> bool:
    """Whether the arguments came whole. A custom tool is called with any text."""
    if call.kind != "function" or not call.arguments:
        return True
    try:
        return isinstance(orjson.loads(call.arguments), dict)
    except orjson.JSONDecodeError:
        return False


def why_not_stale(permission: Permission, settings: Settings) -> Reason | None:
    """Why an expired answer may not stand in for a failing provider."""
    if permission.read is not None:
        return permission.read
    if permission.shadow:
        return Reason.SHADOW
    return Reason.TTL_ZERO if settings.stale_if_error_s <= 0 else None


def why_too_old(age_s: float, call: Call) -> Reason | None:
    """Why a stored answer doesn't satisfy the client's `max-age`."""
    limit = call.controls.max_age_s
    return Reason.TOO_OLD if limit is not None and age_s > limit else None
