"""The index and its peers behind one face, each as its own documentation sets it up.

One thread each. Graphs have 16 links and look at 64 candidates; how hard they look while
building is left at each library's default (FAISS 40, hnswlib 200, usearch 128).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search_data import NEAR
from index import VectorIndex
from index.protocol import Matrix, Vector

K = 4
LINKS = 16
CANDIDATES = 64
FLAT = "faiss-flat"
OURS = "ours"


@dataclass(frozen=True)
class Engine:
    """Something that is filled and then finds rows near a query.

    `add` takes the number of the first row and the rows; `search`, which alone is timed,
    gives the nearest `K` in whatever form is native; `rows_of` their numbers, best first;
    `settle` returns when nothing is left to build; `close` ends what runs behind.
    """

    index: Any
    add: Callable[[int, Matrix], object]
    search: Callable[[Vector], Any]
    rows_of: Callable[[Any], list[int]]
    settle: Callable[[], object] = lambda: None
    close: Callable[[], object] = lambda: None


def entry_id(row: int) -> str:
    """The id of a row: made when it is needed, so that only an index holds it."""
    return f"q-{row:06d}"


def ours(dimension: int, count: int) -> Engine:
    """The index, asked as the cache asks it: with a floor, by ids that are strings."""
    index = VectorIndex(dimension)
    return Engine(
        index,
        lambda first, rows: index.add_many([entry_id(first + n) for n in range(len(rows))], rows),
        lambda query: index.search(query, K, NEAR),
        lambda answer: [int(match.id[2:]) for match in answer],
        index.compact,
        index.close,
    )


def faiss_flat(dimension: int, count: int) -> Engine:
    """Every vector compared."""
    import faiss  # noqa: PLC0415 - a process holds the engine it measures, not the others

    return _faiss(faiss, faiss.IndexFlatIP(dimension))


def faiss_hnsw(dimension: int, count: int) -> Engine:
    """A graph of FAISS."""
    import faiss  # noqa: PLC0415

    index = faiss.IndexHNSWFlat(dimension, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = CANDIDATES
    return _faiss(faiss, index)


def _faiss(faiss: Any, index: Any) -> Engine:
    faiss.omp_set_num_threads(1)
    return Engine(
        index,
        lambda first, rows: index.add(rows),
        lambda query: index.search(query[None, :], K),
        lambda answer: answer[1][0].tolist(),
    )


def hnswlib_graph(dimension: int, count: int) -> Engine:
    """The graph of its inventors; it is told its greatest size beforehand."""
    import hnswlib  # noqa: PLC0415

    index = hnswlib.Index(space="ip", dim=dimension)
    index.init_index(max_elements=count, M=LINKS)
    index.set_num_threads(1)
    index.set_ef(CANDIDATES)
    return Engine(
        index,
        lambda first, rows: index.add_items(rows, np.arange(first, first + len(rows))),
        lambda query: index.knn_query(query, K),
        lambda answer: answer[0][0].tolist(),
    )


def usearch_graph(dimension: int, count: int) -> Engine:
    """Another graph, in the half precision that it chooses by default on such a processor."""
    from usearch.index import Index  # noqa: PLC0415

    index = Index(ndim=dimension, metric="ip", dtype="bf16", connectivity=LINKS)
    return Engine(
        index,
        lambda first, rows: index.add(np.arange(first, first + len(rows)), rows, threads=1),
        lambda query: index.search(query, K, threads=1),
        lambda answer: answer.keys.tolist(),
    )


@dataclass(frozen=True)
class Kind:
    """An engine by its title, the distribution it comes from, and how it is opened."""

    title: str
    distribution: str
    module: str
    open: Callable[[int, int], Engine]
    is_graph: bool = False


KINDS = {
    OURS: Kind("this index", "semantic-sidecar", "index", ours),
    FLAT: Kind("FAISS flat, fp32", "faiss-cpu", "faiss", faiss_flat),
    "faiss-hnsw": Kind("FAISS HNSW, fp32", "faiss-cpu", "faiss", faiss_hnsw, is_graph=True),
    "hnswlib": Kind("hnswlib, fp32", "hnswlib", "hnswlib", hnswlib_graph, is_graph=True),
    "usearch": Kind("usearch, bf16", "usearch", "usearch", usearch_graph, is_graph=True),
}


def why_missing(name: str, size: int, peers_to: int) -> str:
    """Why an engine is not measured at a size; empty when it is."""
    kind = KINDS[name]
    if importlib.util.find_spec(kind.module) is None:
        return "not installed"
    if kind.is_graph and size > peers_to:
        return f"graphs only to {peers_to:,}: beyond, one thread builds them for long"
    return ""
