"""A cell's series out of the results database, its changes, and which versions changed with them.

Owns the way from stored sessions to the arrays of the analysis and back. Imports the store; of this room it alone does.
Contract: a row is one run's value, the runs of a session with one version of the framework are repeats (sessions are
builds), and only runs that the comparison table counts are in it. Nothing is filled where a session has no value. The
sessions of a gate are left out: what somebody only tried there, perhaps many times, is no step of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from harness.history.analysis import Analysis, Change, change_points
from harness.history.csv_file import Series
from harness.history.exact import exact_changes
from harness.store import Store
from harness.store.history import HistoryPoint
from harness.store.versions import VersionChange, differences


@dataclass(frozen=True, slots=True)
class CellSeries:
    """One metric of one cell on one machine.

    Attributes:
        cell_id: the cell.
        machine_id: the machine.
        metric: its name.
        series: ready for the analysis; ``index`` is the number of a row's point below.
        points: what the sessions say, in the order of time; those without a value of the metric are left out.
        holes: points that were left out.
        asked: of accuracy, which has no noise: what each point was asked; None of a figure that varies.
    """

    cell_id: str
    machine_id: str
    metric: str
    series: Series
    points: tuple[HistoryPoint, ...]
    holes: int
    asked: tuple[str, ...] | None = None

    def analysis(self) -> Analysis:
        """Its change points."""
        if self.asked is not None:
            return exact_changes(self.metric, [float(one) for one in self.series.values], self.asked)
        return change_points(self.series.values, self.series.repeats)

    def point_of(self, row: int) -> int:
        """The number of the point that a row belongs to."""
        return int(self.series.index[row])

    def told(self) -> list[dict[str, str]]:
        """Of each row, for a plot: its session, the framework's version, and how many runs the session counts."""
        points = [self.points[self.point_of(row)] for row in range(len(self.series.values))]
        return [
            {"session": one.session_id, "version": one.framework_version or "not told", "runs": str(one.runs)}
            for one in points
        ]

    def sides(self, change: Change) -> tuple[HistoryPoint, HistoryPoint]:
        """The last point before a change and the first one behind it."""
        at = self.point_of(change.row)
        return self.points[at], self.points[at + 1]

    def bounds(self, change: Change) -> tuple[HistoryPoint, HistoryPoint]:
        """The first and the last point that may be the last one before a change, 95 %."""
        return self.points[self.point_of(change.first_row)], self.points[self.point_of(change.last_row)]


def cell_series(store: Store, cell_id: str, machine_id: str, metrics: Sequence[str]) -> dict[str, CellSeries]:
    """The series of some metrics; one without any value is empty.

    Raises:
        LookupError: no such cell.
    """
    points = store.history(cell_id, machine_id, metrics, tried=False)
    return {metric: _series(cell_id, machine_id, metric, points) for metric in metrics}


def accuracy_series(store: Store, cell_id: str, machine_id: str) -> dict[str, CellSeries]:
    """The series of a cell's accuracy, by ``kld_mean`` and ``task metric``; those without a value are left out."""
    found = {}
    for metric, told in store.accuracy_history(cell_id, machine_id).items():
        points = [
            HistoryPoint(
                one.session_id,
                one.started_at,
                one.framework_version,
                1,
                0,
                {metric: one.value},
                {metric: (one.value,)},
            )
            for one in told
        ]
        series = _series(cell_id, machine_id, metric, points)
        found[metric] = replace(series, asked=tuple(one.asked for one in told))
    return found


def _series(cell_id: str, machine_id: str, metric: str, points: Sequence[HistoryPoint]) -> CellSeries:
    kept = tuple(point for point in points if point.of_runs[metric])
    rows = [(at, value) for at, point in enumerate(kept) for value in point.of_runs[metric]]
    return CellSeries(
        cell_id=cell_id,
        machine_id=machine_id,
        metric=metric,
        series=Series(
            index=tuple(at for at, _ in rows),
            values=np.array([value for _, value in rows], dtype=np.float64),
            builds=None,  # an index stands for a session and version
            times=tuple(time_text(kept[at].started_at) for at, _ in rows),
            left_out=0,
        ),
        points=kept,
        holes=len(points) - len(kept),
    )


def time_text(time: datetime | None) -> str:
    """A time for a person; imported sessions may tell none."""
    return "no time told" if time is None else f"{time:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Something that changed where a series did.

    Attributes:
        what: the change of a version.
        session_id: the first session with the new one.
        at_place: it changed right where the series most probably did; False: somewhere in the interval.
    """

    what: VersionChange
    session_id: str
    at_place: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self.what._asdict(), "session_id": self.session_id, "at_place": self.at_place}


def coincidences(store: Store, series: CellSeries, changes: Sequence[Change]) -> list[list[Coincidence]]:
    """For each change all that changed between two sessions of its interval, its most probable place first."""
    spans = [
        range(series.point_of(change.first_row), series.point_of(change.last_row) + 2) for change in changes
    ]
    needed = sorted({series.points[at].session_id for span in spans for at in span})
    around = store.surroundings(series.cell_id, needed)
    found = []
    for change, span in zip(changes, spans, strict=True):
        place = series.point_of(change.row)
        of_change = []
        for before, after in pairwise(span):
            first, second = series.points[before], series.points[after]
            of_change += [
                Coincidence(what, second.session_id, before == place)
                for what in differences(
                    around.get((first.session_id, first.framework_version), {}),
                    around.get((second.session_id, second.framework_version), {}),
                )
            ]
        found.append(sorted(of_change, key=lambda one: not one.at_place))
    return found
