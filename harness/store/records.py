"""Plain records at the store's boundary: what the runner hands in and what the table gets out.

Owns the shapes of facts outside the database, those of tasks being in `evaluation_records`. Imports the standard
library, `ids` and the protocol's messages; never SQLAlchemy. Contract: frozen; an id that is left out is derived from
the content; what could never be stored is refused here with a ValueError that names the field (it is a mistake of
the caller, not of a user).

Missing is None, never 0. Names end in their unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from harness.store import ids
from harness.store.evaluation_records import EvaluationRecord
from harness.worker import protocol

#: Phase of a run that ended before it had a worker. It counts as an attempt but leaves its planned run missing.
SETUP_PHASE = "set-up"

RunKind = Literal["timed", "score", "reference", "tasks"]
StatisticName = Literal["mean", "median", "minimum", "maximum", "value"]
RunStatus = Literal["ok", "skipped", "failed", "timeout", "oom"]
PreparationStatus = Literal["ok", "failed", "oom", "timeout"]
StopReason = Literal["width", "cap", "failed"]
SessionStatus = Literal["running", "ok", "failed", "interrupted"]
Numbers = Sequence[int] | Sequence[float]
# An alias: `WindowRecord` has a field of the type's name.
Packed = bytes

_PER_SECOND = ("_per_s", "_flops", "_ops")
#: How a meter comes to joules: the hardware integrates, or the runner does from sampled power.
ENERGY_METHODS = ("counter", "power")

_MEMORY_STEP_BYTES = 256 * 2**20


def _finite(where: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{where}: {name} is {value}; a figure that is none is None")


def _derive_id(record: Any, kind: str, content: Mapping[str, Any]) -> None:
    if not record.id:
        object.__setattr__(record, "id", ids.content_id(kind, content))


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """A host.

    Attributes:
        cpu_model: as the processor names itself; None where an imported file does not tell, as in the next columns.
        arch: ``x86_64``, ``aarch64`` ...
        physical_cores: None where the system does not tell.
        logical_cores: hardware threads.
        memory_bytes: main memory; kept to 256 MiB, because an update of the kernel changes the last megabytes and
            must not make another machine.
        accelerators: GPUs and NPUs, each a name or a mapping; no serial numbers.
        sockets: processor packages, None where the system does not tell.
        name: a line for people; the CPU's model when left out. Part of the id only where the columns above leave
            open which machine it is.
        id: derived when left out.
    """

    cpu_model: str | None
    arch: str | None
    physical_cores: int | None
    logical_cores: int | None
    memory_bytes: int | None
    accelerators: Sequence[Any] = ()
    sockets: int | None = None
    name: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if self.memory_bytes is not None:
            object.__setattr__(
                self, "memory_bytes", round(self.memory_bytes / _MEMORY_STEP_BYTES) * _MEMORY_STEP_BYTES
            )
        object.__setattr__(self, "accelerators", tuple(sorted(self.accelerators, key=ids.canonical_json)))
        object.__setattr__(self, "name", self.name or self.cpu_model)
        if not self.name:
            raise ValueError("machine: neither a name nor a CPU")
        content: dict[str, Any] = {
            "cpu_model": self.cpu_model,
            "arch": self.arch,
            "sockets": self.sockets,
            "physical_cores": self.physical_cores,
            "logical_cores": self.logical_cores,
            "memory_bytes": self.memory_bytes,
            "accelerators": self.accelerators,
        }
        if None in (self.cpu_model, self.arch, self.logical_cores, self.memory_bytes):
            content["name"] = self.name
        _derive_id(self, "machine", content)


@dataclass(frozen=True, slots=True)
class MachineBenchRecord:
    """What a machine's memory and arithmetic can do, measured once.

    Attributes:
        machine_id: stored machine.
        measured_at: aware.
        edgebench_version: this program's.
        threads: that worked at the same time.
        array_bytes: of the arrays read, all threads together.
        read_bytes_per_s: best repetition of the fastest kernel.
        read_median_bytes_per_s: its median.
        copy_bytes_per_s: bytes read and written, best repetition.
        copy_median_bytes_per_s: its median.
        fp32_flops: operations per second, best repetition.
        fp32_median_flops: its median.
        int8_ops: operations per second, best repetition; None with a reason under the same name.
        int8_median_ops: its median.
        last_level_cache_bytes: all instances together; None with a reason under the same name.
        reasons: why a figure is None or less than it seems, by column.
        method: every kernel with its spread, and the software.
        state: OS, kernel, governor, power mode.
        validity: ``ok`` or ``suspect``.
        flags: what made it suspect.
        id: derived when left out.
    """

    machine_id: str
    measured_at: datetime
    edgebench_version: str
    threads: int
    array_bytes: int
    read_bytes_per_s: float
    read_median_bytes_per_s: float
    copy_bytes_per_s: float
    copy_median_bytes_per_s: float
    fp32_flops: float
    fp32_median_flops: float
    int8_ops: float | None = None
    int8_median_ops: float | None = None
    last_level_cache_bytes: int | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    validity: Literal["ok", "suspect"] = "ok"
    flags: Sequence[str] = ()
    id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "flags", tuple(self.flags))
        what = f"bench of machine {self.machine_id}"
        figures = {
            one.name: getattr(self, one.name) for one in fields(self) if one.name.endswith(_PER_SECOND)
        }
        _finite(what, **figures)
        for name, value in figures.items():
            if value is not None and value <= 0:
                raise ValueError(f"{what}: {name} is {value}; a figure that is none is None")
        for name in ("int8_ops", "last_level_cache_bytes"):
            if getattr(self, name) is None and not self.reasons.get(name):
                raise ValueError(f"{what}: {name} is None without a reason")
        content = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}
        content |= {"measured_at": self.measured_at.isoformat(), "flags": list(self.flags)}
        _derive_id(self, "machine_bench", content)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One invocation, as it begins.

    Attributes:
        machine_id: of a machine that is stored.
        suite: the suite's name.
        suite_sha256: of its text.
        suite_text: the file as it is.
        command_line: arguments as typed.
        edgebench_version: this program's.
        seed: of the order and the token ids.
        started_at: aware.
        trigger: ``manual``, ``nightly``, ``gate`` ...
        commit_sha: commit under test, None outside a repository.
        system: OS, kernel, drivers, firmware, power mode; for people also the host's name.
        settings: what the command line changed: selections, overrides.
    """

    machine_id: str
    suite: str
    suite_sha256: str
    suite_text: str
    command_line: Sequence[str]
    edgebench_version: str
    seed: int
    started_at: datetime
    trigger: str = "manual"
    commit_sha: str | None = None
    system: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PackageRecord:
    """One resolved package; ``hash`` is None where the installer told none."""

    name: str
    version: str
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    """A framework's environment: exactly these packages, in any order. The id is derived when left out.

    ``role`` is ``runtime``, or ``converter`` where making artifacts needs another environment.
    """

    framework: str
    variant: str
    python: str
    packages: Sequence[PackageRecord]
    role: str = "runtime"
    id: str = ""

    def __post_init__(self) -> None:
        content = {
            "framework": self.framework,
            "variant": self.variant,
            "role": self.role,
            "python": self.python,
            "packages": sorted([one.name, one.version, one.hash or ""] for one in self.packages),
        }
        _derive_id(self, "environment", content)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A source model; ``name`` is its id in the model list, ``parameters`` its number of weights if counted.

    ``configuration`` is its shape (`harness.model.configuration`), None where its file describes none that is known.
    It follows from the file, so it is no part of the id. The id is derived when left out: two laboratories may mean
    different files by one name.
    """

    name: str
    source: str
    sha256: str
    architecture: str
    licence: str | None = None
    parameters: int | None = None
    id: str = ""
    configuration: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        content = {
            "name": self.name,
            "source": self.source,
            "sha256": self.sha256,
            "architecture": self.architecture,
            "licence": self.licence,
            "parameters": self.parameters,
        }
        _derive_id(self, "model", content)


#: Under this name the notes of an artifact tell the bytes of its weights that no token reads whole, where its framework
#: may make such (`Backend.may_hold_unread`).
UNREAD = "unread_weight_bytes"


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """Model files of one precision, and one way in which they were made.

    Attributes:
        id: SHA-256 of the content.
        model_id: of a model that is stored.
        framework: whose recipe it is.
        recipe: the framework's own name of the precision.
        precision: canonical.
        weight_bytes: bytes of weight tensors on disk, None where the weights are not here.
        parameters: number of weights, None where unknown.
        tool: distribution that made it.
        tool_version: its version.
        made_at: aware.
        made_s: seconds it took; None where it was not made here.
        made_peak_bytes: most memory of the maker; None where unknown. No part of the lineage's id.
        source_artifact_id: stored artifact that it was made from, None: from the model's own file.
        environment_id: stored environment that made it.
        made_with: everything that changes the bytes.
        notes: what the tool told, and `UNREAD` from the files.
        files: ``path``, ``bytes``, ``sha256`` of each file.
    """

    id: str
    model_id: str
    framework: str
    recipe: str
    precision: str
    weight_bytes: int | None
    parameters: int | None
    tool: str
    tool_version: str
    made_at: datetime
    made_s: float | None = None
    made_peak_bytes: int | None = None
    source_artifact_id: str | None = None
    environment_id: str | None = None
    made_with: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[Mapping[str, Any]] = ()

    @property
    def bits_per_weight(self) -> float | None:
        """Weight bytes x 8 / parameters: measured, not nominal. None where either is unknown."""
        if self.weight_bytes is None or not self.parameters:
            return None
        return self.weight_bytes * 8 / self.parameters


@dataclass(frozen=True, slots=True)
class PreparationRecord:
    """One attempt to make an artifact.

    Attributes:
        machine_id: stored machine.
        model: its id in the model list.
        framework: whose recipe it is.
        recipe: the framework's own name of the precision.
        tool: distribution that makes it.
        tool_version: its version in the environment.
        status: ``ok``, ``failed``, ``oom`` or ``timeout``.
        seconds: from the maker's start to its end.
        threads: compute threads that it was told to use.
        jobs: preparations that could run beside each other, this one included.
        started_at: aware.
        session_id: stored session that needed it, None: prepared ahead.
        environment_id: stored environment.
        artifact_id: stored artifact, required where ok, None elsewhere.
        reason: why it is not ok, in a sentence; required then.
        error: the maker's own error text.
        log_tail: last lines of the maker's output.
        peak_bytes: most memory of the maker's process tree, None where unknown.
        id: derived when left out.
    """

    machine_id: str
    model: str
    framework: str
    recipe: str
    tool: str
    tool_version: str
    status: PreparationStatus
    seconds: float
    threads: int
    jobs: int
    started_at: datetime
    session_id: str | None = None
    environment_id: str | None = None
    artifact_id: str | None = None
    reason: str | None = None
    error: str | None = None
    log_tail: str | None = None
    peak_bytes: int | None = None
    id: str = ""

    def __post_init__(self) -> None:
        what = f"preparation of {self.model} {self.framework} {self.recipe}"
        if (self.status == "ok") != (self.artifact_id is not None):
            raise ValueError(f"{what} is {self.status} with the artifact {self.artifact_id}")
        if self.status != "ok" and not self.reason:
            raise ValueError(f"{what} is {self.status} without a reason")
        _finite(what, seconds=self.seconds)
        content = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}
        _derive_id(self, "preparation", {**content, "started_at": self.started_at.isoformat()})


@dataclass(frozen=True, slots=True)
class CellRecord:
    """Framework x model x precision x device x workload. The id, derived when left out, holds no version.

    ``source``: the tool by whose definitions it was measured elsewhere; None: edgebench's own.
    """

    framework: str
    model: str
    precision: str
    recipe: str
    device: str
    api: str
    workload: str
    prompt_tokens: int
    decode_tokens: int
    depth: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1
    id: str = ""
    source: str | None = None

    def __post_init__(self) -> None:
        content: dict[str, Any] = {
            "framework": self.framework,
            "model": self.model,
            "precision": self.precision,
            "recipe": self.recipe,
            "device": self.device,
            "api": self.api,
            "workload": self.workload,
            "prompt_tokens": self.prompt_tokens,
            "decode_tokens": self.decode_tokens,
            "depth": self.depth,
            "options": dict(self.options),
        }
        if self.batch != 1:  # ids of what was there before batches stay as they are
            content["batch"] = self.batch
        if self.source is not None:
            content["source"] = self.source
        _derive_id(self, "cell", content)


@dataclass(frozen=True, slots=True)
class PlannedCellRecord:
    """One cell of a session's plan; ``reason`` says why it cannot run here, None: it will."""

    cell: CellRecord
    position: int
    reason: str | None = None
    expected_s: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellStopRecord:
    """What ended the repeating of a cell's runs, where their number was not fixed.

    Attributes:
        cell_id: a cell of the session's plan.
        ended_by: ``width``: the intervals were narrow enough; ``cap``: the most runs that were allowed; ``failed``:
            its first runs all failed.
        width: asked for: half the 95 % interval of the median over runs, as a share of the median.
        min_runs: asked for at least.
        max_runs: allowed at most.
        runs: timed runs that ended, of whatever outcome.
        clean_runs: those behind the widths: ok and not suspect.
        widths: reached, by metric; None with fewer than two clean runs.
    """

    cell_id: str
    ended_by: StopReason
    width: float
    min_runs: int
    max_runs: int
    runs: int
    clean_runs: int
    widths: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _finite(f"stop of cell {self.cell_id}", width=self.width, **self.widths)


