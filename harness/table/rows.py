"""From stored samples to the rows of the comparison table.

Owns the definitions of every figure in a row (in words: ``docs/method.md``). Imports numpy and its own
room. Contract: `Row.values` has exactly the keys of `ROW_KEYS`; what is missing is None, never 0 and
never NaN, and `Row.notes` says why, under the same key.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from harness.precision import class_of
from harness.table import bootstrap, estimates, memory, utilisation
from harness.table.facts import (
    BenchFacts,
    CellFacts,
    MemoryFacts,
    RunFacts,
    SampleFacts,
    ScoreFacts,
    SessionFacts,
    Status,
)
from harness.table.metrics import ROW_KEYS
from harness.table.positions import Scored, elsewhere
from harness.table.power import detectable_errors

#: From best to worst.
_SEVERITY: tuple[Status, ...] = ("ok", "skipped", "timeout", "oom", "failed")

NOT_RUN = "not run: the session ended before it"
NOT_TIMED = "not timed: a gate's second look at its accuracy"

#: Flag of a row whose own runs may be fine, but not those that its speed-ups are relative to.
BASELINE_SUSPECT = "the speed baseline's runs are suspect"

#: Why an emulated device's row has no speed-up and no memory saved.
EMULATED = "emulated: its speed says nothing about silicon"

#: Why a row has no figures of another tool.
MEASURED = "measured by edgebench"

#: Why a row has no tasks where nobody wanted any.
NO_TASKS = "no tasks were asked for"

_QUANTILES = ("kld_median", "kld_p99", "kld_p999", "kld_max", "delta_p_p1", "delta_p_median", "delta_p_p99")
_DETAILS = (
    "bits_per_byte",
    "delta_p_rms",
    *_QUANTILES,
    "kld_detectable",
    "perplexity_ratio_detectable",
)

#: Figures of a score, in the order of the registry.
QUALITY_KEYS = tuple(
    key for key in ROW_KEYS if key in {"perplexity", "perplexity_ratio", "kld_mean", "same_top", *_DETAILS}
)
_NO_SPREAD = (
    "one window, or windows that are all alike, have no spread: nothing says what they would have shown"
)

#: Why a synthetic model's row has no accuracy.
SYNTHETIC = "synthetic weights: there is no function to compare with"

#: Why a row has no weight bytes although it has an artifact.
WEIGHTS_ELSEWHERE = "the weights are the server's own: it does not tell how large they are"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of one session.

    Attributes:
        values: the JSON of the row.
        notes: why a value is None, or what must be known about it, by key.
        hints: the framework's settings in force, as read back.
        basis: of figures that are a median over runs: the value of each run that has one, by key and run id; of
            ``memory_reduction`` the runs' own bytes, from which it is computed.
        left_out: timed runs that no figure rests on, and why, by run id.
        corpus_sha256: of the text that its quality rests on.
        other_positions: what its quality rests on, where that is not what the quality of most rows of its model
            beside it rests on: the two do not compare.
        baseline: place of the speed baseline's row among the rows that `comparison_rows` gave; None: there is none.
        errors: standard errors over windows of the figures of its quality, where known.
    """

    values: Mapping[str, Any]
    notes: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    basis: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    baseline: int | None = None
    corpus_sha256: str | None = None
    other_positions: str | None = None
    errors: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


@dataclass(slots=True)
class _Draft:
    """A row while its figures come in."""

    cell: CellFacts
    runs: list[RunFacts]
    values: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    own_bytes: float | None = None
    basis: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    baseline: int | None = None
    errors: dict[str, float] = field(default_factory=dict)

    def put(self, key: str, value: float | None, why_not: str) -> None:
        if value is None or not math.isfinite(value):
            self.values[key] = None
            self.notes[key] = why_not
        else:
            self.values[key] = value

    def error(self, key: str, error: float) -> None:
        if math.isfinite(error):
            self.errors[key] = error

    def bound(
        self, key: str, interval: estimates.Bounds | None, low: float = -math.inf, high: float = math.inf
    ) -> None:
        if interval is not None and self.values[key] is not None and all(map(math.isfinite, interval)):
            self.intervals[key] = [max(low, interval[0]), min(high, interval[1])]


