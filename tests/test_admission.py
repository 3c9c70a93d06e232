"""Calls against the rate limits: what they take, what they give back, what a refusal says."""

import pytest

from sidecar.admission import IMAGE_TOKENS, Admission, RateLimit, estimate_tokens, settle
from sidecar.domain import (
    Attachment,
    Caller,
    ChatRequest,
    Message,
    Outcome,
    Role,
    Text,
    Usage,
)
from sidecar.errors import RateLimitedError

BY_USER = (("user", "*"),)
TOKENS = (RateLimit(BY_USER, tokens_per_minute=100),)
HITS = (Outcome.EXACT, Outcome.SEMANTIC, Outcome.STALE, Outcome.COALESCED)


@pytest.fixture
def admission(clock) -> Admission:
    """Nobody has asked yet."""
    return Admission(clock)


def left(admission: Admission, call) -> int:
    """How many tokens the limit has room for."""
    for tokens in range(100, 0, -1):
        try:
            admission.admit(call, tokens * 4, TOKENS).settle(0)
        except RateLimitedError:
            continue
        return tokens
    return 0


def test_a_refusal_names_the_limit_whom_it_counts_and_the_wait(admission, make_call, clock):
    """In words, and in a header that clients obey, rounded up."""
    call = make_call(caller=Caller("shop", "ann"))
    limits = (RateLimit((("tenant", "*"), ("user", "*")), requests_per_minute=1),)
    admission.admit(call, 10, limits)
    clock.advance(9.5)
    with pytest.raises(RateLimitedError) as caught:
        admission.admit(call, 10, limits)
    error = caught.value
    assert (error.status, error.code, error.headers) == (429, "rate_limited", {"retry-after": "51"})
    assert "1 requests per minute for tenant shop, user ann" in error.message


def test_a_request_that_never_fits_is_not_to_be_sent_again(admission, make_call):
    """It says so to clients that would repeat it by themselves."""
    with pytest.raises(RateLimitedError) as caught:
        admission.admit(make_call(), 404, TOKENS)
    assert caught.value.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("label", ["tenant", "user", "feature", "department", "model"])
def test_every_label_of_the_config_can_be_counted(admission, make_call, label):
    """Two values have two allowances."""
    limits = (RateLimit(((label, "*"),), requests_per_minute=1),)

    def call(value: str):
        if label == "model":
            return make_call(model=value)
        return make_call(caller=Caller(**{label: value}))

    admission.admit(call("a"), 1, limits)
    admission.admit(call("b"), 1, limits)
    with pytest.raises(RateLimitedError):
        admission.admit(call("a"), 1, limits)


def test_without_limits_nothing_is_counted(admission, make_call):
    """And nothing has to be settled."""
    assert admission.admit(make_call(), 10**9, ()) is None
    settle(None, Outcome.MISS, None, 200)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, 25),
        ({"max_tokens": 100}, 125),
        ({"max_completion_tokens": 50, "max_tokens": 100}, 75),
        ({"max_tokens": 10, "n": 3}, 55),
        ({"max_tokens": None, "n": None}, 25),
    ],
)
def test_an_estimate_is_the_body_and_the_most_that_may_come_back(parameters, expected):
    """A fourth of the bytes, rounded up, and the caller's own cap on each answer."""
    assert estimate_tokens(97, ChatRequest("m", (), parameters=parameters)) == expected


def seeing(*raws: object, kind: str = "image_url") -> ChatRequest:
    """A request with these images, or what else is attached."""
    parts = (Text("What is this?"), *(Attachment(kind, {"type": kind, kind: raw}) for raw in raws))
    return ChatRequest("m", (Message(Role.USER, parts),))


DATA = "data:image/png;base64," + "A" * 400_000


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (seeing({"url": DATA}), IMAGE_TOKENS + 250),
        (seeing({"url": DATA}, DATA), 2 * IMAGE_TOKENS + 250),
        (seeing({"url": DATA}, kind="input_image"), IMAGE_TOKENS + 250),
        (seeing({"file_data": DATA}, kind="file"), None),
        (seeing([{"nested": [{"data": DATA}]}], kind="image"), IMAGE_TOKENS + 250),
    ],
    ids=["object", "two", "another word", "a file", "nested"],
)
def test_an_image_counts_as_one_and_not_by_its_bytes(request_, expected):
    """Else a photograph alone would be over most limits. Other files count by their bytes."""
    sent = sum(len(DATA) for part in request_.messages[0].content if isinstance(part, Attachment))
    body_bytes = sent + 1000
    if expected is None:
        expected = -(-body_bytes // 4)
    assert estimate_tokens(body_bytes, request_) == expected


def test_no_image_makes_an_estimate_negative():
    """Whatever a body is said to weigh."""
    assert estimate_tokens(20_000, seeing({"url": DATA})) == IMAGE_TOKENS


def test_an_image_that_is_only_named_counts_as_one_too():
    """Its bytes come from elsewhere; in a small body they are in none of the numbers."""
    url = "https://example.com/a.png"
    assert (
        estimate_tokens(40_000, seeing({"url": url})) == IMAGE_TOKENS + (40_000 - len(url)) // 4 + 1
    )


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ((Outcome.MISS, Usage(10, 5), 200), 15),
        ((Outcome.BYPASS, Usage(10, 5), 200), 15),
        ((Outcome.SHADOW, Usage(10, 5), 200), 15),
        ((Outcome.MISS, None, 200), 60),
        ((Outcome.MISS, None, 503), 0),
        ((Outcome.MISS, Usage(10, 5), 503), 15),
        ((Outcome.MISS, None, 499), 60),
        ((Outcome.MISS, Usage(-10, 5), 200), 0),
        *(((hit, Usage(10, 5), 200), 0) for hit in HITS),
    ],
)
def test_what_a_call_used_is_counted(admission, make_call, told, used):
    """By the provider's numbers where it was asked; nothing for what it was not asked for."""
    call = make_call()
    settle(admission.admit(call, 240, TOKENS), *told)
    assert left(admission, call) == 100 - used
