"""Text to vector: the shipped int8 MiniLM by default, any sentence-transformers model as an extra.

`open_embedder` picks the backend and imports only that one; `EmbeddingQueue` is how the
event loop uses it.
"""

from __future__ import annotations

from sidecar.embed.protocol import Embedder, Unembeddable, Vector
from sidecar.embed.queue import EmbeddingQueue

__all__ = ["Embedder", "EmbeddingQueue", "Unembeddable", "Vector", "open_embedder"]


def open_embedder(model: str = "default", *, backend: str = "onnx", threads: int = 1) -> Embedder:
    """Load `model` (config `embedding.model`) with `backend` (`embedding.backend`).

    `backend` is `onnx` (a shipped model, by name) or `sentence-transformers` (any model,
    by name or folder). Blocks for the load: about 0.1 s for the shipped one. Raises
    `ConfigError`, one line, when the model or the backend can't be had.
    """
    # Imported here: onnxruntime takes 60 MB, torch over 1 GB, and one of them is enough.
    if backend == "sentence-transformers":
        from sidecar.embed.sentence_transformers import open_model  # noqa: PLC0415

        return open_model(model, threads=threads)
    from sidecar.embed.models import find  # noqa: PLC0415
    from sidecar.embed.onnx import OnnxEmbedder  # noqa: PLC0415

    return OnnxEmbedder(find(model), threads=threads)
