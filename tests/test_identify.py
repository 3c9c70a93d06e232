"""Who asks: clients by their key, tags that can't be forged, tags that must be there."""

from hashlib import sha256

import pytest
from multidict import CIMultiDict

from sidecar.domain import Caller, ChatRequest
from sidecar.errors import InvalidApiKeyError, MissingTagError
from sidecar.identify import (
    IdentityRules,
    identify,
    key_digest,
    key_known_by,
    keys_given,
    known_client,
    passes_none,
    require_client,
    with_key,
    with_user_label,
)

SHOP = known_client("shop-key", "shop", {"department": "sales"})
PLAIN = known_client("plain-key", "", {})
RULES = IdentityRules(clients=dict([SHOP, PLAIN]))


def headers(**said: str) -> CIMultiDict[str]:
    """Headers; underscores stand for hyphens."""
    return CIMultiDict({name.replace("_", "-"): value for name, value in said.items()})


@pytest.mark.parametrize(
    "said",
    [
        {"Authorization": "Bearer shop-key"},
        {"authorization": "bearer  shop-key "},
        {"x_api_key": "shop-key"},
        {"Authorization": "Bearer other", "x_api_key": "shop-key"},
    ],
)
def test_a_client_is_known_by_its_key(said):
    """In whichever of the two headers it comes."""
    assert require_client(headers(**said), RULES) == SHOP[1]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Authorization": "shop-key"},
        {"Authorization": "Basic shop-key"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer shop-ke"},
        {"Authorization": "Bearer SHOP-KEY"},
        {"Authorization": "Bearer \udcff"},
        {"x_api_key": "shop-key2"},
        {"Authorization": f"Bearer {SHOP[0].hex()}"},
    ],
)
def test_no_other_key_is(said):
    """Nor none, nor what comes near, nor what the key is known by; and it is not echoed."""
    with pytest.raises(InvalidApiKeyError) as caught:
        require_client(headers(**said), RULES)
    assert "shop-ke" not in caught.value.message


def test_without_clients_any_key_is_accepted():
    """And means nothing."""
    assert require_client(headers(Authorization="Bearer any"), IdentityRules()) is None
    assert identify(headers(Authorization="Bearer any"), {}, None, IdentityRules()) == Caller()


def test_tenant_and_tags_are_bound_to_the_key():
    """Whatever the headers and the body say; what is not bound is still theirs to say."""
    said = headers(x_sidecar_tenant="other", x_sidecar_department="other", x_sidecar_user="ann")
    labels = {"metadata": {"department": "other", "feature": "faq"}}
    caller = identify(said, labels, SHOP[1], RULES, {"department": "unknown"})
    assert caller == Caller("shop", "ann", "faq", "sales", client=SHOP[1].name)


def test_a_client_without_a_tenant_can_not_choose_one():
    """The empty tenant is bound as well, or it could read what others were told."""
    caller = identify(headers(x_sidecar_tenant="shop"), {}, PLAIN[1], RULES)
    assert caller.tenant == ""


def test_a_clients_name_does_not_tell_its_key():
    """It goes into logs and rows."""
    assert SHOP[1].name == sha256(b"shop-key").hexdigest()[:8]


@pytest.mark.parametrize("tag", ["user", "feature", "department"])
def test_a_missing_tag_is_refused_by_name(tag):
    """With the header that it can be sent in."""
    with pytest.raises(MissingTagError, match=f"x-sidecar-{tag}") as caught:
        identify(headers(), {}, None, IdentityRules(required=(tag,)))
    assert (caught.value.status, caught.value.code) == (400, "missing_tag")


def test_a_default_does_not_stand_in_for_a_required_tag():
    """It would make the requirement empty. Tags that are not required keep theirs."""
    rules = IdentityRules(required=("department",))
    defaults = {"department": "unknown", "feature": "any"}
    with pytest.raises(MissingTagError):
        identify(headers(), {}, None, rules, defaults)
    caller = identify(headers(x_sidecar_department="hr"), {}, None, rules, defaults)
    assert (caller.department, caller.feature) == ("hr", "any")


