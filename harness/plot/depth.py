"""Decode speed by depth: how it falls with the tokens that are in the KV cache already.

Owns what is drawn. Contract: as `harness.plot.series`.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.plot.series import Series, series_data
from harness.table.facts import SessionFacts
from harness.table.rows import Row


def depth_data(facts: SessionFacts, rows: Sequence[Row]) -> Series:
    """The plot of one session.

    Raises:
        UsageError: no cell has a decode speed, or all have one depth.
    """
    return series_data(
        facts,
        rows,
        key="decode_tps",
        title="Decode speed by depth",
        x_title="Depth (tokens in the KV cache before the prompt)",
        y_title="Decode speed (tokens/s)",
        place=lambda workload: workload.depth,
        varying="depth",
    )
