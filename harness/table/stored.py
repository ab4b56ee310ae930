"""From the database's facts of a session to the table's.

Owns this one translation; the only module of the table that knows the store. Contract: nothing is computed but energy
per token; a run that was tried several times counts with its last attempt.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.frameworks import FrameworkEntry
from harness.store import facts as stored
from harness.store.records import SETUP_PHASE, EnergyRecord, SampleRecord
from harness.table import facts as shown


def session_facts(session: stored.SessionFacts, entries: Mapping[str, FrameworkEntry]) -> shown.SessionFacts:
    """What `comparison_rows` needs.

    Args:
        session: from `Store.session_facts`.
        entries: the frameworks, for their native half precision and default recipes; one that this installation
            lacks is taken to have fp16.
    """
    machine = session.machine
    cells = tuple(_cell(cell, entries) for cell in session.cells)
    reasons = {
        energy.reason
        for cell in session.cells
        for run in cell.timed()
        for energy in run.energy
        if energy.gross_joules is None and energy.reason
    }
    cores = (
        f"{machine.physical_cores} cores" if machine.physical_cores else f"{machine.logical_cores} threads"
    )
    return shown.SessionFacts(
        id=session.id,
        machine_id=machine.id,
        machine_name=f"{machine.cpu_model}, {cores}, {machine.memory_bytes / 2**30:.0f} GiB",
        cells=cells,
        started=session.started_at.isoformat(timespec="seconds"),
        details={
            "suite": session.suite,
            "status": session.status,
            "trigger": session.trigger,
            **({"commit": session.commit_sha} if session.commit_sha else {}),
            "seed": str(session.seed),
            "edgebench": session.edgebench_version,
        },
        energy_reason="; ".join(sorted(reasons)) or None,
    )


def _cell(cell: stored.CellFacts, entries: Mapping[str, FrameworkEntry]) -> shown.CellFacts:
    plan = cell.cell
    baseline: str | None = "fp16"
    default_recipe = True
    unscored: str | None = None
    entry = entries.get(plan.framework)
    if entry is not None and entry.error is None:
        baseline = entry.backend.baseline_precision
        if cell.reason is None and "score" not in entry.backend.capabilities:
            who = "the server" if "stream" in entry.backend.capabilities else entry.backend.title
            unscored = f"{who} gives no full logits"
        recipes = {recipe.name: recipe for recipe in entry.backend.recipes}
        default_recipe = plan.recipe not in recipes or recipes[plan.recipe].default
    scoring = [run for run in cell.runs if run.kind == "score"]
    last = scoring[-1] if scoring else None
    score = cell.score
    return shown.CellFacts(
        framework=plan.framework,
        model=plan.model,
        precision=plan.precision,
        recipe=plan.recipe,
        device=plan.device if plan.api == plan.device.partition(":")[0] else f"{plan.device}.{plan.api}",
        workload=plan.workload,
        prompt_tokens=plan.prompt_tokens,
        decode_tokens=plan.decode_tokens,
        options={key: str(value) for key, value in plan.options.items()},
        reason=cell.reason,
        baseline_precision=baseline,
        default_recipe=default_recipe,
        emulated=any(run.device is not None and bool(run.device.get("emulated")) for run in cell.runs),
        synthetic=cell.synthetic,
        artifact=_artifact(cell),
        runs=tuple(_run(run) for run in cell.timed()),
        score=None if score is None else _score(score),
        score_status=None if last is None else last.status,  # type: ignore[arg-type]  # checked by the database
        score_reason=unscored if last is None else last.reason,
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
        verdict=None if verdict is None else verdict.verdict,
        verdict_reason=None if verdict is None else verdict.reason,
    )


def _run(run: stored.RunFacts) -> shown.RunFacts:
    reason = run.reason if run.phase != SETUP_PHASE else f"set-up failed: {run.reason}"
    return shown.RunFacts(
        id=run.id,
        status=run.status,  # type: ignore[arg-type]  # checked by the database
        reason=reason,
        validity=run.validity,  # type: ignore[arg-type]  # checked by the database
        flags=tuple(str(flag) for flag in run.flags),
        framework_version=run.framework_version,
        hints=run.hints,
        samples=tuple(_sample(one) for one in run.samples if not one.warmup),
        memory=tuple(
            shown.MemoryFacts(
                one.phase,
                one.peak_rss_bytes,
                one.rss_bytes,
                one.method,
                reason=one.reason,
                allocator_peak_bytes=one.allocator_peak_bytes,
            )
            for one in run.memory
        ),
        energy=tuple(_energy(one) for one in run.energy),
    )


def _sample(sample: SampleRecord) -> shown.SampleFacts:
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


def _score(score: stored.ScoreFacts) -> shown.ScoreFacts:
    return shown.ScoreFacts(
        windows=_windows(score),
        reference=() if score.reference is None else _windows(score.reference),
        quality_reference=score.quality_reference,
        hints=score.hints,
    )


def _windows(score: stored.ScoreFacts) -> tuple[shown.WindowFacts, ...]:
    return tuple(
        shown.WindowFacts(one.window, one.positions, one.nll_sum, one.kld_sum, one.same_top)
        for one in score.windows
    )