@dataclass(frozen=True, slots=True)
class PlannedRunRecord:
    """One run of a session's shuffled order; ``position`` from 0, ``index`` counts within cell and kind."""

    cell_id: str
    kind: RunKind
    index: int
    position: int
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One repetition: single numbers by metric, and traces (many numbers, all int or all float) by name."""

    repetition: int
    warmup: bool
    values: Mapping[str, float]
    traces: Mapping[str, Numbers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _finite(f"sample of repetition {self.repetition}", **self.values)

    @classmethod
    def of(cls, sample: protocol.Sample) -> SampleRecord:
        """From what a worker sent; its traces are called ``forward_ns``, ``token_ns`` and ``request_ns.0`` ..."""
        traces = {"forward_ns": sample.forward_ns, "token_ns": sample.token_ns}
        traces |= {f"request_ns.{i}": times for i, times in enumerate(sample.request_ns)}
        kept = {name: numbers for name, numbers in traces.items() if numbers}
        return cls(sample.repetition, sample.warmup, sample.values, kept)


@dataclass(frozen=True, slots=True)
class StatisticRecord:
    """A figure that a tool gives of several repetitions together; ``n`` and ``stddev`` None where it does not tell."""

    metric: str
    statistic: StatisticName
    value: float
    n: int | None = None
    stddev: float | None = None

    def __post_init__(self) -> None:
        _finite(f"statistic {self.metric}", value=self.value, stddev=self.stddev)


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """The worker's memory at the end of a phase; ``reason`` where the peak is None.

    ``shares_reason`` says why ``pss_bytes`` and ``uss_bytes`` are None, ``device_note`` how ``device_bytes`` was read
    or why it is None; ``device_shared``: the device has no memory but the host's.
    """

    phase: str
    peak_rss_bytes: int | None
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    method: str
    allocator_peak_bytes: int | None = None
    device_bytes: int | None = None
    reason: str | None = None
    shared_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    shares_reason: str | None = None
    device_shared: bool | None = None
    device_note: str | None = None

    @classmethod
    def of(cls, reading: protocol.MemoryReading) -> MemoryRecord:
        """From what a worker sent."""
        return cls(
            phase=reading.phase,
            peak_rss_bytes=reading.peak_rss_bytes,
            rss_bytes=reading.rss_bytes,
            anon_bytes=reading.anon_bytes,
            file_bytes=reading.file_bytes,
            method=reading.method,
            allocator_peak_bytes=reading.allocator_peak_bytes,
            reason=reading.reason,
            shared_bytes=reading.shared_bytes,
            pss_bytes=reading.pss_bytes,
            uss_bytes=reading.uss_bytes,
            shares_reason=reading.shares_reason,
        )


@dataclass(frozen=True, slots=True)
class TimelineRecord:
    """A run's memory over time, as its runner saw it.

    Attributes:
        scope: whose: ``worker``, or ``descendants`` (everything that the worker started: a server).
        method: where the figures come from.
        interval_s: between two readings at the end; a long run is thinned out.
        readings: how many were made; those equal to the one before are not kept.
        seconds: how long it was watched.
        watcher_cpu_s: CPU time of the watching thread.
        series: ``time_ns`` since the process was started, and figures in bytes, all of one length; a figure holds
            until the next time.
        marks: ``(phase, time_ns)`` as phases began.
        reason: why the series are empty; required then.
    """

    scope: str
    method: str
    interval_s: float
    readings: int
    seconds: float
    watcher_cpu_s: float
    series: Mapping[str, Sequence[int]]
    marks: Sequence[tuple[str, int]] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(numbers) for numbers in self.series.values()}
        if "time_ns" not in self.series or len(lengths) != 1:
            raise ValueError(f"timeline: series of lengths {sorted(lengths)} with times or without")
        if lengths == {0} and not self.reason:
            raise ValueError("timeline: empty without a reason")


@dataclass(frozen=True, slots=True)
class EnergyRecord:
    """The energy of one window, or the ``reason`` why ``gross_joules`` is None.

    ``net_joules`` is gross less idle power x window; ``domain_joules`` holds what each domain of the meter took, also
    those that are not summed. ``estimate_joules`` is of the power model that ``estimate_label`` names; it is never
    compared with a measurement, and what a meter did not read is never in the other columns.
    """

    phase: str
    gross_joules: float | None = None
    net_joules: float | None = None
    tokens: int | None = None
    deepest_tokens: int | None = None
    window_s: float | None = None
    idle_watts: float | None = None
    idle_watts_before: float | None = None
    idle_watts_after: float | None = None
    idle_drift: bool | None = None
    meter: str | None = None
    domain: str | None = None
    method: str | None = None
    resolution_s: float | None = None
    resolution_joules: float | None = None
    domain_joules: Mapping[str, float] | None = None
    estimate_joules: float | None = None
    estimate_label: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        where = f"energy of {self.phase}"
        if self.gross_joules is None and not self.reason:
            raise ValueError(f"{where}: missing without a reason")
        figures = {
            name: getattr(self, name)
            for name in ("gross_joules", "net_joules", "idle_watts", "idle_watts_before", "idle_watts_after")
        }
        _finite(where, **figures, **(self.domain_joules or {}), estimate_joules=self.estimate_joules)
        measured = self.domain_joules is not None or any(value is not None for value in figures.values())
        if measured and not (self.meter and self.method and self.domain):
            raise ValueError(f"{where}: a measurement without a meter, a method and a domain")
        if self.method not in (None, *ENERGY_METHODS):
            raise ValueError(f"{where}: without a method of measurement: {self.method!r} is none")
        if self.gross_joules is None and self.net_joules is not None:
            raise ValueError(f"{where}: net without a gross figure")
        if self.gross_joules is not None and not (self.gross_joules > 0 and self.tokens and self.window_s):
            raise ValueError(f"{where}: joules without a window, tokens or energy in it")
        if (self.estimate_joules is None) != (self.estimate_label is None):
            raise ValueError(f"{where}: an estimate without a label, or a label without an estimate")
        if self.estimate_joules is not None and measured:
            raise ValueError(f"{where}: an estimate is not stored without a row of its own")


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """Sums over the scored positions of one window, in nats.

    ``bytes`` of text that the predicted tokens stand for, None where not counted; ``data``: the figures of each
    position (`harness.worker.scoring.POSITION`), packed, None where not kept.
    """

    window: int
    positions: int
    nll_sum: float
    kld_sum: float | None = None
    same_top: int | None = None
    delta_p_sq_sum: float | None = None
    bytes: int | None = None
    data: Packed | None = None

    def __post_init__(self) -> None:
        _finite(
            f"window {self.window}",
            nll_sum=self.nll_sum,
            kld_sum=self.kld_sum,
            delta_p_sq_sum=self.delta_p_sq_sum,
        )

    @classmethod
    def of(
        cls,
        score: protocol.WindowScore,
        *,
        text_bytes: int | None = None,
        data: Packed | None = None,
    ) -> WindowRecord:
        """From what a worker sent."""
        return cls(
            window=score.window,
            positions=score.positions,
            nll_sum=score.nll_sum,
            kld_sum=score.kld_sum,
            same_top=score.same_top,
            delta_p_sq_sum=score.delta_p_sq_sum,
            bytes=text_bytes,
            data=data,
        )


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """Whether the artifact computes the model's function; ``reason`` says what was out of which limit."""

    verdict: Literal["ok", "broken"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """What scoring gave.

    Attributes:
        scoring_key: equal where scoring again would give the same; the caller's (artifact, environment, device,
            hints, corpus, window).
        artifact_id: what was scored.
        corpus: name of the text.
        corpus_sha256: of the text.
        window_tokens: tokens of a window.
        stride_tokens: tokens between the beginnings of two windows.
        score_from: first position of a window that is scored.
        bos: token id that replaces the first of each window, None: none.
        finite: False where any scored logit was NaN or infinite.
        vocab_size: width of the logits.
        windows: in order.
        reference_run_id: run of the quality reference, None when this is it or there was none.
        quality_reference: that reference in words.
        kld: ``median``, ``p99``, ``p999``, ``max`` over positions, None without a reference.
        delta_p: percentiles over positions of the change of the true token's probability; None without a reference.
        errors: standard errors of statistics that are no sums over windows, by name (``kld_p99``); empty: unknown.
        method: how the divergence was computed: ``exact``, or which sketch.
        cells: cells of the run's session that this score stands for (an artifact may serve several workloads).
        verdict: None where it is not judged yet.
        details: anything else worth keeping.
    """

    scoring_key: str
    artifact_id: str
    corpus: str
    corpus_sha256: str
    window_tokens: int
    stride_tokens: int
    score_from: int
    bos: int | None
    finite: bool
    vocab_size: int
    windows: Sequence[WindowRecord]
    reference_run_id: str | None = None
    quality_reference: str | None = None
    kld: Mapping[str, float] | None = None
    delta_p: Mapping[str, float] | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    method: str = "exact"
    cells: Sequence[str] = ()
    verdict: VerdictRecord | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kld is not None:
            unknown = self.kld.keys() - {"median", "p99", "p999", "max"}
            if unknown:
                raise ValueError(f"score: no column for the divergence's {', '.join(sorted(unknown))}")
            _finite("score", **self.kld)

    @property
    def positions(self) -> int:
        """Scored positions in all windows."""
        return sum(one.positions for one in self.windows)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One worker process executing one cell once, or scoring one artifact once; also where it failed.

    Attributes:
        session_id: its session, stored.
        cell_id: its cell, stored.
        kind: ``timed``, ``score``, ``reference`` or ``tasks``.
        index: which run of this cell and kind, from 0.
        status: ``ok``, ``skipped``, ``failed``, ``timeout`` or ``oom``.
        started_at: aware; None where an imported file does not tell.
        attempt: from 1; the last one counts.
        reason: why it is not ok, in a sentence; required then.
        phase: where it ended when it is not ok.
        error: the worker's own error text.
        log_tail: last lines of the worker's output.
        artifact_id: stored artifact, None where none was made.
        environment_id: stored environment, None where none could be made.
        framework_version: as the framework told, None where it never started.
        versions: component versions as the framework told.
        device: the device read back after loading (`api.Device` as a mapping), None where not loaded.
        hints: settings in force, read back.
        threads: compute threads.
        seed: of its token ids.
        duration_s: from spawn to exit, None where no process was started.
        phases_s: seconds by phase.
        harness_s: the runner's own work, outside all phases of the worker.
        vocab_size: width of the logits.
        kv_cache_bytes: the framework's own figure.
        validity: ``ok`` or ``suspect``; None where nobody watched what could have spoiled it.
        flags: what made it suspect, each a sentence or a mapping.
        machine_state: load, pressure, clocks, calibration ...
        samples: repetitions in order, warm-ups first.
        memory: readings in order.
        energy: readings in order.
        timeline: its memory over time, None where it was not watched.
        score: of a score or reference run that is ok.
        evaluation: of a tasks run that is ok.
        statistics: figures of several repetitions together, where an imported file has no more than those.
        details: anything else worth keeping.
    """

    session_id: str
    cell_id: str
    kind: RunKind
    index: int
    status: RunStatus
    started_at: datetime | None
    attempt: int = 1
    reason: str | None = None
    phase: str | None = None
    error: str | None = None
    log_tail: str | None = None
    artifact_id: str | None = None
    environment_id: str | None = None
    framework_version: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    device: Mapping[str, Any] | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    seed: int | None = None
    duration_s: float | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)
    harness_s: float | None = None
    vocab_size: int | None = None
    kv_cache_bytes: int | None = None
    validity: Literal["ok", "suspect"] | None = "ok"
    flags: Sequence[Any] = ()
    machine_state: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[SampleRecord] = ()
    memory: Sequence[MemoryRecord] = ()
    energy: Sequence[EnergyRecord] = ()
    timeline: TimelineRecord | None = None
    score: ScoreRecord | None = None
    evaluation: EvaluationRecord | None = None
    statistics: Sequence[StatisticRecord] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status != "ok" and not self.reason:
            raise ValueError(f"run of cell {self.cell_id} is {self.status} without a reason")
        if self.validity == "suspect" and not self.flags:
            raise ValueError(f"run of cell {self.cell_id} is suspect without a flag that says why")
        _finite(f"run of cell {self.cell_id}", duration_s=self.duration_s, harness_s=self.harness_s)

    @property
    def id(self) -> str:
        """Derived from session, cell, kind, index and attempt."""
        return ids.run_id(self.session_id, self.cell_id, self.kind, self.index, self.attempt)
