"""The figures of one run of the search benchmark, judged against its targets and written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import table
from benchmarks.search_data import NEAR
from benchmarks.search_engines import FLAT, KINDS, OURS, K

LEAST_SEARCHES = 1_000  # beside compaction, for a p99 that is more than its ten worst
LEAST_ADDS_PER_S = 190  # of the 200 that were to come meanwhile
HEAD = (
    "size", "engine", "p50, µs", "flat's p50 over it", "p99, µs", "recall@1", f"among {K}",
    "bytes an entry", "fill, s",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One engine at one size. `recall_k`: the best is among all that were returned."""

    size: int
    engine: str
    p50_s: float
    p99_s: float
    recall_1: float
    recall_k: float
    bytes_an_entry: float
    fill_s: float


@dataclass
class Run:
    """Everything that one run measured; `near` counts the queries with a true neighbour."""

    command: str
    seed: int
    date: str
    machine: str
    queries: int
    near: dict[int, int] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    missing: dict[int, dict[str, str]] = field(default_factory=dict)
    compacting: dict[int, dict[str, Any]] = field(default_factory=dict)
    sustained: dict[int, dict[str, Any]] = field(default_factory=dict)
    partitions: dict[str, Any] = field(default_factory=dict)

    def figure(self, size: int, engine: str) -> Figure | None:
        """What was measured of an engine at a size, if it was."""
        return next((f for f in self.figures if (f.size, f.engine) == (size, engine)), None)


@dataclass(frozen=True)
class Promise:
    """What must hold at one size; no limit where there is none."""

    recall: float
    flat_over: float  # flat's median search over ours, at least
    bytes_an_entry: float
    p99_over_quiet: float | None


PROMISES = {
    10_000: Promise(1.0, 1 / 1.2, 1_900, None),
    100_000: Promise(0.995, 50, 1_200, 5),
    1_000_000: Promise(0.99, 250, 900, 5),
}
SUSTAINED_SIZE, SUSTAINED_PER_S = 100_000, 2_000
MEMORY_OVER_RAW, PARTITION_P50_S = 4.0, 50e-6


@dataclass(frozen=True)
class Verdict:
    """A target, what was measured, and whether that meets it; None: not measured."""

    what: str
    target: str
    measured: str = "not run at this size"
    met: bool | None = None

    @property
    def word(self) -> str:
        """For the table."""
        return {True: "met", False: "**MISSED**", None: "—"}[self.met]


def verdicts(run: Run) -> list[Verdict]:
    """Every target in turn."""
    found = []
    for size, promise in PROMISES.items():
        found += _searching(run, size, promise)
        if promise.p99_over_quiet is not None:
            found.append(_compacting(run, size, promise.p99_over_quiet))
    return [*found, _sustained(run), *_partitions(run)]


def _searching(run: Run, size: int, promise: Promise) -> Iterator[Verdict]:
    ours, flat, at = run.figure(size, OURS), run.figure(size, FLAT), f"{size:,}: "
    targets = (
        (at + "recall@1 of true neighbours", f"≥ {promise.recall:.3f}"),
        (at + "p50 search", f"≤ {_of_flat(promise.flat_over)}"),
        (at + "bytes an entry", f"≤ {promise.bytes_an_entry:,}"),
    )
    if ours is None or flat is None:
        yield from (Verdict(*target) for target in targets)
        return
    over = flat.p50_s / ours.p50_s
    yield Verdict(*targets[0], f"{ours.recall_1:.4f}", ours.recall_1 >= promise.recall)
    yield Verdict(*targets[1], _of_flat(over), over >= promise.flat_over)
    held = ours.bytes_an_entry
    yield Verdict(*targets[2], f"{held:,.0f}", held <= promise.bytes_an_entry)


def _of_flat(over: float) -> str:
    return f"flat / {over:.3g}" if over > 1 else f"{1 / over:.3g} × flat"


def _compacting(run: Run, size: int, limit: float) -> Verdict:
    target = (f"{size:,}: p99 while compacting and adding 200/s", f"≤ {limit:g} × quiet p99")
    if (told := run.compacting.get(size)) is None:
        return Verdict(*target)
    if told["compacting_searches"] < LEAST_SEARCHES:
        return Verdict(*target, f"only {told['compacting_searches']} searches beside it", False)
    ratio = told["compacting_p99_s"] / told["quiet_p99_s"]
    adds = told["adds_per_s"]
    kept_up = adds >= LEAST_ADDS_PER_S
    measured = f"{ratio:.2f} ×" + ("" if kept_up else f", but only {adds:.0f} adds/s went in")
    return Verdict(*target, measured, ratio <= limit and kept_up)


