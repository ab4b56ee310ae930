"""A comparison for people and for programs.

Owns what stands where. Contract: every ratio says how many cells it is over and what is not in it; texts of a database
are made printable, and each format escapes them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from harness.compare.ratios import IDENTITY, Comparison, Mean, Pair, Ratio
from harness.compare.sides import Side
from harness.safe_text import finite, guarded, json_text, printable
from harness.table.metrics import METRICS
from harness.table.view import Column, Section, View, row_name, shown, some_of

_HEADS = (
    Column("cell", "Cell", False),
    Column("metric", "Metric", False),
    Column("a", "A", True),
    Column("b", "B", True),
    Column("ratio", "B / A", True),
    Column("interval", "95 %", True),
    Column("change", "B is", False),
)
_KEYS = (
    "cell",
    "metric",
    "unit",
    "a",
    "b",
    "ratio",
    "low",
    "high",
    "better",
    "reason",
    "session_a",
    "session_b",
)


def view_of(found: Comparison) -> View:
    """The comparison as a table with its notes."""
    body: list[tuple[str, ...]] = []
    groups = []
    for pair in found.pairs:
        groups.append(len(body))
        compared = [(metric, one) for metric, one in pair.ratios.items() if one.ratio is not None]
        name = cell_name(pair, found)
        body += [
            (name if place == 0 else "", *_line(metric, one)) for place, (metric, one) in enumerate(compared)
        ]
    sections = (
        Section("Geometric mean over common cells", tuple(_means(found))),
        Section("Not compared", tuple(_holes(found))),
        Section("Sides", tuple(_side(name, side) for name, side in (("A", found.a), ("B", found.b)))),
        Section("Reading", tuple(_reading(found))),
    )
    title = f"{found.b.words} against {found.a.words}"
    return shown(View(title, _HEADS, tuple(body), sections, tuple(groups[1:])))


def cell_name(pair: Pair, found: Comparison) -> str:
    """What the two rows are: what they share, and both words where they differ."""
    several_models = len({each.a["model"] for each in found.pairs}) > 1
    words = []
    for key in IDENTITY:
        a, b = pair.a[key], pair.b[key]
        if a != b:
            words.append(f"{a} / {b}")
        elif (key != "model" or several_models) and not (key == "options" and a == "defaults"):
            words.append(str(a))
    return " ".join(words)


def _line(metric: str, one: Ratio) -> tuple[str, ...]:
    about = METRICS[metric]
    figures = [about.format(value) if value is not None else "" for value in (one.a, one.b)]
    interval = f"{one.low:.4g} to {one.high:.4g}" if one.low is not None and one.high is not None else ""
    change = "" if one.better is None else ("better" if one.better else "worse")
    if one.low is None:
        change = "unknown: a side has no interval"
    return (about.title, *figures, f"{one.ratio:.4g}", interval, change or "not told apart")


def _means(found: Comparison) -> Iterator[str]:
    for metric, mean in found.means.items():
        if mean.ratio is None:
            continue
        cells = _over(found, metric)
        every = len(cells) == len(found.pairs)
        # Where it is all of them they stand in the table; else it says which.
        which = "" if every else f": {'; '.join(cells)}"
        yield f"{METRICS[metric].title}: {_mean(mean)}, over {len(cells)} of {len(found.pairs)} common cells{which}"


def _over(found: Comparison, metric: str) -> list[str]:
    """The common cells that a geometric mean is over."""
    return [cell_name(pair, found) for pair in found.pairs if pair.ratios[metric].ratio is not None]


def _mean(mean: Mean) -> str:
    bounds = "" if mean.low is None or mean.high is None else f" ({mean.low:.4g} to {mean.high:.4g})"
    return f"{mean.ratio:.4g}{bounds}"


def _holes(found: Comparison) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for pair in found.pairs:
        for metric, one in pair.ratios.items():
            if one.ratio is None:
                reasons.setdefault(f"{METRICS[metric].title}: {one.reason}", []).append(
                    cell_name(pair, found)
                )
    for reason, cells in reasons.items():
        where = "every common cell" if len(cells) == len(found.pairs) else some_of(cells)
        yield f"{reason} ({where})"
    left_out: dict[str, list[str]] = {}
    for name, row, reason in found.left_out:
        left_out.setdefault(f"{name}: {reason}", []).append(row_name(row, IDENTITY))
    for reason, cells in left_out.items():
        yield f"{reason}: {some_of(cells)}"


def _side(name: str, side: Side) -> str:
    versions = sorted({f"{row['framework']} {row['framework_version'] or '?'}" for row in side.rows})
    about = side.about
    return (
        f"{name}: {side.words}: {len(side.rows)} cells of session {about.session}, {about.started or 'no time'}, "
        f"on {about.machine_name}; {', '.join(versions)}"
    )


def _reading(found: Comparison) -> Iterator[str]:
    if not found.pairs:
        yield "Nothing is compared: the two sides have no measured cell in common."
        return
    yield "B / A above 1: B's figure is larger. The interval follows from the two figures' own, as if independent."
    if found.axes:
        yield f"The sides may differ in {', '.join(found.axes)}; all else that names a cell is equal."
    suspect = sum(row["validity"] == "suspect" for pair in found.pairs for row in (pair.a, pair.b))
    if suspect:
        yield f"{suspect} of {2 * len(found.pairs)} rows rest on suspect runs alone."
    if found.a.about.session != found.b.about.session:
        yield "Two sessions: what changed on the machine between them is in the ratios. `edgebench gate` interleaves."


def json_of(found: Comparison) -> str:
    """Everything, for a program."""
    return json_text(
        {
            "sides": {
                name: {"words": side.words, "session": side.about.session, "machine": side.about.machine_id}
                for name, side in (("a", found.a), ("b", found.b))
            },
            "axes": list(found.axes),
            "cells": [
                {
                    **{key: pair.a[key] for key in IDENTITY if pair.a[key] == pair.b[key]},
                    **{
                        key: {"a": pair.a[key], "b": pair.b[key]}
                        for key in IDENTITY
                        if pair.a[key] != pair.b[key]
                    },
                    "ratios": {metric: asdict(one) for metric, one in pair.ratios.items()},
                }
                for pair in found.pairs
            ],
            "geometric_means": {
                metric: {**asdict(mean), "over": _over(found, metric)} for metric, mean in found.means.items()
            },
            "left_out": [
                {"side": name.lower(), "cell": row_name(row, IDENTITY), "reason": reason}
                for name, row, reason in found.left_out
            ],
        }
    )


def csv_of(found: Comparison) -> str:
    """A line for each cell and metric."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _KEYS, lineterminator="\n")
    writer.writeheader()
    for pair in found.pairs:
        for metric, one in pair.ratios.items():
            values: dict[str, Any] = {
                "cell": cell_name(pair, found), "metric": metric, "unit": METRICS[metric].unit, **asdict(one),
                "session_a": found.a.about.session, "session_b": found.b.about.session,
            }  # fmt: skip
            writer.writerow({key: _field(value) for key, value in values.items()})
    return out.getvalue()


def _field(value: Any) -> Any:
    return guarded(printable(value)) if isinstance(value, str) else "" if value is None else finite(value)