def comparison_rows(facts: SessionFacts, *, with_suspect: bool = False) -> list[Row]:
    """The rows of one session, in the order of its cells.

    Args:
        facts: of the session.
        with_suspect: figures over suspect runs too, where a cell has others; the row is then suspect.
    """
    drafts = [_draft(facts, cell, with_suspect) for cell in facts.cells]
    for draft in drafts:
        _compare(draft, drafts)
    return tell_other_positions([_row(draft) for draft in drafts])


def tell_other_positions(rows: Sequence[Row]) -> list[Row]:
    """The rows, each with its ``other_positions`` among these: of one session, or of several."""
    told = elsewhere([(row["model"], _scored(row)) for row in rows])
    return [
        row if row.other_positions == other else replace(row, other_positions=other)
        for row, other in zip(rows, told, strict=True)
    ]


def _scored(row: Row) -> Scored | None:
    positions = row["scored_positions"]
    return None if positions is None else Scored(row.corpus_sha256, row["score_window"], positions)


def _draft(facts: SessionFacts, cell: CellFacts, with_suspect: bool) -> _Draft:
    values: dict[str, Any] = dict.fromkeys(ROW_KEYS)
    for key in ("framework", "model", "precision", "recipe", "device", "workload"):
        values[key] = getattr(cell, key)
    values["options"] = (
        " ".join(f"{name}={value}" for name, value in sorted(cell.options.items())) or "defaults"
    )
    status, reason = status_of(cell)
    done = [judged(run, cell, facts.bench) for run in cell.runs if run.status == "ok"]
    clean = [run for run in done if run.validity == "ok"]
    used = done if with_suspect else clean or done
    values.update(
        status=status,
        reason=reason,
        runs=len(done),
        validity=("suspect" if any(run.validity != "ok" for run in used) else "ok") if done else None,
        flags=[*_flags(done, clean, with_suspect), *_protocol_flags(cell, used)],
        session=facts.id,
        machine=facts.machine_id,
        precision_class=class_of(cell.precision),
        emulated=cell.emulated,
        synthetic=cell.synthetic,
        framework_version=", ".join(sorted({run.framework_version for run in done if run.framework_version}))
        or None,
        tasks=[asdict(task) for task in cell.tasks],
    )
    draft = _Draft(cell, used, values, left_out=_left_out(cell, done, used))
    draft.notes["source"] = draft.notes["imported"] = MEASURED
    if not cell.tasks:
        synthetic = SYNTHETIC if cell.synthetic else None
        draft.notes["tasks"] = synthetic or cell.tasks_reason or reason or NO_TASKS
    if cell.stop is None:
        draft.notes["stopped_by"] = reason or "the number of runs was fixed, or not all of them were made"
    else:
        values["stopped_by"] = cell.stop.ended_by
    if not done:
        draft.notes["validity"] = reason or "no run ended as ok"
    if values["precision_class"] is None:
        draft.notes["precision_class"] = f"{cell.precision} is no canonical precision"
    if values["framework_version"] is None:
        draft.notes["framework_version"] = reason or "no run told it"
    _artifact(draft)
    _speed(draft)
    _utilisation(draft, facts.bench)
    _memory(draft)
    _energy(draft, facts.energy_reason)
    _quality(draft)
    return draft


def _left_out(cell: CellFacts, done: Sequence[RunFacts], used: Sequence[RunFacts]) -> dict[str, str]:
    """Why runs are behind no figure, by their ids."""
    behind = {run.id for run in used}
    ended = {run.id: f"{run.status}: {run.reason or 'no reason was stored'}" for run in cell.runs}
    spoiled = {run.id: f"suspect: {'; '.join(run.flags) or 'no flag was stored'}" for run in done}
    return {run_id: why for run_id, why in (ended | spoiled).items() if run_id not in behind}


def judged(run: RunFacts, cell: CellFacts, bench: BenchFacts | None) -> RunFacts:
    """The run, suspect where its speed is more than the machine's memory can give; a marked one stays as it is."""
    if any(flag.startswith(utilisation.MARK) for flag in run.flags):
        return run
    if utilisation.why_not_comparable(cell.device, bench, emulated=cell.emulated) or bench is None:
        return run
    flag = utilisation.impossible(run, _decode_tps_of(cell)(run), bench)
    return run if flag is None else replace(run, validity="suspect", flags=(*run.flags, flag))


