"""What the marks of a plot are of: names that tell them apart, and how far each may be believed.

Owns both. Imports the table's rows and names. Contract: pure; names are unique within the rows given; a standing other
than ``measured`` has its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.plot.drawn import Standing, Subject
from harness.table.rows import EMULATED, Row
from harness.table.view import label, model_text, precision_text

#: What is added to a name where it differs between rows.
_TELLING = ("model", "workload", "options")


def names(rows: Sequence[Row]) -> list[str]:
    """A name of each row, in their order: framework, precision and device, and what else tells some apart."""
    varying = [key for key in _TELLING if len({str(row[key]) for row in rows}) > 1]
    found = []
    for row in rows:
        parts = [model_text(row) if key == "model" else str(row[key]) for key in varying]
        found.append(" ".join([label(row), *(part for part in parts if part != "defaults")]))
    seen: Counter[str] = Counter()
    for place, name in enumerate(found):
        seen[name] += 1
        if seen[name] > 1:
            found[place] = f"{name} #{seen[name]}"
    return found


def usual(rows: Sequence[Row]) -> tuple[str, str] | None:
    """Model and workload of most rows that have runs; None without any."""
    counts = Counter((str(row["model"]), str(row["workload"])) for row in rows if row["runs"])
    return max(counts, key=lambda each: counts[each]) if counts else None


def subjects(rows: Sequence[Row], *, compared: bool = False, quality: bool = False) -> list[Subject]:
    """The subject of each row, in their order.

    Args:
        rows: of one session.
        compared: marks are ranked by speed or memory: those of another model or workload than most do not compare.
        quality: marks are ranked by divergence: those over other positions do not compare.
    """
    most = usual(rows) if compared else None
    made = []
    for row, name in zip(rows, names(rows), strict=True):
        standing, why = _standing(row, most, quality=quality)
        made.append(
            Subject(
                framework=str(row["framework"]),
                cell=name,
                precision=precision_text(row),
                version=row["framework_version"],
                runs=int(row["runs"] or 0),
                standing=standing,
                unranked=why,
            )
        )
    return made


def _standing(row: Row, most: tuple[str, str] | None, *, quality: bool) -> tuple[Standing, str | None]:
    if row["emulated"]:
        return "emulated", EMULATED
    if most is not None and (str(row["model"]), str(row["workload"])) != most:
        return "not comparable", f"{row['model']} {row['workload']}, of most rows {' '.join(most)}"
    if quality and row.other_positions is not None:
        return "not comparable", f"KLD over {row.other_positions}"
    if row["validity"] == "suspect":
        return "suspect", "; ".join(row["flags"] or ()) or "no flag was stored"
    return "measured", None


def scope(rows: Sequence[Row]) -> str:
    """Models and workloads of the rows that have runs, for a title."""
    used = [row for row in rows if row["runs"]] or rows
    models = list(dict.fromkeys(model_text(row) for row in used))
    workloads = list(dict.fromkeys(str(row["workload"]) for row in used))
    return f"{_some(models)}, {_some(workloads)}"


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:2]) + (f" and {len(words) - 2} more" if len(words) > 2 else "")


def why_no_figure(row: Row, key: str) -> str:
    """Why a row has no mark: how it ended, a broken artifact, or what the figure's own note says."""
    if row["artifact_verdict"] == "broken":
        return f"the artifact is broken: {row.notes.get('artifact_verdict', 'no reason was stored')}"
    return row.notes.get(key) or row["reason"] or "not measured"
