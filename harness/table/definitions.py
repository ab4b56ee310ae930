"""How every figure is defined: its formula, what it is made from, and how other tools' figures of that name differ.

Owns `DEFINITIONS` and the table in ``docs/method.md`` made from it: ``python -m harness.table.definitions`` in a
checkout writes it. Contract: every measured column of the registry has exactly one definition; tests hold both to that.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.table.metrics import METRICS

BEGIN = "<!-- made from harness/table/definitions.py by `python -m harness.table.definitions` -->"
END = "<!-- end of what is made from the definitions -->"

#: Columns of the kind ``metric`` that are no single figure.
COMPOUND = frozenset({"intervals", "tasks"})


@dataclass(frozen=True, slots=True)
class Definition:
    """One figure.

    Attributes:
        formula: of a run, or of a score; a cell shows the median over its runs.
        source: what it is computed from: names of samples, traces, readings, columns of the database.
        differences: how figures that other tools give under such a name differ; empty where none is known.
    """

    formula: str
    source: str
    differences: str = ""


_TOKENS = "`token_ns` of each repetition"
_STATUS = "`memory_reading`"
_WINDOWS = "`score_window`"

DEFINITIONS: dict[str, Definition] = {
    "prefill_tps": Definition(
        "median over repetitions of batch x prompt tokens / `prefill_s`",
        "`prefill_s`: from the call to synchronised logits of the last token",
        "llama-bench's `pp` is the same span. mlx_lm.benchmark's `prompt_tps` has the first token's sampling in it.",
    ),
    "decode_tps": Definition(
        "median over repetitions of batch x n / sum of the n synchronised single-token forward times",
        "`forward_ns`",
        "llama-bench's `tg` has its loop and a random token in the span. mlx-lm divides N tokens by the time of N - 1 "
        "steps. openvino.genai's TPOT has sampling in it: compare `stream_tps` with that.",
    ),
    "ttft_s": Definition(
        "median over repetitions of first token's time",
        f"{_TOKENS}, since submission; of streams: the arrival of the first piece",
        "tokenising is left out (`tokenize_tps`); a pipeline that takes text has it in its first token.",
    ),
    "ttft_s_p99": Definition(
        "99th percentile over all requests of a run",
        "`request_ns.N`, else `token_ns`",
    ),
    "itl_s_p50": Definition("median of the gaps between two tokens, pooled over repetitions", _TOKENS),
    "itl_s_p99": Definition(
        "99th percentile of the same gaps",
        _TOKENS,
        "tools that give a mean (TPOT) hide what this shows.",
    ),
    "stream_tps": Definition(
        "median over repetitions of (n - 1) / (t_n - t_1)",
        _TOKENS,
        "mlx_lm.benchmark's `generation_tps` divides n, not n - 1, by nearly the same time.",
    ),
    "throughput_tps": Definition(
        "tokens of all requests / (last arrival - first submission)",
        "`tokens`, `wall_s` of streams",
        "tokens of the prompts are not counted.",
    ),
    "tokenize_tps": Definition(
        "tokens / `tokenize_s` of the shipped calibration text", "`tokenize_s`, `text_tokens`"
    ),
    "detokenize_tps": Definition("the same tokens / `detokenize_s`", "`detokenize_s`, `text_tokens`"),
    "sampling_s_per_token": Definition(
        "`sampling_s` / tokens chosen",
        "`sampling_s`: greedy choice from logits that are computed already",
        "a user's sampler (top-p, penalties) costs more.",
    ),
    "peak_rss_bytes": Definition(
        "high-water mark of the worker at its last reading; of a server the sum over its process tree",
        f"{_STATUS}: VmHWM; Windows PeakWorkingSetSize; macOS lifetime maximum of the physical footprint",
        "`ru_maxrss` of children inherits the parent's size. A peak by polling misses what lies between two polls.",
    ),
    "import_bytes": Definition(
        "resident set right after importing the framework", f"{_STATUS}, phase `import`"
    ),
    "load_peak_bytes": Definition("high-water mark after loading", f"{_STATUS}, phase `load`"),
    "prefill_peak_bytes": Definition(
        "high-water mark after the very first prefill, before any decode", f"{_STATUS}, phase `prefill`"
    ),
    "decode_peak_bytes": Definition("high-water mark after the last pass", f"{_STATUS}, phase `decode`"),
    "pss_bytes": Definition(
        "each resident page over the number of processes that map it, after the last pass",
        f"{_STATUS}: `smaps_rollup`, never while a pass is timed",
    ),
    "uss_bytes": Definition(
        "pages that no other process maps, after the last pass", f"{_STATUS}: `smaps_rollup`"
    ),
    "device_bytes": Definition(
        "most that the run's processes held on the device at either reading",
        f"{_STATUS}: NVML by process, after loading and after the last pass",
        "nvidia-smi's total has every process's share and the driver's.",
    ),
    "allocator_peak_bytes": Definition(
        "peak of the framework's own allocator",
        f"{_STATUS}: MLX's `get_peak_memory`",
        "mlx_lm.benchmark prints this one as peak memory: buffers, not the process.",
    ),
    "weight_bytes": Definition(
        "bytes of the weight tensors as they stand on disk",
        "`artifact`",
        "file sizes have vocabulary and graph in them.",
    ),
    "bits_per_weight": Definition(
        "8 x `weight_bytes` / parameters",
        "`artifact`",
        "a recipe's nominal width: rows that a block does not divide fall back to wider types.",
    ),
    "touched_weight_bytes": Definition(
        "weight bytes - tables of which a token takes one row (an embedding table that is not the output projection) -"
        " weights that nothing uses - experts that a token does not use",
        "`artifact`, `lineage.notes`, `model.configuration`",
        "llama.cpp's model size has the embedding table in it.",
    ),
    "analytic_kv_bytes": Definition(
        "sequences x tokens x layers x KV heads x head width x (bits of keys + bits of values) / 8",
        "`model.configuration`, the cache types in the run's hints",
        "frameworks allocate room for the whole context, often rounded up.",
    ),
    "residual_bytes": Definition(
        "`peak_rss_bytes` (+ `device_bytes`) - `import_bytes` - `touched_weight_bytes` - `analytic_kv_bytes`",
        "the columns that it names",
    ),
    "memory_reduction": Definition(
        "1 - (peak - import) / (baseline's peak - its import)",
        "the medians of `peak_rss_bytes` and `import_bytes` of both rows",
        "claims that compare file sizes leave cache and buffers out.",
    ),
    "energy_joules_per_prefill_token": Definition(
        "gross joules of the device's domains / prompt tokens of the window",
        "`energy_reading`, a window of prefills (a server: of requests for one token) of at least 50 update periods"
        " of the meter",
        "tools that divide one generation's energy by all of its tokens blend both phases.",
    ),
    "energy_joules_per_decode_token": Definition(
        "gross joules of the device's domains / decoded tokens of the window",
        "`energy_reading`, a window of single-token passes (a server: of whole requests, less their prefills)",
        "a power model (TDP x time) is an estimate and never stands here.",
    ),
    "speedup_prefill": Definition(
        "`prefill_tps` / the speed baseline's", "both rows' medians; its interval is of both sides' intervals"
    ),
    "speedup_decode": Definition(
        "`decode_tps` / the speed baseline's",
        "both rows' medians; its interval is of both sides' intervals",
        "claims are often against fp32, or against another framework.",
    ),
    "mbu_decode": Definition(
        "(touched weight bytes + KV bytes read, per token) x `decode_tps` / memory read bandwidth",
        "`decode_tps`, `model.configuration`, `machine_bench`",
        "vendors divide by the data sheet's bandwidth, which no program reaches.",
    ),
    "mfu_prefill": Definition(
        "operations per prompt token x `prefill_tps` / fp32 peak",
        "`prefill_tps`, `model.configuration`, `machine_bench`",
        "kernels that compute in 8 or 16 bits may exceed 1: the roof is fp32's.",
    ),
    "prepare_s": Definition("from the maker's start to its end", "`preparation`, else `lineage`"),
    "prepare_peak_bytes": Definition(
        "highest resident set of the maker's tree, ten readings a second, or its own mark", "`preparation`"
    ),
    "perplexity": Definition(
        "exp(sum NLL / positions)",
        _WINDOWS,
        "lm-eval's `word_perplexity` divides by words. Scoring every position instead of each window's second half "
        "gives higher figures: early positions have little context.",
    ),
    "perplexity_ratio": Definition("exp((sum NLL - sum reference's NLL) / positions)", _WINDOWS),
    "bits_per_byte": Definition(
        "sum NLL / ln 2 / bytes of the predicted tokens",
        _WINDOWS,
        "lm-eval's counts the whole text once, with a rolling context.",
    ),
    "kld_mean": Definition(
        "sum KLD(reference, artifact) / positions",
        f"{_WINDOWS}; from the reference's sketch, or exactly with `exact: true`",
        "llama-perplexity keeps 16-bit logits: F16 against itself reads some 0.0005.",
    ),
    "kld_detectable": Definition(
        "standard error of `kld_mean` over windows x the shift, in such errors, that Student's t test (5 %, two-sided) "
        "shows in 80 % of repetitions",
        _WINDOWS,
        "a p-value or an interval says what was found, not what could have been.",
    ),
    "perplexity_ratio_detectable": Definition(
        "exp(standard error of the mean log ratio over paired windows x the same shift)",
        _WINDOWS,
    ),
    "kld_median": Definition("median over positions", "`score_positions`"),
    "kld_p99": Definition("99th percentile over positions", "`score_positions`"),
    "kld_p999": Definition("99.9th percentile over positions", "`score_positions`"),
    "kld_max": Definition(
        "largest of all positions", "`score_positions`", "it grows with the text: compare at equal texts."
    ),
    "same_top": Definition("positions with the reference's most likely token / positions", _WINDOWS),
    "delta_p_rms": Definition(
        "root of sum (p - reference's p)^2 / positions, of the true token",
        _WINDOWS,
        "llama-perplexity gives it in per cent.",
    ),
    "delta_p_p1": Definition("1st percentile over positions of p - reference's p", "`score_positions`"),
    "delta_p_median": Definition("median over positions of p - reference's p", "`score_positions`"),
    "delta_p_p99": Definition("99th percentile over positions of p - reference's p", "`score_positions`"),
}


def definitions_markdown() -> str:
    """The table of all definitions, in the registry's order."""
    lines = ["| metric | unit | formula | source | other tools |", "|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        if metric.kind != "metric" or name in COMPOUND:
            continue
        found = DEFINITIONS[name]
        lines.append(
            f"| `{name}` | {metric.unit or '–'} | {found.formula} | {found.source} | {found.differences or '–'} |"
        )
    return "\n".join(lines)


def with_definitions(text: str) -> str:
    """A page with the table made anew between its marks.

    Raises:
        ValueError: the page lacks the marks.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the definitions")
    return f"{head}{BEGIN}\n\n{definitions_markdown()}\n\n{END}{tail}"


def main() -> None:
    """Write the page of this checkout."""
    from harness.paths import data_dir

    page = data_dir("suites").parent / "docs" / "method.md"
    page.write_text(with_definitions(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