def status_of(cell: CellFacts) -> tuple[Status, str | None]:
    """Status of a cell and its reason: ok if all runs are, else that of the worst run (scoring counts)."""
    if cell.reason is not None:
        return "skipped", cell.reason
    ended: list[tuple[Status, str | None]] = [(run.status, run.reason) for run in cell.runs]
    # An artifact that a framework cannot score is a hole in the quality columns, not in the timed runs.
    if cell.score_status not in (None, "ok", "skipped"):
        ended.append((cell.score_status, f"scoring: {cell.score_reason or 'no reason was stored'}"))
    if cell.tasks_status not in (None, "ok", "skipped"):
        ended.append((cell.tasks_status, f"tasks: {cell.tasks_reason or 'no reason was stored'}"))
    if not cell.runs:
        ended.append(("skipped", NOT_TIMED if cell.second_look else NOT_RUN))
    worst = max(ended, key=lambda each: _SEVERITY.index(each[0]))
    return worst[0], None if worst[0] == "ok" else worst[1] or "no reason was stored"


def _flags(done: Sequence[RunFacts], clean: Sequence[RunFacts], with_suspect: bool) -> list[str]:
    seen: dict[str, None] = {}
    for run in done:
        for flag in run.flags:
            seen.setdefault(flag)
    flags = list(seen)
    if clean and len(clean) < len(done):
        what = "in the figures, as asked" if with_suspect else "left out of the figures"
        flags.insert(0, f"{len(done) - len(clean)} of {len(done)} runs suspect and {what}")
    return flags


def _protocol_flags(cell: CellFacts, shown: Sequence[RunFacts]) -> list[str]:
    """What the rules of repeating did not reach."""
    flags = []
    stop = cell.stop
    if stop is not None and stop.ended_by == "cap":
        wide = [
            f"{name} ±{100 * width:.1f} %" if width is not None else f"{name} without an interval"
            for name, width in sorted(stop.widths.items(), key=lambda each: ROW_KEYS.index(each[0]))
            if width is None or width > stop.width
        ]
        told = ", ".join(wide) or "too few of them clean"
        flags.append(f"stopped at the cap of {stop.runs} runs, not within ±{100 * stop.width:g} %: {told}")
    capped = [run.warmup_cap for run in shown if run.warmup_cap is not None]
    if capped:
        flags.append(f"{len(capped)} of {len(shown)} runs {capped[0]}")
    return flags


def _artifact(draft: _Draft) -> None:
    artifact, why = draft.cell.artifact, draft.values["reason"] or "no artifact was stored"
    elsewhere = why if artifact is None else WEIGHTS_ELSEWHERE
    draft.put("weight_bytes", artifact.weight_bytes if artifact else None, elsewhere)
    draft.put("bits_per_weight", artifact.bits_per_weight if artifact else None, elsewhere)
    untold = why if artifact is None else "not made here, or by a version that did not store it"
    draft.put("prepare_s", artifact.prepare_s if artifact else None, untold)
    draft.put("prepare_peak_bytes", artifact.prepare_peak_bytes if artifact else None, untold)
    if artifact is None:
        draft.notes["fallbacks"] = why
    else:
        draft.values["fallbacks"] = dict(artifact.fallbacks)
    if artifact is None or artifact.verdict is None:
        unscored = SYNTHETIC if draft.cell.synthetic else "not scored"
        draft.notes["artifact_verdict"] = draft.cell.score_reason or (why if artifact is None else unscored)
        return
    draft.values["artifact_verdict"] = artifact.verdict
    if artifact.verdict_reason:
        draft.notes["artifact_verdict"] = artifact.verdict_reason


# -- speed ---------------------------------------------------------------------------------------------------------


def prefill_tps(sample: SampleFacts, prompt_tokens: int, batch: int = 1) -> float | None:
    """Prompt tokens of all sequences over prefill seconds."""
    return _over(batch * prompt_tokens, sample.values.get("prefill_s"))


def decode_tps(sample: SampleFacts, decode_tokens: int, batch: int = 1) -> float | None:
    """Generated tokens of all sequences over the sum of their forward times."""
    if sample.forward_ns:
        return _over(batch * len(sample.forward_ns), sum(sample.forward_ns) / 1e9)
    return _over(batch * decode_tokens, sample.values.get("decode_s"))


def stream_tps(sample: SampleFacts) -> float | None:
    """``(n - 1) / (t_n - t_1)`` over token times; of concurrent requests the median, of a batch each sequence's."""
    return estimates.median(
        _known(
            _over(len(times) - 1, (times[-1] - times[0]) / 1e9)
            for times in _token_times(sample)
            if len(times) > 1
        )
    )


