"""Head's stored session against a stored baseline: the verdicts, cell by cell.

Owns what a cell is compared with. Imports the store's history, whose figures are the table's. Contract: what a cell is
compared with was measured on this machine, with one version of its framework, built one way and with one number of
threads: nothing is mixed; where the words cover several versions the cell is inconclusive and says which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.gate import accuracy
from harness.gate.between import Comparison, compare, judge
from harness.gate.confirming import Look, Second, doubts
from harness.gate.design import Rules
from harness.gate.metrics import GateMetric
from harness.gate.stored import StoredRuns
from harness.gate.verdict import Verdict
from harness.store import Store
from harness.store.facts import CellFacts
from harness.store.history import HistoryPoint
from harness.suite import Cell, PlannedCell
from harness.table.metrics import METRICS

#: Newest stored sessions that are looked through for a cell's score.
LOOK_BACK = 5


class Judging:
    """Makes the rows of head's stored session.

    Args:
        store: where it is.
        stored: the baseline.
        session_id: the session.
        metrics: what is judged.
        rules: for what a paired gate would have found.
        other: head's other session, None: there is none.
    """

    def __init__(
        self,
        store: Store,
        stored: StoredRuns,
        session_id: str,
        metrics: Mapping[str, GateMetric],
        rules: Rules,
        other: str | None = None,
    ) -> None:
        self._stored = stored
        self.session_id = session_id
        self._heads = {session_id, other}
        self._metrics = metrics
        self._rules = rules
        self._threads = stored.build(session_id)[1]
        self._head = {one.cell.id: one for one in store.session_facts(session_id).cells}
        self._named = stored.baseline.session
        #: Base and head of each cell whose accuracy is judged, by its id.
        self._sides: dict[str, tuple[CellFacts | None, CellFacts]] = {}

    def rows(
        self, cells: Sequence[PlannedCell], seconds: Mapping[str, Second] | None = None
    ) -> list[dict[str, Any]]:
        """All verdicts, cell by cell.

        Args:
            cells: the plan.
            seconds: second looks at accuracy by the id of the cell.
        """
        again = seconds or {}
        of_cells: list[tuple[PlannedCell, list[dict[str, Any]]]] = []
        open_: list[tuple[dict[str, Any], Comparison, GateMetric]] = []
        self._sides.clear()
        for planned in cells:
            found, compared = self._cell(planned)
            of_cells.append((planned, found))
            open_ += compared
        looks = [again.get(cell_id) for cell_id in self._sides]
        found_exact = accuracy.of_cells([*self._sides.values()], self._metrics, looks)
        exact = dict(zip(self._sides, found_exact, strict=True))
        rows: list[dict[str, Any]] = []
        for planned, found in of_cells:
            rows += [*found, *_exact_rows(planned.cell, exact.get(planned.cell.id, {}))]
        findings = judge([(one, metric) for _, one, metric in open_], self._rules)
        for (row, _, _), finding in zip(open_, findings, strict=True):
            row.update(
                verdict=finding.word,
                p_value=finding.p_value,
                detectable=finding.detectable,
                paired_detectable=finding.paired_detectable,
                reason=finding.reason,
            )
        return rows

    def doubts(self, cells: Sequence[PlannedCell]) -> dict[str, frozenset[Look]]:
        """What of the accuracy of the cells of `rows` would be a change, by the id of the cell."""
        runnable = {one.cell.id for one in cells if one.reason is None}
        found = {
            cell_id: doubts(base, head, self._metrics, more=False)
            for cell_id, (base, head) in self._sides.items()
            if cell_id in runnable
        }
        return {cell_id: looks for cell_id, looks in found.items() if looks}

    def side(self, cell_id: str) -> tuple[CellFacts | None, CellFacts]:
        """Base and head of a cell whose accuracy is judged."""
        return self._sides[cell_id]

    def _cell(
        self, planned: PlannedCell
    ) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], Comparison, GateMetric]]]:
        cell = planned.cell
        points = self._stored.points(cell.id, self._heads)
        if not points:
            if planned.reason is not None:
                return [], []  # a machine's holes are no change
            return [_row(cell, "cell", "unmeasured", "nothing is stored of it that the words cover")], []
        facts = self._head[cell.id]
        verdict = None if facts.score is None else facts.score.verdict
        if verdict is not None and verdict.verdict == "broken":
            return [_row(cell, "artifact", "broken", f"head's artifact is broken: {verdict.reason}")], []
        wrong = self._mixed(points)
        if wrong is not None:
            return [_row(cell, "cell", "inconclusive", wrong)], []
        head = [one for one in self._stored.history(cell.id) if one.session_id == self.session_id]
        counted = [one for one in head if one.runs]
        if not counted:
            if any(one.left_out for one in head) and any(run.status == "ok" for run in facts.timed()):
                return [_row(cell, "cell", "inconclusive", "every run of head is suspect")], []
            why = planned.reason or next((run.reason for run in facts.timed() if run.reason), "it has no run")
            return [_row(cell, "cell", "missing", f"head cannot be measured: {why}")], []
        rows: list[dict[str, Any]] = []
        compared: list[tuple[dict[str, Any], Comparison, GateMetric]] = []
        for metric in self._metrics.values():
            if metric.unit != "process":
                continue
            row, comparison = self._process(cell, metric, points, counted[-1])
            rows.append(row)
            if comparison is not None:
                compared.append((row, comparison, metric))
        self._sides[cell.id] = (self._scored(cell.id, points), facts)
        return rows, compared

    def _mixed(self, points: Sequence[HistoryPoint]) -> str | None:
        """Why the stored points are not one baseline; None where they are."""
        versions = sorted({one.framework_version or "unknown" for one in points})
        if len(versions) > 1:
            return f"the baseline covers several versions, which are never mixed: {', '.join(versions)}"
        threads = {self._stored.build(one.session_id)[1] for one in points} | {self._threads}
        if len(threads) > 1:
            told = ", ".join(sorted(map(str, threads)))
            return f"stored sessions and head have different numbers of threads: {told}"
        return None

    def _process(
        self, cell: Cell, metric: GateMetric, points: Sequence[HistoryPoint], head: HistoryPoint
    ) -> tuple[dict[str, Any], Comparison | None]:
        stored = [(one.session_id, _logs(one, metric)) for one in points]
        stored = [(session_id, values) for session_id, values in stored if values]
        own = _logs(head, metric)
        named = [place for place, (session_id, _) in enumerate(stored) if session_id == self._named]
        if not stored or (self._named is not None and not named):
            return _row(cell, metric.name, "unmeasured", "no stored session has a figure"), None
        if not own:
            return _row(cell, metric.name, "missing", "stored sessions have a figure and head has none"), None
        found = compare([values for _, values in stored], own, named[0] if named else None)
        ends = found.interval()
        bounds = (None, None) if ends is None else sorted(metric.ratio(end) for end in ends)
        row = _row(
            cell,
            metric.name,
            "inconclusive",
            "",
            ratio=metric.ratio(found.shift),
            low=bounds[0],
            high=bounds[1],
            sessions=len(stored),
            runs=len(own),
            between=found.between,
            within=found.within,
            version=points[-1].framework_version,
        )
        return row, found

    def _scored(self, cell_id: str, points: Sequence[HistoryPoint]) -> CellFacts | None:
        """The baseline's cell: of the named session, else of the newest one that has a score or tasks of it."""
        order = [one.session_id for one in reversed(points)]
        if self._named is not None:
            order = [self._named]
        cells = [self._stored.cell(one, cell_id) for one in list(dict.fromkeys(order))[:LOOK_BACK]]
        scored = [one for one in cells if one is not None and (one.score or one.evaluation)]
        return scored[0] if scored else None