@pytest.mark.parametrize(
    ("said", "labels", "client"),
    [
        ({"x_sidecar_department": "hr"}, {}, None),
        ({}, {"metadata": {"department": "hr"}}, None),
        ({}, {}, SHOP[1]),
    ],
    ids=["header", "body", "client"],
)
def test_a_required_tag_may_come_in_each_way(said, labels, client):
    """From the header, the body or the client's own entry."""
    rules = IdentityRules(required=("department",))
    assert identify(headers(**said), labels, client, rules).department


def test_a_key_stays_here_unless_the_model_wants_it():
    """Neither the key nor its digest goes any further."""
    said = headers(Authorization="Bearer secret")
    assert with_key(Caller(), said, "gpt-4o", IdentityRules()) == (Caller(), "")
    assert not passes_none("gpt-4o")


def test_a_key_that_is_passed_on_joins_the_scope():
    """By its digest, for that model alone."""
    rules = IdentityRules(passes_client_key=lambda model: model == "own")
    said = headers(Authorization="Bearer secret", x_api_key="second")
    caller, key = with_key(Caller(user="ann"), said, "own", rules)
    assert (caller.client_key_digest, key) == (key_digest("secret").hex(), "secret")
    assert caller.user == "ann"
    assert with_key(Caller(), said, "other", rules) == (Caller(), "")
    assert with_key(Caller(), headers(), "own", rules) == (Caller(), "")


def test_keys_come_in_two_headers():
    """OpenAI's first."""
    said = headers(x_api_key=" b ", Authorization="Bearer a")
    assert list(keys_given(said)) == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "rules", "passed_on", "expected"),
    [
        ({}, IdentityRules(), "", ""),
        ({"Authorization": "Bearer a", "x_api_key": "b"}, IdentityRules(), "", "a"),
        ({"Authorization": "Bearer any", "x_api_key": "shop-key"}, RULES, "", "shop-key"),
        ({"Authorization": "Bearer shop-key"}, RULES, "", "shop-key"),
        ({"Authorization": "Bearer shop-key"}, RULES, "shop-key", "shop-key"),
        ({"Authorization": "Bearer own", "x_api_key": "shop-key"}, RULES, "own", "shop-key\nown"),
        ({"Authorization": "Bearer own"}, IdentityRules(), "own", "own"),
    ],
)
def test_a_caller_s_keys_are_told_apart_by_its_own(said, rules, passed_on, expected):
    """That of its client, where there are clients: anyone can send any other beside it."""
    assert key_known_by(headers(**said), rules, passed_on) == expected


def labels_sent(caller: Caller, **labels: object) -> dict[str, object]:
    """What a provider is told beside these labels."""
    return dict(with_user_label(ChatRequest("m", (), labels=labels), caller).labels)


def test_the_user_is_told_to_a_provider_hashed():
    """Beside the labels that were there; stable, and another one in another tenant."""
    told = labels_sent(Caller("a", "ann"), store=True)
    assert (told["store"], len(str(told["user"]))) == (True, 32)
    assert "ann" not in str(told["user"])
    assert told == labels_sent(Caller("a", "ann", "faq", session="s"), store=True)
    assert told["user"] != labels_sent(Caller("b", "ann"))["user"]
    assert labels_sent(Caller("ab", "c")) != labels_sent(Caller("a", "bc"))


@pytest.mark.parametrize(
    "labels", [{"user": "u"}, {"safety_identifier": "s"}, {"metadata": {"user_id": "m"}}]
)
def test_a_name_in_the_body_is_left_as_it_is(labels):
    """The caller knows what its provider shall be told."""
    assert labels_sent(Caller(user="ann"), **labels) == labels


def test_without_a_user_the_request_is_the_same_object():
    """Nothing is made anew for nothing."""
    request = ChatRequest("m", ())
    assert with_user_label(request, Caller("tenant")) is request
