"""How often the gate cries wolf, and how small a slowdown it finds: its design on scripted noise.

Drives `harness.gate.design.Design`, the very object that the live gate drives, with generated pairs: no clock, no
framework. Each scenario is a kind of noise and a number of cells; each is judged without an effect (false alarms) and
with one cell slowed down (power, and how many pairs of that cell it took).

Exit status: 0 all demanded figures hold, 3 one does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TypedDict

import numpy as np
from rich.console import Console
from rich.table import Table

from gate_noise import ALARMS, POWER, SLOWDOWN, Scenario, one_gate, scenarios
from harness.gate.design import Rules


class Row(TypedDict):
    """What became of one scenario; see `measure`."""

    scenario: str
    cells: int
    gates: int
    false_alarms: float
    power: float
    pairs_median: float | None
    pairs_idle_median: float
    demanded: bool


def measure(scenario: Scenario, gates: int, seed: int, rules: Rules) -> Row:
    """One scenario's row.

    Args:
        scenario: noise and number of cells.
        gates: how many without an effect, and as many with one cell at `SLOWDOWN` of its tokens/s.
        seed: of the noise.
        rules: the design's numbers.

    Returns:
        Shares of gates with a false alarm (without the slowdown) and that found it; median pairs of the slowed cell
        where it was found (None: never), and of the same cell without it.
    """
    random = np.random.default_rng([seed, scenario.cells, len(scenario.name)])
    quiet = [one_gate(scenario, random, 1.0, rules) for _ in range(gates)]
    slow = [one_gate(scenario, random, SLOWDOWN, rules) for _ in range(gates)]
    pairs = [used for found, _, used in slow if found]
    return {
        "scenario": scenario.name,
        "cells": scenario.cells,
        "gates": gates,
        "false_alarms": sum(alarm for _, alarm, _ in quiet) / gates,
        "power": sum(found for found, _, _ in slow) / gates,
        "pairs_median": float(np.median(pairs)) if pairs else None,
        "pairs_idle_median": float(np.median([used for _, _, used in quiet])),
        "demanded": scenario.demanded,
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gates", type=int, default=400, help="per scenario, with and without an effect each"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for scenario in scenarios():
        rows.append(measure(scenario, arguments.gates, arguments.seed, Rules()))
        print(f"{scenario.name}, {scenario.cells} cells", file=sys.stderr)
    held = all(
        row["false_alarms"] <= ALARMS and (not row["demanded"] or row["power"] >= POWER) for row in rows
    )
    if arguments.json:
        print(json.dumps({"rows": rows, "held": held}, allow_nan=False))
    else:
        table = Table(
            "noise", "cells", "gates", "false alarms", "5 % found", "pairs (median)", "pairs without effect"
        )
        for row in rows:
            table.add_row(
                row["scenario"],
                str(row["cells"]),
                str(row["gates"]),
                f"{100 * row['false_alarms']:.2f} %",
                f"{100 * row['power']:.1f} %",
                "–" if row["pairs_median"] is None else f"{row['pairs_median']:g}",
                f"{row['pairs_idle_median']:g}",
            )
        Console().print(table)
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
