"""Which runs a session holds, and in which order.

Pure functions: a session's plan follows from its cells, the number of runs and the seed alone, so that a resumed
session continues the very same plan.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One timed run that the session will make.

    Attributes:
        cell_id: the cell it executes.
        index: which of the cell's runs, from 0.
        position: place in the session's order, from 0.
        seed: seed of the run's prompts: equal for equal ``index`` in every cell, so that all frameworks get the
            same token ids.
    """

    cell_id: str
    index: int
    position: int
    seed: int


def plan_runs(runs: Mapping[str, int], seed: int) -> list[PlannedRun]:
    """The runs of every cell, by its id, shuffled with ``seed``.

    Rounds keep a cell's runs apart: every cell runs once, in shuffled order, before any cell runs again. Drift of
    the machine then falls on all cells alike, and an interrupted session holds about as many runs of each.
    """
    order = random.Random(seed)
    planned: list[PlannedRun] = []
    for index in range(max(runs.values(), default=0)):
        round_of_cells = [cell_id for cell_id, count in runs.items() if index < count]
        order.shuffle(round_of_cells)
        planned += [
            PlannedRun(cell_id, index, len(planned) + place, run_seed(seed, index))
            for place, cell_id in enumerate(round_of_cells)
        ]
    return planned


def plan_round(next_index: Mapping[str, int], seed: int) -> list[PlannedRun]:
    """One more run of every cell that goes on, shuffled with ``seed``.

    Args:
        next_index: the index of the cell's next run, by its id.
        seed: the session's.

    Returns:
        In their order, with positions from 0: they come behind what is planned.
    """
    cells = sorted(next_index)
    # Named after how far the session has come, so that a resumed one shuffles as an uninterrupted one would.
    random.Random(f"{seed}:{max(next_index.values(), default=0)}").shuffle(cells)
    return [
        PlannedRun(cell_id, next_index[cell_id], place, run_seed(seed, next_index[cell_id]))
        for place, cell_id in enumerate(cells)
    ]


def run_seed(session_seed: int, index: int) -> int:
    """Seed of the prompts of every cell's run number ``index``."""
    return (session_seed * 1_000_003 + index) % 2**31
