"""Request headers: what the client says about the cache, and who it says it is."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sidecar.domain import CacheControls, Caller, SharingScope
from sidecar.errors import InvalidRequestError
from sidecar.wire.headers import (
    read_caller,
    read_controls,
    read_idempotency_key,
    read_route,
    read_timeout_s,
    read_trace_parent,
)


def controls(**headers):
    """What these headers say about the cache; underscores stand for hyphens."""
    return read_controls(CIMultiDict({key.replace("_", "-"): v for key, v in headers.items()}))


def caller(headers=(), labels=None, defaults=None):
    """Who these headers, labels and defaults say is asking."""
    return read_caller(CIMultiDict(headers), labels or {}, defaults or {})


def test_nothing_said():
    """Without a header of ours everything is as config has it."""
    assert controls(Accept="*/*") == CacheControls()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no-cache", CacheControls(no_cache=True)),
        ("NO-STORE", CacheControls(no_store=True)),
        ("only-if-cached", CacheControls(only_if_cached=True)),
        ("max-age=60", CacheControls(max_age_s=60)),
        ('max-age="60"', CacheControls(max_age_s=60)),
        ("max-age=0, no-store", CacheControls(max_age_s=0, no_store=True)),
        ("max-age=99999999999999999999", CacheControls(max_age_s=2**31)),
        ('no-cache="field, no-store"', CacheControls(no_cache=True)),
        ("private, stale-while-revalidate=5, min-fresh=3", CacheControls()),
        ("not-no-cache", CacheControls()),
        ("", CacheControls()),
    ],
)
def test_cache_control(line, expected):
    """Directives are read in any case and form; unknown ones are skipped."""
    assert controls(Cache_Control=line) == expected


@pytest.mark.parametrize("argument", ["", "=", "=soon", "=-1", "=1.5", "=٣"])
def test_unreadable_age_is_the_strictest(argument):
    """A max-age that can't be read allows no stored answer of any age."""
    assert controls(Cache_Control=f"max-age{argument}").max_age_s == 0


@pytest.mark.parametrize("scope", list(SharingScope))
def test_scope(scope):
    """Each sharing scope can be named."""
    assert controls(x_sidecar_cache_scope=scope.value).scope is scope


def test_ttl_and_limit():
    """Seconds and shares are decimal numbers."""
    found = controls(x_sidecar_cache_ttl=" 90.5 ", x_sidecar_max_wrong=".005")
    assert (found.ttl_s, found.max_wrong) == (90.5, 0.005)


def test_tags():
    """Tags are a comma list; empty items and repeats don't count."""
    assert controls(x_sidecar_cache_tags=" a, b:1 ,,a").tags == ("a", "b:1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-sidecar-cache-scope", "everyone"),
        ("x-sidecar-cache-scope", ""),
        ("x-sidecar-cache-ttl", "-1"),
        ("x-sidecar-cache-ttl", "1h"),
        ("x-sidecar-cache-ttl", "nan"),
        ("x-sidecar-cache-ttl", "1_000"),
        ("x-sidecar-cache-ttl", "٣"),
        ("x-sidecar-cache-ttl", "9" * 400),
        ("x-sidecar-cache-ttl", "99999999999"),
        ("x-sidecar-max-wrong", "1.01"),
        ("x-sidecar-max-wrong", "0,01"),
        ("x-sidecar-max-wrong", ""),
        ("x-sidecar-cache-tags", ",".join(map(str, range(17)))),
        ("x-sidecar-cache-tags", "x" * 65),
        ("x-sidecar-cache-tags", "two words"),
        ("x-sidecar-cache-tags", "é"),
    ],
)
def test_unreadable_controls_are_refused(name, value):
    """A header of ours that can't be understood is refused by name."""
    with pytest.raises(InvalidRequestError, match=name) as caught:
        read_controls(CIMultiDict({name: value}))
    assert caught.value.param == name


def test_caller_from_headers():
    """Each tag has its header."""
    names = ("tenant", "user", "feature", "department", "session")
    found = caller({f"X-Sidecar-{name.title()}": f" {name}-1 " for name in names})
    assert found == Caller(**{name: f"{name}-1" for name in names})


@pytest.mark.parametrize(
    ("labels", "user"),
    [
        ({"user": "u"}, "u"),
        ({"user": "u", "safety_identifier": "s"}, "s"),
        ({"user": "u", "safety_identifier": "s", "metadata": {"user": "m"}}, "m"),
        ({"user": "u", "metadata": {"user": " "}}, "u"),
        ({"metadata": {}}, ""),
    ],
)
def test_user_from_the_body(labels, user):
    """The body names the user in one of three places, the most telling one first."""
    assert caller(labels=labels).user == user


def test_feature_and_department_from_the_body():
    """Metadata tells feature and department."""
    found = caller(labels={"metadata": {"feature": "faq", "department": "sales"}})
    assert (found.feature, found.department) == ("faq", "sales")


def test_headers_before_body_before_defaults():
    """A header outweighs the body, the body outweighs config's default."""
    found = caller(
        {"x-sidecar-user": "header", "x-sidecar-feature": ""},
        {"metadata": {"user": "body", "feature": "body"}},
        {"user": "default", "feature": "default", "department": "unknown"},
    )
    assert (found.user, found.feature, found.department) == ("header", "body", "unknown")


