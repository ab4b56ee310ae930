"""A/A gates replayed from a stored pool of processes of one real cell: how often the gate cries wolf on real noise.

    edgebench run benchmarks/gate_suites/pool.yaml --db pool.db    # gathers 400 processes, one after another
    python benchmarks/gate_replay.py --replay pool.db

The pool is what an ordinary session stored; each value is the table's. A replayed cell takes a run of 60 consecutive
processes from a drawn place of the pool, neighbours as its 30 pairs, in drawn order within a pair, so that what drifts
is shared as in a live gate. Within a cell no process is used twice. The cells of one gate are separate draws of places
of the same pool and so are different gates: their stretches overlap, hence the gates are resampled, not independent,
and the printed interval (Clopper and Pearson), which takes them for independent, is narrower than the truth.
Suspect runs are left out of the pool as the gate leaves them out, unless ``--with-suspect``. The same stretches are
judged by the rules of ``gate_rules.py``.

Exit status: 0 false alarms in at most 1 % of gates, 3 more, 2 too small a pool.
"""

from __future__ import annotations

import argparse
import math
import sqlite3
import statistics
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from gate_noise import ALARMS, METRIC, Floats, between
from gate_rules import compare, show
from harness.frameworks import frameworks
from harness.gate.design import Rules
from harness.store import Store
from harness.table.stored import run_row


def pool(path: Path, *, with_suspect: bool = False) -> list[float]:
    """Logarithms of the pool's values, in the order of measuring: those of runs that a gate counts."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT id FROM run WHERE kind = 'timed' AND status = 'ok' AND (validity = 'ok' OR ?)"
            " ORDER BY started_at, key",
            (with_suspect,),
        ).fetchall()
    entries = frameworks()
    values = []
    with Store.open(str(path)) as store:
        for (run_id,) in rows:
            cell = store.run_in_cell(run_id)
            if cell is None:
                continue
            value = run_row(replace(cell, runs=cell.runs[:1]), entries)[METRIC.name]
            if value is not None and value > 0:
                values.append(math.log(float(value)))
    return values


def stretch(values: Floats, random: np.random.Generator, pairs: int) -> Floats:
    """Neighbours as pairs, from a drawn place: ``float64[2, pairs]``."""
    start = random.integers(0, len(values) - 2 * pairs + 1)
    both = values[start : start + 2 * pairs].reshape(pairs, 2).T.copy()
    swap = random.random(pairs) < 0.5
    both[:, swap] = both[::-1, swap]
    return both


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replay", type=Path, required=True, metavar="DB", help="database of the pool")
    parser.add_argument("--gates", type=int, default=300, help="for each number of cells")
    parser.add_argument("--cells", type=int, nargs="*", default=[1, 10, 60])
    parser.add_argument("--with-suspect", action="store_true", help="count processes that were disturbed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rules = Rules()
    found = pool(arguments.replay, with_suspect=arguments.with_suspect)
    if len(found) < 2 * rules.max_pairs:
        print(
            f"{arguments.replay}: {len(found)} processes that count; a gate needs {2 * rules.max_pairs}",
            file=sys.stderr,
        )
        return 2
    values = np.asarray(found)
    rows = {}
    for cells in arguments.cells:

        def draw(random: np.random.Generator, cells: int = cells) -> list[Floats]:
            return [stretch(values, random, rules.max_pairs) for _ in range(cells)]

        random = np.random.default_rng([arguments.seed, cells])
        rows[f"real, {cells} cells"] = compare(draw, arguments.gates, random, rules)
    if not arguments.json:
        print(f"{len(found)} processes; deviation of a value {statistics.stdev(found):.1%}")
        for name, counts in rows.items():
            low, high = between(counts["ours"][0], arguments.gates)
            print(
                f"{name}: {counts['ours'][0]} of {arguments.gates} A/A gates alarm ({low:.2%} to {high:.2%})"
            )
    show(rows, arguments.gates, as_json=arguments.json)
    return 0 if all(one["ours"][0] <= ALARMS * arguments.gates for one in rows.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
