"""A framework's own counters beside what was measured: ours, theirs, and the difference.

Owns this one comparison, for `edgebench show`. Imports the standard library only. Contract: warm-ups are left out, and
the figures are medians over the repetitions that hold both; nothing is corrected, differences are for people to judge.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: A framework's counter carries our name behind this.
PREFIX = "framework_"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity that both sides counted.

    Attributes:
        metric: our name of it, ending in its unit.
        ours: median over repetitions; None where only the framework counts it.
        framework: the framework's own, likewise.
        difference_percent: median over repetitions of how far the framework's lies above ours; None without ours.
        repetitions: behind these figures.
    """

    metric: str
    ours: float | None
    framework: float
    difference_percent: float | None
    repetitions: int


def compare_counters(samples: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    """The comparisons of one run, by metric.

    Args:
        samples: with ``metric``, ``repetition``, ``warmup`` and ``value``, as `Store.describe` gives them.
    """
    values: dict[str, dict[int, float]] = {}
    for sample in samples:
        if not sample["warmup"]:
            values.setdefault(sample["metric"], {})[sample["repetition"]] = sample["value"]
    found = []
    for name in sorted(values):
        if not name.startswith(PREFIX):
            continue
        metric = name.removeprefix(PREFIX)
        theirs, ours = values[name], values.get(metric, {})
        both = [repetition for repetition in theirs if ours.get(repetition)]
        if not both:
            found.append(Comparison(metric, None, statistics.median(theirs.values()), None, len(theirs)))
            continue
        found.append(
            Comparison(
                metric,
                statistics.median(ours[repetition] for repetition in both),
                statistics.median(theirs[repetition] for repetition in both),
                statistics.median(100 * (theirs[each] / ours[each] - 1) for each in both),
                len(both),
            )
        )
    return found
