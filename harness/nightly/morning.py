"""The morning report: what moved, since when, how sure, and what changed with it; what was measured, and what failed.

Owns the report's content and its two forms, Markdown and JSON. Imports the store. Contract: made from what is stored
and from the night's own account; the same night gives the same text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.history.alerts import WATCHED, Seen
from harness.history.stored import time_text
from harness.history.words import moved, sureness, worth
from harness.nightly.night import Night
from harness.runner.front import cell_of
from harness.runner.progress import duration_text
from harness.safe_text import printable
from harness.store import Store
from harness.store.alerts import AlertRecord
from harness.store.facts import CellFacts, SessionFacts
from harness.table.render_markdown import escape

#: Changes of versions that are told beside one alert; --json has all.
_TOLD_CAUSES = 4
#: Rows of one list.
_TOLD = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one cell ended.

    Attributes:
        cell_id: the cell.
        name: for people.
        status: ``measured``, ``partly`` (some of its runs), ``failed``, ``no room`` (in the budget), ``not here``.
        suspect: timed runs that something may have spoiled.
        reason: why it is not measured, or not wholly.
    """

    cell_id: str
    name: str
    status: str
    suspect: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Morning:
    """A night for people and programs.

    Attributes:
        night: the night.
        machine: name of the machine.
        suite: name of the suite.
        outcomes: of every cell, in the plan's order; those that were left out last.
        still_open: alerts of earlier nights that are not resolved.
        names: cell id -> name, of every cell that is told of.
    """

    night: Night
    machine: str
    suite: str
    outcomes: tuple[Outcome, ...]
    still_open: tuple[AlertRecord, ...]
    names: Mapping[str, str]

    @property
    def failed(self) -> bool:
        """Whether something that was to be measured has no figures because it failed."""
        return bool(self.night.failures) or any(one.status == "failed" for one in self.outcomes)

    def counts(self) -> dict[str, int]:
        """Cells by how they ended."""
        return dict(Counter(one.status for one in self.outcomes))

    # -- for programs ---------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        night = self.night
        return {
            "machine": {"id": night.machine_id, "name": self.machine},
            "suite": self.suite,
            "began": night.began.isoformat(),
            "ended": night.ended.isoformat(),
            "sessions": night.sessions,
            "resumed": night.resumed,
            "raised": [self._seen_json(one) for one in night.look.raised],
            "waiting": [self._seen_json(one) for one in night.look.waiting],
            "open": [one.id for one in self.still_open],
            "series": night.look.series,
            "short_series": night.look.short,
            "coverage": self.counts(),
            "cells": [
                {
                    "id": one.cell_id,
                    "name": one.name,
                    "status": one.status,
                    "suspect": one.suspect,
                    "reason": one.reason,
                }
                for one in self.outcomes
            ],
            "failures": dict(night.failures),
            "upgrade": None if night.upgrade is None else asdict(night.upgrade),
            "cooling": night.cooled.as_json(),
            "notes": list(night.notes),
        }

    def _seen_json(self, seen: Seen) -> dict[str, Any]:
        alert = seen.alert
        return {
            "alert": alert.id,
            "cell": {"id": alert.cell_id, "name": self.names[alert.cell_id]},
            "metric": alert.metric,
            "direction": alert.direction,
            "worth": worth(alert.metric, alert.direction),
            "before": alert.value_before,
            "after": alert.value_after,
            "ratio": alert.ratio,
            "ratio_interval": None if alert.ratio is None else [alert.ratio_low, alert.ratio_high],
            "confidence": alert.confidence,
            "session_before": alert.session_before_id,
            "session_after": alert.session_after_id,
            "session_interval": [alert.first_session_id, alert.last_session_id],
            "changed": [one.as_json() for one in seen.causes],
        }

    # -- for people -----------------------------------------------------------------------------------------------

    def markdown(self) -> str:
        """The report as Markdown, which a terminal shows well enough."""
        night = self.night
        lines = [
            f"# Night of {night.began:%Y-%m-%d}: {_cell(self.suite)} on {_cell(self.machine)}",
            "",
            self._summary(),
            "",
            "## What moved",
            "",
            *self._moved(),
        ]
        if night.look.waiting:
            lines += ["", "## Not sure enough yet", "", *self._waiting()]
        if self.still_open:
            lines += ["", "## Alerts of earlier nights that are not resolved", "", *self._open()]
        if night.upgrade is not None:
            lines += ["", "## Newest releases", "", *self._upgrade()]
        lines += ["", "## Coverage", "", *self._coverage()]
        failures = self._failures()
        if failures:
            lines += ["", "## Failures", "", *failures]
        return "\n".join(lines) + "\n"

    def _summary(self) -> str:
        raised = self.night.look.raised
        by_worth = Counter(worth(one.alert.metric, one.alert.direction) for one in raised)
        alerts = ", ".join(f"{count} {word}" for word, count in sorted(by_worth.items()) if word != "neither")
        what = f"{len(raised)} new alert{'' if len(raised) == 1 else 's'}" + (
            f" ({alerts})" if alerts else ""
        )
        ended = ", ".join(f"{count} {status}" for status, count in self.counts().items()) or "none"
        took = duration_text((self.night.ended - self.night.began).total_seconds())
        return (
            f"**{what}.** Cells: {ended}. {took}, from {self.night.began:%H:%M} to {self.night.ended:%H:%M} UTC; "
            f"session{'' if len(self.night.sessions) == 1 else 's'} {', '.join(self.night.sessions) or 'none'}."
        )

    def _moved(self) -> list[str]:
        look = self.night.look
        raised = [
            [
                self.names[one.alert.cell_id],
                one.alert.metric,
                self._how_far(one.alert),
                self._since(one.alert),
                sureness(one.alert.confidence),
                _causes(one),
                one.alert.id,
            ]
            for one in look.raised
        ]
        if raised:
            return _table(
                ["cell", "metric", "moved", "since", "how sure", "changed with it", "alert"], raised
            )
        short = f"; {look.short} more are too short for one" if look.short else ""
        watched = f"{', '.join(WATCHED)}, divergence and tasks"
        return [f"Nothing new: no change in {look.series} series ({watched}){short}."]

    def _how_far(self, alert: AlertRecord) -> str:
        word = worth(alert.metric, alert.direction)
        return moved(alert.metric, alert.value_before, alert.value_after, alert.ratio) + (
            "" if word == "neither" else f", {word}"
        )

    def _since(self, alert: AlertRecord) -> str:
        text = f"{time_text(alert.time_after)} (session {alert.session_after_id})"
        if alert.first_session_id != alert.last_session_id:
            text += f"; the last one before it is {alert.first_session_id} to {alert.last_session_id}"
        return text

    def _waiting(self) -> list[str]:
        rows = [
            [
                self.names[one.alert.cell_id],
                one.alert.metric,
                self._how_far(one.alert),
                time_text(one.alert.time_after),
                sureness(one.alert.confidence),
            ]
            for one in self.night.look.waiting
        ]
        return [
            f"Sure enough for a series alone, not among {self.night.look.series}. No alert yet.",
            "",
            *_table(["cell", "metric", "moved", "since", "how sure"], rows),
        ]

    def _open(self) -> list[str]:
        rows = [
            [one.id, one.state, self.names[one.cell_id], one.metric, self._how_far(one), one.note or ""]
            for one in self.still_open
        ]
        return _table(["alert", "state", "cell", "metric", "moved", "note"], rows)

    def _upgrade(self) -> list[str]:
        upgrade = self.night.upgrade
        assert upgrade is not None
        lines = [f"- {_cell(one)}" for one in upgrade.used] + [
            f"- failed: {_cell(one)}" for one in upgrade.failed
        ]
        return lines or ["Every pin is the newest release."]

    def _coverage(self) -> list[str]:
        lines = []
        suspect = sum(one.suspect for one in self.outcomes)
        for status in ("measured", "partly", "no room", "not here"):
            some = [one for one in self.outcomes if one.status == status]
            if not some:
                continue
            lines.append(f"- {status}: {len(some)} cells" if len(some) > 1 else f"- {status}: 1 cell")
            if status != "measured":
                reasons = Counter(one.reason or "no reason told" for one in some)
                lines += [f"  - {count}: {_cell(reason)}" for reason, count in reasons.most_common(_TOLD)]
        if suspect:
            lines.append(f"- {suspect} timed runs are suspect and in no figure")
        cooled = self.night.cooled
        if cooled.unreadable:
            lines.append("- no temperature can be read here: nothing was waited for between runs")
        elif cooled.waits:
            lines.append(
                f"- waited {cooled.waits} times for the machine to cool down, {duration_text(cooled.seconds)} in all; "
                f"{cooled.still_hot} times it was still hot afterwards"
            )
        lines += [f"- {_cell(one)}" for one in self.night.notes]
        return lines or ["Nothing was measured."]

    def _failures(self) -> list[str]:
        known = {one.name: one.reason or "no reason told" for one in self.outcomes if one.status == "failed"}
        found = {**known, **self.night.failures}
        lines = [f"- {_cell(name)}: {_cell(reason)}" for name, reason in sorted(found.items())]
        more = len(lines) - _TOLD
        return lines[:_TOLD] + ([f"- and {more} more"] if more > 0 else [])


