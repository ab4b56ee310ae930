"""The mark of a run that is faster than the machine's memory allows, put on it before it is stored.

Owns the way from a run's record to the table's own rule (`utilisation.impossible`, by the table's figures). Contract:
pure; a run that is not timed, did not end as ok, or of which nobody can say is given back as it came. Whoever reads
stored validity (history, gates, views) then sees the mark; the table applies the rule again, for benches made later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from harness.frameworks import FrameworkEntry
from harness.store import facts as stored
from harness.store.records import CellRecord, MachineBenchRecord, RunRecord
from harness.table.rows import judged
from harness.table.stored import bench_facts, cell_facts


def marked(
    record: RunRecord,
    cell: CellRecord,
    bench: MachineBenchRecord | None,
    *,
    weight_bytes: int | None,
    unread_weight_bytes: int | None,
    configuration: Mapping[str, Any] | None,
    entries: Mapping[str, FrameworkEntry],
) -> RunRecord:
    """The run, suspect with the reason where its MBU cannot be.

    Args:
        record: about to be stored.
        cell: what it ran.
        bench: what counts of this machine's benches; None: it was never benched.
        weight_bytes: of the artifact.
        unread_weight_bytes: of these, what no token reads whole; None where nobody can say, or none can be.
        configuration: the model's shape (`harness.model.configuration`), None where it is not known.
        entries: the frameworks.
    """
    if bench is None or record.kind != "timed" or record.status != "ok" or record.artifact_id is None:
        return record
    run = stored.RunFacts(**{one.name: getattr(record, one.name) for one in fields(stored.RunFacts)})
    artifact = stored.ArtifactFacts(
        record.artifact_id, weight_bytes, None, None, unread_weight_bytes=unread_weight_bytes
    )
    alone = stored.CellFacts(cell, 0, None, None, {}, (run,), artifact, None, configuration=configuration)
    shown = cell_facts(alone, entries)
    (before,) = shown.runs
    after = judged(before, shown, bench_facts(bench))
    if after.flags == before.flags:
        return record
    return replace(record, validity="suspect", flags=list(after.flags))
