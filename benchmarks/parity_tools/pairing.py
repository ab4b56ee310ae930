"""Pairs of processes, and what they say about the ratio of two speeds.

Owns the order within pairs, the estimate, its interval and the rule that ends the pairing. Knows no framework.
Contract: the same measurements in the same order give the same answer.

A pair gives one log ratio of tokens per second, ours / tool; the estimate is their 20 % trimmed mean (a shared machine
has outliers on either side), its 95 % interval a bootstrap over pairs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from parity_tools.tool import PHASES, Seconds

_TRIM = 0.2
_RESAMPLES = 2000

#: Measures one side of the pair of this number.
Measure = Callable[[int], Seconds]
#: Told the pairs done, and the summary of each phase, empty before there may be one.
Progress = Callable[[int, dict[str, dict[str, Any]]], None]


def trimmed_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the last axis without its lowest and highest fifth."""
    cut = int(values.shape[-1] * _TRIM)
    kept: npt.NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    mean: npt.NDArray[np.float64] = kept.mean(axis=-1)
    return mean


def summary(log_ratios: Sequence[float], half_width: float, tolerance: float) -> dict[str, Any]:
    """Ratio, 95 % interval, pairs, whether the interval is narrow enough, and the answer.

    Args:
        log_ratios: one a pair, at least two.
        half_width: limit of the interval's half-width, as a share of the ratio.
        tolerance: the two agree where a conclusive ratio differs from 1 by no more than this.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    # Seeded: the same pairs give the same interval.
    drawn = np.random.default_rng(0).integers(0, len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(trimmed_mean(values[drawn]), (0.025, 0.975))
    ratio = math.exp(float(trimmed_mean(values)))
    conclusive = bool((high - low) / 2 < half_width)
    agreement = "within" if abs(ratio - 1) <= tolerance else "beyond"
    return {
        "ratio": ratio,
        "low": math.exp(float(low)),
        "high": math.exp(float(high)),
        "pairs": len(values),
        "conclusive": conclusive,
        "answer": agreement if conclusive else "inconclusive",
    }


def compare(
    measure_ours: Measure,
    measure_tool: Measure,
    *,
    min_pairs: int,
    max_pairs: int,
    half_width: float,
    tolerance: float,
    seed: int,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Add pairs until both phases are conclusive, or there are ``max_pairs``; the summary of each phase."""
    order, ours_first = random.Random(seed), False
    log_ratios: dict[str, list[float]] = {phase: [] for phase in PHASES}
    result: dict[str, dict[str, Any]] = {}
    for pair in range(max_pairs):
        # Drawn for every second pair, turned round in the next: what it costs to be first or second falls on both
        # sides alike.
        ours_first = order.random() < 0.5 if pair % 2 == 0 else not ours_first
        if ours_first:
            our_seconds = measure_ours(pair)
            tool_seconds = measure_tool(pair)
        else:
            tool_seconds = measure_tool(pair)
            our_seconds = measure_ours(pair)
        for phase in PHASES:
            log_ratios[phase].append(math.log(tool_seconds[phase] / our_seconds[phase]))
        if pair + 1 >= min_pairs:
            result = {phase: summary(log_ratios[phase], half_width, tolerance) for phase in PHASES}
        progress(pair + 1, result)
        if result and all(each["conclusive"] for each in result.values()):
            break
    return result
