"""The figures that a preset judges, each with its interval.

Owns what they are beyond the comparison table's own columns. Imports the table's registry, rows and estimators.
Contract: pure; the references are those of the table's ratios (`Row.baseline`, the quality reference), and what was not
measured has no value but a reason. Intervals hold their figure with 95 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import gammaincinv

from harness.store.evaluations import EvaluationFacts, TaskFacts
from harness.store.facts import CellFacts
from harness.table import Row
from harness.table.estimates import Bounds, median_interval, mover, ratio_interval
from harness.table.metrics import METRICS, as_percent

#: Figures of the table that one artifact has once and for all: they vary from run to run in nothing.
EXACT = ("weight_bytes", "bits_per_weight")
#: Figures that rest on scored windows, not on timed runs.
_OF_WINDOWS = ("same_top", "kld_mean", "perplexity", "perplexity_ratio", "bits_per_byte")
#: Figures that are ratios to the speed baseline.
RELATIVE = ("speedup_prefill", "speedup_decode", "memory_ratio")
#: Figures of timed runs.
_OF_RUNS = (
    "prefill_tps", "decode_tps", "ttft_s", "stream_tps", "throughput_tps", "speedup_prefill", "speedup_decode",
    "peak_rss_bytes", "energy_joules_per_prefill_token", "energy_joules_per_decode_token",
)  # fmt: skip
_FEW = "fewer than two runs count: nothing says how far the figure varies"
_SUSPECT = "something could have spoiled the runs"


@dataclass(frozen=True, slots=True)
class Kind:
    """A judged figure: its title, how it is written, and whether it varies from run to run."""

    title: str
    format: Callable[[float], str]
    of_runs: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of one cell.

    Attributes:
        about: which one exactly, where its name leaves that open: the task, or what stands for one. Empty: it does not.
        value: None where it was not measured.
        low: lower end of its interval.
        high: upper end.
        n: runs, windows or items behind it; 0 where it does not vary.
        reason: why there is no value, or no interval.
    """

    about: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""


#: Every figure that a rule may name.
FIGURES: dict[str, Kind] = {
    "accuracy_ratio": Kind("Accuracy of the reference's", as_percent, of_runs=False),
    "memory_ratio": Kind("Memory of the reference's", as_percent, of_runs=True),
    "prefill_tps_cv": Kind("Prefill between runs", as_percent, of_runs=True),
    "decode_tps_cv": Kind("Decode between runs", as_percent, of_runs=True),
} | {
    name: Kind(METRICS[name].title, METRICS[name].format, of_runs=name in _OF_RUNS)
    for name in (*_OF_RUNS, *_OF_WINDOWS, *EXACT)
}


def figures_of(
    name: str, row: Row, baseline: Row | None, cell: CellFacts, *, with_suspect: bool = False
) -> list[Figure]:
    """A figure of one cell; of accuracy one for each task.

    Args:
        name: in `FIGURES`.
        row: of the cell.
        baseline: the row that its ratios are relative to.
        cell: what is stored of it, for the items of tasks.
        with_suspect: figures over suspect runs count too.
    """
    if name == "accuracy_ratio":
        return _accuracy(row, cell)
    if FIGURES[name].of_runs and row["validity"] == "suspect" and not with_suspect:
        return [Figure(reason=f"{_SUSPECT}: {'; '.join(row['flags'])}")]
    if name.endswith("_cv"):
        return [variation(_runs_of(row, name.removesuffix("_cv")), _why(row, name.removesuffix("_cv")))]
    if name == "memory_ratio":
        return [_against(row, baseline, "memory_reduction", "memory_reduction", with_suspect=with_suspect)]
    if name.startswith("speedup_"):
        basis = f"{name.removeprefix('speedup_')}_tps"
        return [_against(row, baseline, name, basis, with_suspect=with_suspect)]
    return [_column(name, row)]


def _runs_of(row: Row, metric: str) -> list[float]:
    return list(row.basis.get(metric, {}).values())


def _why(row: Row, metric: str) -> str:
    return str(row.notes.get(metric) or row["reason"] or "it was not measured")


# -- columns of the table ---------------------------------------------------------------------------------------------


def _column(name: str, row: Row) -> Figure:
    value = row[name]
    if value is None:
        return Figure(reason=_why(row, name))
    if name in EXACT:
        return Figure(value=value, low=value, high=value)
    bounds = row["intervals"].get(name)
    count = len(_runs_of(row, name))
    if bounds is None:
        return Figure(value=value, n=count, reason="it has no interval" if name in _OF_WINDOWS else _FEW)
    return Figure(value=value, low=bounds[0], high=bounds[1], n=count)


