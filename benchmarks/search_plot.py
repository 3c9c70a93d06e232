"""The cost curve as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from benchmarks.search_engines import FLAT, KINDS, OURS
from benchmarks.search_report import PROMISES, Figure, Promise, Run

# Told apart by marker and dashes too, for eyes and printers without colour.
COLOURS = ("#d62728", "#555555", "#1f77b4", "#2ca02c", "#9467bd")
MARKERS = ("o", "s", "^", "v", "D")
DASHES = ("-", "--", "-", "-", "-.")


def plot(run: Run, folder: Path) -> None:
    """`search.png` in a folder: median search, recall and bytes an entry, by size."""
    canvas = Canvas(figsize=(15, 5.2), layout="constrained")
    times, recalls, memory = canvas.subplots(1, 3)
    _times(times, run)
    _panel(recalls, run, "recall@1 of true neighbours", lambda f: f.recall_1)
    _limits(recalls, run, lambda size, promise: promise.recall)
    lowest = min((f.recall_1 for f in run.figures), default=1.0)
    recalls.set_ylim(min(0.98, lowest - 0.005), 1.001)
    _panel(memory, run, "bytes an entry", lambda f: f.bytes_an_entry)
    _limits(memory, run, lambda size, promise: promise.bytes_an_entry)
    memory.set_ylim(bottom=0)
    memory.yaxis.set_major_formatter(FuncFormatter(_grouped))
    handles, labels = memory.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    canvas.savefig(folder / "search.png", dpi=120)


def _times(axes: Axes, run: Run) -> None:
    _panel(axes, run, "median search, µs", lambda f: f.p50_s * 1e6)
    flat = {figure.size: figure.p50_s for figure in run.figures if figure.engine == FLAT}
    _limits(axes, run, lambda size, promise: flat[size] * 1e6 / promise.flat_over)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_grouped))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _panel(axes: Axes, run: Run, title: str, value: Callable[[Figure], float]) -> None:
    looks = zip(KINDS.items(), COLOURS, MARKERS, DASHES, strict=True)
    for (name, kind), colour, marker, dash in looks:
        figures = [figure for figure in run.figures if figure.engine == name]
        if not figures:
            continue
        axes.plot(
            [figure.size for figure in figures],
            [value(figure) for figure in figures],
            color=colour,
            marker=marker,
            markersize=5,
            linestyle=dash,
            linewidth=2.4 if name == OURS else 1.4,
            zorder=3 if name == OURS else 2,  # where lines meet, this one is seen
            label=kind.title,
        )
    axes.set_title(title)
    axes.set_xlabel("vectors")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(run.near)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.grid(visible=True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def _limits(axes: Axes, run: Run, limit: Callable[[int, Promise], float]) -> None:
    limits = {size: limit(size, PROMISES[size]) for size in PROMISES if size in run.near}
    axes.plot(
        list(limits), list(limits.values()), color="black", marker="_", markersize=18,
        markeredgewidth=1.6, linestyle="none", zorder=4, label="target of this index",
    )  # fmt: skip
    axes.margins(x=0.09)  # the last mark is wide


def _short(size: float, _: int) -> str:
    return f"{size / 1e6:g}M" if size >= 1e6 else f"{size / 1e3:g}k"


def _grouped(value: float, _: int) -> str:
    return f"{value:,.0f}"