def _sustained(run: Run) -> Verdict:
    size = SUSTAINED_SIZE
    target = (f"{size:,}: vectors added/s, until compacted", f"≥ {SUSTAINED_PER_S:,}")
    if (told := run.sustained.get(size)) is None:
        return Verdict(*target)
    alone = told["adds"] / told["adding_s"]
    whole = told["adds"] / (told["adding_s"] + told["catching_up_s"])
    measured = f"{whole:,.0f} ({alone:,.0f} alone, then {told['catching_up_s']:.1f} s to catch up)"
    return Verdict(*target, measured, whole >= SUSTAINED_PER_S)


def _partitions(run: Run) -> Iterator[Verdict]:
    if not (told := run.partitions):
        return
    at, over = f"{told['partitions']:,} partitions of one: ", told["memory_over_raw"]
    yield Verdict(
        at + "memory over the raw vectors'", f"≤ {MEMORY_OVER_RAW:g} ×", f"{over:.2f} ×",
        over <= MEMORY_OVER_RAW,
    )  # fmt: skip
    yield Verdict(
        at + "p50 search", f"≤ {PARTITION_P50_S * 1e6:g} µs", f"{told['p50_s'] * 1e6:.1f} µs",
        told["p50_s"] <= PARTITION_P50_S,
    )  # fmt: skip


def report(run: Run) -> str:
    """All of it as Markdown."""
    rows = [(v.what, v.target, v.measured, v.word) for v in verdicts(run)]
    return "\n".join(
        [
            f"`{run.command}`, {run.date}\n\n{run.machine}\n",
            table("Targets", ("what", "target", "measured", ""), rows),
            table("Cost by size", HEAD, [_row(run, figure) for figure in run.figures]),
            _notes(run),
            _compacting_table(run),
        ]
    )


def _row(run: Run, figure: Figure) -> list[str]:
    flat = run.figure(figure.size, FLAT)
    return [
        f"{figure.size:,}",
        KINDS[figure.engine].title,
        f"{figure.p50_s * 1e6:,.0f}",
        f"{flat.p50_s / figure.p50_s:.3g}" if flat else "—",
        f"{figure.p99_s * 1e6:,.0f}",
        f"{figure.recall_1:.4f}",
        f"{figure.recall_k:.4f}",
        f"{figure.bytes_an_entry:,.0f}",
        f"{figure.fill_s:.1f}",
    ]


def _notes(run: Run) -> str:
    near = ", ".join(f"{count} at {size:,}" for size, count in run.near.items())
    lines = [
        f"Each engine in a process of its own, one thread, on one core; {run.queries:,} held-out "
        "real questions in interleaved rounds. Recall is of those with a true neighbour, "
        f"cosine ≥ {NEAR} ({near}); the best first, or among the {K} asked for. Bytes: the rise "
        "of anonymous memory over filling and compaction. This index holds ids that are "
        "strings; hnswlib and usearch hold integers, FAISS none.",
    ]
    for size, reasons in run.missing.items():
        names = "; ".join(f"{KINDS[engine].title}: {why}" for engine, why in reasons.items())
        lines.append(f"Not measured at {size:,}: {names}.")
    return "\n\n".join(lines) + "\n"


def _compacting_table(run: Run) -> str:
    if not run.compacting:
        return ""
    head = ("size", "quiet", "compacting and adding", "replacing and adding", "worst, ms",
            "searches beside compaction", "compactions", "share of the time", "adds/s")  # fmt: skip
    rows = [_compacting_row(size, told) for size, told in run.compacting.items()]
    return table("This index while it is written to: p50 / p99 of a search, µs", head, rows)


def _compacting_row(size: int, told: dict[str, Any]) -> list[str]:
    def pair(kind: str) -> str:
        return f"{told[f'{kind}_p50_s'] * 1e6:,.0f} / {told[f'{kind}_p99_s'] * 1e6:,.0f}"

    return [
        f"{size:,}",
        pair("quiet"),
        pair("compacting"),
        pair("between"),
        f"{told['worst_s'] * 1e3:.1f}",
        f"{told['compacting_searches']:,}",
        str(told["compactions"]),
        f"{told['compacting_share']:.0%}",
        f"{told['adds_per_s']:.0f}",
    ]


def write(run: Run, folder: Path) -> None:
    """`search.md` and `search.json` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    page = f"# Search\n\n{report(run)}\n![Cost by size](search.png)\n"
    (folder / "search.md").write_text(page, encoding="utf-8")
    judged = [asdict(verdict) for verdict in verdicts(run)]
    text = json.dumps(asdict(run) | {"verdicts": judged}, indent=1, ensure_ascii=False)
    (folder / "search.json").write_text(text + "\n", encoding="utf-8")