def test_tenant_and_session_never_from_the_body():
    """What isolates callers can't be said in the body."""
    labels = {"metadata": {"tenant": "other", "session": "other"}, "tenant": "other"}
    assert caller(labels=labels) == Caller()


@pytest.mark.parametrize("value", ["x" * 129, "a\tb", "a\x7fb", "a\x85b", "a\udc80b", "a\u2028b"])
@pytest.mark.parametrize("tag", ["tenant", "user", "feature", "department", "session"])
def test_bad_tags_are_refused(tag, value):
    """A tag that is too long or holds control characters is refused by its header's name."""
    with pytest.raises(InvalidRequestError) as caught:
        caller({f"x-sidecar-{tag}": value})
    assert caught.value.param == f"x-sidecar-{tag}"


@pytest.mark.parametrize(
    ("labels", "param"),
    [
        ({"user": "x" * 513}, "user"),
        ({"safety_identifier": "a\nb"}, "safety_identifier"),
        ({"metadata": {"user": "a\x00b"}}, "metadata.user"),
        ({"metadata": {"feature": "a\x1bb"}}, "metadata.feature"),
    ],
)
def test_bad_labels_are_refused(labels, param):
    """The same holds for tags in the body, with more room."""
    with pytest.raises(InvalidRequestError) as caught:
        caller(labels=labels)
    assert caught.value.param == param


def test_longest_tags():
    """Values as long as allowed, in any script, are taken whole."""
    found = caller({"x-sidecar-user": "é" * 128}, {"metadata": {"feature": "x" * 512}})
    assert (len(found.user), len(found.feature)) == (128, 512)


def test_timeout():
    """Milliseconds become seconds; absent is None."""
    assert read_timeout_s({"x-sidecar-timeout-ms": "1500"}) == 1.5
    assert read_timeout_s({}) is None


@pytest.mark.parametrize("value", ["0", "", "-1", "1.5", "1s", "٣", "9" * 5000])
def test_bad_timeout_is_refused(value):
    """A timeout that is no whole number of milliseconds is refused by name."""
    with pytest.raises(InvalidRequestError, match="x-sidecar-timeout-ms"):
        read_timeout_s({"x-sidecar-timeout-ms": value})


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("value", [TRACE, "cc" + TRACE[2:] + "-what-the-future-brings"])
def test_trace_parent(value):
    """A valid trace context is taken as it is, one of a later version too."""
    assert read_trace_parent({"traceparent": value}) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ff" + TRACE[2:],
        TRACE + "-more",
        TRACE.upper(),
        TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TRACE.replace("b7ad6b7169203331", "0" * 16),
        TRACE + "\n",
        "cc" + TRACE[2:] + "-" + "x" * 100,
    ],
)
def test_bad_trace_parent_is_ignored(value):
    """One that is not valid is as if it were absent, as W3C asks."""
    assert read_trace_parent({"traceparent": value}) is None


NAMES = [
    "Cache-Control",
    "x-sidecar-cache-scope",
    "x-sidecar-cache-ttl",
    "x-sidecar-cache-tags",
    "x-sidecar-max-wrong",
    "x-sidecar-user",
    "x-sidecar-timeout-ms",
    "traceparent",
    "x-sidecar-route",
    "Idempotency-Key",
]
READERS = [
    read_controls,
    read_caller,
    read_timeout_s,
    read_trace_parent,
    read_route,
    read_idempotency_key,
]


@pytest.mark.parametrize("read", READERS)
@given(headers=st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(), max_size=40)))
def test_arbitrary_headers(read, headers):
    """Whatever the headers hold, they are understood or refused as the client's fault."""
    with suppress(InvalidRequestError):
        read(CIMultiDict(headers))


@pytest.mark.parametrize(("value", "route"), [(" cheap ", "cheap"), ("", None), (" ", None)])
def test_a_route_is_a_name(value, route):
    """Absent and empty leave it to the config."""
    assert read_route(CIMultiDict({"x-sidecar-route": value})) == route
    assert read_route(CIMultiDict()) is None


@pytest.mark.parametrize(("value", "key"), [(" a b ", "a b"), ("x" * 255, "x" * 255)])
def test_an_idempotency_key_is_taken_as_it_is(value, key):
    """But for the space around it; absent is none."""
    assert read_idempotency_key(CIMultiDict({"idempotency-key": value})) == key
    assert read_idempotency_key(CIMultiDict()) is None


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "é", "a\tb", "a\x7fb", "\udcff"])
def test_an_idempotency_key_that_can_not_be_read_is_refused(value):
    """An empty one too: its client believes to be safe."""
    with pytest.raises(InvalidRequestError) as caught:
        read_idempotency_key(CIMultiDict({"Idempotency-Key": value}))
    assert caught.value.param == "Idempotency-Key"


@pytest.mark.parametrize("first", ["", " "])
def test_an_empty_value_before_the_true_one_is_refused(first):
    """A client may send it, so that what its proxy adds is not read: two values are two."""
    said = CIMultiDict([("x-sidecar-tenant", first), ("x-sidecar-tenant", "shop")])
    with pytest.raises(InvalidRequestError):
        read_caller(said)
