"""A series as text: its changes as a table, its values and levels as a picture of characters.

Owns both layouts. Contract: the same series gives the same text; a picture is as wide as it is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.history.analysis import Analysis, Change
from harness.history.steps import spread_of

Floats = NDArray[np.float64]

#: value, level, change, beyond the top, beyond the bottom; for terminals that know Unicode, and for others.
_SIGNS = ("•", "─", "│", "▲", "▼")
_PLAIN_SIGNS = ("o", "-", "|", "^", "v")
_HEIGHT = 12
#: Values so many robust deviations from all levels are drawn as beyond the top or the bottom.
_SHOWN = 6.0


def number(value: float) -> str:
    """A value for a person: five digits."""
    return f"{value:.5g}"


def changes_table(
    analysis: Analysis, index: Sequence[int | float], times: Sequence[str] | None = None
) -> list[str]:
    """The lines of a table of the changes; without a change one line that says so."""
    if not analysis.changes:
        return [analysis.note or f"no change in {analysis.units} units"]
    header = ["index", "interval", "before", "after", "ratio", "95 %", "confidence"]
    rows = [_cells(change, index) for change in analysis.changes]
    if times is not None:
        header.insert(1, "time")
        for change, row in zip(analysis.changes, rows, strict=True):
            row.insert(1, times[change.row])
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def _cells(change: Change, index: Sequence[int | float]) -> list[str]:
    between = "-"
    if change.ratio_low is not None and change.ratio_high is not None:
        between = f"{change.ratio_low:.3f}..{change.ratio_high:.3f}"
    return [
        str(index[change.row]),
        f"{index[change.first_row]}..{index[change.last_row]}",
        number(change.before),
        number(change.after),
        "-" if change.ratio is None else f"{change.ratio:.3f}",
        between,
        # Rounded down: never surer than it is.
        f"{int(change.confidence * 100_000) / 1000:.3f} %",
    ]


def picture(
    values: Floats, analysis: Analysis, index: Sequence[int | float], *, width: int, unicode: bool = True
) -> list[str]:
    """The lines of a picture of a series.

    Each column shows the median of its rows; changes are upright lines behind the last row before them.

    Args:
        values: float64[rows], at least one.
        analysis: of these values.
        index: the label of each row.
        width: characters of the whole picture, at least 20.
        unicode: whether the terminal knows signs beyond ASCII.
    """
    point, level, upright, above, below = _SIGNS if unicode else _PLAIN_SIGNS
    bottom, top = _range(values, analysis)
    labels = [number(value) for value in np.linspace(top, bottom, _HEIGHT)]
    margin = max(len(labels[at]) for at in (0, _HEIGHT // 2, _HEIGHT - 1)) + 2
    columns = max(1, min(width - margin, len(values)))
    # Row r stands in column r * columns // rows.
    column_of = np.arange(len(values)) * columns // len(values)
    grid = [[" "] * columns for _ in range(_HEIGHT)]

    def line_of(value: float) -> int:
        return round((top - value) / (top - bottom) * (_HEIGHT - 1))

    for stretch in analysis.levels:
        for column in range(column_of[stretch.first_row], column_of[stretch.last_row] + 1):
            grid[line_of(stretch.value)][column] = level
    for change in analysis.changes:
        for line in grid:
            line[column_of[change.row]] = upright
    for column in range(columns):
        middle = float(np.median(values[column_of == column]))
        if middle > top or middle < bottom:
            grid[0 if middle > top else -1][column] = above if middle > top else below
        else:
            grid[line_of(middle)][column] = point
    shown = {0, _HEIGHT // 2, _HEIGHT - 1}
    lines = [
        f"{labels[at] if at in shown else '':>{margin - 2}}  {''.join(line)}".rstrip()
        for at, line in enumerate(grid)
    ]
    first, last = str(index[0]), str(index[-1])
    gap = max(1, columns - len(first) - len(last))
    return [*lines, " " * margin + first + " " * gap + last]


def _range(values: Floats, analysis: Analysis) -> tuple[float, float]:
    """What the picture shows from bottom to top: the levels, and the values but for outliers."""
    levels = np.array([level.value for level in analysis.levels])
    off = np.concatenate(
        [values[level.first_row : level.last_row + 1] - level.value for level in analysis.levels]
    )
    reach = _SHOWN * spread_of(off)
    low = max(float(values.min()), float(levels.min()) - reach)
    high = min(float(values.max()), float(levels.max()) + reach)
    if low == high:
        half = abs(low) / 100 or 1.0
        return low - half, high + half
    return low, high
