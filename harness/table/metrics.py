"""Every column of the comparison table, each defined once.

Owns the registry that `list metrics`, the documentation and all formats read. Imports only the standard library.
Contract: the keys of `METRICS` are the JSON keys of one row, in order: a stable interface. Formatters turn
bytes, seconds, joules and shares into what a person reads; nothing else converts units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["identity", "state", "metric", "provenance"]
Better = Literal["higher", "lower"]


def significant(value: float, digits: int = 3) -> str:
    """A number with this many significant digits, without an exponent where it stays readable."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    return f"{value:,.0f}" if abs(value) >= 1 else text


def as_text(value: Any) -> str:
    """A word as it is; several after one another."""
    return ", ".join(str(each) for each in value) if isinstance(value, list | tuple) else str(value)


def as_bytes(value: float) -> str:
    """Bytes in decimal units, as disks and vendors count: ``98.4 MB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{significant(value / size)} {unit}"
    return f"{value:.0f} B"


def as_seconds(value: float) -> str:
    """A duration in the unit that suits it: ``33.1 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size:
            return f"{significant(value / size)} {unit}"
    return f"{significant(value * 1e9)} ns"


def as_joules(value: float) -> str:
    """Energy in the unit that suits it: ``12.5 mJ``."""
    for unit, size in (("J", 1.0), ("mJ", 1e-3)):
        if abs(value) >= size:
            return f"{significant(value / size)} {unit}"
    return f"{significant(value * 1e6)} µJ"


def as_percent(value: float) -> str:
    """A share as per cent: ``62.3 %``; never ``-0.0 %``."""
    return f"{round(100 * value, 1) + 0.0:.1f} %"


def as_factor(value: float) -> str:
    """A ratio: ``2.31×``."""
    return f"{value:.2f}×"


def as_number(value: float) -> str:
    """A plain figure with three or four significant digits."""
    return significant(value, 4)


def as_count(value: float) -> str:
    """A whole number."""
    return f"{value:.0f}"


def as_yes_no(value: Any) -> str:
    """A yes or a no."""
    return "yes" if value else "no"


def as_fallbacks(value: Any) -> str:
    """How many tensors fell back, and to what: ``180 tensors: q4_K to q5_0 (150), q6_K to q8_0 (30)``."""
    total = sum(value.values())
    each = ", ".join(f"{what} ({count})" for what, count in value.items())
    return f"{total} tensor{'' if total == 1 else 's'}: {each}"


def as_tasks(value: Any) -> str:
    """Task results: ``blimp acc 0.812``; of a task without figures its name."""
    return "; ".join(
        f"{each['task']} {each['metric']} {significant(each['value'])}"
        if each["value"] is not None
        else f"{each['task']} none"
        for each in value
    )


def as_intervals(value: Any) -> str:
    """How many intervals there are; their bounds stand beside the figures."""
    return ", ".join(sorted(value))


def as_imported(value: Any) -> str:
    """Another tool's figures: ``llama-bench:decode_tps 121.3``."""
    return "; ".join(f"{name} {significant(each['value'], 4)}" for name, each in value.items())


@dataclass(frozen=True, slots=True)
class Metric:
    """One column.

    Attributes:
        name: the JSON key.
        title: column head for a person.
        kind: what a cell is (``identity``), how it ended (``state``), what was measured (``metric``), or where it
            comes from (``provenance``).
        unit: of the raw value; empty for words and ratios.
        better: which way is better; None where neither is.
        format: raw value to text; never called with None.
        description: one sentence.
        column: place in the default table, None where it is not shown unasked.
    """

    name: str
    title: str
    kind: Kind
    unit: str
    better: Better | None
    format: Callable[[Any], str]
    description: str
    column: int | None = None


