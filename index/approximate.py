"""The only door to FAISS: a shortlist of rows that a large partition's search looks at.

It owns no vectors and reports no similarities of record. FAISS adds up products
in another order than `index.exact`, so its scores differ in their last digits;
the caller scores the shortlist again and checks that nothing was left out.
"""

from __future__ import annotations

import faiss

from index.protocol import Matrix, Rows, Scores, Vector


def best_rows(matrix: Matrix, query: Vector, count: int) -> tuple[Rows, Scores]:
    """The `count` rows with the largest inner product by FAISS's sums, best first.

    `matrix` is float32 (n, dimension), C-contiguous, n ≥ count; `query` float32
    (dimension,). O(n × dimension), the GIL released. A full scan that keeps a
    heap of `count` (`faiss.knn_inner_product`), on one thread.
    """
    # Without this, one query spreads over all cores, whose threads then spin
    # for a while on the app's CPU. The setting holds for the calling thread
    # only, and is put back because that thread is not ours.
    threads_before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        scores, rows = faiss.knn(query[None, :], matrix, count, faiss.METRIC_INNER_PRODUCT)
    finally:
        faiss.omp_set_num_threads(threads_before)
    return rows[0], scores[0]
