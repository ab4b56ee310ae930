"""What the table is made from: plain, stored facts of sessions.

Owns the input types of `harness.table.rows`. Imports nothing of the store: whoever reads a database fills these.
Contract: only what was stored, nothing averaged; warm-ups are left out; missing is None with a reason beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "skipped", "failed", "timeout", "oom"]
Validity = Literal["ok", "suspect"]
ArtifactVerdict = Literal["ok", "broken"]


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """One timed repetition, as the protocol's ``Sample``.

    Attributes:
        values: ``prefill_s``, ``decode_s``, ``sampling_s``, ``ttft_s`` and the framework's own counters.
        forward_ns: duration of each single-token forward pass.
        token_ns: time of each token since the prompt was submitted.
        requests: of concurrent requests: submission and time of each token, since the first submission.
    """

    values: Mapping[str, float]
    forward_ns: tuple[int, ...] = ()
    token_ns: tuple[int, ...] = ()
    requests: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """The worker's own memory at the end of a phase, in order of time."""

    phase: str
    peak_rss_bytes: int | None
    rss_bytes: int | None
    method: str = "VmHWM"
    reason: str | None = None
    allocator_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class EnergyFacts:
    """Energy of one long window of a run, or why there is none.

    Attributes:
        phase: ``prefill`` or ``decode``.
        joules_per_token: gross.
        joules_per_token_net: less idle power.
        meter: where it comes from, for a person: ``powercap dram-0+package-0 (counter)``.
        drift: idle power drifted.
        reason: why ``joules_per_token`` is None.
    """

    phase: str
    joules_per_token: float | None
    joules_per_token_net: float | None = None
    meter: str | None = None
    drift: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One timed run: one process."""

    id: str
    status: Status
    reason: str | None = None
    validity: Validity = "ok"
    flags: tuple[str, ...] = ()
    framework_version: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[SampleFacts, ...] = ()
    memory: tuple[MemoryFacts, ...] = ()
    energy: tuple[EnergyFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """The model files that a cell used.

    Attributes:
        prepare_s: seconds that making them took, from their source on.
        prepare_peak_bytes: most memory that the maker's process tree held.
        fallbacks: ``"WANTED to TAKEN"`` -> tensors whose shape made the tool choose another type.
    """

    id: str | None = None
    weight_bytes: int | None = None
    bits_per_weight: float | None = None
    verdict: ArtifactVerdict | None = None
    verdict_reason: str | None = None
    prepare_s: float | None = None
    prepare_peak_bytes: int | None = None
    fallbacks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """Sums over the scored positions of one window, in nats; divergence is None without a reference."""

    window: int
    positions: int
    nll_sum: float
    kld_sum: float | None = None
    same_top: int | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One metric of one evaluation task."""

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    version: str
    flips: float | None = None


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """What scoring one artifact gave.

    Attributes:
        windows: this artifact's windows.
        reference: the quality reference's windows on the same text and window; empty where there is none.
        quality_reference: what the reference is: ``llamacpp F32 (dequantised Q4_1)``.
        hints: the framework's settings in force while scoring.
    """

    windows: tuple[WindowFacts, ...]
    reference: tuple[WindowFacts, ...] = ()
    quality_reference: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellFacts:
    """One cell of a session and everything stored about it there.

    Attributes:
        workload: its text, such as ``pp512+tg128@d0``.
        options: the framework's settings that the suite asked for.
        reason: why the cell was planned as skipped, None where it was to run.
        baseline_precision: the framework's native half precision; None: it has fp32 only.
        default_recipe: the recipe is the one that its bare precision means.
        emulated: another processor computed what the device would: accuracy is real, speed and memory are not.
        synthetic: the model's weights are random: speed and memory are real, there is no accuracy.
        runs: timed runs, those that failed included.
        score: None where the artifact was not scored.
        score_status: status of the scoring run; None where there was none.
        score_reason: why ``score`` is None.
    """

    framework: str
    model: str
    precision: str
    recipe: str
    device: str
    workload: str
    prompt_tokens: int
    decode_tokens: int
    options: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    baseline_precision: str | None = "fp16"
    default_recipe: bool = True
    emulated: bool = False
    synthetic: bool = False
    artifact: ArtifactFacts | None = None
    runs: tuple[RunFacts, ...] = ()
    score: ScoreFacts | None = None
    score_status: Status | None = None
    score_reason: str | None = None
    tasks: tuple[TaskFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """Where rows come from: what stands under a table."""

    session: str
    machine_id: str
    machine_name: str
    started: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session and its cells.

    Attributes:
        id: the session's id.
        machine_id: stable id of the machine.
        machine_name: the machine for a person.
        started: when, in ISO 8601 with its offset.
        details: what else stands under a table: suite, commit, trigger, seed ...
        energy_reason: why this session has no energy figures, None where a meter was read.
    """

    id: str
    machine_id: str
    machine_name: str
    cells: tuple[CellFacts, ...]
    started: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    energy_reason: str | None = None

    def about(self) -> About:
        """The session without its cells."""
        return About(self.id, self.machine_id, self.machine_name, self.started, self.details)
