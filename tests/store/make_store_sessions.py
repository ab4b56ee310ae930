"""Sessions with everything in them that could tell two definitions of a figure apart, drawn from a seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import make_store_records as make

from harness.store import Store, records

CELLS = [
    make.cell(),
    make.cell("Q8_0", "int8"),
    make.cell("F16", "fp16"),
    make.cell(workload="pp32+tg16@b4", batch=4),
    make.cell(workload="tg16", prompt_tokens=0),
    make.cell(workload="pp32", decode_tokens=0),
    make.cell(framework="server", recipe="served", precision="int4"),
    make.cell(device="gpu:0", api="vulkan"),
    make.cell("Q2_K", "int2"),
]


def store_sessions(
    store: Store, seed: int, count: int = 3, cells: list[records.CellRecord] | None = None
) -> list[str]:
    """Stores sessions on two machines, a minute apart; gives their ids in order of time."""
    draw = Random(seed)
    store.record_model(replace(make.model(), configuration=None))
    for recipe in ("F16", "Q4_K_M"):
        store.record_artifact(make.artifact(recipe, weight_bytes=draw.randrange(10**8)))
    for version in ("0.3.36", "0.3.37"):
        store.record_environment(make.environment(version))
    machines = [store.record_machine(make.machine(cpu_model=name)) for name in ("one", "two")]
    return [
        _session(store, draw, machines[number % 3 % 2], 60.0 * number, cells or CELLS)
        for number in range(count)
    ]


def _session(
    store: Store, draw: Random, machine: str, later_s: float, cells: list[records.CellRecord]
) -> str:
    reasons = {cell.id: "no such device" for cell in cells if draw.random() < 0.15}
    planned = [
        records.PlannedCellRecord(cell, position, reasons.get(cell.id)) for position, cell in enumerate(cells)
    ]
    plan = [
        records.PlannedRunRecord(cell.id, "timed", index, 10 * position + index, seed=7)
        for position, cell in enumerate(cells)
        for index in range(3)
        if cell.id not in reasons
    ]
    session = store.start_session(make.session(machine, later_s=later_s), planned, plan)
    for cell in cells:
        if cell.id not in reasons:
            for index in range(draw.randrange(6)):
                _attempts(store, draw, session, cell, index)
            _quality(store, draw, session, cell)
            _tasks(store, draw, session, cell)
    return session


def _attempts(store: Store, draw: Random, session: str, cell: records.CellRecord, index: int) -> None:
    """A run that may have failed before, or fail in the end; earlier attempts may have been ok too."""
    for attempt in range(1, draw.choice((1, 1, 2)) + 1):
        status = draw.choice(("ok", "ok", "ok", "ok", "failed", "timeout", "oom", "skipped"))
        changes: dict[str, Any] = {"framework_version": draw.choice(("0.3.36", "0.3.37"))}
        if status != "ok":
            changes |= {"reason": f"it was {status}", "phase": draw.choice(("load", "decode", "set-up"))}
        if draw.random() < 0.3:
            changes |= {"validity": "suspect", "flags": ["steal 4 %"]}
        if draw.random() < 0.2:
            changes |= {"artifact_id": draw.choice((None, make.sha("F16")))}
        store.record_run(
            make.run(
                session, cell.id, index, attempt=attempt, status=status, samples=_samples(draw, cell),
                memory=_memory(draw), energy=_energy(draw), timeline=None, **changes,
            )
        )  # fmt: skip


def _samples(draw: Random, cell: records.CellRecord) -> list[records.SampleRecord]:
    made = []
    for repetition in range(draw.randrange(1, 7)):
        values: dict[str, float] = {}
        traces: dict[str, list[int]] = {}
        if cell.framework == "server":
            values = {"wall_s": draw.random(), "tokens": 17.0, "ttft_s": draw.random()}
        else:
            if cell.prompt_tokens:
                values["prefill_s"] = draw.choice((0.0, draw.random(), draw.random()))
                values["ttft_s"] = values["prefill_s"] + 0.001
            if cell.decode_tokens:
                traces["forward_ns"] = [draw.randrange(1, 10**7) for _ in range(cell.decode_tokens)]
                traces["token_ns"] = [10**6 * (place + 1) for place in range(cell.decode_tokens)]
                values["decode_s"] = sum(traces["forward_ns"]) / 1e9
        made.append(records.SampleRecord(repetition, repetition == 0, values, traces))
    return made


def _memory(draw: Random) -> list[records.MemoryRecord]:
    made = []
    for phase in ("import", "import", "load", "decode"):
        peak = draw.choice((None, draw.randrange(10**9), draw.randrange(10**9)))
        made.append(
            records.MemoryRecord(
                phase, peak, draw.choice((None, draw.randrange(10**9))), None, None, "VmHWM",
                device_bytes=draw.choice((None, draw.randrange(10**9))), reason=None if peak else "not told",
            )
        )  # fmt: skip
    return made


def _energy(draw: Random) -> list[records.EnergyRecord]:
    return [
        make.energy(phase, gross_joules=draw.random() + 0.1, tokens=draw.randrange(1, 500))
        if draw.random() < 0.6
        else records.EnergyRecord(phase, reason="no meter here")
        for phase in ("prefill", "decode", "decode")
    ]


def _windows(draw: Random, count: int, *, reference: bool) -> list[records.WindowRecord]:
    return [
        records.WindowRecord(
            index, 60, draw.uniform(1, 600), draw.random() if reference else None,
            draw.randrange(60) if reference else None, draw.random() if reference else None,
            draw.choice((260, 255)) if count != 3 else None,
        )
        for index in range(count)
    ]  # fmt: skip


def _quality(store: Store, draw: Random, session: str, cell: records.CellRecord) -> None:
    outcome = draw.choice(
        ("none", "failed", "failed then ok", "ok", "ok", "without reference", "other windows")
    )
    if outcome == "none":
        return
    common: dict[str, Any] = {"kind": "score", "samples": (), "energy": (), "timeline": None}
    if outcome.startswith("failed"):
        store.record_run(
            make.run(session, cell.id, status="timeout", reason="too slow", phase="score", **common)
        )
        if outcome == "failed":
            return
    first = make.run(
        session, cell.id, 7, kind="reference", samples=(), energy=(), timeline=None,
        score=make.score(
            make.sha("F16"), windows=_windows(draw, 2 if outcome == "other windows" else 4, reference=False),
            kld=None, verdict=None, quality_reference=None,
        ),
    )  # fmt: skip
    store.record_run(first)
    compared = outcome != "without reference"
    own = make.score(
        make.artifact().id, (cell.id,), scoring_key=f"{session} {cell.id}",
        windows=_windows(draw, draw.choice((3, 4)) if outcome != "other windows" else 4, reference=compared),
        reference_run_id=first.id if compared else None, quality_reference="llamacpp F32" if compared else None,
        kld=make.score("x").kld if compared else None,
        verdict=records.VerdictRecord("ok") if draw.random() < 0.7 else records.VerdictRecord("broken", "KLD 9"),
    )  # fmt: skip
    store.record_run(make.run(session, cell.id, attempt=2, **common, score=own))


def _tasks(store: Store, draw: Random, session: str, cell: records.CellRecord) -> None:
    if draw.random() < 0.4:
        return
    common: dict[str, Any] = {"kind": "tasks", "samples": (), "memory": (), "energy": (), "timeline": None}
    if draw.random() < 0.2:
        store.record_run(
            make.run(session, cell.id, status="oom", reason="no memory", phase="tasks", **common)
        )
        return
    length = draw.randrange(1, 6)
    answers = [draw.randrange(2) for _ in range(length)]
    first = make.run(
        session, cell.id, 8, **common, evaluation=make.evaluation(f"reference {session} {cell.id}", answers)
    )
    own = make.evaluation(
        f"own {session} {cell.id}", [draw.randrange(2) for _ in range(draw.choice((length, length, length + 1)))],
        reference_run_id=first.id, cells=(cell.id,),
    )  # fmt: skip
    if draw.random() < 0.3:
        # Asked otherwise than the reference: not compared.
        own = replace(own, tasks=[replace(one, corpus_sha256=make.sha("other")) for one in own.tasks])
    store.record_run(first)
    store.record_run(make.run(session, cell.id, **common, evaluation=own))
