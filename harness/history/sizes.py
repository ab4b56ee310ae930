"""How large a step is: the level of a stretch, and the ratio of two with its interval.

Owns the estimates. Contract: outliers are left out of a level; an interval knows of autocorrelation.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from harness.history.steps import CLIP, Floats, drawn_in, spread_of, worth_of

#: Of the logarithm of a ratio: e to the power of more is no double.
_WIDEST = 700.0
#: With fewer values the autocorrelation cannot be told from none.
_FEW = 10


def level_of(stretch: Floats) -> float:
    """The mean of the values within three robust deviations of the median."""
    median = np.median(stretch)
    return float(median + (_kept(stretch) - median).mean())


def _kept(stretch: Floats) -> Floats:
    off = np.abs(stretch - np.median(stretch))
    return np.asarray(stretch[off <= CLIP * spread_of(off)], dtype=np.float64)


def ratio_interval(before: Floats, after: Floats) -> tuple[float, float]:
    """The 95 % interval of the ratio of two levels of one sign, by the delta method on its logarithm."""
    errors = [_half_interval(stretch) for stretch in (before, after)]
    ratio, half = level_of(after) / level_of(before), min(math.hypot(*errors), _WIDEST)
    return ratio * math.exp(-half), ratio * math.exp(half)


def _half_interval(stretch: Floats) -> float:
    """Half the 95 % interval of a stretch's level as a share of it, from Student's distribution."""
    level = level_of(stretch)
    # Not without the outliers: what is left would seem more alike than it is.
    residuals = drawn_in(stretch / level, np.full(len(stretch), np.median(stretch) / level))
    residuals -= residuals.mean()
    worth = worth_of(residuals) if len(stretch) >= _FEW else 1.0
    size = max(len(stretch) * worth, 2.0)
    return float(stdtrit(size - 1, 0.975)) * float(np.std(residuals, ddof=1)) / math.sqrt(size)
