"""Puts what was found in order: best first, ties by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from index.protocol import Id, Match


def ranked(ids: Sequence[Id], scores: Sequence[float], k: int) -> list[Match]:
    """The `k` best of ids with their scores, which are clipped to [-1, 1]."""
    found = [
        # Clipped first: what is reported as equal is a tie. The second part keeps str and
        # int from being compared with each other.
        (-min(1.0, max(-1.0, score)), isinstance(id_, str), id_)
        for id_, score in zip(ids, scores, strict=True)
    ]
    found.sort()
    return [Match(id_, -negated) for negated, _, id_ in found[:k]]


def merged(parts: Iterable[list[Match]], k: int) -> list[Match]:
    """The `k` best of several ranked lists."""
    filled = [part for part in parts if part]
    if len(filled) < 2:
        return filled[0] if filled else []
    every = [match for part in filled for match in part]
    return ranked([each.id for each in every], [each.similarity for each in every], k)
