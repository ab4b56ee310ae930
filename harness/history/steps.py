"""One window of a series: is it a step, or drift or slow noise, and between which bounds does it lie?

Owns the least squares of four models (level, trend, step, step on a trend), the noise's spread and autocorrelation, and
the interval of a step's place. Contract: what lies further than three robust deviations from its side's median counts
as if it lay at three, so that outliers decide nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Robust standard deviations beyond which a value is an outlier.
CLIP = 3.0
#: Makes the median absolute deviation the standard deviation of normal noise.
_MAD = 1.4826
#: Of the level, roughly: less than it is rounding, not noise.
_ROUNDING = 1e-9
#: Of the level, roughly: what lies farther away counts as if it lay there.
_FARTHEST = 1e100
#: Autocorrelation is not believed beyond it: the values would be worth nothing.
_MOST_CORRELATED = 0.95
#: So many of its standard errors are added to an autocorrelation: one that was seen as too small makes steps of noise.
_SLACK = 1.0
#: How often a step's place and the outliers around it are found anew from each other.
_ROUNDS = 4
#: A step must fit better than a trend by this much log-likelihood ratio, and a step on a trend better by this much.
STEP_OVER_TREND = 12.0
STEP_ON_TREND = 20.0
#: Of the log-likelihood ratio between the best place and another one: both sides' maxima of a random walk with drift
#: are below half of it with 95 % probability, (1 - exp(-x/2))^2 = 0.95 (Siegmund 1988, Int. Statistical Review 56).
_PLACE_95 = 7.35


@dataclass(frozen=True, slots=True)
class Step:
    """A step in a window.

    Attributes:
        before: values before it.
        first, last: bounds of ``before``, 95 %.
        chance: two-sided, that noise as autocorrelated as this looks like a step as large, at this one place.
        is_step: it explains the window better than drift does.
    """

    before: int
    first: int
    last: int
    chance: float
    is_step: bool


def fit_step(values: Floats, split: int, least: int, allowed: tuple[int, int] | None = None) -> Step | None:
    """The best step of a window.

    Args:
        values: float64[n], the window.
        split: about where it is: values before it. The noise is first seen from there.
        least: values that both sides must have.
        allowed: bounds that ``before`` must keep to.

    Returns:
        None where the two sides have the same median: there is no step.
    """
    n = len(values)
    low, high = least, n - least
    if allowed is not None:
        low, high = max(low, allowed[0]), min(high, allowed[1])
    medians = float(np.median(values[:split])), float(np.median(values[split:]))
    if low > high or medians[0] == medians[1]:
        return None
    # By a power of two, so that no square vanishes and no digit changes; nor does one overflow.
    scale = 2.0 ** math.frexp(max(abs(median) for median in medians))[1]
    values = np.clip(values / scale, -_FARTHEST, _FARTHEST)
    before = np.arange(low, high + 1)
    split = _robust_place(values, split, before)
    medians = float(np.median(values[:split])), float(np.median(values[split:]))
    clipped = drawn_in(values, np.repeat(medians, (split, n - split)))
    fits = _fits(clipped, before)
    at = int(np.argmin(fits.step))
    worth = worth_of(_residuals(clipped, int(before[at])))
    gain = n * worth * math.log(fits.trend / fits.step[at])
    profile, without, is_step = fits.step, fits.level, gain >= STEP_OVER_TREND
    if not is_step:
        at_slope = int(np.argmin(fits.step_on_trend))
        worth_slope = worth_of(_residuals(clipped, int(before[at_slope]), with_trend=True))
        gain = n * worth_slope * math.log(fits.trend / fits.step_on_trend[at_slope])
        if gain >= STEP_ON_TREND:
            at, worth, is_step = at_slope, worth_slope, True
            profile, without = fits.step_on_trend, fits.trend
    near = np.flatnonzero(n * worth * np.log(profile / profile[at]) <= _PLACE_95)
    chance = chance_of(math.log(without / profile[at]), n * worth - 2)
    return Step(int(before[at]), int(before[near[0]]), int(before[near[-1]]), chance, is_step)


def chance_of(gain: float, free: float) -> float:
    """The two-sided chance of a t statistic with ``gain`` = log(1 + t^2 / free); 1 where nothing is free.

    Wallace's normal approximation (1959, Annals of Mathematical Statistics 30).
    """
    if free <= 0 or gain <= 0:
        return 1.0
    return math.erfc((8 * free + 1) / (8 * free + 3) * math.sqrt(free * gain / 2))


def _robust_place(values: Floats, split: int, before: NDArray[np.int64]) -> int:
    """Where the step is if an outlier speaks for neither side.

    The loss is the capped square of Fearnhead and Rigaill (2019, JASA 114), against the medians of the two sides;
    capped at an outlier's distance, and at no less than half the step, so that what is much nearer to one side speaks
    for it.
    Which values are outliers depends on their side, and where the sides meet on the outliers: a few rounds.
    """
    for _ in range(_ROUNDS):
        sides = np.median(values[:split]), np.median(values[split:])
        off = values - np.repeat(sides, (split, len(values) - split))
        cap = max(CLIP * spread_of(off), abs(float(sides[1] - sides[0])) / 2) ** 2
        losses = [np.minimum((values - side) ** 2, cap) for side in sides]
        # The loss of what is before a place, held against the first side, and of the rest against the second.
        profile = np.cumsum(losses[0])[before - 1] - np.cumsum(losses[1])[before - 1]
        # Beside an outlier two places are equal but for rounding: the first, in any unit of measurement.
        found = int(before[np.argmax(profile <= profile.min() + _ROUNDING * cap)])
        if found == split:
            break
        split = found
    return split


@dataclass(frozen=True, slots=True)
class _Fits:
    """Sums of squared residuals: of a level, of a trend, and for each place of a step without and with a trend."""

    level: float
    trend: float
    step: Floats
    step_on_trend: Floats


def _fits(values: Floats, before: NDArray[np.int64]) -> _Fits:
    n = len(values)
    floor = n * _ROUNDING**2
    centred = values - values.mean()
    total = float(centred @ centred)
    x = np.arange(n) - (n - 1) / 2
    slope_squares = float(x @ x)
    slope = float(x @ centred) / slope_squares
    left, right = before, n - before
    spread = left * right / n
    # Centred values sum to 0: the sum after the step is minus the sum before it.
    step = total - np.cumsum(centred)[before - 1] ** 2 / spread
    trend = total - slope**2 * slope_squares
    rest = np.cumsum(centred - slope * x)[before - 1]
    free = spread - np.cumsum(x)[before - 1] ** 2 / slope_squares
    on_trend = trend - rest**2 / np.maximum(free, 1e-12)
    return _Fits(total + floor, trend + floor, np.maximum(step, 0) + floor, np.maximum(on_trend, 0) + floor)


def spread_of(off: Floats) -> float:
    """The robust standard deviation of deviations from a median.

    Of few values it would be too small; the correction is that of Croux and Rousseeuw (1992, COMPSTAT).
    """
    return _MAD * float(np.median(np.abs(off))) * len(off) / max(len(off) - 0.8, 0.5)


def drawn_in(values: Floats, centre: Floats) -> Floats:
    """The values, those beyond three robust deviations from their centres drawn in to three."""
    off = values - centre
    reach = CLIP * spread_of(off)
    return np.asarray(centre + np.clip(off, -reach, reach), dtype=np.float64)


def _residuals(values: Floats, split: int, *, with_trend: bool = False) -> Floats:
    x = np.arange(len(values), dtype=np.float64)
    columns = [np.where(x < split, 1.0, 0.0), np.where(x < split, 0.0, 1.0)]
    if with_trend:
        columns.append(x - x.mean())
    design = np.stack(columns, axis=1)
    solution = np.linalg.lstsq(design, values, rcond=None)[0]
    return np.asarray(values - design @ solution, dtype=np.float64)


def worth_of(residuals: Floats) -> float:
    """The share of its size that a sample with this noise is worth: (1 - r) / (1 + r) of a first-order autoregression.

    ``r`` is the residuals' lag-1 autocorrelation, corrected for the bias that two estimated means give it, with a
    standard error of slack; negative autocorrelation is taken as none. The residuals are shares of a level, so that
    rounding is known as such.
    """
    n = len(residuals)
    squares = float(residuals @ residuals)
    if squares <= n * _ROUNDING**2:
        return 1.0
    r = float(residuals[1:] @ residuals[:-1]) / squares
    r += (2 + 6 * r) / n + _SLACK * math.sqrt(max(1 - r * r, 0.0) / n)
    r = min(max(r, 0.0), _MOST_CORRELATED)
    return (1 - r) / (1 + r)
