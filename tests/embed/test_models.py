from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sidecar.embed.models import DEFAULT, WEIGHTS, Model, find, installed
from sidecar.errors import ConfigError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder of weights that a test may spoil."""
    shutil.copytree(WEIGHTS / DEFAULT, tmp_path / DEFAULT)
    return tmp_path


def only(weights: Path) -> Model:
    """The model in a folder of weights."""
    return find(DEFAULT, weights)


def test_the_shipped_model_is_listed() -> None:
    """`models list` has what it needs: name, dimension, bytes, sha256, licence, path."""
    (model,) = [model for model in installed() if model.name == DEFAULT]
    assert (model.dimension, model.max_tokens, model.licence) == (384, 256, "Apache-2.0")
    on_disk = sum((model.folder / file.name).stat().st_size for file in model.files)
    assert model.size_bytes == on_disk
    assert len(model.sha256) == 64


def test_every_shipped_file_is_what_was_shipped() -> None:
    """The files in the package are the ones that the manifest names."""
    for model in installed():
        model.check()


def test_the_licence_and_the_card_lie_beside_the_weights() -> None:
    """Who gets the weights gets their licence and where they come from."""
    folder = find("default").folder
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "sentence-transformers/all-MiniLM-L6-v2" in (folder / "MODEL_CARD.md").read_text()


def test_default_is_a_name() -> None:
    """Config's `default` and the model's own name are the same model."""
    assert find("default") == find(DEFAULT)


def test_model_id_follows_the_files(copy: Path) -> None:
    """Other weights under the same name have another id, so their vectors never mix."""
    before = only(copy).model_id
    path = copy / DEFAULT / "manifest.json"
    told = json.loads(path.read_text())
    told["files"]["model.onnx"]["sha256"] = "0" * 64
    path.write_text(json.dumps(told))
    assert only(copy).model_id != before


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_flipped_bit_is_found(copy: Path, name: str) -> None:
    """One bit in the middle of a file: one line that names the file and what to do."""
    path = copy / DEFAULT / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"sha256 differs.*reinstall") as told:
        only(copy).check()
    assert name in told.value.message
    assert "\n" not in told.value.message


def test_a_truncated_file_is_found(copy: Path) -> None:
    """A file cut short, as a full disk leaves it."""
    path = copy / DEFAULT / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="sha256 differs"):
        only(copy).require("model.onnx")


def test_a_missing_file_is_told(copy: Path) -> None:
    """The line names the path and what to do."""
    (copy / DEFAULT / "model.onnx").unlink()
    with pytest.raises(ConfigError, match=r"model\.onnx can't be read .*reinstall"):
        only(copy).check()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"a": {}}}', "\x00"])
def test_a_broken_manifest_is_told(copy: Path, text: str) -> None:
    """Whatever stands in the manifest, it is one line and no traceback."""
    (copy / DEFAULT / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match="is not a model's manifest"):
        only(copy)


def test_an_unknown_name_lists_the_known() -> None:
    """A typo in `embedding.model` is answered with the names there are."""
    with pytest.raises(ConfigError, match=f"default, {DEFAULT}") as told:
        find("minilm")
    assert told.value.param == "embedding.model"


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """A package without its weights says so, and not that the name is unknown."""
    with pytest.raises(ConfigError, match="is missing; reinstall"):
        find("default", tmp_path)
