"""From the database's facts of a session to the table's.

Owns this one translation; the only module of the table that knows the store. Contract: nothing is computed but energy
per token and what follows from a model's shape (`harness.model.configuration`); a run that was tried several times
counts with its last attempt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.frameworks import FrameworkEntry
from harness.labels import device_label
from harness.model import work
from harness.model.configuration import (
    ModelConfiguration,
    kv_cache_bytes,
    prefill_flops,
    touched_weight_bytes,
)
from harness.model.kv_types import kv_cache_bits
from harness.store import facts as stored
from harness.store.evaluations import EvaluationFacts, TaskFacts
from harness.store.records import (
    SETUP_PHASE,
    CellRecord,
    EnergyRecord,
    MachineBenchRecord,
    MachineRecord,
    SampleRecord,
)
from harness.table import facts as shown
from harness.table.flips import flips
from harness.table.power import detectable_drop
from harness.table.rows import Row, comparison_rows

#: Requests at the same time, each with a cache of its own: ``pp32+tg16@c4``.
_CONCURRENCY = re.compile(r"@c(\d+)")

#: Why weights are known, and what of them is read is not.
NOT_NOTED = (
    "this framework's artifacts may hold weights that no token reads, such as an embedding table beside a tied head, "
    "and nobody noted how many this one has: any session that uses it again does"
)


def session_facts(session: stored.SessionFacts, entries: Mapping[str, FrameworkEntry]) -> shown.SessionFacts:
    """What `comparison_rows` needs.

    Args:
        session: from `Store.session_facts`.
        entries: the frameworks, for their native half precision and default recipes; one that this installation
            lacks is taken to have fp16.
    """
    machine = session.machine
    second_look = stored.first_look(session.settings) is not None
    cells = tuple(replace(cell_facts(cell, entries), second_look=second_look) for cell in session.cells)
    reasons = {
        energy.reason
        for cell in session.cells
        for run in cell.timed()
        for energy in run.energy
        if energy.gross_joules is None and energy.reason
    }
    source = session.source
    return shown.SessionFacts(
        id=session.id,
        machine_id=machine.id,
        machine_name=_machine_name(machine),
        cells=cells,
        started=None if session.started_at is None else session.started_at.isoformat(timespec="seconds"),
        details={
            "suite": session.suite,
            "status": session.status,
            "trigger": session.trigger,
            **({"commit": session.commit_sha} if session.commit_sha else {}),
            **({} if session.seed is None else {"seed": str(session.seed)}),
            "edgebench": session.edgebench_version,
        },
        energy_reason="; ".join(sorted(reasons)) or None,
        bench=None if session.bench is None else bench_facts(session.bench),
        source=None
        if source is None
        else shown.SourceFacts(
            source.tool, source.tool_version, source.file_name, source.file_sha256, source.definitions
        ),
    )


def run_row(cell: stored.CellFacts, entries: Mapping[str, FrameworkEntry]) -> Row:
    """The row that a cell would have if its session held nothing but these runs of it.

    Args:
        cell: a cell with the runs that count, from `Store.run_in_cell` for one run alone.
        entries: as in `session_facts`.
    """
    facts = shown.SessionFacts(id="", machine_id="", machine_name="", cells=(cell_facts(cell, entries),))
    (row,) = comparison_rows(facts, with_suspect=True)
    return row


def _machine_name(machine: MachineRecord) -> str:
    """CPU, cores and memory, as far as they are known."""
    parts = [machine.cpu_model or machine.name]
    if machine.physical_cores:
        parts.append(f"{machine.physical_cores} cores")
    elif machine.logical_cores:
        parts.append(f"{machine.logical_cores} threads")
    if machine.memory_bytes is not None:
        parts.append(f"{machine.memory_bytes / 2**30:.0f} GiB")
    return ", ".join(parts)


def bench_facts(bench: MachineBenchRecord) -> shown.BenchFacts:
    """What counts of a bench, and whether it stands."""
    doubt = bench.reasons.get("read_bytes_per_s")
    if bench.validity == "suspect":
        doubt = f"the bench was disturbed ({bench.flags[0]})"
    return shown.BenchFacts(
        read_bytes_per_s=bench.read_bytes_per_s,
        fp32_flops=bench.fp32_flops,
        int8_ops=bench.int8_ops,
        last_level_cache_bytes=bench.last_level_cache_bytes,
        measured_at=f"{bench.measured_at:%Y-%m-%d}",
        doubt=doubt,
    )


def cell_facts(cell: stored.CellFacts, entries: Mapping[str, FrameworkEntry]) -> shown.CellFacts:
    """One cell; ``entries`` as in `session_facts`."""
    plan = cell.cell
    baseline: str | None = "fp16"
    default_recipe = True
    unscored: str | None = None
    unanswered: str | None = None
    entry = entries.get(plan.framework)
    if entry is not None and entry.error is None:
        baseline = entry.backend.baseline_precision
        if cell.reason is None and "score" not in entry.backend.capabilities:
            who = "the server" if "stream" in entry.backend.capabilities else entry.backend.title
            unscored = f"{who} gives no full logits"
            if "complete" not in entry.backend.capabilities:
                unanswered = unscored
        recipes = {recipe.name: recipe for recipe in entry.backend.recipes}
        default_recipe = plan.recipe not in recipes or recipes[plan.recipe].default
    scoring = [run for run in cell.runs if run.kind == "score"]
    last = scoring[-1] if scoring else None
    score = cell.score
    evaluated = cell.evaluations()
    evaluation = evaluated[-1] if evaluated else None
    return shown.CellFacts(
        framework=plan.framework,
        model=plan.model,
        precision=plan.precision,
        recipe=plan.recipe,
        device=device_label(plan.device, plan.api),
        workload=plan.workload,
        prompt_tokens=plan.prompt_tokens,
        decode_tokens=plan.decode_tokens,
        batch=plan.batch,
        options={key: str(value) for key, value in plan.options.items()},
        reason=cell.reason,
        baseline_precision=baseline,
        default_recipe=default_recipe,
        emulated=any(run.device is not None and bool(run.device.get("emulated")) for run in cell.runs),
        synthetic=cell.synthetic,
        artifact=_artifact(cell),
        runs=tuple(run_facts(run, cell, entries) for run in cell.timed()),
        score=None if score is None else score_facts(score),
        score_status=None if last is None else last.status,  # type: ignore[arg-type]  # checked by the database
        score_reason=unscored if last is None else last.reason,
        tasks=() if cell.evaluation is None else _tasks(cell.evaluation),
        tasks_status=None if evaluation is None else evaluation.status,  # type: ignore[arg-type]  # as above
        tasks_reason=unanswered if evaluation is None else evaluation.reason,
        stop=None
        if cell.stop is None
        else shown.StopFacts(cell.stop.ended_by, cell.stop.width, cell.stop.runs, cell.stop.widths),
    )


def _artifact(cell: stored.CellFacts) -> shown.ArtifactFacts | None:
    artifact = cell.artifact
    if artifact is None:
        return None
    verdict = cell.score.verdict if cell.score is not None else None
    return shown.ArtifactFacts(
        id=artifact.id,
        weight_bytes=artifact.weight_bytes,
        bits_per_weight=artifact.bits_per_weight,
        prepare_s=artifact.made_s,
        prepare_peak_bytes=artifact.made_peak_bytes,
        fallbacks=artifact.notes.get("fallbacks") or {},
        unread_weight_bytes=artifact.unread_weight_bytes,
        verdict=None if verdict is None else verdict.verdict,
        verdict_reason=None if verdict is None else verdict.reason,
    )


def run_facts(
    run: stored.RunFacts, cell: stored.CellFacts, entries: Mapping[str, FrameworkEntry]
) -> shown.RunFacts:
    """One run of a cell, for the table or alone; ``entries`` as in `session_facts`."""
    reason = run.reason if run.phase != SETUP_PHASE else f"set-up failed: {run.reason}"
    return shown.RunFacts(
        id=run.id,
        status=run.status,  # type: ignore[arg-type]  # checked by the database
        reason=reason,
        validity=run.validity,  # type: ignore[arg-type]  # checked by the database
        flags=tuple(str(flag) for flag in run.flags),
        framework_version=run.framework_version,
        hints=run.hints,
        samples=tuple(sample_facts(one) for one in run.samples if not one.warmup),
        memory=tuple(
            shown.MemoryFacts(
                one.phase,
                one.peak_rss_bytes,
                one.rss_bytes,
                one.method,
                reason=one.reason,
                allocator_peak_bytes=one.allocator_peak_bytes,
                pss_bytes=one.pss_bytes,
                uss_bytes=one.uss_bytes,
                shares_reason=one.shares_reason,
                device_bytes=one.device_bytes,
                device_note=one.device_note,
            )
            for one in run.memory
        ),
        energy=tuple(_energy(one) for one in run.energy),
        untimed=run.details.get("text", {}).get("reasons", {}),
        warmup_cap=_warmup_cap(run.details.get("warmup", {})),
        own_device=_own_device(run),
        statistics=tuple(
            shown.StatisticFacts(one.metric, one.statistic, one.value, one.n, one.stddev)
            for one in run.statistics
        ),
        arrays={
            name: tuple(float(value) for value in numbers)
            for one in run.samples
            for name, numbers in one.traces.items()
            if ":" in name  # another tool's metric with more repetitions than samples can count
        },
        **_shape(run, cell, entries.get(cell.cell.framework)),
    )


def _own_device(run: stored.RunFacts) -> bool | None:
    told = [one.device_shared for one in run.memory if one.device_shared is not None]
    if told:
        return not told[-1]
    # Runs of older versions were not asked; the CPU has no memory but the host's.
    return False if run.device is not None and run.device.get("id") == "cpu" else None


def _shape(run: stored.RunFacts, cell: stored.CellFacts, entry: FrameworkEntry | None) -> dict[str, Any]:
    """What follows from the model's shape for this run's artifact, tokens and cache type."""
    if cell.configuration is None:
        return {
            "shape_reason": "the model's file describes no plain transformer, or it was stored by an older version"
        }
    if cell.artifact is None:
        return {"shape_reason": "no artifact was stored"}
    if cell.artifact.weight_bytes is None:
        return {"shape_reason": "the weights are the server's own: it does not tell how large they are"}
    shape = ModelConfiguration.from_dict(cell.configuration)
    plan = cell.cell
    tokens = plan.depth + plan.prompt_tokens + plan.decode_tokens
    concurrent = _CONCURRENCY.search(plan.workload)
    sequences = (int(concurrent[1]) if concurrent else 1) * plan.batch
    bits = kv_cache_bits(run.hints, tokens)
    weight_bytes, unread = cell.artifact.weight_bytes, cell.artifact.unread_weight_bytes
    apart = entry is not None and entry.error is None and entry.backend.may_hold_unread
    # More than there are is no figure.
    known = unread <= weight_bytes if unread is not None else not apart
    return {
        "touched_weight_bytes": touched_weight_bytes(shape, weight_bytes, unread_bytes=unread)
        if known
        else None,
        "weights_reason": None if known else NOT_NOTED,
        "analytic_kv_bytes": None if bits is None else sequences * kv_cache_bytes(shape, tokens, *bits),
        "kv_reason": "the framework does not tell the type of its KV cache" if bits is None else None,
        "work": _work(shape, plan, weight_bytes if known else None, unread, bits),
    }


def _warmup_cap(warmup: Mapping[str, Any]) -> str | None:
    if warmup.get("ended_by") not in ("passes", "seconds"):
        return None
    change = warmup.get("change")
    apart = "too few to compare" if change is None else f"the last {100 * change:.0f} % apart"
    return f"not stable after {warmup['passes']} warm-up passes ({apart})"


def _work(
    shape: ModelConfiguration,
    plan: CellRecord,
    weight_bytes: int | None,
    unread_bytes: int | None,
    bits: work.Bits | None,
) -> shown.WorkFacts:
    context = plan.depth + plan.prompt_tokens
    # A workload without one of the two has no speed of it either: its work is never looked at.
    decoded, prompt = max(1, plan.decode_tokens), max(1, plan.prompt_tokens)
    decode_bytes = prefill_bytes = None
    if weight_bytes is not None and bits is not None:
        decode_bytes = work.decode_bytes(
            shape, weight_bytes, context, decoded, bits, plan.batch, unread_bytes=unread_bytes
        )
        prefill_bytes = work.prefill_bytes(
            shape, weight_bytes, plan.depth, prompt, bits, plan.batch, unread_bytes=unread_bytes
        )
    return shown.WorkFacts(
        decode_bytes=decode_bytes,
        decode_flops=work.decode_flops(shape, context, decoded),
        prefill_bytes=prefill_bytes,
        prefill_flops=prefill_flops(shape, prompt, plan.depth),
    )


def sample_facts(sample: SampleRecord) -> shown.SampleFacts:
    """A repetition as the definitions of the table's figures take it."""

    def trace(name: str) -> tuple[int, ...]:
        return tuple(int(value) for value in sample.traces.get(name, ()))

    # By number: the tenth request comes after the ninth.
    requests = sorted(
        (name for name in sample.traces if name.startswith("request_ns.")),
        key=lambda name: int(name.partition(".")[2]),
    )
    return shown.SampleFacts(
        values=sample.values,
        forward_ns=trace("forward_ns"),
        token_ns=trace("token_ns"),
        requests=tuple(trace(name) for name in requests),
    )


