"""The ratios of two sides' figures over the cells that both have.

Owns pairing of rows, ratio, interval and geometric mean; the definitions for readers are in ``docs/compare.md``.
Contract: pure; a row is paired with one row or with none and then told why; what is not comparable has no ratio and
says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.compare.sides import Side
from harness.table.estimates import mover
from harness.table.metrics import METRICS
from harness.table.rows import EMULATED, Row

#: Whether a recipe is its framework's default of its precision, by (framework, recipe).
IsDefault = Callable[[str, str], bool]

#: What identifies a cell, across sessions and machines.
IDENTITY = ("model", "framework", "precision", "recipe", "device", "workload", "options")
#: Naming one of these in a side's conditions frees the others as well: they have no names in common across it.
_FREES = {
    "framework": ("recipe", "options"),
    "precision": ("recipe",),
    # Two recipes are mostly of two precisions.
    "recipe": ("precision",),
    "precision_class": ("precision", "recipe"),
}
#: Compared unasked.
DEFAULT = ("prefill_tps", "decode_tps", "peak_rss_bytes", "energy_joules_per_decode_token", "kld_mean")
#: What the compact form of the reference's distributions may add to a divergence: below it there is no ratio.
RESOLVED_NATS = 1e-4
#: What silicon would take, which an emulator does not tell, by the unit of the metric.
_OF_SILICON = ("tokens/s", "s", "bytes", "J/token")
#: What a file and the model's shape say, or took to be made: the same on silicon.
_OF_FILES = ("weight_bytes", "touched_weight_bytes", "analytic_kv_bytes", "prepare_s", "prepare_peak_bytes")
#: Ratios of what silicon would take.
_RATIOS_OF_SILICON = ("speedup_prefill", "speedup_decode", "memory_reduction", "mbu_decode", "mfu_prefill")


@dataclass(frozen=True, slots=True)
class Ratio:
    """B's figure over A's.

    Attributes:
        a, b: the figures, in the metric's unit; None where a side has none.
        ratio: b / a; None with its ``reason``.
        low, high: its 95 % interval; None where a side's figure has none.
        better: whether B is better, where the interval leaves 1 out and the metric has a better side; else None.
        reason: why there is no ratio.
    """

    a: float | None
    b: float | None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    better: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell that both sides have."""

    a: Row
    b: Row
    ratios: Mapping[str, Ratio]


@dataclass(frozen=True, slots=True)
class Mean:
    """The geometric mean of a metric's ratios.

    Attributes:
        ratio: over ``cells`` of the common cells; None where no cell has both figures.
        low, high: 95 %, from the cells' own intervals; None where one of them has none.
        cells: how many it is over.
    """

    ratio: float | None
    low: float | None
    high: float | None
    cells: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides over their common cells.

    Attributes:
        a, b: the sides.
        axes: identity columns in which the sides may differ.
        metrics: keys of what is compared.
        pairs: common cells in the order of A's rows.
        means: by metric.
        left_out: rows that are in no pair, with the reason: ``(side, row, reason)``; of a cell without a figure on
            either side A's row.
    """

    a: Side
    b: Side
    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    pairs: tuple[Pair, ...]
    means: Mapping[str, Mean]
    left_out: tuple[tuple[str, Row, str], ...] = field(default=())


def compare(a: Side, b: Side, is_default: IsDefault, metrics: Sequence[str] = DEFAULT) -> Comparison:
    """B against A over the cells that both have."""
    axes = free_axes(a.keys | b.keys)
    keys = tuple(key for key in IDENTITY if key not in axes)
    left_out: list[tuple[str, Row, str]] = []
    by_key = []
    for name, side in (("A", a), ("B", b)):
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in side.rows:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
        by_key.append({key: _one(rows, is_default, name, left_out) for key, rows in groups.items()})
    of_a, of_b = by_key
    pairs = []
    for key, first in of_a.items():
        second = of_b.get(key)
        if first is None or second is None:
            if first is not None:
                left_out.append(("A", first, "B has no such cell" if key not in of_b else "B has several"))
            continue
        pair = Pair(first, second, {metric: ratio_of(first, second, metric) for metric in metrics})
        if any(one.a is not None or one.b is not None for one in pair.ratios.values()):
            pairs.append(pair)
        else:
            left_out.append(("A and B", first, first["reason"] or "neither side has a figure"))
    left_out += [
        ("B", row, "A has no such cell" if key not in of_a else "A has several")
        for key, row in of_b.items()
        if row is not None and of_a.get(key) is None
    ]
    means = {metric: geometric_mean(pair.ratios[metric] for pair in pairs) for metric in metrics}
    return Comparison(a, b, axes, tuple(metrics), tuple(pairs), means, tuple(left_out))


def free_axes(named: Iterable[str]) -> tuple[str, ...]:
    """Identity columns in which sides may differ whose conditions name these columns."""
    free = set(named)
    for key in tuple(free):
        free.update(_FREES.get(key, ()))
    return tuple(key for key in IDENTITY if key in free)


def _one(
    rows: Sequence[Row], is_default: IsDefault, side: str, left_out: list[tuple[str, Row, str]]
) -> Row | None:
    """The row that stands for several: with default settings, then of the framework's default recipe."""
    kept = list(rows)
    for test in (
        lambda row: row["options"] == "defaults",
        lambda row: is_default(row["framework"], row["recipe"]),
    ):
        if len(kept) > 1:
            kept = [row for row in kept if test(row)] or kept
    if len(kept) > 1:
        left_out += [(side, row, "several cells of this side differ only in what may differ") for row in rows]
        return None
    left_out += [
        (side, row, "the default of its precision stands for it") for row in rows if row is not kept[0]
    ]
    return kept[0]