def _against(row: Row, baseline: Row | None, ratio: str, basis: str, *, with_suspect: bool) -> Figure:
    """A ratio of two cells' medians over runs: ``ratio`` is the table's column, ``basis`` what its runs have."""
    if row[ratio] is None or baseline is None:
        return Figure(reason=_why(row, ratio))
    if baseline["validity"] == "suspect" and not with_suspect:
        return Figure(reason=f"of the speed baseline: {_SUSPECT}: {'; '.join(baseline['flags'])}")
    own, base = _runs_of(row, basis), _runs_of(baseline, basis)
    value = 1 - row[ratio] if ratio == "memory_reduction" else row[ratio]
    count = min(len(own), len(base))
    bounds = median_ratio_interval(own, base)
    if bounds is None:
        return Figure(value=value, n=count, reason=_FEW if count < 2 else "not all of its runs are above 0")
    return Figure(value=value, low=bounds[0], high=bounds[1], n=count)


def median_ratio_interval(own: Sequence[float], base: Sequence[float]) -> Bounds | None:
    """95 % interval of ``median(own) / median(base)`` of independent runs; None with fewer than two of either.

    From the two medians' own intervals as the table shows them.
    """
    ends, base_ends = median_interval(own), median_interval(base)
    if ends is None or base_ends is None:
        return None
    return mover(statistics.median(base), base_ends, statistics.median(own), ends)


def variation(values: Sequence[float], why_not: str) -> Figure:
    """Coefficient of variation over runs: their standard deviation / their mean.

    The interval is that of a normal standard deviation (chi-square with n - 1 degrees of freedom) at the observed
    mean, whose own error is smaller by the coefficient itself.
    """
    count = len(values)
    if count == 0:
        return Figure(reason=why_not)
    mean = statistics.fmean(values)
    if count < 2 or mean <= 0:
        return Figure(n=count, reason=_FEW)
    value = statistics.stdev(values) / mean
    freedom = count - 1
    # Points of chi-square are twice those of the gamma distribution with half the degrees of freedom.
    low, high = (math.sqrt(freedom / (2 * float(gammaincinv(freedom / 2, at)))) for at in (0.975, 0.025))
    return Figure(value=value, low=value * low, high=value * high, n=count)


# -- accuracy ---------------------------------------------------------------------------------------------------------


def _accuracy(row: Row, cell: CellFacts) -> list[Figure]:
    """Accuracy as a share of the quality reference's: by tasks where they were asked, else the same top-1 tokens."""
    if cell.evaluation is not None:
        return _of_tasks(cell.evaluation)
    if cell.evaluations():
        return [Figure("tasks", reason=f"tasks: {cell.evaluations()[-1].reason or 'they gave no figures'}")]
    found = _column("same_top", row)
    return [
        Figure(
            "same top-1",
            found.value,
            found.low,
            found.high,
            0 if cell.score is None else len(cell.score.windows),
            found.reason,
        )
    ]


def _of_tasks(evaluation: EvaluationFacts) -> list[Figure]:
    """One figure for each task: of the first of its metrics whose items are right or wrong."""
    chosen: dict[str, TaskFacts] = {}
    for one in evaluation.tasks:
        right_or_wrong = bool(one.items) and {*one.items} <= {0.0, 1.0}
        if right_or_wrong and one.higher_is_better is not False:
            chosen.setdefault(one.task, one)
    others = {}
    if evaluation.reference is not None:
        others = {(one.task, one.metric): one for one in evaluation.reference.tasks}
    found = [_of_task(one, others.get((one.task, one.metric))) for one in chosen.values()]
    # What has no items at all is a group, the mean of its tasks: these are judged themselves.
    left = dict.fromkeys(one.task for one in evaluation.tasks if one.task not in chosen and one.items)
    found += [Figure(task, reason="its items are not simply right or wrong") for task in left]
    found += [Figure(hole.task, reason=hole.reason) for hole in evaluation.holes]
    return found or [Figure("tasks", reason="no task gave a figure")]


def _of_task(own: TaskFacts, reference: TaskFacts | None) -> Figure:
    about = f"{own.task} {own.metric.partition(',')[0]}"
    if reference is None:
        return Figure(about, n=own.n, reason="the quality reference was not asked the same")
    if own.corpus_sha256 != reference.corpus_sha256 or len(own.items) != len(reference.items):
        return Figure(about, n=own.n, reason="the quality reference was asked other items")
    right = [int(one) for one in reference.items]
    if not sum(right):
        return Figure(about, n=own.n, reason="the quality reference has no item right")
    value = math.fsum(own.items) / sum(right)
    # Items are the units, paired: what both have wrong or right alike adds no error.
    bounds = ratio_interval(own.items, right)
    if bounds is None:
        return Figure(about, value, n=own.n, reason="a single item has no spread")
    return Figure(about, value, max(0.0, bounds[0]), bounds[1], own.n)
