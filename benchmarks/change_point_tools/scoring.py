"""How well change points agree with those that people marked.

Owns the score of the Turing change point benchmark (van den Burg and Williams 2020, arXiv 2003.06222) and reading its
files. A change point is the 0-based number of the first value behind the change, as in its annotations.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: A point this many values away from a marked one is the same point.
MARGIN = 5


@dataclass(frozen=True)
class Labelled:
    """A series and what each person marked in it."""

    name: str
    values: NDArray[np.float64]
    marks: tuple[tuple[int, ...], ...]


def read_labelled(folder: Path) -> list[Labelled]:
    """Every series of the folder that has marks in its ``annotations.json``; values that are missing are left out."""
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    series = []
    for path in sorted(folder.glob("*.json")):
        if path.stem not in annotations:
            continue
        raw = json.loads(path.read_text(encoding="utf-8"))["series"][0]["raw"]
        values = np.array([np.nan if value is None else float(value) for value in raw])
        if np.isnan(values).any():
            raise ValueError(f"{path} has missing values: its marks would shift")
        marks = tuple(tuple(points) for points in annotations[path.stem].values())
        series.append(Labelled(path.stem, values, marks))
    return series


def hits(marked: Collection[int], found: Collection[int], margin: int = MARGIN) -> int:
    """How many marked points are found; a found one counts for one marked point only, the nearest."""
    free = set(found)
    count = 0
    for point in sorted(marked):
        near = [other for other in free if abs(other - point) <= margin]
        if near:
            free.remove(min(near, key=lambda other: (abs(other - point), other)))
            count += 1
    return count


def f1(marks: Sequence[Collection[int]], found: Collection[int], margin: int = MARGIN) -> float:
    """The F1 of the benchmark: the beginning counts as a point that everybody marks and every method finds.

    Precision is against what anybody marked, recall is the mean over the people.
    """
    everybody = [set(points) | {0} for points in marks]
    answer = set(found) | {0}
    precision = hits(set().union(*everybody), answer, margin) / len(answer)
    recall = sum(hits(points, answer, margin) / len(points) for points in everybody) / len(everybody)
    return 2 * precision * recall / (precision + recall)
