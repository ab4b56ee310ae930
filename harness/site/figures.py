"""Which figures of the site may be ranked, and which of those is marked as the best.

Owns the one rule of both. Imports the table. Contract: no mark without a significant difference; what is emulated,
suspect, broken or incomplete is never ranked.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.table.metrics import METRICS
from harness.table.rows import BASELINE_SUSPECT, QUALITY_KEYS, Row
from harness.table.uncertainty import interval_of


def why_unranked(row: Row) -> str | None:
    """Why a row is in no ranking, in a word or two; None where it is."""
    if row["emulated"]:
        return "emulated"
    if row["validity"] == "suspect":
        return "suspect"
    if row["artifact_verdict"] == "broken":
        return "broken artifact"
    if row["status"] != "ok":
        return str(row["status"])
    return None


def best_figures(rows: Sequence[Row], keys: Sequence[str]) -> set[tuple[int, str]]:
    """Which figures are marked as the best: ``(place among rows, key)``.

    The one rule: among the ranked rows of the same session, model, device, workload and class of precision, a figure is
    the best where its 95 % interval lies wholly on the better side of every other one's. So there is at most one; there
    is none where the first two overlap, where a figure of the group has no interval, or where nothing else is in it.

    Args:
        rows: of one session, as `comparison_rows` gave them.
        keys: the columns.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if why_unranked(row) is None:
            group = tuple(row[key] for key in ("session", "model", "device", "workload", "precision_class"))
            groups.setdefault(group, []).append(place)
    found = set()
    for places in groups.values():
        for key in keys:
            winner = _best(rows, places, key)
            if winner is not None:
                found.add((winner, key))
    return found


def _best(rows: Sequence[Row], places: Sequence[int], key: str) -> int | None:
    better = METRICS[key].better
    ranked = [place for place in places if rows[place][key] is not None and _compares(rows[place], key)]
    if better is None or len(ranked) < 2:
        return None
    bounds = {place: interval_of(rows[place], key) for place in ranked}
    if None in bounds.values():
        return None
    known = {place: each for place, each in bounds.items() if each is not None}
    if better == "higher":
        first = max(known, key=lambda place: known[place][0])
        clear = all(known[first][0] > known[place][1] for place in ranked if place != first)
    else:
        first = min(known, key=lambda place: known[place][1])
        clear = all(known[first][1] < known[place][0] for place in ranked if place != first)
    return first if clear else None


def _compares(row: Row, key: str) -> bool:
    """Whether a figure compares with the others of its group."""
    if key.startswith("speedup_") and BASELINE_SUSPECT in (row["flags"] or ()):
        return False
    return not (key in QUALITY_KEYS and row.other_positions is not None)