def _causes(seen: Seen) -> str:
    if not seen.causes:
        return "nothing that is stored"
    told = [
        str(one.what) + ("" if one.at_place else f" (perhaps, with session {one.session_id})")
        for one in seen.causes[:_TOLD_CAUSES]
    ]
    more = len(seen.causes) - _TOLD_CAUSES
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _cell(text: str) -> str:
    """Words of files and frameworks in a line or a table's cell."""
    return escape(printable(" ".join(text.split())))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in rows[:_TOLD]]
    if len(rows) > _TOLD:
        lines += ["", f"and {len(rows) - _TOLD} more"]
    return lines


def morning(night: Night, store: Store, suite: str) -> Morning:
    """The report of a night.

    Args:
        night: what became of it.
        store: the database.
        suite: name of the suite.
    """
    facts = [store.session_facts(one) for one in night.sessions]
    outcomes: dict[str, Outcome] = {}
    for session in facts:
        for cell in session.cells:
            outcomes[cell.cell.id] = outcome_of(cell)
    raised = {one.alert.id for one in night.look.raised}
    still_open = [
        one for one in store.alerts(night.machine_id, ["open", "acknowledged"]) if one.id not in raised
    ]
    told = {one.alert.cell_id for one in (*night.look.raised, *night.look.waiting)}
    told |= {one.cell_id for one in still_open}
    names = {cell_id: cell_of(record).name for cell_id, record in store.cells(told).items()}
    for one in _left_out(night, facts):
        outcomes.setdefault(one.cell_id, one)
    return Morning(
        night=night,
        machine=store.describe("machine", night.machine_id)["name"],
        suite=suite,
        outcomes=tuple(outcomes.values()),
        still_open=tuple(still_open),
        names=names,
    )


