"""A look at many series at once: which of their change points are worth an alert.

Owns that decision and the translation of a change into an alert. Imports the store and the gate's one statistic for
many hypotheses. Contract: a change is raised once. Its id follows from the value that confirmed it, which rows that
come later do not change; where earlier rows came in by a merge, a change in the same direction whose interval meets
that of a stored alert is that alert. What was raised is never withdrawn by a look.

False alarms over many series: the analysis gives each change the chance that a series of its length without any change
shows one as strong at any time. Over all series of one look, Benjamini and Hochberg's procedure at `RATE` decides which
of these chances are small enough: of the alerts raised at most this share is false, in expectation. A change that
its own series confirms but this does not is waiting: as nights go by its chance falls, or it is never raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.gate.statistics import discoveries
from harness.history.analysis import LEAST, Analysis, Change
from harness.history.stored import CellSeries, Coincidence, accuracy_series, cell_series, coincidences
from harness.store import Store
from harness.store.alerts import AlertRecord

#: What is watched of every cell, in the order in which it is told.
WATCHED = (
    "decode_tps",
    "prefill_tps",
    "peak_rss_bytes",
    "energy_joules_per_decode_token",
    "energy_joules_per_prefill_token",
)
#: Of the alerts of one look at most this share is false, in expectation.
RATE = 0.05


#: A change of a series as the alert that it would be.
_New = tuple[CellSeries, Change, AlertRecord]


@dataclass(frozen=True, slots=True)
class Seen:
    """A change of a series, as an alert.

    Attributes:
        alert: as it is, or would be, stored.
        causes: what changed with it.
    """

    alert: AlertRecord
    causes: tuple[Coincidence, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a machine's series found.

    Attributes:
        raised: new alerts, the surest first.
        waiting: changes that their own series confirms, but that are not sure enough among so many series.
        series: series that were looked at.
        short: series that are too short for a change to be seen; not among those.
    """

    raised: tuple[Seen, ...]
    waiting: tuple[Seen, ...]
    series: int
    short: int


def look(
    store: Store,
    machine_id: str,
    now: datetime,
    *,
    metrics: Sequence[str] = WATCHED,
    accuracy: bool = True,
    rate: float = RATE,
) -> Look:
    """Look at every series of a machine, and store the alerts that it is worth.

    Args:
        store: open for writing.
        machine_id: whose series.
        now: when the alerts are raised; aware.
        metrics: that are looked at.
        accuracy: look at divergence and tasks as well, which have no noise.
        rate: accepted share of false alerts among the raised ones.
    """
    known: dict[tuple[str, str], list[AlertRecord]] = {}
    for alert in store.alerts(machine_id):
        known.setdefault((alert.cell_id, alert.metric), []).append(alert)
    new: list[_New] = []
    certain: list[_New] = []
    chances: list[float] = []
    looked = short = 0
    cells = [cell for cell, _ in store.timed_cells(machine_id) if cell.source is None]
    for cell in cells:
        every = [*cell_series(store, cell.id, machine_id, metrics).values()]
        if accuracy:
            every += accuracy_series(store, cell.id, machine_id).values()
        for series in every:
            if not series.points:
                continue
            analysis = series.analysis()
            if series.asked is not None:
                if len(series.points) < 2:
                    short += 1
                    continue
                looked += 1
                certain += _unknown_of(series, analysis, known, now)
                continue
            if analysis.units < 2 * LEAST:
                short += 1
                continue
            looked += 1
            found = _unknown_of(series, analysis, known, now)
            new += found
            chances += [1 - alert.confidence for _, _, alert in found] or [1.0]
    # As many hypotheses as series at least: one without a new change has the chance 1.
    # What has no noise is no hypothesis: it moved.
    accepted = discoveries(sorted(chances), rate).count(True) + len(certain)
    ranked = sorted(certain, key=lambda one: one[2].id)
    ranked += sorted(new, key=lambda one: (1 - one[2].confidence, one[2].id))
    stored = {one.id for one in store.record_alerts([alert for _, _, alert in ranked[:accepted]])}
    seen = [
        (place, Seen(alert, tuple(coincidences(store, series, [change])[0])))
        for place, (series, change, alert) in enumerate(ranked)
        if place >= accepted or alert.id in stored
    ]
    return Look(
        raised=tuple(one for place, one in seen if place < accepted),
        waiting=tuple(one for place, one in seen if place >= accepted),
        series=looked,
        short=short,
    )


def _unknown_of(
    series: CellSeries,
    analysis: Analysis,
    known: Mapping[tuple[str, str], Sequence[AlertRecord]],
    now: datetime,
) -> list[_New]:
    """The changes of a series that no stored alert of it is of."""
    stored = known.get((series.cell_id, series.metric), [])
    return [(series, change, alert) for change, alert in _unknown(series, analysis, stored, now)]


def _unknown(
    series: CellSeries, analysis: Analysis, known: Sequence[AlertRecord], now: datetime
) -> list[tuple[Change, AlertRecord]]:
    """The changes of a series that no stored alert is of."""
    found = [(change, as_alert(series, change, now)) for change in analysis.changes]
    ids = {alert.id for _, alert in found}
    stored = {alert.id for alert in known}
    # An alert that is not found again by its id: earlier rows came in since, or the method is another one.
    loose = [alert for alert in known if alert.id not in ids]
    return [
        (change, alert)
        for change, alert in found
        if alert.id not in stored and not any(_meet(series, change, other) for other in loose)
    ]


def _meet(series: CellSeries, change: Change, other: AlertRecord) -> bool:
    """Whether a change may be what another alert is of: same direction, intervals with a session in common."""
    if change.direction != other.direction:
        return False
    places = {point.session_id: at for at, point in enumerate(series.points)}
    first, last = places.get(other.first_session_id), places.get(other.last_session_id)
    if first is None or last is None:
        return False
    return first <= series.point_of(change.last_row) and series.point_of(change.first_row) <= last


def as_alert(series: CellSeries, change: Change, now: datetime) -> AlertRecord:
    """A change as an alert that is raised now."""
    before, after = series.sides(change)
    first, last = series.bounds(change)
    confirmed = series.point_of(change.confirmed_row)
    session = series.points[confirmed].session_id
    # Where versions changed within a session, it has several points.
    own = [at for at, point in enumerate(series.points) if point.session_id == session]
    return AlertRecord(
        session_id=session,
        place=change.confirmed_row - series.series.index.index(own[0]),
        cell_id=series.cell_id,
        machine_id=series.machine_id,
        metric=series.metric,
        session_before_id=before.session_id,
        session_after_id=after.session_id,
        time_before=before.started_at,
        time_after=after.started_at,
        first_session_id=first.session_id,
        last_session_id=last.session_id,
        value_before=change.before,
        value_after=change.after,
        ratio=change.ratio,
        ratio_low=change.ratio_low,
        ratio_high=change.ratio_high,
        confidence=change.confidence,
        direction=change.direction,
        raised_at=now,
    )
