"""Stored cells as plans have them: chosen by the words of ``-k``.

Owns that choice. Imports the front door's reading of a stored cell. Contract: what is stored keeps its id, whatever an
id is made of today.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.runner.front import cell_of
from harness.store.records import CellRecord
from harness.suite import PlannedCell, RunSettings, select

#: How its runs were made chooses no cell.
_ANY = RunSettings(repetitions=1, warmups=0, timeout_s=0.0, memory_limit_bytes=None)


def matching(cells: Sequence[CellRecord], expression: str) -> list[CellRecord]:
    """The cells that ``-k`` would choose, in their order.

    Raises:
        UsageError: the expression is wrong, or chooses none.
    """
    planned = [PlannedCell(cell_of(one), None, None, _ANY) for one in cells]
    chosen = {id(one) for one in select(planned, expression)}
    return [one for one, plan in zip(cells, planned, strict=True) if id(plan) in chosen]
