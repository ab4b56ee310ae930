"""Nights of cells over weeks, in one transaction: histories for the tests of change points and alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import make_store_records as make

from harness.store import Store, records, writing

DAY_S = 86_400.0

#: Decode seconds of one cell: of each night its runs.
Nights = Sequence[Sequence[float]]


def steady(nights: int, runs: int = 2, level_s: float = 1.0) -> list[list[float]]:
    """Nights at one level, which differ by some thousandths, alike whenever they are made."""
    return [
        [level_s * (1 + 0.002 * ((7 * night + 3 * run) % 5 - 2)) for run in range(runs)]
        for night in range(nights)
    ]


def stepped(nights: int, after: int, factor: float, runs: int = 2) -> list[list[float]]:
    """Steady nights whose runs take longer by a factor once so many nights are over."""
    return [
        [value * (factor if night >= after else 1.0) for value in values]
        for night, values in enumerate(steady(nights, runs))
    ]


def _one_version(night: int) -> str:
    del night
    return "0.3.36"


def _usual(night: int) -> Mapping[str, Any]:
    del night
    return {}


def store_nights(
    store: Store,
    series: Mapping[records.CellRecord, Nights] | Sequence[tuple[records.CellRecord, Nights]],
    *,
    machine: records.MachineRecord | None = None,
    version: Callable[[int], str] = _one_version,
    first: int = 0,
    session: Callable[[int], Mapping[str, Any]] = _usual,
) -> list[str]:
    """Stores a session a night with the timed runs of some cells; gives the sessions' ids.

    Args:
        store: where.
        series: of each cell the decode seconds of each night's runs; prefill takes twice as long.
        machine: where it ran.
        version: of the framework and its package in a night.
        first: number of the first night.
        session: what else is different of a night's session.
    """
    of_cells = list(series.items()) if isinstance(series, Mapping) else list(series)
    nights = max(len(values) for _, values in of_cells)
    machine_id = store.record_machine(machine or make.machine())
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    for night in range(first, first + nights):
        store.record_environment(make.environment(version(night)))
    made = []
    with store.writing() as connection:
        writing.cells(connection, [cell for cell, _ in of_cells])
        for place in range(nights):
            night = first + place
            record = make.session(machine_id, later_s=night * DAY_S, **session(night))
            made.append(writing.session(connection, record))
            for cell, values in of_cells:
                for index, seconds in enumerate(values[place] if place < len(values) else ()):
                    run = make.run(
                        made[-1], cell.id, index, timeline=None, energy=(), memory=(), framework_version=version(night),
                        environment_id=make.environment(version(night)).id,
                        samples=[records.SampleRecord(0, False, {"decode_s": seconds, "prefill_s": 2 * seconds})],
                    )  # fmt: skip
                    writing.run(connection, run, {})
    return made
