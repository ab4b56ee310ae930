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
    """The worker's own memory at the end of a phase, in order of time; fields as in the store's ``MemoryRecord``."""

    phase: str
    peak_rss_bytes: int | None
    rss_bytes: int | None
    method: str = "VmHWM"
    reason: str | None = None
    allocator_peak_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    shares_reason: str | None = None
    device_bytes: int | None = None
    device_note: str | None = None


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
class WorkFacts:
    """What a run's passes had to do, from the model's shape, its artifact, and the workload's tokens.

    Attributes:
        decode_bytes: touched weights and KV cache read for one decoded token, mean over the tokens; None where the
            cache's type is not known, or which weights are read.
        decode_flops: operations of one decoded token, mean over the tokens; a multiply-add is two.
        prefill_bytes: weights read once for the whole prompt, and its keys and values; None as above.
        prefill_flops: operations of the whole prefill.
    """

    decode_bytes: float | None
    decode_flops: float
    prefill_bytes: float | None
    prefill_flops: float


@dataclass(frozen=True, slots=True)
class BenchFacts:
    """What a machine's memory and arithmetic can do.

    Attributes:
        read_bytes_per_s: memory read.
        fp32_flops: operations per second of an fp32 matrix product.
        int8_ops: the same of an int8 one; None where it was not measured.
        last_level_cache_bytes: None where the system does not tell.
        measured_at: the day.
        doubt: why the read rate may be too low: disturbed, or not limited by the memory; None: it stands.
    """

    read_bytes_per_s: float
    fp32_flops: float
    int8_ops: float | None
    last_level_cache_bytes: int | None
    measured_at: str
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class StatisticFacts:
    """A figure of another tool over several repetitions; fields as in the store's ``StatisticRecord``."""

    metric: str
    statistic: str
    value: float
    n: int | None = None
    stddev: float | None = None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The file of an imported session: tool, version, the file's name and hash, and its metrics' definitions."""

    tool: str
    version: str | None
    file: str
    sha256: str
    definitions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One timed run: one process.

    Attributes:
        touched_weight_bytes: weights that are read for one decoded token, from the model's shape.
        analytic_kv_bytes: keys and values of the tokens in the cache at the end, by the type in force.
        shape_reason: why both are None.
        weights_reason: why the first is None where the second need not be.
        kv_reason: why the second is None where the first is not.
        own_device: the device has memory of its own, beside the host's; None: not known.
        untimed: why ``tokenize_s`` or ``detokenize_s`` is missing, by these names.
        warmup_cap: how warm-up ended where it should have lasted until stable and did not; None elsewhere.
        work: what its passes had to do; None for ``shape_reason``.
    """

    id: str
    status: Status
    reason: str | None = None
    validity: Validity | None = "ok"
    flags: tuple[str, ...] = ()
    framework_version: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[SampleFacts, ...] = ()
    memory: tuple[MemoryFacts, ...] = ()
    energy: tuple[EnergyFacts, ...] = ()
    touched_weight_bytes: int | None = None
    analytic_kv_bytes: int | None = None
    shape_reason: str | None = None
    weights_reason: str | None = None
    kv_reason: str | None = None
    own_device: bool | None = None
    untimed: Mapping[str, str] = field(default_factory=dict)
    warmup_cap: str | None = None
    work: WorkFacts | None = None
    statistics: tuple[StatisticFacts, ...] = ()
    arrays: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopFacts:
    """What ended the repeating of a cell's runs.

    Attributes:
        ended_by: ``width``, ``cap`` or ``failed``.
        width: asked for, as a share.
        runs: that ended, suspect and failed ones included.
        widths: reached, by metric; None with fewer than two runs behind it.
    """

    ended_by: str
    width: float
    runs: int
    widths: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """The model files that a cell used.

    Attributes:
        prepare_s: seconds that making them took, from their source on.
        prepare_peak_bytes: most memory that the maker's process tree held.
        fallbacks: ``"WANTED to TAKEN"`` -> tensors whose shape made the tool choose another type.
        unread_weight_bytes: bytes of its weights that no token reads whole; None where nobody noted them.
    """

    id: str | None = None
    weight_bytes: int | None = None
    bits_per_weight: float | None = None
    verdict: ArtifactVerdict | None = None
    verdict_reason: str | None = None
    prepare_s: float | None = None
    prepare_peak_bytes: int | None = None
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    unread_weight_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """Sums over the scored positions of one window, in nats; divergence is None without a reference."""

    window: int
    positions: int
    nll_sum: float
    kld_sum: float | None = None
    same_top: int | None = None
    delta_p_sq_sum: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One metric of one evaluation task, or a task without any.

    Attributes:
        task: lm-eval's name.
        metric: its name, with the answer's filter after a comma; None where the task has no figures.
        value: over all items; None where the task has no figures.
        stderr: its standard error, None where there is none.
        n: items; None where the task has no figures.
        version: the task's.
        flips: share of items whose correctness differs from the quality reference's; None where items are not
            right or wrong, or nothing was compared.
        mcnemar_p: p-value of McNemar's exact test on these items, None where ``flips`` is.
        detectable_drop: smallest drop of accuracy that the test would have shown with these items in four of five
            repetitions; None where ``flips`` is, or where they are too few.
        num_fewshot: examples before each question.
        chat_template: whether the model's template was used.
        limit: items at most, None: all.
        reference_value: the quality reference's value.
        reason: why the task has no figures, None where it has.
    """

    task: str
    metric: str | None
    value: float | None
    stderr: float | None
    n: int | None
    version: str
    flips: float | None = None
    mcnemar_p: float | None = None
    detectable_drop: float | None = None
    num_fewshot: int | None = None
    chat_template: bool = False
    limit: int | None = None
    reference_value: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """What scoring one artifact gave.

    Attributes:
        windows: this artifact's windows.
        reference: the quality reference's windows on the same text and window; empty where there is none.
        quality_reference: what the reference is: ``llamacpp F32 (dequantised Q4_1)``.
        hints: the framework's settings in force while scoring.
        quantiles: statistics over positions that are no sums, by metric: ``kld_median``, ``kld_p99`` ...
        errors: their standard errors, where known.
        window_tokens: tokens of a window; None where it is not known.
        corpus_sha256: of the text; None where it is not known.
    """

    windows: tuple[WindowFacts, ...]
    reference: tuple[WindowFacts, ...] = ()
    quality_reference: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    quantiles: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    window_tokens: int | None = None
    corpus_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class CellFacts:
    """One cell of a session and everything stored about it there.

    Attributes:
        workload: its text, such as ``pp512+tg128@d0``.
        batch: sequences that each pass processes together; the counts of tokens are of each of them.
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
        tasks: metrics of evaluation tasks.
        tasks_status: status of the run that evaluated them; None where there was none.
        tasks_reason: why ``tasks`` is empty, None where none were asked for.
        stop: what ended the repeating of runs; None where their number was fixed, or where it goes on.
        second_look: the session is a gate's second look, which times a cell only where its runs are in doubt.
    """

    framework: str
    model: str
    precision: str
    recipe: str
    device: str
    workload: str
    prompt_tokens: int
    decode_tokens: int
    batch: int = 1
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
    tasks_status: Status | None = None
    tasks_reason: str | None = None
    stop: StopFacts | None = None
    second_look: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """Where rows come from: what stands under a table."""

    session: str
    machine_id: str
    machine_name: str
    started: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    source: SourceFacts | None = None


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
        bench: what counts of the machine's benches; None where it was never benched.
        source: the file that it was imported from; None: it was measured.
    """

    id: str
    machine_id: str
    machine_name: str
    cells: tuple[CellFacts, ...]
    started: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    energy_reason: str | None = None
    bench: BenchFacts | None = None
    source: SourceFacts | None = None

    def about(self) -> About:
        """The session without its cells."""
        return About(self.id, self.machine_id, self.machine_name, self.started, self.details, self.source)
