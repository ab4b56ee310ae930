"""From what a tool's file says to what the store keeps.

Owns the names: a metric is ``TOOL:NAME``, a cell has the tool as its source, an unnamed machine or model is named
after the file, so that two of them are never taken for one. Imports the store's records. Contract: nothing here
reads a clock or the machine that imports; the same file gives the same record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness import __version__
from harness.importing.document import Document
from harness.importing.result import Contents, MachineFacts, Result, Statistic
from harness.store.evaluation_records import EvaluationRecord
from harness.store.ids import content_id
from harness.store.imports import ImportedRun, ImportRecord, SourceRecord
from harness.store.records import (
    CellRecord,
    MachineRecord,
    RunRecord,
    SampleRecord,
    StatisticRecord,
)

#: Repetitions that the database counts; more of them are kept as one array.
MAX_REPETITIONS = 32_768
_HASH_SHOWN = 8


def import_record(
    document: Document,
    tool: str,
    contents: Contents,
    *,
    machine: MachineRecord | None = None,
    model: str | None = None,
) -> ImportRecord:
    """One file as the store keeps it.

    Args:
        document: the file.
        tool: that wrote it.
        contents: what the tool's module read.
        machine: what measured; None: what the file tells, else a machine named after the file.
        model: name of the model where the file does not tell; None: a name after the file.

    Raises:
        ImportFileError: a figure that no database can hold.
    """
    source = SourceRecord(
        tool=tool,
        tool_version=contents.version,
        format=contents.format,
        file_name=document.name,
        file_sha256=document.sha256,
        file_bytes=len(document.data),
        other_files=list(contents.other_files),
        definitions={_named(tool, name): text for name, text in contents.definitions.items()},
        document=dict(contents.document),
    )
    facts = contents.machine
    system = {**contents.system, **({"machine": told} if (told := _told(facts)) else {})}
    unnamed = f"unnamed model of {document.sha256[:_HASH_SHOWN]}"
    seen: Counter[str] = Counter()
    runs = []
    for result in contents.results:
        cell = _cell(tool, result, result.model or model or unnamed)
        kind = "tasks" if result.tasks is not None else "timed"
        runs.append(
            ImportedRun(cell, _run(document, tool, contents, result, cell, seen[f"{kind} {cell.id}"]))
        )
        seen[f"{kind} {cell.id}"] += 1
    times = [one.started_at for one in contents.results if one.started_at is not None]
    return ImportRecord(
        source=source,
        machine=machine or _machine(document, facts),
        runs=runs,
        edgebench_version=__version__,
        started_at=contents.started_at or min(times, default=None),
        commit_sha=contents.commit_sha,
        system=system,
        model=model if any(not one.model for one in contents.results) else None,
    )


def named_machine(name: str) -> MachineRecord:
    """A machine of which no more than the name is known."""
    return MachineRecord(None, None, None, None, None, name=name)


def _machine(document: Document, facts: MachineFacts) -> MachineRecord:
    known = facts.cpu_model or next(iter(facts.accelerators), None)
    return MachineRecord(
        cpu_model=facts.cpu_model,
        arch=facts.arch,
        physical_cores=None,
        logical_cores=facts.logical_cores,
        memory_bytes=facts.memory_bytes,
        accelerators=tuple(facts.accelerators),
        name=known or f"unnamed machine of {document.sha256[:_HASH_SHOWN]}",
    )


def _told(facts: MachineFacts) -> dict[str, object]:
    told = {
        "cpu_model": facts.cpu_model,
        "arch": facts.arch,
        "logical_cores": facts.logical_cores,
        "memory_bytes": facts.memory_bytes,
        "accelerators": list(facts.accelerators) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _cell(tool: str, result: Result, model: str) -> CellRecord:
    return CellRecord(
        framework=result.framework,
        model=model,
        precision=result.precision,
        recipe=result.recipe,
        device=result.device,
        api=result.api,
        workload=result.workload,
        prompt_tokens=result.prompt_tokens,
        decode_tokens=result.decode_tokens,
        depth=result.depth,
        options=dict(result.options),
        batch=result.batch,
        source=tool,
    )


def _named(tool: str, metric: str) -> str:
    return f"{tool}:{metric}"


def _run(
    document: Document, tool: str, contents: Contents, result: Result, cell: CellRecord, index: int
) -> RunRecord:
    raw = {name: values for name, values in result.raw.items() if len(values) < MAX_REPETITIONS}
    arrays: dict[str, Sequence[float]] = {
        name: [value for value in values if value is not None]
        for name, values in result.raw.items()
        if name not in raw
    }
    arrays |= result.arrays
    return RunRecord(
        session_id="",  # both are the store's to set
        cell_id=cell.id,
        kind="tasks" if result.tasks is not None else "timed",
        index=index,
        status="ok",
        started_at=result.started_at,
        framework_version=result.framework_version,
        versions={tool: contents.version} if contents.version is not None else {},
        device={"id": result.device, "api": result.api},
        threads=result.threads,
        validity="suspect" if result.flags else None,
        flags=list(result.flags),
        samples=_samples(tool, raw, arrays, result.warmups),
        statistics=[_statistic(tool, one) for one in result.statistics],
        evaluation=_evaluation(document, tool, contents, result, cell),
        details=_details(tool, result),
    )


def _details(tool: str, result: Result) -> dict[str, Any]:
    """The record as it stands in the file, where it stands there, and from which of its fields the figures are."""
    found: dict[str, Any] = {"record": dict(result.record)}
    if result.place:
        found["place"] = result.place
    if result.fields:
        found["fields"] = {_named(tool, metric): name for metric, name in result.fields.items()}
    if result.tasks is not None and result.tasks.items:
        found["items"] = {task: [dict(one) for one in items] for task, items in result.tasks.items.items()}
    return found


def _samples(
    tool: str,
    raw: Mapping[str, Sequence[float | None]],
    arrays: Mapping[str, Sequence[float]],
    warmups: int,
) -> list[SampleRecord]:
    """Repetitions in order; arrays stand beside the first one that is no warm-up."""
    count = max([len(values) for values in raw.values()], default=0)
    beside = {_named(tool, name): list(map(float, one)) for name, one in arrays.items() if one}
    made = []
    for repetition in range(max(count, warmups + 1 if arrays else 0)):
        values = {
            _named(tool, name): float(value)
            for name, of_metric in raw.items()
            if repetition < len(of_metric) and (value := of_metric[repetition]) is not None
        }
        made.append(
            SampleRecord(repetition, repetition < warmups, values, beside if repetition == warmups else {})
        )
    return made


def _statistic(tool: str, one: Statistic) -> StatisticRecord:
    return StatisticRecord(_named(tool, one.metric), one.statistic, one.value, one.n, one.stddev)


def _evaluation(
    document: Document, tool: str, contents: Contents, result: Result, cell: CellRecord
) -> EvaluationRecord | None:
    tasks = result.tasks
    if tasks is None:
        return None
    # Under a key that no evaluation of ours has: an imported one never stands in for a measured one.
    key = content_id("imported evaluation", {"file": document.sha256, "cell": cell.id})
    return EvaluationRecord(
        evaluation_key=key,
        artifact_id=None,
        settings=dict(tasks.settings),
        chat_template=tasks.chat_template,
        items_limit=tasks.limit,
        max_length=tasks.max_length,
        environment_id=None,
        lm_eval_version=contents.version,
        truncated=None,
        tasks=list(tasks.tasks),
        cells=[cell.id],
        details={"tool": tool},
    )
