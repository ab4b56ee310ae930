"""One line of the table: what was measured, of us and of plain `sqlite3`, against the target.

Owns the shape and the verdict. Imports the standard library only. Contract: medians of interleaved repetitions; a
figure without a target is information.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure.

    Attributes:
        name: what it is of.
        unit: of ``ours``, ``plain`` and ``target``.
        ours: through the store or the command.
        plain: the same work by hand-written SQL through `sqlite3`; None where there is nothing to compare.
        target: the limit; None: for information.
        higher_is_better: whether the target is a least value.
        note: what else a reader should know.
    """

    name: str
    unit: str
    ours: float
    plain: float | None = None
    target: float | None = None
    higher_is_better: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.ours >= self.target if self.higher_is_better else self.ours <= self.target

    @property
    def ratio(self) -> float | None:
        """Ours over plain."""
        return None if not self.plain else self.ours / self.plain

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        names = ("name", "unit", "ours", "plain", "ratio", "target", "met", "note")
        return {name: getattr(self, name) for name in names}


def in_turn(
    ours: Callable[[], object], plain: Callable[[], object], rounds: int, rng: random.Random
) -> tuple[list[float], list[float]]:
    """Seconds of both, done in turn, who begins being random in every round."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for place in rng.sample((0, 1), 2):
            began = time.perf_counter()
            (ours, plain)[place]()
            taken[place].append(time.perf_counter() - began)
    return taken


def middle(values: list[float]) -> float:
    return statistics.median(values)


def table(figures: list[Figure]) -> str:
    """For people: a line a figure."""
    lines = [f"{'':<58} {'ours':>12} {'plain':>12} {'ratio':>7} {'target':>10}"]
    for one in figures:
        sign = "" if one.target is None else "≥ " if one.higher_is_better else "≤ "
        target = "" if one.target is None else f"{sign}{_number(one.target)}"
        met = {None: "", True: "met", False: "NOT MET"}[one.met]
        plain = "" if one.plain is None else _number(one.plain)
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        name = f"{one.name}, {one.unit}"
        lines.append(f"{name:<58} {_number(one.ours):>12} {plain:>12} {ratio:>7} {target:>10} {met}")
        if one.note:
            lines.append(f"    {one.note}")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