def _left_out(night: Night, facts: Sequence[SessionFacts]) -> list[Outcome]:
    """What had no room when it was planned: this night, or when the session that was taken up was planned."""
    chosen = {} if night.choice is None else night.choice.left_out
    found = [
        Outcome(cell_id, night.names[cell_id], "no room", 0, reason) for cell_id, reason in chosen.items()
    ]
    for session in facts:
        found += [
            Outcome(one["cell_id"], one["name"], "no room", 0, one["reason"])
            for one in (session.settings.get("nightly") or {}).get("left_out") or ()
        ]
    return found


def outcome_of(cell: CellFacts) -> Outcome:
    """How one cell of a session ended."""
    name = cell_of(cell.cell).name
    if cell.reason is not None:
        return Outcome(cell.cell.id, name, "not here", 0, cell.reason)
    runs = cell.timed()
    ok = [run for run in runs if run.status == "ok"]
    failed = [run for run in runs if run.status not in ("ok", "skipped")]
    skipped = [run for run in runs if run.status == "skipped"]
    suspect = sum(run.validity == "suspect" for run in ok)
    if failed:
        return Outcome(cell.cell.id, name, "failed", suspect, failed[0].reason)
    if skipped or not runs:
        reason = skipped[0].reason if skipped else "it has no timed run"
        return Outcome(cell.cell.id, name, "partly" if ok else "no room", suspect, reason)
    return Outcome(cell.cell.id, name, "measured", suspect, None)