def throughput_tps(sample: SampleFacts, batch: int = 1) -> float | None:
    """Tokens of all requests or sequences over the time from the first submission to the last token."""
    if "wall_s" in sample.values:
        return _over(sample.values.get("tokens", 0), sample.values["wall_s"])
    if "ttft_s" not in sample.values or not sample.token_ns:
        return None
    return _over(batch * len(sample.token_ns), sample.token_ns[-1] / 1e9)


def tokenize_tps(sample: SampleFacts) -> float | None:
    """Tokens of the fixed text over the seconds that tokenising it took."""
    return _over(sample.values.get("text_tokens", 0), sample.values.get("tokenize_s"))


def detokenize_tps(sample: SampleFacts) -> float | None:
    """The same tokens over the seconds that detokenising them took."""
    return _over(sample.values.get("text_tokens", 0), sample.values.get("detokenize_s"))


def sampling_s_per_token(sample: SampleFacts) -> float | None:
    """Seconds of choosing a token; one is chosen after the prefill and one after every decoded token."""
    seconds = sample.values.get("sampling_s")
    return seconds / len(sample.token_ns) if seconds is not None and sample.token_ns else None


def _token_times(sample: SampleFacts) -> list[tuple[int, ...]]:
    """Token times of every request of a sample."""
    return [times[1:] for times in sample.requests] or [sample.token_ns]


def ttfts_s(samples: Iterable[SampleFacts]) -> list[float]:
    """Submission to first token of every request of all repetitions."""
    found: list[float] = []
    for sample in samples:
        if sample.requests:
            found += [(times[1] - times[0]) / 1e9 for times in sample.requests if len(times) > 1]
        else:
            found += _known([ttft_s(sample)])
    return found


def ttft_s(sample: SampleFacts) -> float | None:
    """Prompt submitted to first token."""
    if "ttft_s" in sample.values:
        return sample.values["ttft_s"]
    return sample.token_ns[0] / 1e9 if sample.token_ns else None


def token_gaps_s(samples: Iterable[SampleFacts]) -> list[float]:
    """Gaps between two tokens, of all repetitions together."""
    return [
        (later - earlier) / 1e9
        for sample in samples
        for times in _token_times(sample)
        for earlier, later in itertools.pairwise(times)
    ]


def _over(count: float, seconds: float | None) -> float | None:
    return count / seconds if count > 0 and seconds is not None and seconds > 0 else None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _per_run(draft: _Draft, key: str, value_of: Callable[[RunFacts], float | None], why_not: str) -> None:
    """One value a run, their median, and its interval."""
    values = _by_run(draft, key, value_of)
    draft.put(key, estimates.median(values), draft.values["reason"] or why_not)
    draft.bound(key, estimates.median_interval(values))


def _by_run(draft: _Draft, key: str, value_of: Callable[[RunFacts], float | None]) -> list[float]:
    """The value of each run that has one; kept as the basis of a figure."""
    found = [(run.id, value) for run in draft.runs if (value := value_of(run)) is not None]
    draft.basis[key] = dict(found)
    return [value for _, value in found]


def _over_repetitions(of_sample: Callable[[SampleFacts], float | None]) -> Callable[[RunFacts], float | None]:
    return lambda run: estimates.median(_known(of_sample(sample) for sample in run.samples))


