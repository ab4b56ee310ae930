"""Change points of one series, found in the order in which its values came.

Owns the analysis. Contract: what is said of the first n rows depends on them alone, and the answer for more rows keeps
it. A change point once confirmed stays, moves within its interval only, and the interval only becomes narrower.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.history.ranks import RankScan, two_sided
from harness.history.sizes import level_of, ratio_interval
from harness.history.steps import Step, fit_step

Floats = NDArray[np.float64]
Direction = Literal["up", "down"]

#: Units that must lie on both sides of a change: fewer may be a passing disturbance.
LEAST = 5
#: Accepted of the chance that any look so far shows a change as strong where there is none.
FALSE_ALARM = 0.01
#: No confidence is higher than 1 less this: the model of the noise is not surer than that.
_LEAST_CHANCE = 1e-6
#: Looks that count as independent, for each unit; by simulation (`benchmarks/change_points.py`).
_LOOKS_PER_UNIT = 3.0
#: A standardised score below it cannot be significant, whatever the sizes of the two sides.
_SCREEN = 3.2
#: After a fit that found no step, the next one waits for this share of the window's units, and one.
_RESTS = 50
#: Units that are compared at once; when there are more, the older half of them is left out.
_WINDOW = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A confirmed step from one level to another.

    Attributes:
        row: the last row before it, counted from 0.
        first_row, last_row: bounds of ``row``, 95 %.
        before, after: levels of the stretches before and after it, up to the neighbouring changes.
        ratio: after / before; None where one is 0 or their signs differ, or a double cannot hold it.
        ratio_low, ratio_high: bounds of the ratio, 95 %; None likewise.
        direction: up or down, as it was confirmed: rows that come later do not turn it.
        confidence: 1 less the chance that a series of this length without a change shows one this strong.
        confirmed_row: the row with which it was confirmed.
    """

    row: int
    first_row: int
    last_row: int
    before: float
    after: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    direction: Direction
    confidence: float
    confirmed_row: int


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch without a change: its first and last row, and its level."""

    first_row: int
    last_row: int
    value: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a series shows.

    Attributes:
        changes: in order.
        levels: the stretches between them, one more than changes; none for an empty series.
        units: what was compared: rows, or builds where rows are repeats.
        note: why nothing can be said, or None.
    """

    changes: tuple[Change, ...]
    levels: tuple[Level, ...]
    units: int
    note: str | None


@dataclass(slots=True)
class _Found:
    """A change while rows are still coming; places are counts of units before it."""

    before: int
    first: int
    last: int
    start: int
    chance: float
    direction: Direction
    confirmed_unit: int
    confirmed_row: int
    look_again: int


