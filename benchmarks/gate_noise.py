"""Kinds of noise, and one gate on it: what the gate's benchmarks share.

Owns the scripted noise and the driving of `harness.gate.design.Design`. Contract: a draw is the logarithms of base and
head of as many pairs, in the order of measuring; the design is the very object that the live gate drives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.gate.design import Design, Rules
from harness.gate.metrics import DEFAULTS, GateMetric

Floats = npt.NDArray[np.float64]
#: Draws the logarithms of ``pairs`` pairs: base and head, ``float64[2, pairs]``, in the order of measuring.
Noise = Callable[[np.random.Generator, int], Floats]

METRIC = DEFAULTS["decode_tps"]
#: What the benchmarks demand of a gate: false alarms at most this share of gates, this power within the design's pairs.
ALARMS, POWER = 0.01, 0.95
#: The injected slowdown: tokens/s times this.
SLOWDOWN = 0.95


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


def judged(
    draws: Sequence[Floats], effect: float, rules: Rules, metric: GateMetric = METRIC
) -> tuple[bool, bool, int]:
    """One gate whose first cell's head is ``effect`` times as fast.

    Args:
        draws: logarithms of tokens/s of each cell, ``float64[2, pairs]``; at least ``rules.max_pairs`` pairs.
        effect: on the first cell's head.
        rules: the design's numbers.
        metric: its margins.

    Returns:
        Whether the first cell is a confirmed regression, whether anything else is (without an effect: the first one
        too), and the pairs of the first cell.
    """
    design: Design[int] = Design({cell: {metric.name: metric.limits} for cell in range(len(draws))}, rules)
    while wanted := design.wanted():
        for cell in wanted:
            base, head = draws[cell][:, design.pairs(cell)]
            shift = math.log(effect) if cell == 0 else 0.0
            design.add(cell, {metric.name: head + shift - base})
    alarms = [
        cell
        for cell in range(len(draws))
        if (track := design.tracks[cell][metric.name]).confirmed and track.suspected == "worse"
    ]
    found = 0 in alarms and effect < 1.0
    return found, any(cell != 0 or effect >= 1.0 for cell in alarms), design.pairs(0)


def one_gate(
    scenario: Scenario, random: np.random.Generator, effect: float, rules: Rules, metric: GateMetric = METRIC
) -> tuple[bool, bool, int]:
    """`judged` on fresh noise of a scenario."""
    draws = [scenario.noise(random, rules.max_pairs) for _ in range(scenario.cells)]
    return judged(draws, effect, rules, metric)


def between(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Clopper and Pearson 1934)."""
    ends = stats.binomtest(count, of).proportion_ci(0.95, "exact")
    return float(ends.low), float(ends.high)
