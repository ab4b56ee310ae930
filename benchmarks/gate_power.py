"""How often the gate cries wolf, and how small a slowdown it finds: its design on scripted noise.

Drives `harness.gate.design.Design`, the very object that the live gate drives, with generated pairs: no clock, no
framework. Each scenario is a kind of noise and a number of cells; each is judged without an effect (false alarms) and
with one cell slowed down (power, and how many pairs of that cell it took).

Exit status: 0 all demanded figures hold, 3 one does not.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from harness.gate.design import Design, Limits, Rules
from harness.gate.metrics import DEFAULTS, GateMetric

Floats = npt.NDArray[np.float64]
#: Draws the logarithms of ``pairs`` pairs: base and head, ``float64[2, pairs]``, in the order of measuring.
Noise = Callable[[np.random.Generator, int], Floats]

METRIC = DEFAULTS["decode_tps"]
#: What the issue of a gate is: false alarms at most this share of gates, this power within so many pairs.
ALARMS, POWER, PAIRS = 0.01, 0.95, 30


def normal(cv: float) -> Noise:
    """Independent log-normal noise of this coefficient of variation per process."""
    deviation = math.sqrt(math.log1p(cv**2))
    return lambda random, pairs: random.normal(0.0, deviation, (2, pairs))


def drifting(cv: float) -> Noise:
    """The same with a slow drift of ten times its size over the session, shared by the two of a pair."""

    def draw(random: np.random.Generator, pairs: int) -> Floats:
        drift = np.cumsum(random.normal(0.0, cv, pairs))
        return normal(cv)(random, pairs) + drift

    return draw


def autocorrelated(cv: float, phi: float = 0.7) -> Noise:
    """AR(1) over the processes in the order in which they ran; base or head comes first at random."""

    def draw(random: np.random.Generator, pairs: int) -> Floats:
        shocks = random.normal(0.0, cv * math.sqrt(1 - phi**2), 2 * pairs)
        series = np.empty(2 * pairs)
        level = random.normal(0.0, cv)
        for place, shock in enumerate(shocks):
            level = phi * level + shock
            series[place] = level
        both = series.reshape(pairs, 2).T.copy()
        swap = random.random(pairs) < 0.5
        both[:, swap] = both[::-1, swap]
        return both

    return draw


def heavy(cv: float) -> Noise:
    """Student's t with three degrees of freedom, scaled to this coefficient of variation: rare large outliers."""
    return lambda random, pairs: random.standard_t(3, (2, pairs)) * cv / math.sqrt(3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Noise on a number of cells; ``demanded``: whether its power counts."""

    name: str
    noise: Noise
    cells: int
    demanded: bool = False


def scenarios() -> list[Scenario]:
    """All of them."""
    found = []
    for cells in (1, 10, 60):
        found += [Scenario(f"CV {100 * cv:g} %", normal(cv), cells, cv == 0.02) for cv in (0.01, 0.02, 0.05)]
        found += [
            Scenario("CV 2 %, drift", drifting(0.02), cells, True),
            Scenario("CV 2 %, AR(1) 0.7", autocorrelated(0.02), cells),
            Scenario("CV 2 %, heavy tails", heavy(0.02), cells),
        ]
    return found


def one_gate(
    scenario: Scenario, random: np.random.Generator, effect: float, rules: Rules, metric: GateMetric = METRIC
) -> tuple[bool, bool, int]:
    """One gate whose first cell's head is ``effect`` times as fast.

    Returns:
        Whether the first cell is a confirmed regression, whether anything else is a confirmed regression or the first
        one an improvement, and the pairs of the first cell.
    """
    limits = Limits(metric.log_margin, metric.log_gain, metric.log_wanted)
    design: Design[int] = Design({cell: {metric.name: limits} for cell in range(scenario.cells)}, rules)
    draws = [scenario.noise(random, rules.max_pairs) for _ in range(scenario.cells)]
    while wanted := design.wanted():
        for cell in wanted:
            base, head = draws[cell][:, design.pairs(cell)]
            shift = math.log(effect) if cell == 0 else 0.0
            design.add(cell, {metric.name: head + shift - base})
    alarms = [
        cell
        for cell in range(scenario.cells)
        if (track := design.tracks[cell][metric.name]).confirmed and track.suspected == "worse"
    ]
    found = 0 in alarms and effect < 1.0
    return found, bool([cell for cell in alarms if cell != 0 or effect >= 1.0]), design.pairs(0)


def measure(scenario: Scenario, gates: int, seed: int, rules: Rules) -> dict[str, float | str | int]:
    """False alarms without an effect; power and median pairs at 5 % fewer tokens/s."""
    random = np.random.default_rng([seed, scenario.cells, len(scenario.name)])
    quiet = [one_gate(scenario, random, 1.0, rules) for _ in range(gates)]
    slow = [one_gate(scenario, random, 0.95, rules) for _ in range(gates)]
    pairs = [used for found, _, used in slow if found]
    return {
        "scenario": scenario.name,
        "cells": scenario.cells,
        "gates": gates,
        "false_alarms": sum(alarm for _, alarm, _ in quiet) / gates,
        "power": sum(found for found, _, _ in slow) / gates,
        "pairs_median": float(np.median(pairs)) if pairs else math.nan,
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
        float(row["false_alarms"]) <= ALARMS and (not row["demanded"] or float(row["power"]) >= POWER)
        for row in rows
    )
    if arguments.json:
        print(json.dumps({"rows": rows, "held": held}))
    else:
        table = Table(
            "noise", "cells", "gates", "false alarms", "5 % found", "pairs (median)", "pairs without effect"
        )
        for row in rows:
            table.add_row(
                str(row["scenario"]),
                str(row["cells"]),
                str(row["gates"]),
                f"{100 * float(row['false_alarms']):.2f} %",
                f"{100 * float(row['power']):.1f} %",
                f"{row['pairs_median']:g}",
                f"{row['pairs_idle_median']:g}",
            )
        Console().print(table)
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
