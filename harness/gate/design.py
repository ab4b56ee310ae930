"""How many pairs are taken, of which cells, and when the signs are looked at.

Owns the sequential design of one gate: a state machine that is fed with pairs and says which cells want another one.
Imports the gate's statistics only. Contract: no clock, no chance, no I/O; the live gate, replays and simulations drive
this same object, so what is proven of one holds for the others.

Two stages. The **screen** measures all cells; the number of its pairs follows from magnitudes alone
(`harness.gate.statistics`), so its one sign-flip test per metric is exact. Benjamini-Hochberg over all cells and
metrics selects suspects; the few most extreme ones are suspected as well, whatever their p-value, because with many
metrics the coarse p-values of few pairs would let a real change through. Nothing is decided here. The **confirmation**
takes fresh pairs of the suspects: the one-sided sign-flip test of the differences less the practical margin, at a few
looks that share the level (Bonferroni), so it holds whatever the earlier ones showed. A look may also end a hopeless
confirmation: that can only make alarms rarer.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from harness.gate.statistics import detectable, discoveries, sign_flip, spread

Cell = TypeVar("Cell", bound=Hashable)
Stage = Literal["screen", "confirm", "done"]
Direction = Literal["worse", "better"]

#: Degrees of freedom that the usual variance of a metric counts for beside a cell's own.
PRIOR = 4


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the design; ``benchmarks/gate_power.py`` shows what they give.

    Attributes:
        max_pairs: of one cell, both stages together.
        screen_min: pairs of the screen at least.
        rate: of false discoveries among the suspects of the screen.
        extremes: most extreme cells of each metric and direction that are suspected whatever their p-value, at least.
        extreme_share: the same as a share of the cells.
        looks: looks of the confirmation: fresh pairs until then, and the level.
        last_alpha: level of the look at the last pair that may be taken.
        hopeless: a look ends the confirmation of a change whose mean is less than this share of its margin.
        power: with which a wanted change should be seen.
    """

    max_pairs: int = 30
    screen_min: int = 6
    rate: float = 0.2
    extremes: int = 3
    extreme_share: float = 0.1
    looks: tuple[tuple[int, float], ...] = ((8, 0.004), (16, 0.006))
    last_alpha: float = 0.04
    hopeless: float = 0.5
    power: float = 0.95

    @property
    def screen_max(self) -> int:
        """Pairs of the screen at most: the confirmation needs the most of them."""
        return max(self.screen_min, self.max_pairs // 4)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one metric is judged by, on the scale of worsening logarithms.

    Attributes:
        worse: margin of a regression, below 0.
        better: margin of an improvement, above 0.
        wanted: size of the change that should be seen, above 0.
    """

    worse: float
    better: float
    wanted: float


@dataclass(slots=True)
class Track:
    """One metric of one cell.

    Attributes:
        limits: what it is judged by.
        screen: log ratios of the screening pairs, below 0 where head is worse.
        confirm: the same of the fresh pairs.
        p_value: of the screen, None before it ended, or where no pair has the metric.
        suspected: in which direction, None: in neither.
        confirmed: whether the change is confirmed; None: not decided, or never suspected.
        confirm_p: of the look that decided.
    """

    limits: Limits
    screen: list[float] = field(default_factory=list)
    confirm: list[float] = field(default_factory=list)
    p_value: float | None = None
    suspected: Direction | None = None
    confirmed: bool | None = None
    confirm_p: float | None = None

    @property
    def mean(self) -> float | None:
        """Mean log ratio: of the fresh pairs where there are any, else of the screen (which selected it: biased)."""
        values = self.confirm or self.screen
        return statistics.fmean(values) if values else None

    def shifted(self) -> list[float]:
        """The fresh differences as distances beyond the margin: centred below 0 where the change is beyond it."""
        if self.suspected == "better":
            return [self.limits.better - one for one in self.confirm]
        return [one - self.limits.worse for one in self.confirm]


class Design(Generic[Cell]):
    """The design of one gate.

    Args:
        cells: the metrics of each cell with their limits.
        rules: the numbers.
    """

    def __init__(self, cells: Mapping[Cell, Mapping[str, Limits]], rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.tracks = {
            cell: {name: Track(limits) for name, limits in metrics.items()} for cell, metrics in cells.items()
        }
        self.stage: Stage = "screen"
        self._pairs = dict.fromkeys(self.tracks, 0)
        self._given_up: set[Cell] = set()
        if not self.tracks:
            self.stage = "done"

    # -- feeding ------------------------------------------------------------------------------------------------------

    def wanted(self) -> list[Cell]:
        """Cells that want another pair now, in their order; empty: the gate has ended."""
        while self.stage != "done":
            cells = [cell for cell in self.tracks if self._wants(cell)]
            if cells:
                return cells
            self._next_stage()
        return []

    def add(self, cell: Cell, differences: Mapping[str, float]) -> None:
        """One more pair of a cell: its log ratio of each metric that both sides have."""
        fresh = self.stage == "confirm"
        self._pairs[cell] += 1
        for name, difference in differences.items():
            track = self.tracks[cell][name]
            (track.confirm if fresh else track.screen).append(difference)
        if fresh:
            self._look(cell)

    def give_up(self, cell: Cell) -> None:
        """No more pairs can be had of a cell: what it has is judged."""
        self._given_up.add(cell)

    def pairs(self, cell: Cell) -> int:
        """Pairs taken of a cell."""
        return self._pairs[cell]

    def _all(self) -> Iterator[Track]:
        return itertools.chain.from_iterable(metrics.values() for metrics in self.tracks.values())

    # -- the screen ---------------------------------------------------------------------------------------------------

    def _ended(self, cell: Cell) -> bool:
        return cell in self._given_up or self._pairs[cell] >= self.rules.max_pairs

    def _wants(self, cell: Cell) -> bool:
        if self._ended(cell):
            return False
        if self.stage == "confirm":
            return any(self._open(track) for track in self.tracks[cell].values())
        taken = self._pairs[cell]
        if taken < self.rules.screen_min:
            return True
        return taken < self.rules.screen_max and any(
            track.screen and self.detectable(track) > track.limits.wanted
            for track in self.tracks[cell].values()
        )

    def detectable(self, track: Track) -> float:
        """The smallest change that the screen's pairs of a metric show with the wanted power, as a log ratio.

        At the level of the most extreme of all metrics: what a single changed metric has to pass.
        """
        count = sum(len(metrics) for metrics in self.tracks.values())
        # One of the most extreme is suspected whatever its p-value: its level is then their share of all.
        level = min(1.0, max(self.rules.rate, 2.0 * self._extremes()) / max(1, count))
        return detectable(spread(track.screen), len(track.screen), min(level, 0.2), self.rules.power)

    def _next_stage(self) -> None:
        if self.stage == "confirm":
            self._last_looks()
            self.stage = "done"
            return
        tested = [track for track in self._all() if track.screen]
        for track in tested:
            track.p_value = sign_flip(track.screen)
        found = discoveries([track.p_value or 0.0 for track in tested], self.rules.rate)
        for track, discovered in zip(tested, found, strict=True):
            if discovered:
                self._suspect(track)
        self._suspect_extremes()
        self.stage = "confirm" if any(track.suspected for track in self._all()) else "done"

    def _extremes(self) -> int:
        return max(self.rules.extremes, math.ceil(self.rules.extreme_share * len(self.tracks)))

    @staticmethod
    def _suspect(track: Track) -> None:
        mean = math.fsum(track.screen)
        if mean != 0.0:
            track.suspected = "worse" if mean < 0.0 else "better"

    def _suspect_extremes(self) -> None:
        """The most extreme of each metric's name that lie beyond half their margin: the rest cannot be confirmed."""
        names = dict.fromkeys(name for metrics in self.tracks.values() for name in metrics)
        for name in names:
            tracks = [
                metrics[name] for metrics in self.tracks.values() if name in metrics and metrics[name].screen
            ]
            usual = statistics.median_high(_variance(track) for track in tracks) if tracks else 0.0
            for worse in (True, False):
                beyond = [
                    track
                    for track in tracks
                    if track.suspected is None
                    and track.mean is not None
                    and (
                        track.mean < track.limits.worse / 2 if worse else track.mean > track.limits.better / 2
                    )
                ]
                beyond.sort(key=lambda track: _studentised(track, usual), reverse=True)
                for track in beyond[: self._extremes()]:
                    self._suspect(track)

    # -- the confirmation ---------------------------------------------------------------------------------------------

    @staticmethod
    def _open(track: Track) -> bool:
        return track.suspected is not None and track.confirmed is None

    def _look(self, cell: Cell) -> None:
        """After each fresh pair: at the looks' numbers of pairs, and at the last pair that may be taken."""
        levels = dict(self.rules.looks)
        ended = self._ended(cell)
        for track in self.tracks[cell].values():
            if self._open(track) and (ended or len(track.confirm) in levels):
                self._decide(
                    track, self._last_level(track) if ended else levels[len(track.confirm)], last=ended
                )

    def _last_level(self, track: Track) -> float:
        """The level of looks that were never taken is the last one's too."""
        missed = [alpha for pairs, alpha in self.rules.looks if pairs >= len(track.confirm)]
        return self.rules.last_alpha + sum(missed)

    def _last_looks(self) -> None:
        """Metrics whose pairs ended before they were all taken."""
        for track in self._all():
            if self._open(track):
                self._decide(track, self._last_level(track), last=True)

    def _decide(self, track: Track, alpha: float, *, last: bool) -> None:
        if not track.confirm:
            track.confirmed = False
            return
        p_value = sign_flip(track.shifted(), "below")
        if p_value <= alpha or last or self._hopeless(track):
            track.confirmed, track.confirm_p = p_value <= alpha, p_value

    def _hopeless(self, track: Track) -> bool:
        mean = statistics.fmean(track.confirm)
        if track.suspected == "worse":
            return mean > self.rules.hopeless * track.limits.worse
        return mean < self.rules.hopeless * track.limits.better


def _variance(track: Track) -> float:
    """Of the screen's pairs; of a single one 0."""
    return statistics.variance(track.screen) if len(track.screen) > 1 else 0.0


def _studentised(track: Track, usual: float) -> float:
    """Size of the mean in standard errors; the variance of few pairs is drawn towards the usual one (Smyth 2004)."""
    count = len(track.screen)
    freedom = count - 1
    variance = (PRIOR * usual + freedom * _variance(track)) / (PRIOR + freedom)
    mean = abs(statistics.fmean(track.screen))
    return math.inf if variance == 0.0 else mean / math.sqrt(variance / count)
