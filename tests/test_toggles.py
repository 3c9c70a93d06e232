"""What is chosen live, and its file."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.errors import InvalidRequestError, ModelNotFoundError
from sidecar.toggles import ToggleFile, Toggles

OFFERED = {"a": {"targets": 0, "cheap": 0}, "b": {"targets": 0, "cheap": 0}, "c": {"targets": 0}}


@pytest.fixture
def path(tmp_path):
    """Where choices are kept."""
    return tmp_path / "toggles.json"


@pytest.fixture
def toggles(path) -> Toggles:
    """Nothing chosen."""
    return Toggles(ToggleFile(path), OFFERED)


def again(path) -> dict:
    """What the next process will start with."""
    return dict(Toggles(ToggleFile(path), OFFERED).choices)


def test_what_was_saved_is_there_again(toggles, path):
    """In a file for its owner alone, with nothing beside it."""
    toggles.choose("a", "cheap")
    assert toggles.save()
    assert again(path) == {"a": "cheap"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["toggles.json"]


def test_the_models_own_targets_can_be_chosen_too(toggles):
    """Over a config that has a variant active."""
    toggles.choose("a", "targets")
    assert toggles.choices == {"a": "targets"}


def test_every_model_is_every_model_that_can(toggles):
    """And null means all that were chosen."""
    assert toggles.choose("*", "cheap") == ["a", "b"]
    assert toggles.choose("*", None) == ["a", "b"]
    assert toggles.choices == {}


@pytest.mark.parametrize(
    ("model", "variant", "error"),
    [
        ("x", "cheap", ModelNotFoundError),
        ("x", None, ModelNotFoundError),
        ("c", "cheap", InvalidRequestError),
        ("*", "dear", InvalidRequestError),
    ],
)
def test_what_is_refused_changes_nothing(toggles, model, variant, error):
    """An unknown model, a variant that the model has not."""
    toggles.choose("a", "cheap")
    with pytest.raises(error):
        toggles.choose(model, variant)
    assert toggles.choices == {"a": "cheap"}


def test_a_disk_that_refuses_is_told_and_the_choice_holds(toggles, path, caplog):
    """An operator who toggles in an outage is obeyed all the same."""
    (path.parent / "toggles.json.new").mkdir()  # nothing can be written there
    toggles.choose("a", "cheap")
    assert not toggles.save()
    assert toggles.choices == {"a": "cheap"}
    assert "holds until the end of this process" in caplog.text


def test_another_config_drops_what_it_does_not_offer(toggles, path):
    """In memory and on disk; the rest holds on."""
    toggles.choose("*", "cheap")
    toggles.save()
    toggles.offer({"a": {"targets": 0}, "b": OFFERED["b"]})
    assert toggles.choices == json.loads(path.read_text()) == {"b": "cheap"}


def test_a_link_in_the_place_of_the_file_is_not_followed(toggles, path, tmp_path):
    """What it leads to stays what it is."""
    other = tmp_path / "other"
    other.write_text("mine")
    (path.parent / "toggles.json.new").symlink_to(other)
    toggles.choose("a", "cheap")
    assert toggles.save()
    assert (other.read_text(), again(path)) == ("mine", {"a": "cheap"})


def test_two_writers_do_not_spoil_each_other_s_file(path):
    """An operator toggles while a reload drops a choice: each saves whole, neither fails."""
    file = ToggleFile(path)
    with ThreadPoolExecutor(4) as crowd:
        saved = list(crowd.map(lambda n: file.save({"a": f"v{n}"}), range(200)))
    assert all(saved)
    assert list(file.load()) == ["a"]


@pytest.mark.parametrize(
    "content", [b'{"a": 1}', b"[]", b'{"a": "cheap"}' + b" " * (1 << 20)], ids=["1", "[]", "large"]
)
def test_a_file_that_holds_no_choices_is_set_aside(path, content):
    """Nothing of it is believed."""
    path.write_bytes(content)
    assert again(path) == {}
    assert path.with_name("toggles.json.damaged").read_bytes() == content


def test_what_config_does_not_offer_is_dropped_at_birth(path):
    """And from the file."""
    path.write_text(json.dumps({"a": "gone", "b": "cheap"}))
    assert again(path) == {"b": "cheap"}
    assert json.loads(path.read_text()) == {"b": "cheap"}
