"""Objects of a Responses request: read by rules, and refused at the place that breaks one."""

import pytest

from sidecar.wire.body import MalformedError
from sidecar.wire.responses_fields import (
    ANY,
    NAME,
    STRING,
    at,
    kind_of,
    one_of,
    read_fields,
    shown,
)

RULES = {"name": NAME, "note": STRING, "any": ANY, "level": one_of("low", "high")}


def refused(raw) -> MalformedError:
    """What is said against this object."""
    with pytest.raises(MalformedError) as caught:
        read_fields(raw, RULES)
    return caught.value


def test_fields_that_are_not_null():
    """A null is as if it weren't there, whether the field is known or not."""
    assert read_fields({"name": "n", "note": None, "x": None}, RULES) == {"name": "n"}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ([], ""),
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n", "note": 1}, "note"),
        ({"name": "n", "level": "middle"}, "level"),
        ({"name": "n", "level": []}, "level"),
        ({"name": "n", "other": False}, "other"),
    ],
)
def test_refused_where_it_is_wrong(raw, path):
    """What is missing, of the wrong type or unknown is named."""
    assert refused(raw).path == path


@pytest.mark.parametrize("name", ["a b", "a\nb", "", "ä", "x" * 65])
def test_unusual_names_are_not_told_back(name):
    """A name that does not fit into one plain line is not quoted."""
    assert "unusual" in shown(name)
    assert shown("seed_2.x-y") == "seed_2.x-y"


def test_places_add_up():
    """What is wrong inside is named with every place around it."""
    with pytest.raises(MalformedError) as caught, at("tools[0]"), at("format"):
        read_fields({"name": 5}, RULES)
    assert caught.value.path == "tools[0].format.name"


def test_kinds():
    """A type is one of the known; a missing one is the default, where there is one."""
    assert kind_of({"type": "a"}, ["a", "b"]) == "a"
    assert kind_of({"type": None}, ["a", "b"], "b") == "b"
    for raw in ({}, {"type": "c"}, {"type": ["a"]}):
        with pytest.raises(MalformedError, match="type must be one of a, b"):
            kind_of(raw, ["a", "b"])


def test_a_plain_kind_is_named():
    """A type that is an ordinary word is named, so that its sender sees what is not served."""
    with pytest.raises(MalformedError, match="no chat provider takes web_search"):
        kind_of({"type": "web_search"}, ["function"])
    with pytest.raises(MalformedError) as caught:
        kind_of({"type": "sk-canary"}, ["function"])
    assert "sk-canary" not in str(caught.value)
