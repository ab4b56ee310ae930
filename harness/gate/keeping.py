"""Keeps what a gate judged: from its document to rows of the database.

Owns this translation. Contract: all of a gate is stored in one transaction, at its end; a gate that was interrupted
left its runs and no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from harness import __version__
from harness.gate.metrics import GateMetric
from harness.store import Store
from harness.store.gates import GateRecord, GateVerdictRecord

#: Columns that every kind of gate has, by their names in the document; the rest of a row are details.
_COLUMNS = {
    "cell": "cell", "metric": "metric", "verdict": "verdict", "reason": "reason", "ratio": "ratio", "low": "ratio_low",
    "high": "ratio_high", "pairs": "pairs", "fresh": "fresh_pairs", "detectable": "detectable", "p_value": "p_value",
    "base_cell": "base_cell_id", "head_cell": "head_cell_id",
}  # fmt: skip
#: Follow from the metric's name, or stand in the columns.
_LEFT_OUT = frozenset({"title", "cell_id"})


def keep(
    document: dict[str, Any], store: Store, metrics: Mapping[str, GateMetric], **asked: Any
) -> dict[str, Any]:
    """Store a gate; gives its document with the id under ``gate``.

    Args:
        document: of pairs or of a baseline.
        store: the database.
        metrics: what was judged by which margins.
        asked: what else was asked for, ready for JSON.
    """
    sides = document["sides"]
    record = GateRecord(
        session_id=sides["head"]["session"],
        base_session_id=sides["base"]["session"],
        kind=document["kind"],
        status=document["verdict"],
        summary=document["summary"],
        edgebench_version=__version__,
        judged_at=datetime.now(UTC),
        settings={
            "sides": {name: side["words"] for name, side in sides.items()},
            "metrics": {name: asdict(one) for name, one in metrics.items()},
            **asked,
        },
        details={
            **{name: document[name] for name in ("cells", "lonely", "advice")},
            "again": {name: side.get("again") for name, side in sides.items()},
        },
        verdicts=[_verdict(row) for row in document["verdicts"]],
    )
    store.record_gate(record)
    return {"gate": record.id, **document}


def _verdict(row: Mapping[str, Any]) -> GateVerdictRecord:
    known: dict[str, Any] = {column: row.get(name) for name, column in _COLUMNS.items()}
    if "cell_id" in row:  # of a baseline: the same cell, then and now
        known |= {"base_cell_id": row["cell_id"], "head_cell_id": row["cell_id"]}
    known = {
        name: None if isinstance(one, float) and not math.isfinite(one) else one
        for name, one in known.items()
    }
    details = {name: one for name, one in row.items() if name not in _COLUMNS and name not in _LEFT_OUT}
    return GateVerdictRecord(**known, details=details)
