"""Databases that a site is made from: with every kind of trouble, with hostile words, with a clear winner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import make_store_records as make
from make_store_sessions import CELLS, store_sessions

from harness.report import newest_of_machines
from harness.site.build import Built, build_site
from harness.store import Store, records

#: What a model may be called by who means harm, or by accident: each is markup, a script, a formula or a command
#: somewhere.
HOSTILE = (
    "</script><script>window.stolen=1</script>",
    '"><img src=x onerror=window.stolen=1>',
    '=HYPERLINK("http://evil.example","click")',
    "@SUM(1+1)|cmd",
    "[click](javascript:window.stolen=1) `code` *bold* | a | b |",
    "bell\x07 escape\x1b[31m \u202etxt.exe\u202c ]]> <!-- {{ 7*7 }} {% raw %}",
    "../../../etc/passwd",
    "con",
    "ÄÖÜ ✓ 模型",
)


#: Of the sessions that are drawn at random.
SEED = 5


def _artifacts(store: Store) -> None:
    """The artifacts as `store_sessions` describes them: one artifact has one size, whoever stores it first."""
    draw = Random(SEED)
    for recipe in ("F16", "Q4_K_M"):
        store.record_artifact(make.artifact(recipe, weight_bytes=draw.randrange(10**8)))


def fill(store: Store) -> None:
    """Sessions on two machines, with failures, time-outs, suspect runs, scores and tasks."""
    store_sessions(store, SEED, 4, [*CELLS, make.cell("Q5_K_M", "int5"), make.cell("Q6_K", "int6")])


def fill_hostile(store: Store) -> None:
    """The newest session of a machine whose every text is hostile."""
    bad = HOSTILE[0]
    machine = store.record_machine(make.machine(cpu_model=HOSTILE[1], name=HOSTILE[5]))
    store.record_environment(make.environment())
    store.record_model(replace(make.model(), configuration=None, name=bad, licence=HOSTILE[4], source=bad))
    _artifacts(store)
    cells = [
        make.cell(recipe=f"R{place} {text}", model=text, framework=HOSTILE[place % 2 + 2], workload=text)
        for place, text in enumerate(HOSTILE)
    ]
    planned = [
        records.PlannedCellRecord(cell, place, HOSTILE[place] if place == 1 else None)
        for place, cell in enumerate(cells)
    ]
    session = store.start_session(
        make.session(machine, later_s=9000, suite=bad, command_line=["edgebench", bad], system={"os": bad}),
        planned,
        [records.PlannedRunRecord(cell.id, "timed", 0, place, 7) for place, cell in enumerate(cells)],
    )
    for place, cell in enumerate(cells):
        if place != 1:
            failed = {
                "status": "failed",
                "reason": HOSTILE[place],
                "error": bad,
                "log_tail": bad,
                "phase": "load",
            }
            changes = failed if place == 2 else {"flags": [bad], "validity": "suspect"} if place == 3 else {}
            store.record_run(make.run(session, cell.id, hints={bad: HOSTILE[5]}, **changes))


def fill_winner(store: Store) -> str:
    """A session whose first recipe decodes twice as fast as the rest of its class, five runs each.

    Beside it another class, a cell that generates nothing, and one whose runs are all suspect.
    """
    machine = store.record_machine(make.machine(cpu_model="winner"))
    store.record_environment(make.environment())
    store.record_model(replace(make.model(), configuration=None))
    _artifacts(store)
    cells = [make.cell(f"Q4_{place}", "int4") for place in range(3)]
    cells += [make.cell("Q8_0", "int8"), make.cell("Q8_1", "int8"), make.cell("Q5_0", "int5")]
    cells += [make.cell("Q4_0", "int4", workload="pp32", decode_tokens=0)]
    planned = [records.PlannedCellRecord(cell, place, None) for place, cell in enumerate(cells)]
    session = store.start_session(
        make.session(machine, later_s=9500), planned,
        [records.PlannedRunRecord(cell.id, "timed", index, 5 * place + index, 7)
         for place, cell in enumerate(cells) for index in range(5)],
    )  # fmt: skip
    for place, cell in enumerate(cells):
        marks = {"flags": ["steal 4 %"], "validity": "suspect"} if cell.recipe == "Q5_0" else {"flags": []}
        for index in range(5):
            step = (1_000_000 if place == 0 else 2_000_000 + 100 * place) + 2_000 * index
            values = {"prefill_s": 0.01 + index * 1e-4}
            traces = {}
            if cell.decode_tokens:
                values["decode_s"] = cell.decode_tokens * step / 1e9
                traces = {"forward_ns": [step] * 16, "token_ns": [step * at for at in range(1, 18)]}
            sample = records.SampleRecord(0, False, values, traces)
            changes = {"validity": "ok", **marks, "samples": [sample]}
            store.record_run(make.run(session, cell.id, index, **changes))
    return session


def make_site(folder: Path, database: Path) -> Built:
    """The site of a database's newest sessions."""
    with Store.open(database, read_only=True) as store:
        return build_site(store, folder, newest_of_machines(store))
