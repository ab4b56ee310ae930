"""`harness.table.rows`: every figure of a row, checked by hand on small facts."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_facts import ENERGY_REASON, MB, cell, run, score, session

from harness.table.facts import (
    ArtifactFacts,
    CellFacts,
    EnergyFacts,
    RunFacts,
    SampleFacts,
    ScoreFacts,
    WindowFacts,
)
from harness.table.metrics import ROW_KEYS
from harness.table.power import detectable_errors
from harness.table.render import render
from harness.table.rows import (
    NOT_RUN,
    Row,
    comparison_rows,
    quality_of,
    status_of,
    tell_other_positions,
)
from harness.table.view import OTHER_POSITIONS, figure_text

ISSUE_KEYS = [
    "framework", "model", "precision", "recipe", "device", "workload", "status", "reason", "runs",
    "prefill_tps", "decode_tps", "ttft_s", "itl_s_p50", "itl_s_p99", "peak_rss_bytes", "weight_bytes",
    "bits_per_weight", "energy_joules_per_prefill_token", "energy_joules_per_decode_token", "perplexity",
    "perplexity_ratio", "kld_mean", "same_top", "speedup_prefill", "speedup_decode", "memory_reduction",
    "quality_reference", "speed_baseline", "artifact_verdict", "validity", "flags", "stream_tps",
    "intervals", "tasks", "session", "machine", "framework_version",
    "precision_class", "prepare_s", "prepare_peak_bytes", "fallbacks", "emulated", "synthetic",
    "ttft_s_p99", "throughput_tps",
    "allocator_peak_bytes",
    "options",
    "import_bytes", "load_peak_bytes", "prefill_peak_bytes", "decode_peak_bytes", "touched_weight_bytes",
    "analytic_kv_bytes", "residual_bytes", "device_bytes", "pss_bytes", "uss_bytes",
    "tokenize_tps", "detokenize_tps", "sampling_s_per_token", "stopped_by",
    "bits_per_byte", "kld_median", "kld_p99", "kld_p999", "kld_max",
    "delta_p_rms", "delta_p_p1", "delta_p_median", "delta_p_p99",
    "mbu_decode", "mfu_prefill",
    "kld_detectable", "perplexity_ratio_detectable",
    "source", "imported",
    "scored_positions", "score_window",
]  # fmt: skip

HALF = cell("llamacpp", "fp16", "F16", runs=(run("b1", 0.1, 20, 500), run("b2", 0.1, 20, 500)))


def row_of(*cells: CellFacts) -> Row:
    return comparison_rows(session(*cells))[-1]


def test_a_row_has_exactly_the_keys_of_the_stable_interface_in_its_order() -> None:
    assert list(ROW_KEYS) == ISSUE_KEYS
    for row in comparison_rows(session()):
        assert list(row.values) == ISSUE_KEYS


def test_rows_are_json_without_nan_and_every_hole_has_a_reason() -> None:
    for row in comparison_rows(session()):
        json.dumps(row.values, allow_nan=False)
        for key, value in row.values.items():
            if value is None and not (key == "reason" and row["status"] == "ok"):
                assert row.notes.get(key), f"{key} of {row['framework']} is null without a reason"


def test_suspect_runs_are_left_out_and_counted_unless_they_are_asked_for() -> None:
    facts = session(
        cell(
            "llamacpp",
            "int4",
            "Q4_K_M",
            runs=(run("a", 0.1, 10, 300), run("b", 0.1, 40, 300, "steal time 4 %")),
        )
    )
    (without,), (with_it,) = comparison_rows(facts), comparison_rows(facts, with_suspect=True)
    assert (without["validity"], without["decode_tps"]) == ("ok", pytest.approx(100))
    assert without["flags"] == ["1 of 2 runs suspect and left out of the figures", "steal time 4 %"]
    assert (with_it["validity"], with_it["decode_tps"]) == ("suspect", pytest.approx((100 + 25) / 2))
    assert with_it["flags"] == ["1 of 2 runs suspect and in the figures, as asked", "steal time 4 %"]
    assert (without["runs"], with_it["runs"]) == (2, 2)


def test_speed_is_tokens_over_seconds() -> None:
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.08, 10, 300),)))
    assert row["prefill_tps"] == pytest.approx(32 / 0.08)
    assert row["decode_tps"] == pytest.approx(100)
    assert row["stream_tps"] == pytest.approx(100)
    assert row["ttft_s"] == pytest.approx(0.08)
    assert row["itl_s_p50"] == pytest.approx(0.010)
    assert row["itl_s_p99"] == pytest.approx(0.010)
    assert row["intervals"] == {}, "one run has no spread"


@given(st.integers(1, 512), st.sampled_from(["forward_ns", "decode_s"]))
def test_a_batch_multiplies_throughputs_and_leaves_times_as_they_are(batch: int, told: str) -> None:
    one = run("r", 0.08, 10, 300)
    if told == "decode_s":
        samples = tuple(replace(each, forward_ns=()) for each in one.samples)
        one = replace(one, samples=samples)
    alone = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(one,)))
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(one,), batch=batch, workload=f"pp32+tg4@b{batch}"))
    for key in ("prefill_tps", "decode_tps", "throughput_tps"):
        assert row[key] == pytest.approx(batch * alone[key])
    for key in ("ttft_s", "ttft_s_p99", "itl_s_p50", "itl_s_p99", "stream_tps"):
        assert row[key] == alone[key]
    assert alone["decode_tps"] == pytest.approx(100)


def test_decode_speed_leaves_sampling_out_and_streaming_has_it() -> None:
    slow_sampling = SampleFacts(
        {"prefill_s": 1.0}, (5_000_000,) * 4, tuple(index * 10_000_000 for index in range(1, 6))
    )
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(RunFacts("r", "ok", samples=(slow_sampling,)),)))
    assert row["decode_tps"] == pytest.approx(200)
    assert row["stream_tps"] == pytest.approx(100)
    assert row["ttft_s"] == pytest.approx(0.010), "without an own figure it is the first token's time"


def test_a_run_is_the_median_of_its_repetitions_and_a_cell_the_median_of_its_runs() -> None:
    def one(*prefills: float) -> RunFacts:
        return RunFacts("r", "ok", samples=tuple(SampleFacts({"prefill_s": each}) for each in prefills))

    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(one(1, 2, 100), one(4, 4, 4), one(8, 8, 8))))
    assert row["prefill_tps"] == pytest.approx(32 / 4)
    low, high = row["intervals"]["prefill_tps"]
    assert low < 4 < 32 / 4 < high


def test_token_gaps_are_pooled_over_the_repetitions_of_a_run() -> None:
    samples = (SampleFacts({}, (), (0, 10_000_000, 20_000_000)), SampleFacts({}, (), (0, 30_000_000)))
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(RunFacts("r", "ok", samples=samples),)))
    assert row["itl_s_p50"] == pytest.approx(0.010)
    assert row["itl_s_p99"] == pytest.approx(0.010 + 0.98 * 0.020)


def test_suspect_runs_are_left_out_while_clean_ones_remain() -> None:
    runs = (
        run("a", 0.1, 10, 300),
        run("b", 0.1, 10, 300),
        run("c", 9.0, 900, 900, "steal time 9 % (limit 1 %)"),
    )
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=runs))
    assert (row["validity"], row["runs"]) == ("ok", 3)
    assert row["decode_tps"] == pytest.approx(100)
    assert row["peak_rss_bytes"] == 300 * MB
    assert row["flags"] == ["1 of 3 runs suspect and left out of the figures", "steal time 9 % (limit 1 %)"]


def test_the_allocators_peak_stands_beside_the_processs_and_is_never_taken_for_it() -> None:
    one = run("a", 0.1, 10, 300)
    readings = tuple(
        dataclasses.replace(reading, allocator_peak_bytes=peak * MB)
        for reading, peak in zip(one.memory, (0, 120, 150), strict=True)
    )
    row = row_of(cell("mlx", "int4", "4bit_g64", runs=(dataclasses.replace(one, memory=readings),)))
    assert (row["peak_rss_bytes"], row["allocator_peak_bytes"]) == (300 * MB, 150 * MB)
    none = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(one,)))
    assert none["allocator_peak_bytes"] is None
    assert none.notes["allocator_peak_bytes"] == "the framework tells no peak of an allocator of its own"


def test_when_every_run_is_suspect_the_figures_show_and_are_marked() -> None:
    row = row_of(HALF, cell("llamacpp", "int4", "Q4_K_M", runs=(run("c", 0.1, 10, 300, "CPU pressure"),)))
    assert row["validity"] == "suspect"
    assert row["decode_tps"] == pytest.approx(100)
    assert row["speedup_decode"] == pytest.approx(2)


def test_a_suspect_baseline_flags_what_is_compared_with_it() -> None:
    baseline = replace(HALF, runs=(run("b", 0.1, 20, 500, "CPU pressure"),))
    row = row_of(baseline, cell("llamacpp", "int4", "Q4_K_M", runs=(run("c", 0.1, 10, 300),)))
    assert row["validity"] == "ok"
    assert row["flags"] == ["the speed baseline's runs are suspect"]


def test_speed_up_and_memory_are_against_the_same_framework_at_half_precision() -> None:
    other = cell("mlx", "fp16", "fp16", runs=(run("m", 5.0, 500, 5000),))
    rows = comparison_rows(
        session(other, HALF, cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),)))
    )
    assert rows[2]["speed_baseline"] == "llamacpp fp16 (F16)"
    assert rows[2]["speedup_prefill"] == pytest.approx(2)
    assert rows[2]["speedup_decode"] == pytest.approx(2)
    assert rows[2]["memory_reduction"] == pytest.approx(1 - (300 - 100) / (500 - 100))
    assert (rows[1]["speedup_decode"], rows[1]["memory_reduction"]) == (1.0, 0.0)


def test_a_speed_up_has_its_interval_from_both_sides() -> None:
    base = replace(HALF, runs=tuple(run(f"b{at}", 0.1, 20 + at, 500 + at) for at in range(6)))
    own = tuple(run(f"o{at}", 0.05, 10 + at, 300 + at) for at in range(6))
    rows = comparison_rows(session(base, cell("llamacpp", "int4", "Q4_K_M", runs=own)))
    (low, high), value = rows[1]["intervals"]["speedup_decode"], rows[1]["speedup_decode"]
    sides = [rows[at]["intervals"]["decode_tps"] for at in (0, 1)]
    # Narrower than the worst of both at once, wider than either's own.
    assert sides[1][0] / sides[0][1] < low < value * sides[1][0] / rows[1]["decode_tps"]
    assert value * sides[1][1] / rows[1]["decode_tps"] < high < sides[1][1] / sides[0][0]
    assert rows[0]["intervals"]["speedup_decode"] == [1.0, 1.0]


def test_memory_saved_has_its_interval_from_the_bytes_of_both_sides() -> None:
    base = replace(HALF, runs=tuple(run(f"b{at}", 0.1, 20, 500 + at) for at in range(6)))
    own = tuple(run(f"o{at}", 0.1, 20, 300 + at) for at in range(6))
    rows = comparison_rows(session(base, cell("llamacpp", "int4", "Q4_K_M", runs=own)))
    low, high = rows[1]["intervals"]["memory_reduction"]
    assert 1 - (305 - 100) / (500 - 100) < low < rows[1]["memory_reduction"] < high < 1 - 200 / (505 - 100)
    assert rows[0]["intervals"]["memory_reduction"] == [0.0, 0.0]


def test_without_an_interval_on_both_sides_a_speed_up_has_none() -> None:
    rows = comparison_rows(session(HALF, cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),))))
    assert not {"speedup_decode", "memory_reduction"} & rows[1]["intervals"].keys()


@pytest.mark.parametrize(
    "change", [{"device": "gpu:0"}, {"workload": "pp64+tg4"}, {"model": "other"}, {"options": {"kv": "q8_0"}}]
)
def test_a_cell_that_differs_in_more_than_precision_is_no_baseline(change: dict[str, object]) -> None:
    row = row_of(HALF, cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),), **change))
    assert row["speed_baseline"] is None
    assert row["speedup_decode"] is None
    assert row["memory_reduction"] is None
    assert row.notes["speedup_decode"] == "the session has no llamacpp cell at fp16, the speed baseline"


def test_a_framework_without_half_precision_is_compared_with_fp32() -> None:
    full = cell("directml", "fp32", "FP32", baseline_precision=None, runs=(run("a", 0.1, 20, 500),))
    row = row_of(
        full, cell("directml", "int4", "INT4", baseline_precision=None, runs=(run("b", 0.1, 5, 300),))
    )
    assert row["speed_baseline"] == "directml fp32 (FP32)"
    assert row["speedup_decode"] == pytest.approx(4)


def test_of_two_half_precision_recipes_the_default_one_is_the_baseline() -> None:
    odd = cell("llamacpp", "fp16", "F16_odd", default_recipe=False, runs=(run("o", 0.1, 90, 900),))
    row = row_of(odd, HALF, cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),)))
    assert row["speed_baseline"] == "llamacpp fp16 (F16)"


def test_a_failed_baseline_leaves_a_hole_that_says_so() -> None:
    failed = replace(HALF, runs=(RunFacts("b", "oom", "more than 4 GB"),))
    row = row_of(failed, cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),)))
    assert row["speedup_decode"] is None
    assert row.notes["speedup_decode"] == "the speed baseline has no figure: more than 4 GB"


def test_quality_is_exp_of_the_mean_and_sums_over_positions() -> None:
    uneven = ScoreFacts(
        windows=(WindowFacts(0, 10, 20.0, 1.0, 9), WindowFacts(1, 30, 90.0, 6.0, 21)),
        reference=(WindowFacts(0, 10, 18.0), WindowFacts(1, 30, 84.0)),
        quality_reference="llamacpp F32",
    )
    row = row_of(
        cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),), score=uneven, score_status="ok")
    )
    assert row["perplexity"] == pytest.approx(math.exp(110 / 40))
    assert row["perplexity_ratio"] == pytest.approx(math.exp(8 / 40))
    assert row["kld_mean"] == pytest.approx(7 / 40)
    assert row["same_top"] == pytest.approx(30 / 40)
    assert row["quality_reference"] == "llamacpp F32"
    for key in ("perplexity", "perplexity_ratio", "kld_mean", "same_top"):
        low, high = row["intervals"][key]
        assert low <= row[key] <= high
    assert row["intervals"]["kld_mean"][0] >= 0
    assert row["intervals"]["same_top"][1] <= 1


def test_what_windows_would_have_shown_follows_from_their_spread() -> None:
    """Equal windows: the error of a mean is that of a plain sample, and of the ratio that of paired differences."""
    excess, kld = [1.0, 3.0, 2.0, 6.0], [2.0, 4.0, 6.0, 4.0]
    reference = tuple(WindowFacts(index, 10, 20.0 + 9 * index) for index in range(4))
    windows = tuple(
        WindowFacts(one.window, 10, one.nll_sum + excess[one.window], kld[one.window], 9) for one in reference
    )
    row = row_of(
        cell(
            "llamacpp",
            "int4",
            "Q4_K_M",
            runs=(run("r", 0.05, 10, 300),),
            score=ScoreFacts(windows=windows, reference=reference, quality_reference="llamacpp F32"),
        )
    )
    errors = detectable_errors(4)
    assert errors is not None
    # A bootstrap finds the analytic error of equal windows to some per cent.
    assert row["kld_detectable"] == pytest.approx(errors * statistics.stdev(kld) / 2 / 10, rel=0.06)
    shift = errors * statistics.stdev(excess) / 2 / 10
    assert math.log(row["perplexity_ratio_detectable"]) == pytest.approx(shift, rel=0.06)
    assert row.errors["kld_mean"] * errors == pytest.approx(row["kld_detectable"])
    assert row.errors["perplexity_ratio"] == pytest.approx(
        row["perplexity_ratio"] * math.log(row["perplexity_ratio_detectable"]) / errors, rel=0.05
    )


def test_perplexity_is_not_compared_with_other_windows() -> None:
    shorter = replace(score(0.1, 90, 1.0), reference=(WindowFacts(0, 100, 200.0),))
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),), score=shorter))
    assert row["perplexity"] is not None
    assert row["perplexity_ratio"] is None
    assert row.notes["perplexity_ratio"] == "the quality reference was not scored on the same windows"


@pytest.mark.parametrize("nll", [math.nan, math.inf, 1e9])
def test_what_is_not_finite_is_missing(nll: float) -> None:
    wild = ScoreFacts(windows=(WindowFacts(0, 100, nll, math.nan, 3), WindowFacts(1, 100, 220.0, 1.0, 3)))
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(run("r", 0.05, 10, 300),), score=wild))
    assert row["perplexity"] is None
    assert row["kld_mean"] is None
    json.dumps(row.values, allow_nan=False)


def test_energy_is_per_token_or_the_reason_why_not() -> None:
    energy = (
        EnergyFacts("decode", 0.5, meter="powercap"),
        EnergyFacts("prefill", None, reason="window too short"),
    )
    measured = replace(run("r", 0.05, 10, 300), energy=energy)
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=(measured,)))
    assert row["energy_joules_per_decode_token"] == 0.5
    assert row.notes["energy_joules_per_decode_token"] == "gross, by powercap"
    assert row["energy_joules_per_prefill_token"] is None
    assert row.notes["energy_joules_per_prefill_token"] == "window too short"
    assert row_of(HALF).notes["energy_joules_per_decode_token"] == ENERGY_REASON


def test_status_is_the_worst_of_the_runs_with_its_reason() -> None:
    def ended(*statuses: str) -> CellFacts:
        return cell("x", "int4", "y", runs=tuple(RunFacts("r", each, f"it {each}") for each in statuses))  # type: ignore[arg-type]

    assert status_of(ended("ok", "ok")) == ("ok", None)
    assert status_of(ended("ok", "timeout")) == ("timeout", "it timeout")
    assert status_of(ended("oom", "ok", "timeout")) == ("oom", "it oom")
    assert status_of(ended("oom", "failed")) == ("failed", "it failed")
    assert status_of(cell("x", "int4", "y", reason="no such device")) == ("skipped", "no such device")
    assert status_of(cell("x", "int4", "y")) == ("skipped", NOT_RUN)


def test_a_failed_scoring_run_fails_the_cell_and_one_without_logits_does_not() -> None:
    fine = replace(HALF, score_status="skipped", score_reason="the server gives no logits")
    assert status_of(fine) == ("ok", None)
    assert row_of(fine).notes["kld_mean"] == "the server gives no logits"
    assert status_of(replace(HALF, score_status="failed", score_reason="signal 9")) == (
        "failed",
        "scoring: signal 9",
    )


def test_a_broken_artifact_keeps_its_figures_and_its_reason() -> None:
    broken = cell(
        "x", "int2", "y", artifact=ArtifactFacts("a", 9, 2.0, "broken", "some logits are not finite numbers")
    )
    row = row_of(broken)
    assert row["artifact_verdict"] == "broken"
    assert row.notes["artifact_verdict"] == "some logits are not finite numbers"


def test_what_making_took_and_what_fell_back_are_columns_of_the_row() -> None:
    made = ArtifactFacts(
        "a", 9, 2.0, prepare_s=2.5, prepare_peak_bytes=700 * MB, fallbacks={"q4_K to q5_0": 150}
    )
    row = row_of(cell("llamacpp", "int4", "Q4_K_M", artifact=made))
    assert (row["prepare_s"], row["prepare_peak_bytes"]) == (2.5, 700 * MB)
    assert row["fallbacks"] == {"q4_K to q5_0": 150}
    assert row["precision_class"] == "low"
    unknown = row_of(cell("llamacpp", "int4", "Q4_K_M", artifact=ArtifactFacts("a", 9, 2.0)))
    assert (unknown["prepare_s"], unknown["fallbacks"]) == (None, {})
    assert "not made here" in unknown.notes["prepare_s"]


def test_an_emulated_row_keeps_its_accuracy_and_is_compared_with_nothing() -> None:
    half = replace(HALF, device="npu:0", emulated=True)
    emulated = cell(
        "llamacpp", "int4", "Q4_K_M", device="npu:0", emulated=True, runs=(run("r", 0.05, 10, 300),),
        score=score(0.05, 92, 4.0), score_status="ok",
    )  # fmt: skip
    row = row_of(half, emulated)
    assert row["emulated"] is True
    for key in ("speedup_prefill", "speedup_decode", "memory_reduction", "speed_baseline"):
        assert row[key] is None
        assert row.notes[key] == "emulated: its speed says nothing about silicon"
    assert row["kld_mean"] == pytest.approx(0.05)
    assert row["decode_tps"] == pytest.approx(100)
    assert row_of(HALF)["emulated"] is False


def test_a_synthetic_model_has_speed_and_no_accuracy() -> None:
    figures = {"runs": (run("r", 0.05, 10, 300),), "score": score(0.05, 92, 4.0), "score_status": "ok"}
    row = row_of(
        replace(HALF, synthetic=True),
        cell("llamacpp", "int4", "Q4_K_M", synthetic=True, artifact=ArtifactFacts("a", 9, 2.0), **figures),
    )
    for key in ("perplexity", "perplexity_ratio", "kld_mean", "same_top", "quality_reference"):
        assert row[key] is None
        assert row.notes[key] == "synthetic weights: there is no function to compare with"
    assert row["speedup_decode"] == pytest.approx(2)
    assert row.notes["artifact_verdict"].startswith("synthetic weights")


@given(st.permutations([run(str(i), 0.05 + i / 100, 10 + i, 300 + i) for i in range(5)]))
def test_the_order_of_runs_changes_nothing(runs: list[RunFacts]) -> None:
    shuffled = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=tuple(runs)))
    ordered = row_of(cell("llamacpp", "int4", "Q4_K_M", runs=tuple(sorted(runs, key=lambda each: each.id))))
    assert shuffled.values == ordered.values


def scored(
    framework: str, windows: int, window_tokens: int, corpus: str | None = None, **more: object
) -> CellFacts:
    one = score(0.1, 90, 0.0)
    shown = replace(one, windows=one.windows[:windows], window_tokens=window_tokens, corpus_sha256=corpus)
    artifact = ArtifactFacts(framework, 9, 2.0, "ok")
    runs = (run(framework, 0.1, 20, 500),)
    return cell(framework, "int4", "x", artifact=artifact, runs=runs, score=shown, **more)


def test_quality_over_other_positions_than_most_is_marked() -> None:
    rows = comparison_rows(
        session(scored("a", 2, 256), scored("b", 2, 256), scored("c", 1, 256), scored("d", 2, 64))
    )
    assert [(row["scored_positions"], row["score_window"]) for row in rows] == [
        (200, 256), (200, 256), (100, 256), (200, 64),
    ]  # fmt: skip
    assert [row.other_positions for row in rows] == [
        None,
        None,
        "100 positions in windows of 256, of most rows 200 positions in windows of 256",
        "200 positions in windows of 64, of most rows 200 positions in windows of 256",
    ]
    assert figure_text(rows[0], "kld_mean")[-1] != OTHER_POSITIONS
    assert figure_text(rows[2], "kld_mean")[-1] == OTHER_POSITIONS
    assert figure_text(rows[2], "decode_tps")[-1] != OTHER_POSITIONS
    for name in ("table", "markdown", "html", "latex"):
        assert "the two do not compare" in " ".join(render(rows, [], name).split()), name


def test_rows_of_several_sessions_are_marked_among_each_other_and_models_apart() -> None:
    one = comparison_rows(session(scored("a", 2, 256, "t"), scored("b", 2, 256, "t")))
    other = comparison_rows(session(scored("c", 2, 256, "u")))
    assert [row.other_positions for row in (*one, *other)] == [None] * 3
    *same, told = tell_other_positions([*one, *other])
    assert same == one
    assert told.other_positions is not None
    assert told.other_positions.startswith("another text than that of most rows: 200 positions")
    assert tell_other_positions([told]) == other, "alone it is the usual one"
    model = comparison_rows(session(scored("a", 2, 256), scored("b", 2, 256), scored("a", 1, 64, model="n")))
    assert [row.other_positions for row in model] == [None] * 3


def test_a_score_of_an_older_version_keeps_its_figures_and_says_which_errors_it_lacks() -> None:
    quantiles = {"kld_p99": 1.0, "kld_max": 2.0}
    old = replace(score(0.1, 90, 1.0), quantiles=quantiles, errors={"kld_p99": 0.1})
    shown = {one["metric"]: one for one in quality_of(old)}
    assert (shown["kld_p99"]["value"], shown["kld_p99"]["standard_error"]) == (1.0, 0.1)
    assert shown["kld_p99"]["interval"] is not None
    assert (shown["kld_max"]["value"], shown["kld_max"]["standard_error"]) == (2.0, None)
    assert "stored by a version that did not tell" in shown["kld_max"]["why_not"]
    new = {one["metric"]: one for one in quality_of(replace(old, errors={**old.errors, "kld_max": 0.5}))}
    assert (new["kld_max"]["standard_error"], new["kld_max"]["why_not"]) == (0.5, None)
    assert new["kld_max"]["interval"] is None, "a maximum only grows"


def test_the_error_of_one_window_is_missing_with_its_reason() -> None:
    one = score(0.1, 90, 1.0)
    alone = replace(one, windows=one.windows[:1], reference=one.reference[:1])
    for figure in quality_of(alone):
        assert figure["standard_error"] is None
        if figure["value"] is not None:
            assert figure["why_not"] == "no standard error: one window has no spread"
