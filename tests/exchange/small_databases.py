"""Small real databases, made through the store from scripted records, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import make_store_records as make

from harness.exchange.reading import EVERYTHING, Reader, Selection
from harness.exchange.source import SHAPE
from harness.exchange.values import Row
from harness.store import Store, records, writing
from harness.store.alerts import AlertState
from harness.store.evaluation_records import (
    EvaluationRecord,
    TaskHoleRecord,
    TaskItemRecord,
    TaskMetricRecord,
    TaskRecord,
)

CELL = make.cell()
OTHER = make.cell("Q8_0", "int8")
SKIPPED = make.cell("Q4_K_M", device="gpu:0", api="cuda")
MACHINES = (make.machine(), make.machine(cpu_model="Other CPU", physical_cores=8))

#: How a session may stand, later ones last: status, seconds from its beginning to its end, how often resumed.
STATES: tuple[tuple[str, float | None, int], ...] = (
    ("running", None, 0),
    ("interrupted", 900.0, 0),
    ("running", None, 1),
    ("ok", 3600.0, 1),
)
#: Runs that a session can have at most.
MOST_RUNS = 5
#: What became of a session's alert, by the session's state.
ALERT_STATES: tuple[AlertState, ...] = ("open", "open", "acknowledged", "resolved")


@dataclass(frozen=True)
class Night:
    """How far a session had come when a copy of its database was made."""

    runs: int
    state: int


#: One database: a session's number -> how far it is.
Lab = dict[int, Night]


def later(one: Night | None, other: Night | None) -> Night:
    """What two copies know together."""
    known = [night for night in (one, other) if night is not None]
    return Night(max(night.runs for night in known), max(night.state for night in known))


def joined(one: Lab, other: Lab) -> Lab:
    """What merging two databases must give."""
    return {number: later(one.get(number), other.get(number)) for number in one.keys() | other.keys()}


# What was made once is copied: a database takes some hundred synchronised transactions.
_made: dict[tuple[tuple[int, Night], ...], bytes] = {}


def make_database(target: str | Path, lab: Lab) -> None:
    """Writes a database. The first session has the reference that the others' scores refer to."""
    if not isinstance(target, Path):
        _record(target, lab)
        return
    known = tuple(sorted(lab.items(), key=lambda one: one[0]))
    if known not in _made:
        _record(target, lab)
        _made[known] = target.read_bytes()
    target.write_bytes(_made[known])


def _record(target: str | Path, lab: Lab) -> None:
    with Store.open(target) as store:
        for number, night in sorted({0: Night(1, 0), **lab}.items()):
            _record_night(store, number, Night(max(night.runs, 1), night.state) if number == 0 else night)


def _record_night(store: Store, number: int, night: Night) -> None:
    machine = store.record_machine(MACHINES[number % 2])
    store.record_machine_bench(make.machine_bench(machine_id=machine))
    store.record_model(make.model())
    store.record_environment(make.environment(f"0.3.{number}"))
    source = store.record_artifact(make.artifact("F16", files=[], made_with={"ftype": 1}))
    for recipe in ("Q4_K_M", "Q8_0"):
        store.record_artifact(
            make.artifact(recipe, source, environment_id=make.environment(f"0.3.{number}").id)
        )
    cells = [
        records.PlannedCellRecord(CELL, 0, expected_s=4.0, settings={"repetitions": 3}),
        records.PlannedCellRecord(OTHER, 1),
        records.PlannedCellRecord(SKIPPED, 2, reason="no CUDA device here"),
    ]
    plan = [
        records.PlannedRunRecord(CELL.id, kind, index, place, seed=number)
        for place, (kind, index) in enumerate(_kinds(number))
    ]
    session = store.start_session(make.session(machine, later_s=86_400.0 * number), cells, plan)
    store.record_preparation(
        records.PreparationRecord(
            machine_id=machine,
            session_id=session,
            model=make.model().name,
            framework="llamacpp",
            recipe="Q4_K_M",
            tool="llama-cpp-python",
            tool_version="0.3.36",
            artifact_id=make.artifact().id,
            status="ok",
            seconds=2.5,
            threads=2,
            jobs=1,
            started_at=make.BEGAN + timedelta(days=number),
        )
    )
    for place in range(night.runs):
        store.record_run(_run(session, number, place))
    if night.runs == MOST_RUNS:
        store.record_stop(
            session, records.CellStopRecord(CELL.id, "cap", 0.02, 2, 5, 5, 4, {"decode_tps": 0.1, "x": None})
        )
    store.record_import(make.imported(f"tool {number}"))
    # An earlier night's score stands for a cell of this one.
    if number > 0:
        store.link_score(session, [OTHER.id], _run_id(_session_id(0), 0))
    _alert(store, session, machine, number, night.state)
    store.record_gate(make.gate(session, _session_id(0) if number else None, CELL.id))
    status, seconds, resumed = STATES[night.state]
    ended = None if seconds is None else make.BEGAN + timedelta(days=number, seconds=seconds)
    with store.writing() as connection:
        writing.change_session(connection, session, {"status": status, "ended_at": ended, "resumed": resumed})


