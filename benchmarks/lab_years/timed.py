"""The timed runs of some nights: who ran, in which order, how fast, and how it ended.

Owns how a level becomes seconds: noise, outliers, suspect and failed runs, nights that were cut short. Contract: arrays
only; deterministic for a world and a generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab_years.world import RUNS_A_CELL, World

_KILLED, _RESUMED = 0.01, 0.6
#: Upper ends of the shares of runs that end so; the rest is ok.
_FATES = (("failed", 0.004), ("timeout", 0.005), ("oom", 0.006), ("skipped", 0.0065))
_SETUP_FAILED = 0.001
_OUTLIERS, _OUTLIERS_MARKED, _QUIET_MARKED = 0.01, 0.7, 0.01


class Timed:
    """The timed runs of some sessions: who, in which order, how fast, and how they ended.

    Arrays called ``..._of_run`` and ``seconds`` are [runs that are stored], in the order in which they ran.
    """

    def __init__(self, world: World, held: Sequence[tuple[int, int]], rng: np.random.Generator) -> None:
        self.world = world
        self.held = held
        self.session_ids: list[str] = []
        self.started: list[datetime] = []
        self.first_position: list[int] = []
        self.nights = np.array([night for night, _ in held])
        self.machines = np.array([machine for _, machine in held])
        self.width = len(world.cells) * RUNS_A_CELL
        shape = (len(held), self.width)
        order = rng.permuted(np.tile(np.arange(self.width), (len(held), 1)), axis=1)
        killed = (rng.random(len(held)) < _KILLED) & (self.nights < world.nights - 1)
        self.resumed = killed & (rng.random(len(held)) < _RESUMED)
        self.cut = np.where(killed & ~self.resumed, rng.integers(1, self.width, len(held)), self.width)
        self._silent = rng.random(len(held)) < 0.5
        stored = np.arange(self.width)[None, :] < self.cut[:, None]
        self.session_of_run, self.position_of_run = np.nonzero(stored)
        #: As planned: int[sessions, runs of a session], in the order in which they were to run.
        self.cells, self.indexes = order // RUNS_A_CELL, order % RUNS_A_CELL
        cells = self.cells
        self.cell_of_run, self.index_of_run = cells[stored], self.indexes[stored]
        self.decode_tokens = np.array([cell.decode_tokens for cell in world.cells])
        outlier = rng.random(shape) < _OUTLIERS
        slower = np.where(outlier, rng.exponential(0.25, shape) + 0.05, 0.0)
        marked = np.where(outlier, rng.random(shape) < _OUTLIERS_MARKED, rng.random(shape) < _QUIET_MARKED)
        self.suspect_of_run = marked[stored]
        self.seconds: dict[str, NDArray[np.float64]] = {}
        for metric, levels in world.levels.items():
            level = levels[self.machines[:, None], cells, self.nights[:, None]]
            nightly = np.take_along_axis(rng.normal(0.0, 0.004, (len(held), len(world.cells))), cells, axis=1)
            self.seconds[metric] = np.exp(level + nightly + rng.normal(0.0, 0.008, shape) + slower)[stored]
        chance = rng.random(shape)[stored]
        self.status_of_run = np.select(
            [chance < share for _, share in _FATES], [name for name, _ in _FATES], "ok"
        )
        self.retried_of_run = (rng.random(shape)[stored] < _SETUP_FAILED) & (self.status_of_run == "ok")
        self.state = rng.random((len(self.cell_of_run), 4))

    def fate(self, place: int) -> str:
        """How a session ended."""
        if self.cut[place] < self.width:
            return "running" if self._silent[place] else "interrupted"
        return "failed" if (self.status_of_run[self.session_of_run == place] != "ok").any() else "ok"

    def of_run(self, of_session: NDArray[Any]) -> NDArray[Any]:
        """From one value a session to one a run."""
        return of_session[self.session_of_run]
