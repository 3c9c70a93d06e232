"""Where the shipped models are, and whether their files are what was shipped.

A model is a folder under `weights/` with a `manifest.json` that names its files and
their sha256. It loads no model. A file that is missing or differs (a broken install, a
Git LFS pointer, a disk that flips bits) is a `ConfigError` of one line, never used all
the same. Who can change files between the check and the use can change this one too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import ConfigError

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = "minilm-l6-v2-int8"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model, as it was shipped."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """A shipped model, from its manifest; the files themselves are not read yet."""

    name: str
    dimension: int
    max_tokens: int
    licence: str
    source: str
    folder: Path
    files: tuple[ModelFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """Digest over the names and digests of all files: hex, 64 characters."""
        lines = sorted(f"{file.sha256}  {file.name}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def model_id(self) -> str:
        """Name and digest prefix, stored with every vector that the model makes."""
        return f"{self.name}@{self.sha256[:12]}"

    def require(self, name: str) -> Path:
        """Return the path of one file, its bytes checked. Raises `ConfigError`."""
        file = next(file for file in self.files if file.name == name)
        path = self.folder / name
        if hashlib.sha256(_read(path)).hexdigest() != file.sha256:
            raise _broken(path, "is not the file that was shipped (its sha256 differs)")
        return path

    def check(self) -> None:
        """Read and check every file. Raises `ConfigError` for the first that is wrong."""
        for file in self.files:
            self.require(file.name)


def installed(weights: Path = WEIGHTS) -> list[Model]:
    """Every shipped model, by name. Raises `ConfigError` for an unreadable manifest."""
    return [_load(path.parent) for path in sorted(weights.glob(f"*/{MANIFEST}"))]


def find(name: str, weights: Path = WEIGHTS) -> Model:
    """The shipped model called `name`; `default` is `DEFAULT`. Raises `ConfigError`."""
    wanted = DEFAULT if name == "default" else name
    known = {path.parent.name: path.parent for path in weights.glob(f"*/{MANIFEST}")}
    if wanted in known:
        return _load(known[wanted])
    if wanted == DEFAULT:
        raise _broken(weights / DEFAULT / MANIFEST, "is missing")
    raise ConfigError(
        f"embedding.model: no shipped model is called {wanted!r}; use one of "
        f"{', '.join(['default', *sorted(known)])}, "
        "or set embedding.backend: sentence-transformers",
        param="embedding.model",
    )


def _load(folder: Path) -> Model:
    path = folder / MANIFEST
    try:
        told = json.loads(_read(path))
        files = tuple(
            ModelFile(name, file["sha256"], file["bytes"]) for name, file in told["files"].items()
        )
        return Model(
            name=told["name"],
            dimension=told["dimension"],
            max_tokens=told["max_tokens"],
            licence=told["licence"],
            source=told["source"],
            folder=folder,
            files=files,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, "is not a model's manifest") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _broken(path, f"can't be read ({error.strerror or error})") from error


def _broken(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"embedding model: {path} {what}; "
        "reinstall with `pip install --force-reinstall semantic-sidecar`",
        param="embedding.model",
    )