def change_points(values: Sequence[float] | Floats, repeats: Sequence[Hashable] | None = None) -> Analysis:
    """Find the change points of a series.

    Args:
        values: in the order in which they were measured; finite.
        repeats: for each value what it is a repeat of (its build). Consecutive values with equal entries are repeats:
            their median is one unit, so that the spread between builds, not the one within them, is the error term.

    Raises:
        ValueError: a value is not finite, or the two differ in length.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 1 or not np.all(np.isfinite(rows)):
        raise ValueError("values must be finite numbers in one dimension")
    if repeats is not None and len(repeats) != len(rows):
        raise ValueError(f"{len(rows)} values, but {len(repeats)} entries that say what they are repeats of")
    scan = _Scan()
    # Hundreds of orders of magnitude apart, values overflow to infinity, which is then no ratio.
    with np.errstate(over="ignore", invalid="ignore"):
        for row, value in enumerate(rows):
            new = row == 0 or repeats is None or repeats[row] != repeats[row - 1]
            scan.take(float(value), row, new_unit=new)
        return scan.analysis(len(rows))


class _Scan:
    """Rows come, change points are found."""

    def __init__(self) -> None:
        self._units: list[float] = []
        self._first_rows: list[int] = []
        self._repeats: list[float] = []  # of the newest unit, sorted
        self._found: list[_Found] = []
        self._start = 0  # of the window: a number of a unit
        self._window = RankScan(np.empty(0))
        self._rest_until = 0  # a number of units: no step is fitted before

    def take(self, value: float, row: int, *, new_unit: bool) -> None:
        if new_unit:
            self._repeats = [value]
            self._units.append(value)
            self._first_rows.append(row)
            self._window.append(value)
            if len(self._window) > _WINDOW:
                self._restart(len(self._units) - _WINDOW // 2)
            self._look_again()
        else:
            insort(self._repeats, value)
            half = len(self._repeats) // 2
            odd = len(self._repeats) % 2
            median = self._repeats[half] if odd else (self._repeats[half - 1] + self._repeats[half]) / 2
            if median == self._units[-1]:
                return
            self._units[-1] = median
            self._window.replace_last(median)
        self._test(row)

    def _restart(self, start: int) -> None:
        self._start = start
        self._window = RankScan(np.asarray(self._units[start:]))
        self._rest_until = 0

    def _test(self, row: int) -> None:
        split, standardised = self._window.best_split(LEAST)
        n, units = len(self._window), len(self._units)
        if abs(standardised) < _SCREEN or units < self._rest_until:
            return
        chance = two_sided(self._window.score(split), split, n - split)
        if self._of_series(chance) > FALSE_ALARM:
            return
        step = fit_step(self._window.values, split, LEAST)
        chance = self._of_series(max(chance, step.chance)) if step is not None else 1.0
        if step is None or not step.is_step or chance > FALSE_ALARM:
            # Drift and slow noise pass for a change by ranks at every row: they are not worth a fit each time.
            self._rest_until = units + 1 + n // _RESTS
            return
        # Ranks may show a large step before enough units follow it: then it lies behind every place that is allowed.
        anywhere = fit_step(self._window.values, split, 1) or step
        self._found.append(
            _Found(
                before=self._start + step.before,
                first=self._start + min(step.first, anywhere.first),
                last=self._start + max(step.last, anywhere.last),
                start=self._start,
                chance=chance,
                direction="up" if self._window.score(split) > 0 else "down",
                confirmed_unit=units,
                confirmed_row=row,
                look_again=units + 1,
            )
        )
        self._restart(self._found[-1].before)

    def _of_series(self, chance: float) -> float:
        """The chance that any look at a series as long as this one gives so small a chance."""
        return min(1.0, _LEAST_CHANCE + chance * _LOOKS_PER_UNIT * len(self._units))

    def _look_again(self) -> None:
        """See the newest change more sharply now that more follows it, 1, 2, 4, 8, ... units later."""
        if not self._found or len(self._units) != self._found[-1].look_again:
            return
        found = self._found[-1]
        found.look_again += found.look_again - found.confirmed_unit
        end = min(len(self._units), found.before + _WINDOW // 2)
        window = np.asarray(self._units[found.start : end])
        split = found.before - found.start
        step = fit_step(window, split, 1, (found.first - found.start, found.last - found.start))
        if step is None:
            return
        moved = step.before != split
        found.before = found.start + step.before
        found.first = max(found.first, found.start + step.first)
        found.last = min(found.last, found.start + step.last)
        found.chance = min(found.chance, self._chance_at(window, step))
        if moved:
            self._restart(found.before)

    def _chance_at(self, window: Floats, step: Step) -> float:
        first, second = window[: step.before], window[step.before :]
        ordered = np.sort(first)
        smaller = np.searchsorted(ordered, second, side="left").sum()
        larger = (len(first) - np.searchsorted(ordered, second, side="right")).sum()
        chance = two_sided(float(smaller - larger), len(first), len(second))
        return self._of_series(max(chance, step.chance))

    def analysis(self, rows: int) -> Analysis:
        units = np.asarray(self._units)
        edges = [0, *(found.before for found in self._found), len(units)]
        stretches = [units[a:b] for a, b in pairwise(edges)] if rows else []
        levels = [level_of(stretch) for stretch in stretches]
        starts = [*self._first_rows, rows]
        return Analysis(
            changes=tuple(
                self._change(found, levels[at : at + 2], stretches[at : at + 2])
                for at, found in enumerate(self._found)
            ),
            levels=tuple(
                Level(starts[a], starts[b] - 1, level)
                for a, b, level in zip(edges, edges[1:], levels, strict=False)
            ),
            units=len(units),
            note=_note(len(units), rows),
        )

    def _change(self, found: _Found, levels: list[float], stretches: list[Floats]) -> Change:
        before, after = levels
        ratio = low = high = None
        if before > 0 < after or before < 0 > after:
            ratio = _finite(after / before)
            low, high = (_finite(bound) for bound in ratio_interval(*stretches))
        return Change(
            row=self._first_rows[found.before] - 1,
            first_row=self._first_rows[found.first] - 1,
            last_row=self._first_rows[found.last] - 1,
            before=before,
            after=after,
            ratio=ratio,
            ratio_low=low,
            ratio_high=high,
            direction=found.direction,
            confidence=1 - found.chance,
            confirmed_row=found.confirmed_row,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _note(units: int, rows: int) -> str | None:
    if units >= 2 * LEAST:
        return None
    what = "rows" if units == rows else "builds"
    return f"{units} {what} are too few: a change needs at least {LEAST} on both sides"
