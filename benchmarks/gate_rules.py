"""The gate's design beside the rules of other tools, on the same scripted noise: false alarms and misses.

Every rule gets the same 60 processes of a cell as ours. Ours gets them as 30 interleaved pairs and may stop early. The
others do not interleave, so they get them in the order of measuring: the first half is base (the history), the second
head. A gate alarms where any cell does. False alarms: share of gates without an effect that alarm.
Misses: share of gates with one cell at 0.95 of its tokens/s whose slowed cell does not alarm.

| rule | definition here |
|---|---|
| t-test | Welch's two-sided two-sample t-test on the values, base is the history: p < 0.01, head slower |
| fixed 200 % | median time of head / of base above 2 (github-action-benchmark's default `alert-threshold`, 200 %) |
| fixed 5 % | the same above 1.05 |
| Mann-Whitney | two-sided Mann-Whitney U, p < 0.002, and median time beyond a factor of 1.1 |
| intervals | 95 % t intervals of the two means do not overlap, head slower |
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from gate_noise import SLOWDOWN, Floats, Scenario, judged, scenarios
from harness.gate.design import Rules

#: From tokens/s of base and of head, ``float64[processes]`` each, whether head is called slower.
Rule = Callable[[Floats, Floats], bool]


def t_test(base: Floats, head: Floats) -> bool:
    """Welch's two-sample t-test at a confidence of 0.99."""
    return bool(stats.ttest_ind(base, head, equal_var=False).pvalue < 0.01 and head.mean() < base.mean())


def fixed(factor: float) -> Rule:
    """The median time grew beyond a factor."""
    return lambda base, head: bool(np.median(1 / head) > factor * np.median(1 / base))


def mann_whitney(base: Floats, head: Floats) -> bool:
    """Mann-Whitney U at 0.002, and a factor of 1.1 between the medians."""
    return bool(fixed(1.1)(base, head) and stats.mannwhitneyu(base, head).pvalue < 0.002)


def intervals(base: Floats, head: Floats) -> bool:
    """The 95 % intervals of the means do not overlap."""

    def half(values: Floats) -> float:
        return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))

    return bool(head.mean() + half(head) < base.mean() - half(base))


RULES: dict[str, Rule] = {
    "t-test 0.99": t_test,
    "fixed 200 %": fixed(2.0),
    "fixed 5 %": fixed(1.05),
    "Mann-Whitney 0.002, 1.1": mann_whitney,
    "intervals apart": intervals,
}


def others(draws: list[Floats], effect: float) -> dict[str, tuple[bool, bool]]:
    """For each rule whether the first cell alarms, and whether any does."""
    answers = {}
    # Pair after pair is the order of measuring.
    halves = [np.split(np.exp(draw.T.reshape(-1)), 2) for draw in draws]
    for name, rule in RULES.items():
        alarms = [
            rule(base, head * (effect if cell == 0 else 1.0)) for cell, (base, head) in enumerate(halves)
        ]
        answers[name] = (alarms[0], any(alarms))
    return answers


def compare(
    draw: Callable[[np.random.Generator], list[Floats]], gates: int, random: np.random.Generator, rules: Rules
) -> Mapping[str, tuple[int, int]]:
    """For ours and each rule the gates with a false alarm, and those that missed the slowdown."""
    counts = {name: [0, 0] for name in ("ours", *RULES)}
    for _ in range(gates):
        draws = draw(random)
        counts["ours"][0] += judged(draws, 1.0, rules)[1]
        for name, (_, alarm) in others(draws, 1.0).items():
            counts[name][0] += alarm
        draws = draw(random)
        counts["ours"][1] += not judged(draws, SLOWDOWN, rules)[0]
        for name, (found, _) in others(draws, SLOWDOWN).items():
            counts[name][1] += not found
    return {name: (alarms, misses) for name, (alarms, misses) in counts.items()}


def show(rows: Mapping[str, Mapping[str, tuple[int, int]]], gates: int, *, as_json: bool) -> None:
    """Print false alarms / misses, a line for each kind of noise."""
    if as_json:
        print(json.dumps({"gates": gates, "rows": rows}))
        return
    table = Table("noise: false alarms / misses", "ours", *RULES)
    for name, counts in rows.items():
        table.add_row(name, *(f"{100 * a / gates:.1f} / {100 * m / gates:.1f} %" for a, m in counts.values()))
    Console(width=160).print(table)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gates", type=int, default=200, help="per scenario, with and without an effect each"
    )
    parser.add_argument("--cells", type=int, nargs="*", default=[1, 10, 60])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rules = Rules()
    rows = {}
    for place, one in enumerate(scenarios()):
        if one.cells in arguments.cells:

            def draw(random: np.random.Generator, one: Scenario = one) -> list[Floats]:
                return [one.noise(random, rules.max_pairs) for _ in range(one.cells)]

            random = np.random.default_rng([arguments.seed, place])
            rows[f"{one.name}, {one.cells} cells"] = compare(draw, arguments.gates, random, rules)
    show(rows, arguments.gates, as_json=arguments.json)


if __name__ == "__main__":
    main()
