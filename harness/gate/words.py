"""How a verdict is told to people, alike in every output.

Owns the texts of ratios, intervals and reasons. Contract: a change is told as a signed percentage of base; names from
the outside tell a terminal nothing and turn no direction of reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.safe_text import printable

MARKS = {
    "fail": "✗",
    "regression": "✗",
    "broken": "✗",
    "missing": "✗",
    "inconclusive": "?",
    "improvement": "▲",
    "pass": "✓",
    "unmeasured": "·",
}


def percent(ratio: float | None) -> str:
    """``-5.2 %``; an en dash where there is none."""
    if ratio is None:
        return "–"
    return f"{100 * (ratio - 1):+.1f} %"


def change(row: Mapping[str, Any]) -> str:
    """The change with its interval: ``-5.2 % [-6.0, -4.4]``."""
    if row["ratio"] is None:
        return "–"
    if row["low"] is None:
        return percent(row["ratio"])
    return f"{percent(row['ratio'])} [{100 * (row['low'] - 1):+.1f}, {100 * (row['high'] - 1):+.1f}]"


def seen(row: Mapping[str, Any]) -> str:
    """The smallest change that would have been seen: ``3.1 %``."""
    return "–" if row["detectable"] is None else f"{100 * row['detectable']:.1f} %"


def pairs(row: Mapping[str, Any]) -> str:
    """``18 (12 fresh)``."""
    return f"{row['pairs']} ({row['fresh']} fresh)" if row["fresh"] else str(row["pairs"])


def sentence(row: Mapping[str, Any]) -> str:
    """One verdict in a line, for annotations."""
    if "rule" in row:
        is_ = "" if row["text"] is None else f" is {row['text']}, has to be {row['rule']};"
        return printable(f"{row['cell']}: {row['title']} {row['verdict']}:{is_} {row['reason']}".rstrip(" ;"))
    behind = f"against {row['sessions']} stored sessions" if "sessions" in row else f"in {pairs(row)} pairs"
    told = "" if row["ratio"] is None else f" {change(row)} {behind};"
    return printable(f"{row['cell']}: {row['title']} {row['verdict']}:{told} {row['reason']}")


def samples(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and address of each page of its samples: ``base``, or ``base 1`` and ``base 2`` of several sessions.

    None where no site is published.
    """
    return [
        (name if len(pages) == 1 else f"{name} {at}", page)
        for name, pages in row.get("samples", {}).items()
        for at, page in enumerate(pages, 1)
    ]


def sentence_with_samples(row: Mapping[str, Any]) -> str:
    """One verdict in a line, with where its samples are."""
    told = " · ".join(f"{name} {page}" for name, page in samples(row))
    return f"{sentence(row)}; samples: {told}" if told else sentence(row)


def changed(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a reviewer must see: everything but what passed or cannot be measured."""
    return [row for row in rows if row["verdict"] not in ("pass", "unmeasured")]


#: Heads of the columns, by the document's kind.
_TITLES = {
    "change": ("", "cell", "metric", "change", "would have seen", "pairs", "why"),
    "baseline": ("", "cell", "metric", "change", "would have seen", "paired gate", "sessions", "why"),
    "deployment": ("", "cell", "figure", "has to be", "is", "of", "why"),
}


def titles(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Heads of the table's columns."""
    return _TITLES[document.get("kind", "change")]


def cells(document: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    """One verdict as the columns of `titles`."""
    return tuple(map(printable, _cells(document, row)))


def _cells(document: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    kind = document.get("kind", "change")
    first = (f"{MARKS[row['verdict']]} {row['verdict']}", row["cell"], row["title"])
    if kind == "deployment":
        return (*first, row["rule"], row["text"] or "–", str(row["n"] or ""), row["reason"])
    if kind == "baseline":
        paired = "–" if row["paired_detectable"] is None else f"{100 * row['paired_detectable']:.1f} %"
        return (*first, change(row), seen(row), paired, str(row["sessions"]), row["reason"])
    return (*first, change(row), seen(row), pairs(row), row["reason"])