def _alert(store: Store, session: str, machine: str, number: int, state: int) -> None:
    """An alert of a step since the first session; looked at later, more is known of it."""
    word = ALERT_STATES[state]
    raised = make.BEGAN + timedelta(days=100 + number)
    changes = {} if word == "open" else {"note": "seen", "state_changed_at": raised + timedelta(days=state)}
    store.record_alerts(
        [
            make.alert(
                session, CELL.id, machine, session_before_id=_session_id(0), first_session_id=_session_id(0),
                raised_at=raised, state=word, confidence=1 - 0.01 / (1 + ALERT_STATES.index(word)), **changes,
            )
        ]
    )  # fmt: skip


@cache
def _session_id(number: int) -> str:
    record = make.session(MACHINES[number % 2].id, later_s=86_400.0 * number)
    with Store.open("sqlite://") as store:
        store.record_machine(MACHINES[number % 2])
        return store.start_session(record)


def _kinds(number: int) -> list[tuple[records.RunKind, int]]:
    first: records.RunKind = "reference" if number == 0 else "score"
    return [(first, 0), ("timed", 0), ("timed", 1), ("tasks", 0), ("timed", 2)]


def _run_id(session: str, place: int) -> str:
    from harness.store.ids import run_id

    kind, index = _kinds(0)[place]
    return run_id(session, CELL.id, kind, index, 1)


def _run(session: str, number: int, place: int) -> records.RunRecord:
    kind, index = _kinds(number)[place]
    changes: dict[str, object] = {
        "kind": kind,
        "started_at": make.BEGAN + timedelta(days=number, seconds=10 + place),
        "environment_id": make.environment(f"0.3.{number}").id,
    }
    if kind in ("reference", "score"):
        artifact = make.artifact("Q4_K_M").id
        reference = None if number == 0 else _run_id(_session_id(0), 0)
        windows = [records.WindowRecord(0, 63, 170.5 + number, 2.5, 58, 0.09, 260, data=b"\x00\x01" * 20)]
        changes |= {
            "samples": [],
            "score": make.score(artifact, (CELL.id,), reference_run_id=reference, windows=windows),
        }
    if kind == "tasks":
        changes |= {"samples": [], "evaluation": _evaluation(number)}
    if place == 4:
        changes |= {"status": "failed", "reason": "=cmd|'/C calc'!A0", "phase": "decode", "samples": []}
    return make.run(session, CELL.id, index, **changes)


def _evaluation(number: int) -> EvaluationRecord:
    items = [
        TaskItemRecord(make.sha(f"item{at}")[:16], {"acc": at % 2}, [-1.5, -2.25], None) for at in range(3)
    ]
    task = TaskRecord(
        "grammar", "1.0", 3, 0, make.sha("grammar"), [TaskMetricRecord("acc", 0.5, 0.1, True)], items
    )
    return EvaluationRecord(
        evaluation_key=f"evaluation {number}",
        artifact_id=make.artifact().id,
        settings={"names": ["grammar"]},
        chat_template=False,
        items_limit=None,
        max_length=512,
        environment_id=make.environment(f"0.3.{number}").id,
        lm_eval_version="0.4.13",
        truncated=0,
        tasks=[task],
        cells=(CELL.id,),
        holes=(TaskHoleRecord("arc", "failed", "no hub"),),
    )


def contents(target: str | Path | Store, selection: Selection = EVERYTHING) -> dict[str, list[Row]]:
    """All facts of a database, without the keys that are local to it."""
    if isinstance(target, Store):
        with target.reading() as connection:
            reader = Reader(connection, target.place, SHAPE, selection)
            return {shape.name: [row for rows in reader.rows(shape) for row in rows] for shape in SHAPE}
    with Store.open(target, read_only=True) as store:
        return contents(store, selection)
