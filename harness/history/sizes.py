"""How large a step is: the level of a stretch, and the ratio of two with its interval.

Owns the estimates. Contract: outliers are left out of a level; an interval knows of autocorrelation.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from harness.history.steps import CLIP, Floats, drawn_in, spread_of, worth_of

#: Of the logarithm of a ratio: e to the power of more is no double.
_WIDEST = 700.0
_Z = NormalDist().inv_cdf(0.975)
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
    return _student(size - 1) * float(np.std(residuals, ddof=1)) / math.sqrt(size)


def _student(free: float) -> float:
    """The 97.5 % quantile of Student's distribution, by the expansion of Cornish and Fisher."""
    z = _Z
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / free**power for power, term in enumerate(terms))
