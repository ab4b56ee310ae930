"""Generated series with and without changes: what is known of measurements of speed, in numbers.

Owns the kinds. Every series is drawn from a generator that the caller seeds; levels are around 100, so a deviation of 2
is a CV of 2 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LENGTH = 200


@dataclass(frozen=True)
class Generated:
    """A series; ``builds`` where its rows are repeats, ``changes`` the first row behind each change."""

    values: Floats
    builds: tuple[int, ...] | None = None
    changes: tuple[int, ...] = ()


Kind = Callable[[np.random.Generator], Generated]


def _normal(random: np.random.Generator, deviation: float, length: int = LENGTH) -> Floats:
    return random.normal(100, deviation, length)


def _with_spikes(random: np.random.Generator, values: Floats, share: float) -> Floats:
    spiky = random.random(len(values)) < share
    return np.where(spiky, values * random.uniform(1.2, 3.0, len(values)), values)


def _autoregressive(random: np.random.Generator, deviation: float, coefficient: float) -> Floats:
    noise = random.normal(0, 1, LENGTH + 100)
    for at in range(1, len(noise)):
        noise[at] += coefficient * noise[at - 1]
    return np.asarray(100 + deviation * np.sqrt(1 - coefficient**2) * noise[100:], dtype=np.float64)


def _of_builds(random: np.random.Generator, repeats: int, between: float, within: float) -> Generated:
    count = LENGTH // repeats
    builds = np.repeat(np.arange(count), repeats)
    values = 100 + random.normal(0, between, count)[builds] + random.normal(0, within, LENGTH)
    return Generated(values, tuple(int(build) for build in builds))


def _bursts(random: np.random.Generator) -> Generated:
    values = _normal(random, 2)
    for part in range(4):
        start = 50 * part + int(random.integers(0, 40))
        values[start : start + 3] *= 1.3
    return Generated(values)


def _drifting(random: np.random.Generator, total: float, deviation: float) -> Generated:
    return Generated(_normal(random, deviation) + np.linspace(0, total, LENGTH))


#: Nothing changes in these: every change point is a false alarm.
WITHOUT_CHANGE: dict[str, Kind] = {
    "normal, CV 2 %": lambda random: Generated(_normal(random, 2)),
    "high deviation: normal, CV 25 %": lambda random: Generated(_normal(random, 25)),
    "high deviation: lognormal, sigma 0.5": lambda random: Generated(100 * random.lognormal(0, 0.5, LENGTH)),
    "heavy tails: Student, 2 degrees": lambda random: Generated(100 + 2 * random.standard_t(2, LENGTH)),
    "spikes: 3 % of rows": lambda random: Generated(_with_spikes(random, _normal(random, 2), 0.03)),
    "spikes: 10 % of rows": lambda random: Generated(_with_spikes(random, _normal(random, 2), 0.10)),
    "bursts: four of three rows": _bursts,
    "two modes, 3 % apart": lambda random: Generated(
        _normal(random, 0.5) + 3 * (random.random(LENGTH) < 0.3)
    ),
    "five values only": lambda random: Generated(np.round(_normal(random, 1))),
    "builds of 10 rows: 3 % between, 1 % within": lambda random: _of_builds(random, 10, 3, 1),
    "builds of 5 rows: 3 % between, 1 % within": lambda random: _of_builds(random, 5, 3, 1),
    "builds of 4 rows: 10 % between, 1 % within": lambda random: _of_builds(random, 4, 10, 1),
    "autoregressive, 0.3": lambda random: Generated(_autoregressive(random, 2, 0.3)),
    "autoregressive, 0.6": lambda random: Generated(_autoregressive(random, 2, 0.6)),
    "autoregressive, 0.8": lambda random: Generated(_autoregressive(random, 2, 0.8)),
    "drift: 5 % in 200 rows": lambda random: _drifting(random, 5, 2),
    "drift: 20 % in 200 rows": lambda random: _drifting(random, 20, 2),
    "drift: 100 % in 200 rows, CV 1 %": lambda random: _drifting(random, 100, 1),
    "slow wave: 5 % in 100 rows": lambda random: Generated(
        _normal(random, 2) + 2.5 * np.sin(np.arange(LENGTH) * 2 * np.pi / 100 + random.uniform(0, 2 * np.pi))
    ),
}


def _step(series: Generated, at: int, ratio: float) -> Generated:
    values = series.values.copy()
    values[at:] *= ratio
    return Generated(values, series.builds, (*series.changes, at))


#: Something changes in these.
WITH_CHANGE: dict[str, Kind] = {
    "5 % up in the middle, CV 2 %": lambda random: _step(Generated(_normal(random, 2)), 100, 1.05),
    "5 % down in the middle, CV 2 %": lambda random: _step(Generated(_normal(random, 2)), 100, 0.95),
    "5 % after 30 rows, CV 2 %": lambda random: _step(Generated(_normal(random, 2)), 30, 1.05),
    "5 % with 15 rows to follow, CV 2 %": lambda random: _step(Generated(_normal(random, 2)), 185, 1.05),
    "5 % up, then down again 50 rows later, CV 2 %": lambda random: _step(
        _step(Generated(_normal(random, 2)), 75, 1.05), 125, 1 / 1.05
    ),
    "5 %, CV 2 %, spikes in 5 % of rows": lambda random: _step(
        Generated(_with_spikes(random, _normal(random, 2), 0.05)), 100, 1.05
    ),
    "5 %, CV 2 %, autoregressive 0.3": lambda random: _step(
        Generated(_autoregressive(random, 2, 0.3)), 100, 1.05
    ),
    "5 %, CV 2 %, autoregressive 0.6": lambda random: _step(
        Generated(_autoregressive(random, 2, 0.6)), 100, 1.05
    ),
    "5 % against a drift of 5 %, CV 1 %": lambda random: _step(_drifting(random, 5, 1), 100, 0.95),
    "5 % on top of a drift of 5 %, CV 1 %": lambda random: _step(_drifting(random, 5, 1), 100, 1.05),
    "10 %, builds of 5 rows: 2 % between, 1 % within": lambda random: _step(
        _of_builds(random, 5, 2, 1), 100, 1.10
    ),
    "50 %, builds of 10 rows: 3 % between, 1 % within": lambda random: _step(
        _of_builds(random, 10, 3, 1), 100, 1.50
    ),
    "30 %, CV 25 %": lambda random: _step(Generated(_normal(random, 25)), 100, 1.30),
}
