"""How long runs will take: for the plan that people read and the time left; never for any figure.

What this machine did before comes first, then what this session showed, then the plan's rough guess.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping


class Expectation:
    """Expected seconds of runs.

    Args:
        history: ``(cell id, kind)`` -> median seconds of earlier runs on this machine.
        guesses: cell id -> rough seconds of one timed run.
    """

    def __init__(self, history: Mapping[tuple[str, str], float], guesses: Mapping[str, float]) -> None:
        self._history = dict(history)
        self._guesses = dict(guesses)
        self._seen: dict[tuple[str, str], list[float]] = {}

    def learn(self, cell_id: str, kind: str, seconds: float) -> None:
        """A run of this session took so long."""
        self._seen.setdefault((cell_id, kind), []).append(seconds)

    def run_s(self, cell_id: str, kind: str) -> float | None:
        """Expected seconds of one run, None where nothing is known."""
        seen = self._seen.get((cell_id, kind))
        if seen:
            return statistics.median(seen)
        known = self._history.get((cell_id, kind))
        if known is not None:
            return known
        others = [seconds for (_, other), values in self._seen.items() if other == kind for seconds in values]
        # The plan guesses timed runs only; scoring is best told by the scoring that was seen.
        guess = self._guesses.get(cell_id)
        if others and (kind != "timed" or guess is None):
            return statistics.median(others)
        return guess

    def total_s(self, runs: Iterable[tuple[str, str]]) -> float | None:
        """Expected seconds of several runs, None where one of them is unknown."""
        total = 0.0
        for cell_id, kind in runs:
            seconds = self.run_s(cell_id, kind)
            if seconds is None:
                return None
            total += seconds
        return total
