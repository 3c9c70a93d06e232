"""Small embedders that keep the protocol, or break it in one way that a test is about."""

from __future__ import annotations

import hashlib
import threading

import numpy as np

from sidecar.embed import Vector


class Hashed:
    """A unit vector of 8 from the digest of the text. Counts its runs."""

    model_id = "hashed@1"
    dimension = 8
    max_tokens = 256

    def __init__(self) -> None:
        self.runs: list[str] = []

    def embed(self, text: str) -> Vector:
        self.runs.append(text)
        raw = np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], dtype=np.uint8)
        vector = raw.astype(np.float32) + 1
        return vector / np.linalg.norm(vector)


class Held(Hashed):
    """Waits in each run until `go` is set; `started` tells that a run waits."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.started = threading.Event()

    def embed(self, text: str) -> Vector:
        self.started.set()
        vector = super().embed(text)
        self.go.wait()
        return vector


class Wrong(Hashed):
    """Gives out the vector it was made with, whatever the text."""

    def __init__(self, vector: Vector) -> None:
        super().__init__()
        self._vector = vector

    def embed(self, text: str) -> Vector:
        self.runs.append(text)
        return self._vector


class Raising(Hashed):
    """Fails with an exception of its own, then works."""

    def embed(self, text: str) -> Vector:
        if not self.runs:
            self.runs.append(text)
            raise ZeroDivisionError
        return super().embed(text)