def _speed(draft: _Draft) -> None:
    cell = draft.cell
    none_generated = "the workload generates no token" if cell.decode_tokens < 1 else "no sample holds it"
    none_prompted = "the workload has no prompt" if cell.prompt_tokens < 1 else "no sample holds it"
    gaps = "fewer than two tokens are timed"
    samples = [sample for run in draft.runs for sample in run.samples]
    unsampled = "no sample holds it"
    if any("wall_s" in sample.values for sample in samples):
        none_generated = none_prompted = (
            "a client of a server sees only the stream, not its prefill and decode"
        )
        unsampled = "the server samples by itself"
        if not any(sample.token_ns or sample.requests for sample in samples):
            gaps = "the server sends several tokens at once and does not say how many"
    per_run = (
        (
            "prefill_tps",
            _prefill_tps_of(cell),
            none_prompted,
        ),
        (
            "decode_tps",
            _decode_tps_of(cell),
            none_generated,
        ),
        ("ttft_s", _over_repetitions(ttft_s) if cell.prompt_tokens else _nothing, none_prompted),
        ("itl_s_p50", lambda run: estimates.quantile(token_gaps_s(run.samples), 50), gaps),
        ("itl_s_p99", lambda run: estimates.quantile(token_gaps_s(run.samples), 99), gaps),
        ("stream_tps", _over_repetitions(stream_tps), gaps),
        (
            "ttft_s_p99",
            (lambda run: estimates.quantile(ttfts_s(run.samples), 99)) if cell.prompt_tokens else _nothing,
            none_prompted,
        ),
        (
            "throughput_tps",
            _over_repetitions(lambda sample: throughput_tps(sample, cell.batch)),
            "no sample holds the number of tokens",
        ),
        ("tokenize_tps", _over_repetitions(tokenize_tps), _untimed(draft, "tokenize_s")),
        ("detokenize_tps", _over_repetitions(detokenize_tps), _untimed(draft, "detokenize_s")),
        ("sampling_s_per_token", _over_repetitions(sampling_s_per_token), unsampled),
    )
    for key, value_of, why_not in per_run:
        _per_run(draft, key, value_of, why_not)


def _nothing(run: RunFacts) -> None:
    """Of a workload without a prompt the first token's time is a decode's."""
    del run


def _untimed(draft: _Draft, name: str) -> str:
    reasons = sorted({run.untimed[name] for run in draft.runs if name in run.untimed})
    return "; ".join(reasons) or "no sample holds it"


def _decode_tps_of(cell: CellFacts) -> Callable[[RunFacts], float | None]:
    return _over_repetitions(lambda sample: decode_tps(sample, cell.decode_tokens, cell.batch))


def _prefill_tps_of(cell: CellFacts) -> Callable[[RunFacts], float | None]:
    return _over_repetitions(lambda sample: prefill_tps(sample, cell.prompt_tokens, cell.batch))


def _utilisation(draft: _Draft, bench: BenchFacts | None) -> None:
    cell, keys = draft.cell, ("mbu_decode", "mfu_prefill")
    why_not = utilisation.why_not_comparable(cell.device, bench, emulated=cell.emulated)
    if why_not is not None or bench is None:
        for key in keys:
            draft.notes[key] = draft.values["reason"] or why_not or utilisation.NEVER_BENCHED
        return
    decode, prefill = _decode_tps_of(cell), _prefill_tps_of(cell)
    shares = {
        "mbu_decode": {run.id: utilisation.mbu_decode(run, decode(run), bench) for run in draft.runs},
        "mfu_prefill": {
            run.id: utilisation.mfu_prefill(run, prefill(run), cell.prompt_tokens, bench)
            for run in draft.runs
        },
    }
    for key in keys:
        of_run = shares[key]
        reasons = sorted({share.reason for share in of_run.values() if share.reason})

        def value_of(run: RunFacts, of_run: Mapping[str, utilisation.Share] = of_run) -> float | None:
            return of_run[run.id].value

        _per_run(draft, key, value_of, "; ".join(reasons) or "no run ended as ok")
        if draft.values[key] is not None:
            draft.notes[key] = utilisation.about_bench(bench)


# -- memory and energy -----------------------------------------------------------------------------------------------


def _peak(readings: Sequence[MemoryFacts]) -> int | None:
    return memory.last(reading.peak_rss_bytes for reading in readings)


def _highest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def own_bytes(run: RunFacts) -> float | None:
    """Peak of a run less the worker's size after importing its framework."""
    peak = _peak(run.memory)
    # A server's own size is read once it is started: after the worker's import.
    imported = _known(reading.rss_bytes for reading in run.memory if reading.phase == "import")
    if peak is None or not imported:
        return None
    return peak - imported[0]