def ratio_of(a: Row, b: Row, metric: str) -> Ratio:
    """B's figure over A's, with the interval that follows from theirs."""
    first, second = a[metric], b[metric]
    why = _not_comparable(a, b, metric)
    if why is None and (first is None or second is None):
        missing = [(name, row) for name, row in (("A", a), ("B", b)) if row[metric] is None]
        why = "; ".join(
            f"{name}: {row.notes.get(metric) or row['reason'] or 'not measured'}" for name, row in missing
        )
    if why is None and not (first > 0 < second):
        why = "a figure is not above 0"
    if why is None and metric.startswith("kld") and min(first, second) < RESOLVED_NATS:
        why = f"a divergence below {RESOLVED_NATS:g} nats is not resolved: that side is as good as the reference"
    if why is not None:
        return Ratio(first, second, reason=why)
    ratio = second / first
    interval = mover(first, a["intervals"].get(metric), second, b["intervals"].get(metric))
    if interval is None:
        return Ratio(first, second, ratio)
    low, high = interval
    better: bool | None = None
    direction = METRICS[metric].better
    if direction is not None and not low <= 1 <= high:
        better = (ratio > 1) == (direction == "higher")
    return Ratio(first, second, ratio, low, high, better)


def of_silicon(metric: str) -> bool:
    """Whether a figure is the processor's own, so that an emulator's says nothing about it."""
    if metric in _OF_FILES:
        return False
    return METRICS[metric].unit in _OF_SILICON or metric in _RATIOS_OF_SILICON


def _not_comparable(a: Row, b: Row, metric: str) -> str | None:
    if any(row["emulated"] for row in (a, b)) and of_silicon(metric):
        return EMULATED
    relative = metric.startswith(("kld", "perplexity", "same_top", "delta_p"))
    if relative and a["quality_reference"] != b["quality_reference"]:
        return "the sides have different quality references"
    # Bits per byte need no reference, but they are of some text, too.
    if relative or metric == "bits_per_byte":
        if None not in (a.corpus_sha256, b.corpus_sha256) and a.corpus_sha256 != b.corpus_sha256:
            return "the sides' quality rests on different texts"
        if any(a[key] != b[key] for key in ("scored_positions", "score_window")):
            return "the sides' quality rests on different positions of the text"
    if metric.startswith("speedup") and a["speed_baseline"] != b["speed_baseline"]:
        return "the sides have different speed baselines"
    return None


def geometric_mean(ratios: Iterable[Ratio]) -> Mean:
    """Over the cells that have a ratio; the interval takes the cells' errors as independent."""
    known = [(one, one.ratio) for one in ratios if one.ratio is not None]
    if not known:
        return Mean(None, None, None, 0)
    count = len(known)
    mean = math.fsum(math.log(ratio) for _, ratio in known) / count
    if any(one.low is None or one.high is None for one, _ in known):
        return Mean(math.exp(mean), None, None, count)
    down = math.hypot(*(math.log(ratio / one.low) for one, ratio in known if one.low)) / count
    up = math.hypot(*(math.log(one.high / ratio) for one, ratio in known if one.high)) / count
    return Mean(math.exp(mean), math.exp(mean - down), math.exp(mean + up), count)