def _energy(record: EnergyRecord) -> shown.EnergyFacts:
    def per_token(joules: float | None) -> float | None:
        return joules / record.tokens if joules is not None and record.tokens else None

    return shown.EnergyFacts(
        phase=record.phase,
        joules_per_token=per_token(record.gross_joules),
        joules_per_token_net=per_token(record.net_joules),
        meter=_meter(record),
        drift=record.idle_drift,
        reason=record.reason,
    )


def _meter(record: EnergyRecord) -> str | None:
    """Where a figure comes from: ``powercap dram-0+package-0 (counter)``."""
    method = f"({record.method})" if record.method else None
    return " ".join(part for part in (record.meter, record.domain, method) if part) or None


def score_facts(score: stored.ScoreFacts) -> shown.ScoreFacts:
    """One score, for the table or alone."""
    return shown.ScoreFacts(
        windows=_windows(score),
        reference=() if score.reference is None else _windows(score.reference),
        quality_reference=score.quality_reference,
        hints=score.hints,
        quantiles=_quantiles(score),
        errors=score.errors,
        window_tokens=score.window_tokens,
        corpus_sha256=score.corpus_sha256,
    )


def _tasks(evaluation: EvaluationFacts) -> tuple[shown.TaskFacts, ...]:
    reference: dict[tuple[str, str], TaskFacts] = {}
    if evaluation.reference is not None:
        reference = {(one.task, one.metric): one for one in evaluation.reference.tasks}
    made = []
    for one in evaluation.tasks:
        other = reference.get((one.task, one.metric))
        # Compared only where both were asked the very same.
        same = other is not None and other.corpus_sha256 == one.corpus_sha256
        found = flips(one.items, other.items) if other is not None and same else None
        made.append(
            shown.TaskFacts(
                task=one.task,
                metric=one.metric,
                value=one.value,
                stderr=one.stderr,
                n=one.n,
                version=one.version,
                flips=None if found is None else found.share,
                mcnemar_p=None if found is None else found.p_value,
                detectable_drop=None if found is None else detectable_drop(found.n, found.lost, found.won),
                num_fewshot=one.num_fewshot,
                chat_template=evaluation.chat_template,
                limit=evaluation.items_limit,
                reference_value=other.value if other is not None and same else None,
            )
        )
    made += [
        shown.TaskFacts(
            hole.task,
            None,
            None,
            None,
            None,
            "",
            chat_template=evaluation.chat_template,
            limit=evaluation.items_limit,
            reason=hole.reason,
        )
        for hole in evaluation.holes
    ]
    return tuple(made)


def _quantiles(score: stored.ScoreFacts) -> dict[str, float]:
    """What a score tells of positions beyond sums, by metric; what it does not tell is left out."""
    told = {
        "kld_median": score.kld_median,
        "kld_p99": score.kld_p99,
        "kld_p999": score.kld_p999,
        "kld_max": score.kld_max,
    }
    told |= {f"delta_p_{name}": (score.delta_p or {}).get(name) for name in ("p1", "median", "p99")}
    return {name: value for name, value in told.items() if value is not None}


def _windows(score: stored.ScoreFacts) -> tuple[shown.WindowFacts, ...]:
    return tuple(
        shown.WindowFacts(
            one.window,
            one.positions,
            one.nll_sum,
            one.kld_sum,
            one.same_top,
            one.delta_p_sq_sum,
            one.bytes,
        )
        for one in score.windows
    )
