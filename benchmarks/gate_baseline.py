"""How often a gate against a stored baseline cries wolf, and what it finds: its own test on scripted sessions.

Drives `harness.gate.between`, which the live gate judges with. A session shifts all of its processes alike (3 %), each
process varies besides (2 %); the baseline has 3, 10 or 30 stored sessions. Cells share the session's shift, as on a
machine that is slower that day, or have shifts of their own. Beside it stands what the paired gate would find with the
same noise of processes. What head's first session says changed is judged again in a second session of it, which shares
the whole shift of the first: the worst case for a false alarm.

Exit status: 0 false alarms are at most the nominal rate, 3 they are not.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from harness.gate.between import RATE, Finding, compare, judge
from harness.gate.design import Rules
from harness.gate.metrics import DEFAULTS

METRIC = DEFAULTS["decode_tps"]
CHANGED = ("regression", "improvement")
RULES = Rules()


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of history.

    Attributes:
        sessions: stored.
        cells: judged in one gate.
        runs: processes of a cell and session.
        shared: the cells share their session's shift.
        named: one stored session is the baseline, the others only tell how far sessions vary.
        session_cv: between sessions.
        run_cv: between processes of a session.
    """

    sessions: int
    cells: int = 1
    runs: int = 3
    shared: bool = False
    named: bool = False
    session_cv: float = 0.03
    run_cv: float = 0.02


def one_gate(case: Case, random: np.random.Generator, effect: float) -> tuple[str, Finding]:
    """Judge one gate whose first cell is slowed down to ``effect``.

    Returns:
        ``regression`` where any cell is called one, else ``improvement`` where any is, else the first cell's word; and
        the first cell's finding.
    """
    between, within = (math.sqrt(math.log1p(cv**2)) for cv in (case.session_cv, case.run_cv))
    shape = (case.sessions + 1, 1 if case.shared else case.cells)
    shifts = np.broadcast_to(random.normal(0.0, between, shape), (case.sessions + 1, case.cells))
    values = shifts[:, :, None] + random.normal(0.0, within, (case.sessions + 1, case.cells, case.runs))
    again = shifts[-1, :, None] + random.normal(0.0, within, (case.cells, case.runs))
    for head in (values[-1], again):
        head[0] += math.log(effect)
    named = case.sessions - 1 if case.named else None

    def judged(head: np.ndarray[Any, np.dtype[np.float64]], cells: Sequence[int]) -> list[Finding]:
        both = [
            compare([list(map(float, one)) for one in values[:-1, cell]], list(map(float, head[cell])), named)
            for cell in cells
        ]
        return judge([(one, METRIC) for one in both], RULES)

    findings = judged(values[-1], range(case.cells))
    changed = [cell for cell, one in enumerate(findings) if one.word in CHANGED]
    for cell, second in zip(changed, judged(again, changed), strict=True):
        if second.word != findings[cell].word:
            findings[cell] = replace(findings[cell], word="inconclusive")
    words = [one.word for one in findings]
    told = next((word for word in CHANGED if word in words), words[0])
    return told, findings[0]


def cases() -> list[Case]:
    """What is demanded, and what the cells' shifts could do to it."""
    made = [Case(sessions, cells) for cells in (1, 10) for sessions in (3, 10, 30)]
    made += [Case(sessions, 10, shared=True) for sessions in (3, 10, 30)]
    return [*made, Case(10, named=True), Case(10, runs=1)]


def measure(case: Case, gates: int, seed: int) -> dict[str, float | int | bool]:
    """False alarms without a change; of a slowdown of 5, 10 and 20 % how often it is found."""
    random = np.random.default_rng([seed, case.sessions, case.cells, case.runs, case.shared, case.named])
    quiet = [one_gate(case, random, 1.0) for _ in range(gates)]
    found = {
        slower: sum(
            one_gate(case, random, 1 - slower / 100)[1].word == "regression" for _ in range(gates // 4)
        )
        / (gates // 4)
        for slower in (5, 10, 20)
    }
    seen = [one.detectable for _, one in quiet if one.detectable is not None]
    paired = [one.paired_detectable for _, one in quiet if one.paired_detectable is not None]
    return {
        "sessions": case.sessions,
        "cells": case.cells,
        "runs": case.runs,
        "shared": case.shared,
        "named": case.named,
        "gates": gates,
        "regressions": sum(word == "regression" for word, _ in quiet) / gates,
        "changes": sum(word in ("regression", "improvement") for word, _ in quiet) / gates,
        "inconclusive": sum(one.word == "inconclusive" for _, one in quiet) / gates,
        **{f"found_{slower}": share for slower, share in found.items()},
        "detectable": float(np.median(seen)),
        "paired_detectable": float(np.median(paired)) if paired else math.nan,
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gates", type=int, default=2000, help="per case, without a change")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(case, arguments.gates, arguments.seed) for case in cases()]
    held = all(row["changes"] <= RATE for row in rows)
    if arguments.json:
        print(json.dumps({"rows": rows, "rate": RATE, "held": held}))
        return 0 if held else 3
    heads = ("stored sessions", "runs", "cells", "shifts", "false alarms", "false changes", "inconclusive")
    table = Table(*heads, "5 % found", "10 %", "20 %", "would have seen", "a paired gate")
    for row in rows:
        shares = (row[name] for name in ("regressions", "changes", "inconclusive"))
        seen = (row[name] for name in ("found_5", "found_10", "found_20", "detectable", "paired_detectable"))
        table.add_row(
            f"{row['sessions']}{' (one named)' if row['named'] else ''}",
            str(row["runs"]),
            str(row["cells"]),
            "shared" if row["shared"] else "own",
            *(f"{100 * share:.2f} %" for share in shares),
            *("–" if math.isnan(share) else f"{100 * share:.1f} %" for share in seen),
        )
    Console(width=150).print(table)
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