def _all() -> tuple[Metric, ...]:
    m = Metric
    return (
        m("framework", "Framework", "identity", "", None, as_text, "Id of the framework under test.", 0),
        m("model", "Model", "identity", "", None, as_text, "Id of the model in `models.yaml`."),
        m("precision", "Precision", "identity", "", None, as_text, "Canonical precision of the weights.", 1),
        m("recipe", "Recipe", "identity", "", None, as_text, "The framework's own name of the precision.", 2),
        m("device", "Device", "identity", "", None, as_text, "Processor that computed.", 3),
        m("workload", "Workload", "identity", "", None, as_text,
          "Prompt and generated tokens, depth, threads, concurrent requests, sequences of a batch."),
        m("status", "Status", "state", "", None, as_text,
          "`ok` if all runs of the cell are; else the worst of `skipped`, `timeout`, `oom`, `failed`."),
        m("reason", "Reason", "state", "", None, as_text, "Why the status is not `ok`."),
        m("runs", "Runs", "state", "runs", None, as_count, "Timed runs that ended as ok, suspect ones included."),
        m("prefill_tps", "Prefill t/s", "metric", "tokens/s", "higher", as_number,
          "Prompt tokens, of a batch those of all sequences, divided by prefill seconds.", 7),
        m("decode_tps", "Decode t/s", "metric", "tokens/s", "higher", as_number,
          "Generated tokens, of a batch those of all sequences, over the sum of their synchronised forward times.", 9),
        m("ttft_s", "TTFT", "metric", "s", "lower", as_seconds, "Prompt submitted to first token."),
        m("itl_s_p50", "ITL p50", "metric", "s", "lower", as_seconds, "Median gap between two tokens of a run."),
        m("itl_s_p99", "ITL p99", "metric", "s", "lower", as_seconds,
          "99th percentile of the gaps between two tokens of a run."),
        m("peak_rss_bytes", "Memory", "metric", "bytes", "lower", as_bytes,
          "Peak resident set of the worker, from its own high-water mark.", 5),
        m("weight_bytes", "Weights", "metric", "bytes", "lower", as_bytes, "Weight tensors on disk."),
        m("bits_per_weight", "Bits/weight", "metric", "bits", "lower", as_number,
          "Weight bytes times 8 over parameters: measured, not nominal.", 4),
        m("energy_joules_per_prefill_token", "Energy per prefill token", "metric", "J/token", "lower", as_joules,
          "Gross energy of the device's domains per prompt token, from a window of its own."),
        m("energy_joules_per_decode_token", "Energy per token", "metric", "J/token", "lower", as_joules,
          "Gross energy of the device's domains per generated token, from a window of its own.", 13),
        m("perplexity", "PPL", "metric", "", "lower", as_number,
          "exp of the mean negative log-likelihood over the scored positions."),
        m("perplexity_ratio", "PPL ratio", "metric", "", "lower", as_number,
          "Perplexity over the quality reference's on the same windows.", 16),
        m("kld_mean", "KLD", "metric", "nats", "lower", significant,
          "Mean Kullback-Leibler divergence of the next-token distribution from the quality reference's.", 14),
        m("same_top", "Same top", "metric", "share", "higher", as_percent,
          "Share of positions whose top token is the quality reference's.", 15),
        m("speedup_prefill", "Speed-up prefill", "metric", "", "higher", as_factor,
          "Prefill tokens/s over the speed baseline's.", 11),
        m("speedup_decode", "Speed-up decode", "metric", "", "higher", as_factor,
          "Decode tokens/s over the speed baseline's.", 12),
        m("memory_reduction", "Memory saved", "metric", "share", "higher", as_percent,
          "1 less the ratio of peaks to the speed baseline's, each less the worker's size after its imports.", 6),
        m("quality_reference", "Quality reference", "provenance", "", None, as_text,
          "What quality is measured against: one for all frameworks."),
        m("speed_baseline", "Speed baseline", "provenance", "", None, as_text,
          "What speed-up and memory saved are measured against: the same framework at its native half precision."),
        m("artifact_verdict", "Artifact", "state", "", None, as_text,
          "`broken` where the artifact does not compute the model's function, else `ok`."),
        m("validity", "Validity", "state", "", None, as_text,
          "`suspect` where something could have spoiled every run behind the figures, else `ok`."),
        m("flags", "Flags", "state", "", None, as_text, "What speaks against runs, with figures."),
        m("stream_tps", "Stream t/s", "metric", "tokens/s", "higher", as_number,
          "Tokens after the first over the time from first to last token, sampling included."),
        m("intervals", "95 % intervals", "metric", "", None, as_intervals,
          "95 % interval `[low, high]` by metric."),
        m("tasks", "Tasks", "metric", "", None, as_tasks, "Results of evaluation tasks."),
        m("session", "Session", "provenance", "", None, as_text, "Id of the session that measured."),
        m("machine", "Machine", "provenance", "", None, as_text, "Stable id of the machine that measured."),
        m("framework_version", "Version", "provenance", "", None, as_text, "The framework's version in the runs."),
        m("precision_class", "Class", "identity", "", None, as_text,
          "Class of the precision: `full`, `half`, `medium` (5 to 8 bit), `low` (3 to 4), `ultra-low` (1 to 2)."),
        m("prepare_s", "Prepared in", "metric", "s", "lower", as_seconds,
          "Seconds that making the artifact took, from its source on, the maker's start included."),
        m("prepare_peak_bytes", "Prepare memory", "metric", "bytes", "lower", as_bytes,
          "Most memory of the maker: its process tree's resident set, sampled, or its own high-water mark if higher."),
        m("fallbacks", "Fell back", "state", "", None, as_fallbacks,
          "Tensors whose shape made the tool take another type than the recipe's: number by `WANTED to TAKEN`."),
        m("emulated", "Emulated", "state", "", None, as_yes_no,
          "Whether another processor computed what the device would: its speed says nothing about silicon."),
        m("synthetic", "Synthetic", "state", "", None, as_yes_no,
          "Whether the model's weights are seeded random numbers: there is no accuracy to measure."),
        m("ttft_s_p99", "TTFT p99", "metric", "s", "lower", as_seconds,
          "99th percentile of submission to first token over all requests of a run."),
        m("throughput_tps", "Throughput t/s", "metric", "tokens/s", "higher", as_number,
          "Tokens of all concurrent requests or of a batch over the time from first submission to last token."),
        m("allocator_peak_bytes", "Allocator peak", "metric", "bytes", "lower", as_bytes,
          "Peak of the framework's own allocator where it keeps one (MLX): its buffers, not the process."),
        m("options", "Options", "identity", "", None, as_text,
          "The framework's own settings that the suite asked for, as `name=value`; `defaults` where there are none."),
        m("import_bytes", "Own size", "metric", "bytes", "lower", as_bytes,
          "Resident set of the worker after importing its framework, before it has a model."),
        m("load_peak_bytes", "Load peak", "metric", "bytes", "lower", as_bytes,
          "High-water mark once the model is loaded."),
        m("prefill_peak_bytes", "Prefill peak", "metric", "bytes", "lower", as_bytes,
          "High-water mark after the first prefill, before any token is decoded."),
        m("decode_peak_bytes", "Decode peak", "metric", "bytes", "lower", as_bytes,
          "High-water mark after the last pass."),
        m("touched_weight_bytes", "Touched weights", "metric", "bytes", "lower", as_bytes,
          "Weights read for one decoded token: all, less tables of which it takes one row and the experts not used."),
        m("analytic_kv_bytes", "KV cache (analytic)", "metric", "bytes", "lower", as_bytes,
          "Keys and values of the tokens in the cache at the end, from the model's shape and the types in force."),
        m("residual_bytes", "Residual", "metric", "bytes", "lower", as_bytes,
          "Peak (and device memory) less own size, touched weights and analytic KV cache: what they do not explain."),
        m("device_bytes", "Device memory", "metric", "bytes", "lower", as_bytes,
          "Memory of the accelerator that the run's processes held after a request; none where it shares the host's."),
        m("pss_bytes", "PSS", "metric", "bytes", "lower", as_bytes,
          "Proportional set size after the last pass: each page over the number of processes that map it."),
        m("uss_bytes", "USS", "metric", "bytes", "lower", as_bytes,
          "Unique set size after the last pass: pages that no other process maps."),
        m("tokenize_tps", "Tokenize t/s", "metric", "tokens/s", "higher", as_number,
          "Tokens of a fixed text over the time in which the framework's tokenizer makes them."),
        m("detokenize_tps", "Detokenize t/s", "metric", "tokens/s", "higher", as_number,
          "Tokens of the same text over the time in which the framework's tokenizer makes it text again."),
        m("sampling_s_per_token", "Sampling", "metric", "s", "lower", as_seconds,
          "Seconds of choosing one token greedily from the newest logits."),
        m("stopped_by", "Stopped by", "state", "", None, as_text,
          "What ended the repeating of runs: `width` (narrow enough), `cap` or `failed`; empty for a fixed number."),
        m("bits_per_byte", "Bits/byte", "metric", "bits/byte", "lower", significant,
          "Negative log-likelihood of the scored text in bits over its bytes: compares across tokenizers."),
        m("kld_median", "KLD median", "metric", "nats", "lower", significant,
          "Median over positions of the divergence from the quality reference."),
        m("kld_p99", "KLD p99", "metric", "nats", "lower", significant,
          "99th percentile over positions of the divergence from the quality reference."),
        m("kld_p999", "KLD p99.9", "metric", "nats", "lower", significant,
          "99.9th percentile over positions of the divergence from the quality reference."),
        m("kld_max", "KLD max", "metric", "nats", "lower", significant,
          "Largest divergence of a position from the quality reference."),
        m("delta_p_rms", "RMS dp", "metric", "", "lower", significant,
          "Root mean square over positions of the true token's probability less the quality reference's."),
        m("delta_p_p1", "dp p1", "metric", "", "higher", significant,
          "1st percentile over positions of the true token's probability less the quality reference's."),
        m("delta_p_median", "dp median", "metric", "", "higher", significant,
          "Median over positions of the true token's probability less the quality reference's."),
        m("delta_p_p99", "dp p99", "metric", "", "lower", significant,
          "99th percentile over positions of the true token's probability less the quality reference's."),
        m("mbu_decode", "MBU", "metric", "share", "higher", as_percent,
          "Touched weight and KV cache bytes a token, times decode tokens/s, over the measured read bandwidth.", 10),
        m("mfu_prefill", "MFU", "metric", "share", "higher", as_percent,
          "The model's operations per token, times prefill tokens/s, over the measured fp32 peak.", 8),
        m("kld_detectable", "KLD detectable", "metric", "nats", None, significant,
          "Smallest rise of mean divergence that these paired windows would have shown in four of five repetitions."),
        m("perplexity_ratio_detectable", "PPL ratio detectable", "metric", "", None, as_number,
          "Smallest perplexity ratio above 1 that these paired windows would have shown in four of five repetitions."),
        m("source", "Source", "provenance", "", None, as_text,
          "Tool that measured, where the session was imported."),
        m("imported", "Imported", "provenance", "", None, as_imported,
          "Another tool's figures by its own names and definitions: `value`, `statistic`, `n`, `stddev` of each."),
        m("scored_positions", "Positions", "state", "positions", None, as_count,
          "Positions of the text that quality rests on: figures over other positions do not compare."),
        m("score_window", "Window", "state", "tokens", None, as_count,
          "Tokens of a scored window, of which the first are context only."),
    )  # fmt: skip


#: Every column by its JSON key, in the order of the keys.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _all()}

#: The JSON keys of one row, in order.
ROW_KEYS: tuple[str, ...] = tuple(METRICS)