def _memory(draft: _Draft) -> None:
    reasons = sorted({reading.reason for run in draft.runs for reading in run.memory if reading.reason})
    why_not = "; ".join(reasons) or memory.NO_READING
    _per_run(draft, "peak_rss_bytes", lambda run: _peak(run.memory), why_not)
    _per_run(
        draft,
        "allocator_peak_bytes",
        lambda run: _highest(reading.allocator_peak_bytes for reading in run.memory),
        "the framework tells no peak of an allocator of its own",
    )
    parts = {run.id: memory.breakdown(run) for run in draft.runs}
    for key in memory.COLUMNS:
        known = sorted({one.reasons[key] for one in parts.values() if key in one.reasons})

        def value_of(run: RunFacts, key: str = key) -> float | None:
            return getattr(parts[run.id], key)  # type: ignore[no-any-return]  # every column is bytes or None

        _per_run(draft, key, value_of, "; ".join(known) or why_not)
    for key in ("peak_rss_bytes", "allocator_peak_bytes", *memory.COLUMNS):
        value = draft.values[key]
        draft.values[key] = None if value is None else round(value)  # an even median may lie between
    draft.own_bytes = estimates.median(_by_run(draft, "memory_reduction", own_bytes))
    methods = {reading.method for run in draft.runs for reading in run.memory} - {"VmHWM"}
    if methods and draft.values["peak_rss_bytes"] is not None:
        draft.notes["peak_rss_bytes"] = f"peak by {', '.join(sorted(methods))}"


def _energy(draft: _Draft, session_reason: str | None) -> None:
    for phase in ("prefill", "decode"):
        key = f"energy_joules_per_{phase}_token"
        readings = [each for run in draft.runs for each in run.energy if each.phase == phase]
        reasons = sorted({each.reason for each in readings if each.reason})
        why_not = "; ".join(reasons) or session_reason or "no energy window was measured"

        def value_of(run: RunFacts, phase: str = phase) -> float | None:
            return estimates.median(
                _known(each.joules_per_token for each in run.energy if each.phase == phase)
            )

        _per_run(draft, key, value_of, why_not)
        if draft.values[key] is not None:
            meters = sorted({each.meter for each in readings if each.meter})
            drift = ", idle power drifted" if any(each.drift for each in readings) else ""
            draft.notes[key] = f"gross, by {', '.join(meters) or 'an unnamed meter'}{drift}"


# -- quality ---------------------------------------------------------------------------------------------------------


def _quality(draft: _Draft) -> None:
    score = draft.cell.score
    if score is None or not score.windows or draft.cell.synthetic:
        why = draft.cell.score_reason or draft.values["reason"] or "the artifact was not scored"
        if draft.cell.synthetic:
            why = SYNTHETIC
        for key in (*QUALITY_KEYS, "quality_reference", "scored_positions", "score_window"):
            draft.notes[key] = why
        return
    windows = score.windows
    counts = [window.positions for window in windows]
    draft.values["scored_positions"] = sum(counts)
    draft.put("score_window", score.window_tokens, "stored by a version that did not tell")
    nll = [window.nll_sum for window in windows]
    draft.put("perplexity", _exp(_mean(nll, counts)), "the log-likelihoods are not finite")
    _spread(draft, "perplexity", nll, counts, np.exp)
    draft.values["quality_reference"] = score.quality_reference
    if score.quality_reference is None:
        draft.notes["quality_reference"] = "no quality reference was computed"
    _divergence(draft, score, counts)
    _perplexity_ratio(draft, score)
    _bits_per_byte(draft, score, nll)
    _delta_p(draft, score, counts)
    for key in _QUANTILES:
        draft.put(
            key,
            score.quantiles.get(key),
            "no quality reference was computed, or by a version that did not tell",
        )
        error = score.errors.get(key)
        if error is not None and (value := draft.values[key]) is not None:
            draft.errors[key] = error
            # A maximum only grows with the text: its error is no distance to either side.
            if key != "kld_max":
                half = estimates.t95(max(1, len(windows) - 1)) * error
                draft.bound(key, (value - half, value + half))


