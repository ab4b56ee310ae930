"""What is behind one figure of a row, by its kind: of runs, against a baseline, of a score, of tasks, of an artifact.

Owns the arithmetic as it is written out for a person. Imports the store's facts and the table's rows. Contract: plain
values, ready for JSON; the numbers in ``arithmetic`` are rounded to six digits, those beside it are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.explain.inputs import run_inputs
from harness.store import facts as stored
from harness.table.definitions import COMPOUND, DEFINITIONS
from harness.table.facts import BenchFacts, CellFacts
from harness.table.rows import Row

#: Figures against the speed baseline, and the figure of each run that they compare.
COMPARED = {
    "speedup_prefill": "prefill_tps",
    "speedup_decode": "decode_tps",
    "memory_reduction": "memory_reduction",
}
OF_ARTIFACT = frozenset({"weight_bytes", "bits_per_weight", "prepare_s", "prepare_peak_bytes"})
#: Figures that are sums over windows, and those that are stored with the score.
_SUMS = frozenset({"perplexity", "perplexity_ratio", "kld_mean", "same_top", "bits_per_byte", "delta_p_rms"})
_STORED = {
    "kld_median": "kld_median", "kld_p99": "kld_p99", "kld_p999": "kld_p999", "kld_max": "kld_max",
    "delta_p_p1": "p1", "delta_p_median": "median", "delta_p_p99": "p99",
}  # fmt: skip
#: What the windows would have shown: from their spread.
_SHIFTS = frozenset({"kld_detectable", "perplexity_ratio_detectable"})
OF_SCORE = _SUMS | _SHIFTS | _STORED.keys()

_TASKS = {
    "formula": "over the items of each task, as lm-eval aggregates them",
    "source": "`task_result`, `task_item`",
}


def definition_of(key: str) -> dict[str, str]:
    """``formula`` and ``source`` of a column, from the registry."""
    if key in COMPOUND:
        return dict(_TASKS)
    found = DEFINITIONS[key]
    return {"formula": found.formula, "source": found.source}


def number(value: float | None) -> str:
    """A number as it stands in arithmetic."""
    return "?" if value is None else str(value) if isinstance(value, int) else f"{value:.6g}"


def _median(values: Sequence[float]) -> str:
    return number(values[0]) if len(values) == 1 else f"median({', '.join(map(number, values))})"


def of_runs(
    key: str, row: Row, cell: stored.CellFacts, plan: CellFacts, bench: BenchFacts | None
) -> dict[str, Any]:
    """A median over runs: each run's value with its inputs, and the runs that are left out."""
    of = COMPARED.get(key, key)
    by_run = dict(row.basis.get(of, {}))
    runs = {run.id: run for run in cell.runs}
    as_shown = {run.id: run for run in plan.runs}
    found: dict[str, Any] = {
        "run_ids": list(by_run),
        "by_run": by_run,
        "inputs": {run_id: run_inputs(of, runs[run_id], as_shown[run_id], plan, bench) for run_id in by_run},
        "warmups_left_out": {run_id: sum(one.warmup for one in runs[run_id].samples) for run_id in by_run},
        "left_out": left_out(row, cell),
    }
    if by_run and row[key] is not None:
        found["arithmetic"] = f"{_median(list(by_run.values()))} = {number(row[key])}"
    return found


def left_out(row: Row, cell: stored.CellFacts) -> dict[str, str]:
    """Timed runs behind no figure, and why: suspect, failed, or an attempt that another one replaced."""
    counts = {run.index: run.attempt for run in cell.timed()}
    found = {
        run.id: f"{run.status}: {run.reason or 'no reason was stored'}; attempt {counts[run.index]} counts"
        for run in cell.runs
        if run.kind == "timed" and run.attempt != counts[run.index]
    }
    return {**row.left_out, **found}


def of_baseline(key: str, row: Row, baseline: Row, cell: stored.CellFacts) -> dict[str, Any]:
    """The other half of a comparison with the speed baseline: its cell and its runs."""
    of = COMPARED[key]
    base = dict(baseline.basis.get(of, {}))
    own = list(row.basis.get(of, {}).values())
    found: dict[str, Any] = {
        "compares": of if of != key else "peak_rss_bytes less the resident set after import",
        "baseline": row["speed_baseline"],
        "baseline_cell_id": cell.cell.id,
        "baseline_run_ids": list(base),
        "baseline_by_run": base,
        "baseline_left_out": left_out(baseline, cell),
    }
    if own and base and row[key] is not None:
        ratio = f"{_median(own)} / {_median(list(base.values()))}"
        lead = "1 - " if key == "memory_reduction" else ""
        found["arithmetic"] = f"{lead}{ratio} = {number(row[key])}"
    return found