def _exact_rows(cell: Cell, verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    """Rows of what does not vary from session to session: judged as in a paired gate."""
    return [
        _row(
            cell,
            name,
            one.word,
            one.reason,
            ratio=one.ratio,
            low=one.low,
            high=one.high,
            sessions=0 if one.ratio is None else 1,
            detectable=one.detectable,
            p_value=one.p_value,
        )
        for name, one in verdicts.items()
    ]


def _logs(point: HistoryPoint, metric: GateMetric) -> list[float]:
    """One value a run, as a logarithm that is higher where the run is better."""
    sign = 1.0 if metric.higher_is_better else -1.0
    return [sign * math.log(one) for one in point.of_runs[metric.name] if one > 0]


def _row(cell: Cell, metric: str, verdict: str, reason: str, **figures: Any) -> dict[str, Any]:
    return {
        "cell": cell.name,
        "cell_id": cell.id,
        "metric": metric,
        "title": METRICS[metric].title if metric in METRICS else metric,
        "verdict": verdict,
        "ratio": None,
        "low": None,
        "high": None,
        "sessions": 0,
        "runs": 0,
        "between": None,
        "within": None,
        "version": None,
        "detectable": None,
        "paired_detectable": None,
        "p_value": None,
        "reason": reason,
        **figures,
    }