def _spread(
    draft: _Draft,
    key: str,
    sums: Sequence[float],
    counts: Sequence[int],
    of: Callable[[Any], Any] = lambda mean: mean,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> None:
    """Error and interval of an increasing function of a mean over windows; ``low`` and ``high`` bound the mean."""
    resampled = bootstrap.resampled_ratios(sums, counts)
    if resampled is None or draft.values[key] is None:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        draft.error(key, bootstrap.standard_error(of(resampled), len(sums)))
        half = estimates.t95(len(sums) - 1) * bootstrap.standard_error(resampled, len(sums))
        mean = math.fsum(sums) / sum(counts)
        draft.bound(key, (float(of(max(low, mean - half))), float(of(min(high, mean + half)))))


def quality_of(score: ScoreFacts) -> list[dict[str, Any]]:
    """The figures of one score by themselves: each ``metric`` with its ``value``, ``interval`` and ``standard_error``.

    ``why_not`` says why there is no value, or no error of one.
    """
    draft = _Draft(CellFacts("", "", "", "", "", "", 0, 0, score=score), [], dict.fromkeys(ROW_KEYS))
    _quality(draft)
    return [
        {
            "metric": key,
            "value": draft.values[key],
            "interval": draft.intervals.get(key),
            "standard_error": draft.errors.get(key),
            "why_not": draft.notes.get(key)
            if draft.values[key] is None
            else _why_no_error(draft, score, key),
        }
        for key in QUALITY_KEYS
    ]


def _why_no_error(draft: _Draft, score: ScoreFacts, key: str) -> str | None:
    """Why a figure stands without a standard error; None where it has one, or is itself made of one."""
    if key in draft.errors or key.endswith("_detectable"):
        return None
    if len(score.windows) < 2:
        return "no standard error: one window has no spread"
    return "no standard error: stored by a version that did not tell, or a window has no finite position"


def _divergence(draft: _Draft, score: ScoreFacts, counts: Sequence[int]) -> None:
    for key, sums, limit in (
        ("kld_mean", [window.kld_sum for window in score.windows], math.inf),
        ("same_top", [window.same_top for window in score.windows], 1.0),
    ):
        known = _known(sums)
        if len(known) < len(sums):
            draft.put(key, None, "no quality reference was computed")
            if key == "kld_mean":
                draft.put("kld_detectable", None, "no quality reference was computed")
            continue
        draft.put(key, _mean(known, counts), "the logits are not finite")
        _spread(draft, key, known, counts, low=0.0, high=limit)
        if key == "kld_mean":
            # The reference diverges from itself by 0 in every window: this is the paired difference already.
            draft.put("kld_detectable", _detectable(known, counts), _NO_SPREAD)


def _detectable(sums: Sequence[float], counts: Sequence[int]) -> float | None:
    """How far a mean over these windows must lie from zero to be shown; None where their spread is not known."""
    error, errors = bootstrap.ratio_error(sums, counts), detectable_errors(len(sums))
    return error * errors if error and errors is not None else None


def _perplexity_ratio(draft: _Draft, score: ScoreFacts) -> None:
    reference = {window.window: window for window in score.reference}
    pairs = [(window, reference[window.window]) for window in score.windows if window.window in reference]
    if len(pairs) < len(score.windows) or any(own.positions != ref.positions for own, ref in pairs):
        for key in ("perplexity_ratio", "perplexity_ratio_detectable"):
            draft.put(key, None, "the quality reference was not scored on the same windows")
        return
    counts = [own.positions for own, _ in pairs]
    excess = [own.nll_sum - ref.nll_sum for own, ref in pairs]
    draft.put("perplexity_ratio", _exp(_mean(excess, counts)), "the log-likelihoods are not finite")
    _spread(draft, "perplexity_ratio", excess, counts, np.exp)
    draft.put("perplexity_ratio_detectable", _exp(_detectable(excess, counts)), _NO_SPREAD)


def _bits_per_byte(draft: _Draft, score: ScoreFacts, nll: Sequence[float]) -> None:
    sizes = [window.bytes for window in score.windows if window.bytes is not None]
    if len(sizes) < len(nll):
        draft.put(
            "bits_per_byte",
            None,
            "the model's tokens do not spell the text byte for byte, or were not counted",
        )
        return
    bits = [value / math.log(2) for value in nll]
    draft.put("bits_per_byte", _mean(bits, sizes), "the log-likelihoods are not finite")
    _spread(draft, "bits_per_byte", bits, sizes, low=0.0)


def _delta_p(draft: _Draft, score: ScoreFacts, counts: Sequence[int]) -> None:
    squares = _known([window.delta_p_sq_sum for window in score.windows])
    if len(squares) < len(counts):
        draft.put("delta_p_rms", None, "no quality reference was computed")
        return
    mean = _mean(squares, counts)
    draft.put("delta_p_rms", None if mean is None else math.sqrt(mean), "the logits are not finite")
    _spread(draft, "delta_p_rms", squares, counts, lambda mean: np.sqrt(np.maximum(mean, 0.0)), low=0.0)


def _mean(sums: Sequence[float], counts: Sequence[int]) -> float | None:
    total = sum(counts)
    return math.fsum(sums) / total if total > 0 else None


def _exp(value: float | None) -> float | None:
    # exp overflows above 709; no language model is that surprised, so such a value is none.
    return math.exp(value) if value is not None and value < 700 else None


# -- against the speed baseline --------------------------------------------------------------------------------------

#: Figures against the speed baseline, and the figure of a run that they compare.
COMPARED = {"speedup_prefill": "prefill_tps", "speedup_decode": "decode_tps"}


def _compare(draft: _Draft, drafts: Sequence[_Draft]) -> None:
    keys = (*COMPARED, "memory_reduction")
    baseline, why_not = (None, EMULATED) if draft.cell.emulated else _baseline(draft, drafts)
    if baseline is None:
        draft.notes["speed_baseline"] = why_not
        for key in keys:
            draft.put(key, None, draft.values["reason"] or why_not)
        return
    draft.baseline = next(place for place, each in enumerate(drafts) if each is baseline)
    draft.values["speed_baseline"] = (
        f"{baseline.cell.framework} {baseline.cell.precision} ({baseline.cell.recipe})"
    )
    for key, of in COMPARED.items():
        own, base = draft.values[of], baseline.values[of]
        draft.put(key, own / base if own is not None and base else None, _hole(draft, baseline, of))
        if draft is baseline:  # what the others are compared with has no spread
            draft.bound(key, (1.0, 1.0))
        elif draft.values[key] is not None and own:
            draft.bound(key, estimates.mover(base, baseline.intervals.get(of), own, draft.intervals.get(of)))
    if draft.own_bytes is not None and baseline.own_bytes is not None and baseline.own_bytes > 0:
        draft.put("memory_reduction", 1 - draft.own_bytes / baseline.own_bytes, "")
        draft.bound("memory_reduction", _saved(draft, baseline))
    else:
        draft.put("memory_reduction", None, _hole(draft, baseline, "peak_rss_bytes"))
    if baseline is not draft and baseline.values["validity"] == "suspect" and draft.values["runs"]:
        draft.values["flags"] = [*draft.values["flags"], BASELINE_SUSPECT]


def _saved(draft: _Draft, baseline: _Draft) -> estimates.Bounds | None:
    """The interval of the memory saved, from the bytes of both sides' runs."""
    if draft is baseline:
        return 0.0, 0.0
    before, after = (list(each.basis.get("memory_reduction", {}).values()) for each in (baseline, draft))
    of_base, own = estimates.median(before), estimates.median(after)
    if of_base is None or own is None or min(of_base, own) <= 0:
        return None
    ratio = estimates.mover(of_base, estimates.median_interval(before), own, estimates.median_interval(after))
    return None if ratio is None else (1 - ratio[1], 1 - ratio[0])


def _hole(draft: _Draft, baseline: _Draft, of: str) -> str:
    if draft.values["reason"]:
        return str(draft.values["reason"])
    if draft.values[of] is None:
        return draft.notes.get(of, "it was not measured")
    return f"the speed baseline has no figure: {baseline.notes.get(of) or baseline.values['reason'] or 'not measured'}"


def _baseline(draft: _Draft, drafts: Sequence[_Draft]) -> tuple[_Draft | None, str]:
    """The speed baseline of a row: same framework, model, device, workload and options at half precision."""
    cell = draft.cell
    wanted = cell.baseline_precision or "fp32"

    def kin(other: CellFacts) -> bool:
        return (
            other.framework == cell.framework
            and other.model == cell.model
            and other.device == cell.device
            and other.workload == cell.workload
            and other.options == cell.options
            and other.precision == wanted
        )

    found = [each for each in drafts if kin(each.cell)]
    if not found:
        return None, f"the session has no {cell.framework} cell at {wanted}, the speed baseline"
    found.sort(
        key=lambda each: not each.cell.default_recipe
    )  # stable: the suite's order decides among equals
    return found[0], ""


def _row(draft: _Draft) -> Row:
    draft.values["intervals"] = draft.intervals
    hints = draft.runs[0].hints if draft.runs else draft.cell.score.hints if draft.cell.score else {}
    corpus = None if draft.cell.score is None else draft.cell.score.corpus_sha256
    return Row(
        draft.values,
        draft.notes,
        hints,
        draft.basis,
        draft.left_out,
        draft.baseline,
        corpus,
        errors=draft.errors,
    )
