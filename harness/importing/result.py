"""What a tool's file says, in plain words: the one type around which every tool of `tools` is written.

Owns these shapes. Imports the standard library and the records of evaluations. Contract: frozen; metrics are named
without the tool (`records` puts it before them) and end in their unit; a figure that the file does not have is left
out; a mean is a `Statistic`, never a repetition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.store.evaluation_records import TaskRecord
from harness.store.records import StatisticName

#: Precision of which nothing is known: no class, and never compared.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Statistic:
    """A figure over several repetitions; ``n`` and ``stddev`` None where the file does not tell."""

    metric: str
    statistic: StatisticName
    value: float
    n: int | None = None
    stddev: float | None = None


@dataclass(frozen=True, slots=True)
class Tasks:
    """What an evaluation of tasks gave.

    Attributes:
        tasks: in the file's order.
        settings: what was asked for.
        chat_template: whether one was used.
        limit: items of each task at most, None: all.
        max_length: tokens that fit into a question, None: not told.
        items: what else the file has of each item of a task, by the task, in the order of its items.
    """

    tasks: Sequence[TaskRecord]
    settings: Mapping[str, Any] = field(default_factory=dict)
    chat_template: bool = False
    limit: int | None = None
    max_length: int | None = None
    items: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """One record of a file: one configuration, measured.

    Attributes:
        framework: our id where the tool drives a framework that has one, else the tool's word; ``external`` for a
            program that is no framework.
        model: its name; None: the file does not tell.
        workload: how much was processed, or the name of the benchmark.
        record: the record as it stands in the file, without the arrays that are in ``raw`` unchanged.
        recipe: the framework's name of the precision.
        precision: canonical, or `UNKNOWN`.
        device: ``cpu``, ``gpu:0`` ...
        api: ``cpu``, ``cuda`` ...
        prompt_tokens: 0 where there is no prompt.
        decode_tokens: 0 where nothing is generated.
        depth: tokens already in the cache.
        batch: sequences processed together.
        options: settings that tell this record from another one; part of what the cell is.
        raw: value of each repetition by metric, warm-ups first; None where a repetition lacks it.
        warmups: repetitions at the beginning that the tool itself leaves out.
        arrays: many numbers that are no repetitions, such as the time of each token.
        statistics: figures over several repetitions.
        started_at: aware, None where the file tells no time and zone.
        framework_version: None where the file does not tell.
        threads: None where the file does not tell.
        flags: what speaks against it.
        tasks: of an evaluation.
        place: where the record stands in the file, in words: ``line 7``, ``results[2]``.
        fields: which field of the record a metric was made from, by the metric.
    """

    framework: str
    model: str | None
    workload: str
    record: Mapping[str, Any]
    recipe: str = UNKNOWN
    precision: str = UNKNOWN
    device: str = UNKNOWN
    api: str = UNKNOWN
    prompt_tokens: int = 0
    decode_tokens: int = 0
    depth: int = 0
    batch: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    warmups: int = 0
    arrays: Mapping[str, Sequence[float]] = field(default_factory=dict)
    statistics: Sequence[Statistic] = ()
    started_at: datetime | None = None
    framework_version: str | None = None
    threads: int | None = None
    flags: Sequence[str] = ()
    tasks: Tasks | None = None
    place: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a file tells of the machine; None where it does not."""

    cpu_model: str | None = None
    arch: str | None = None
    logical_cores: int | None = None
    memory_bytes: int | None = None
    accelerators: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """All of one file.

    Attributes:
        format: ``json``, ``jsonl``, ``csv``, ``sql`` or ``text``.
        version: the tool's, None where the file does not tell.
        results: in the file's order, at least one.
        definitions: what each metric means and how it differs from ours, by name.
        machine: what the file tells of it.
        system: operating system, Python and the like, as told.
        document: what else the file holds, as it stands there.
        started_at: of the whole, where the records have no times of their own.
        commit_sha: commit under test.
        other_files: files beside it that were read too: ``name``, ``bytes``, ``sha256``.
    """

    format: str
    version: str | None
    results: Sequence[Result]
    definitions: Mapping[str, str]
    machine: MachineFacts = field(default_factory=MachineFacts)
    system: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    commit_sha: str | None = None
    other_files: Sequence[Mapping[str, Any]] = ()