def of_artifact(key: str, row: Row, cell: stored.CellFacts) -> dict[str, Any]:
    """A figure of the model files; the runs are those that loaded them."""
    artifact = cell.artifact
    if artifact is None:
        return {"run_ids": [], "left_out": {}}
    used = [run.id for run in cell.timed() if run.artifact_id == artifact.id]
    if not used and cell.score is not None:
        used = [cell.score.run_id]
    found: dict[str, Any] = {"artifact_id": artifact.id, "run_ids": used, "left_out": {}}
    if key == "bits_per_weight":
        found["terms"] = {"weight_bytes": artifact.weight_bytes, "parameters": artifact.parameters}
        if row[key] is not None:
            found["arithmetic"] = (
                f"{number(artifact.weight_bytes)} x 8 / {number(artifact.parameters)} = {number(row[key])}"
            )
    return found


def of_score(key: str, row: Row, cell: stored.CellFacts) -> dict[str, Any]:
    """A figure of the artifact's score: the run that scored, the reference's, and the windows."""
    score = cell.score
    if score is None or row[key] is None:
        return {"run_ids": [] if score is None else [score.run_id], "left_out": {}}
    reference = None if score.reference is None else score.reference.run_id
    found: dict[str, Any] = {
        "run_ids": [score.run_id],
        "reference_run_ids": [] if reference is None else [reference],
        "left_out": {},
        "corpus": {"name": score.corpus, "sha256": score.corpus_sha256},
        "positions": sum(one.positions for one in score.windows),
    }
    if key in _STORED:
        found["counts"] = "over the positions of the windows, stored with the score"
    elif key in _SUMS:
        found["terms"], found["arithmetic"] = _sums(key, row, score)
    reference_nll = (
        {} if score.reference is None else {one.window: one.nll_sum for one in score.reference.windows}
    )
    found["windows"] = [
        {
            "window": one.window,
            "positions": one.positions,
            "nll_sum": one.nll_sum,
            "reference_nll_sum": reference_nll.get(one.window),
            "kld_sum": one.kld_sum,
            "same_top": one.same_top,
            "delta_p_sq_sum": one.delta_p_sq_sum,
            "bytes": one.bytes,
        }
        for one in score.windows
    ]
    return found


def _sums(key: str, row: Row, score: stored.ScoreFacts) -> tuple[Mapping[str, Any], str]:
    windows = score.windows
    count = sum(one.positions for one in windows)
    nll = math.fsum(one.nll_sum for one in windows)
    value = number(row[key])
    over = f"{count} positions in {len(windows)} windows"
    if key == "perplexity":
        return {"nll_sum": nll, "positions": count}, f"exp({number(nll)} / {count}) = {value}, {over}"
    if key == "perplexity_ratio":
        other = math.fsum(one.nll_sum for one in score.reference.windows) if score.reference else None
        return (
            {"nll_sum": nll, "reference_nll_sum": other, "positions": count},
            f"exp(({number(nll)} - {number(other)}) / {count}) = {value}, {over}",
        )
    if key == "bits_per_byte":
        size = sum(one.bytes or 0 for one in windows)
        return {"nll_sum": nll, "bytes": size}, f"{number(nll)} / ln 2 / {size} bytes = {value}"
    column = {"kld_mean": "kld_sum", "same_top": "same_top", "delta_p_rms": "delta_p_sq_sum"}[key]
    total = math.fsum(getattr(one, column) or 0 for one in windows)
    ratio = f"{number(total)} / {count}"
    text = f"sqrt({ratio})" if key == "delta_p_rms" else ratio
    return {column: total, "positions": count}, f"{text} = {value}, {over}"


def of_tasks(cell: stored.CellFacts) -> dict[str, Any]:
    """Task results: the run that evaluated, the reference's, and how many items came to what sum."""
    evaluation = cell.evaluation
    if evaluation is None:
        return {"run_ids": [], "left_out": {}}
    reference = evaluation.reference
    return {
        "run_ids": [evaluation.run_id],
        "reference_run_ids": [] if reference is None else [reference.run_id],
        "left_out": {},
        "lm_eval_version": evaluation.lm_eval_version,
        "items": [
            {
                "task": one.task,
                "metric": one.metric,
                "value": one.value,
                "items": len(one.items),
                "items_sum": math.fsum(one.items) if one.items else None,
                "corpus_sha256": one.corpus_sha256,
            }
            for one in evaluation.tasks
        ],
    }
