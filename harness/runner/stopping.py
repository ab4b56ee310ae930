"""When a cell's runs have been repeated often enough: `runs: auto`.

Owns the stop rule (in words: ``docs/method.md``). Reads speeds by the table's own definitions and intervals: the
width that ends a cell is the width that its row shows. Contract: pure; the decision follows from the rule and the runs
that are stored, in any order, so that a resumed session decides as an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.store.records import SETUP_PHASE, CellStopRecord, SampleRecord, StopReason
from harness.suite import RunSettings, Workload
from harness.table import estimates, rows
from harness.table.stored import sample_facts

#: What has to be known well, in the order of the table's columns.
SPEEDS = ("prefill_tps", "decode_tps", "stream_tps", "throughput_tps")


@dataclass(frozen=True, slots=True)
class StopRule:
    """Until when runs of a cell are repeated.

    Attributes:
        width: half the 95 % interval of the median over runs, as a share of the median.
        min_runs: runs behind the interval at least.
        max_runs: runs at most, of whatever outcome.
    """

    width: float
    min_runs: int
    max_runs: int

    @classmethod
    def of(cls, settings: RunSettings) -> StopRule | None:
        """The rule of a cell, None where its number of runs is fixed."""
        if settings.runs_width is None:
            return None
        return cls(settings.runs_width, settings.runs, settings.runs_max or settings.runs)


class EndedRun(Protocol):
    """A run that is stored, or about to be."""

    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def phase(self) -> str | None: ...
    @property
    def validity(self) -> str | None: ...
    @property
    def samples(self) -> Sequence[SampleRecord]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run counts for.

    Attributes:
        ok: it ended as ok.
        speeds: its figures by metric; empty unless it is ok and not suspect.
    """

    ok: bool
    speeds: Mapping[str, float]


def outcome_of(run: EndedRun, workload: Workload) -> Outcome | None:
    """What a timed run counts for; None: for nothing, because it never had a worker."""
    if run.kind != "timed" or run.phase == SETUP_PHASE:
        return None
    ok = run.status == "ok"
    return Outcome(ok, speeds(run.samples, workload) if ok and run.validity == "ok" else {})


def speeds(samples: Iterable[SampleRecord], workload: Workload) -> dict[str, float]:
    """One value a run for each speed that has to be known well: the medians over its repetitions.

    Prefill and decode; where neither can be seen (a server's stream), throughput and the stream's rate.
    """
    timed = [sample_facts(sample) for sample in samples if not sample.warmup]
    by_metric = {
        "prefill_tps": [rows.prefill_tps(sample, workload.prompt_tokens, workload.batch) for sample in timed],
        "decode_tps": [rows.decode_tps(sample, workload.decode_tokens, workload.batch) for sample in timed],
    }
    if not any(value is not None for values in by_metric.values() for value in values):
        by_metric = {
            "throughput_tps": [rows.throughput_tps(sample) for sample in timed],
            "stream_tps": [rows.stream_tps(sample) for sample in timed],
        }
    medians = {
        name: estimates.median([value for value in values if value is not None])
        for name, values in by_metric.items()
    }
    return {name: value for name, value in medians.items() if value is not None}


def half_width(values: Sequence[float]) -> float | None:
    """Half the 95 % interval of the median as a share of it; None with fewer than two values or a median of 0."""
    interval, middle = estimates.median_interval(values), estimates.median(values)
    return (interval[1] - interval[0]) / 2 / abs(middle) if interval is not None and middle else None


def widths(outcomes: Iterable[Outcome]) -> dict[str, float | None]:
    """The half width of every speed that a run has a figure of."""
    values: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, value in outcome.speeds.items():
            values.setdefault(name, []).append(value)
    return {name: half_width(values[name]) for name in SPEEDS if name in values}


def decide(rule: StopRule, cell_id: str, outcomes: Sequence[Outcome]) -> CellStopRecord | None:
    """How a cell ended, None while another run is wanted.

    Suspect and failed runs have no part in the width but count towards the cap. A cell whose first runs all failed,
    as many as the rule wants at least, ends too: it would fail until the cap.

    Args:
        rule: until when.
        cell_id: the cell.
        outcomes: of its runs so far, in any order.
    """
    clean = sum(bool(outcome.speeds) for outcome in outcomes)
    found = widths(outcomes)
    narrow = bool(found) and all(width is not None and width <= rule.width for width in found.values())
    if clean >= rule.min_runs and narrow:
        return stopped(rule, cell_id, outcomes, "width")
    if len(outcomes) >= rule.max_runs:
        return stopped(rule, cell_id, outcomes, "cap")
    if len(outcomes) >= rule.min_runs and not any(outcome.ok for outcome in outcomes):
        return stopped(rule, cell_id, outcomes, "failed")
    return None


def stopped(
    rule: StopRule, cell_id: str, outcomes: Sequence[Outcome], ended_by: StopReason
) -> CellStopRecord:
    """That a cell ended, and what was known of it then."""
    return CellStopRecord(
        cell_id=cell_id,
        ended_by=ended_by,
        width=rule.width,
        min_runs=rule.min_runs,
        max_runs=rule.max_runs,
        runs=len(outcomes),
        clean_runs=sum(bool(outcome.speeds) for outcome in outcomes),
        widths=widths(outcomes),
    )


def expected_runs(rule: StopRule, outcomes: Sequence[Outcome]) -> int:
    """How many runs a cell will have had in the end, for the time left alone: widths shrink with the root of runs."""
    known = [width for width in widths(outcomes).values() if width is not None]
    if len(outcomes) < rule.min_runs or not known:
        return max(rule.min_runs, len(outcomes))
    return min(rule.max_runs, max(len(outcomes) + 1, round(len(outcomes) * (max(known) / rule.width) ** 2)))
