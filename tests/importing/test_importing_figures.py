"""Units and meanings, by figures computed by hand from small files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from import_files import FILES, document, llama_bench_test, read

from harness.importing.document import Document, ImportFileError
from harness.importing.result import Statistic


def statistics(found: Sequence[Statistic]) -> dict[str, Any]:
    return {one.metric: (one.statistic, one.value, one.n, one.stddev) for one in found}


# -- llama-bench ------------------------------------------------------------------------------------------------------


def test_llama_bench_nanoseconds_become_seconds_and_tokens_per_second(tmp_path: Path) -> None:
    contents = read("llama-bench", document(tmp_path, [llama_bench_test()]))
    [result] = contents.results
    assert result.raw == {"prefill_s": [1.0, 0.8, 1.25], "prefill_tps": [512.0, 640.0, 409.6]}
    assert list(result.statistics) == []
    assert (result.model, result.recipe, result.precision) == (
        "smollm2-135m-instruct-Q4_K_M",
        "Q4_K_M",
        "int4",
    )
    assert (result.workload, result.prompt_tokens, result.decode_tokens) == ("pp512", 512, 0)
    assert result.started_at == datetime(2026, 11, 26, 18, tzinfo=UTC)
    assert contents.version == "b1 0c1e57098"
    assert (result.device, result.api, result.threads) == ("cpu", "cpu", 2)
    assert result.options == {
        "n_batch": "2048", "n_threads": "2", "type_k": "f16", "cpu_strict": "0", "n_gpu_layers": "99",
        "flash_attn": "-1", "devices": "auto",
    }  # fmt: skip


def test_llama_bench_decode_at_a_depth_and_both_phases_in_one_span(tmp_path: Path) -> None:
    tests = [
        llama_bench_test(n_prompt=0, n_gen=128, n_depth=256, samples_ns=[2_000_000_000]),
        llama_bench_test(n_prompt=512, n_gen=128, samples_ns=[4_000_000_000]),
    ]
    decode, both = read("llama-bench", document(tmp_path, tests)).results
    assert (decode.workload, decode.depth) == ("tg128@d256", 256)
    assert decode.raw == {"decode_s": [2.0], "decode_tps": [64.0]}
    assert (both.workload, both.raw) == ("pp512+tg128", {"total_s": [4.0], "total_tps": [160.0]})


def test_llama_bench_without_repetitions_has_a_mean_with_its_deviation_and_no_number(tmp_path: Path) -> None:
    test = llama_bench_test()
    del test["samples_ns"], test["samples_ts"]
    [result] = read("llama-bench", document(tmp_path, [test])).results
    assert result.raw == {}
    assert statistics(result.statistics) == {
        "prefill_s": ("mean", 1.0, None, 0.25),
        "prefill_tps": ("mean", 540.0, None, 12.5),
    }


def test_llama_bench_s_deviation_of_zero_is_that_of_one_repetition_which_has_none(tmp_path: Path) -> None:
    test = llama_bench_test(stddev_ns=0, stddev_ts=0.0)
    del test["samples_ns"]
    [result] = read("llama-bench", document(tmp_path, [test])).results
    assert [one.stddev for one in result.statistics] == [None, None]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backends": "CUDA", "gpu_info": "Example GPU"}, ("gpu:0", "cuda")),
        ({"backends": "MTL,BLAS", "gpu_info": "Apple M9"}, ("gpu:0", "metal")),
        # Built with Vulkan, but no device is there: it computes on the CPU.
        ({"backends": "Vulkan", "gpu_info": ""}, ("cpu", "cpu")),
        ({"backends": "CUDA", "gpu_info": "Example GPU", "n_gpu_layers": 0}, ("cpu", "cpu")),
        ({"backends": "CUDA", "gpu_info": "Example GPU", "devices": "none"}, ("cpu", "cpu")),
        ({"backends": "RPC"}, ("rpc", "rpc")),
        ({"backends": ""}, ("unknown", "unknown")),
    ],
)
def test_llama_bench_s_device_is_where_it_computed(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    [result] = read("llama-bench", document(tmp_path, [llama_bench_test(**changes)])).results
    assert (result.device, result.api) == expected


@pytest.mark.parametrize(
    ("words", "recipe", "precision"),
    [
        ("llama 135M all F32", "F32", "fp32"),
        ("llama 135M F16", "F16", "fp16"),
        ("llama 1B Q8_0", "Q8_0", "int8"),
        ("llama 1B Q3_K - Large", "Q3_K_L", "int3"),
        ("qwen3 8B IQ2_XXS - 2.0625 bpw", "IQ2_XXS", "int2"),
        ("llama ?B Q6_K (guessed)", "Q6_K", "int6"),
        ("something new", "unknown", "unknown"),
    ],
)
def test_llama_bench_s_words_for_a_precision(tmp_path: Path, words: str, recipe: str, precision: str) -> None:
    [result] = read("llama-bench", document(tmp_path, [llama_bench_test(model_type=words)])).results
    assert (result.recipe, result.precision) == (recipe, precision)


def test_the_same_configuration_is_the_same_cell_in_all_four_formats(tmp_path: Path) -> None:
    from harness.importing.reading import read_file

    cells = set()
    for suffix in ("json", "jsonl", "csv", "sql"):
        record = read_file(FILES / f"llama_bench.{suffix}")
        assert record.source.format == suffix
        cells.add(tuple(one.cell.id for one in record.runs))
    assert len(cells) == 1
    del tmp_path


# -- the others -------------------------------------------------------------------------------------------------------

MLX = """some line of the terminal
Running warmup..
Timing with prompt_tokens=64, generation_tokens=8, batch_size=2.
Trial 1:  prompt_tps=12.500, generation_tps=4.250, peak_memory=0.375, total_time=7.002
Trial 2:  prompt_tps=10.000, generation_tps=4.000, peak_memory=0.500, total_time=8.400
Averages: prompt_tps=11.250, generation_tps=4.125, peak_memory=0.438
"""


def test_mlx_trials_are_repetitions_and_gigabytes_are_decimal(tmp_path: Path) -> None:
    contents = read("mlx-lm", document(tmp_path, MLX, "trials.txt"))
    [result] = contents.results
    assert result.raw == {
        "prompt_tps": [12.5, 10.0],
        "generation_tps": [4.25, 4.0],
        "peak_memory_bytes": [375_000_000.0, 500_000_000.0],
        "total_s": [7.002, 8.4],
    }
    assert (result.workload, result.batch, result.model) == ("pp64+tg8@b2", 2, None)
    assert contents.document == {"lines": ["some line of the terminal", "Running warmup.."]}


def test_mlx_averages_alone_are_means(tmp_path: Path) -> None:
    lines = [line for line in MLX.splitlines() if not line.startswith("Trial")]
    [result] = read("mlx-lm", document(tmp_path, "\n".join(lines), "trials.txt")).results
    assert result.raw == {}
    assert statistics(result.statistics)["peak_memory_bytes"] == ("mean", 438_000_000.0, None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Trial 2", "Trial 3"), "line 5: trial 3 follows trial 1"),
        (("prompt_tps=10.000", "prompt_tps=nan"), "line 5: prompt_tps: a number is expected"),
        (("generation_tps=4.000", "generation_tps=0.000"), "a number above 0"),
        (("Timing with", "Timed with"), "line 4: a trial before the line"),
    ],
)
def test_broken_mlx_output_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(ImportFileError, match=words):
        read("mlx-lm", document(tmp_path, MLX.replace(*change), "trials.txt"))


def test_llm_bench_milliseconds_and_mebibytes_from_its_json() -> None:
    contents = read("llm_bench", Document(FILES / "llm_bench.json"))
    [result] = contents.results
    assert result.warmups == 1
    assert result.raw["first_token_s"] == [0.2105, 0.1, 0.104]
    assert result.raw["other_tokens_s_per_token"] == [0.02025, 0.02, 0.0208]
    assert result.raw["first_infer_s"] == [0.20975, 0.0995, None]  # -1 is no time
    assert result.raw["detokenization_s"] == [0.000125, None, 0.000125]
    assert result.raw["max_rss_mem_bytes"] == [512.5 * 1_048_576, None, None]
    assert "max_share_rss_mem_bytes" not in result.raw  # per cent
    assert statistics(result.statistics) == {"compile_s": ("value", 1.875, 1, None)}
    assert (result.framework, result.workload, result.precision) == ("openvino", "pp32+tg16", "int8")
    assert contents.document["perfdata"]["results_averaged"]["first_latency"] == 102.0


def test_llm_bench_csv_leaves_its_averages_and_comments_out_of_the_repetitions() -> None:
    contents = read("llm_bench", Document(FILES / "llm_bench.csv"))
    [result] = contents.results
    assert result.raw["first_token_s"] == [0.2, 0.1, 0.11]
    assert result.raw["first_infer_s"] == [0.199, None, 0.1095]  # NA
    assert result.raw["max_rss_mem_mb"] == [500.5, None, None]  # MB of either kind: as it is
    assert [row["iteration"] for row in contents.document["other_rows"]][:3] == ["avg", "mini", "median"]


def test_genai_means_are_means_and_its_default_counts_are_not_believed() -> None:
    contents = read("onnxruntime-genai", Document(FILES / "genai.csv"))
    single, double = contents.results
    assert single.raw == {}
    assert statistics(single.statistics) == {
        "tokenization_tps": ("mean", 128000.0, None, None),
        "tokenization_s": ("mean", 0.0005, None, None),
        "prompt_processing_tps": ("mean", 320.0, None, None),
        "prompt_processing_s_per_token": ("mean", 0.003125, None, None),
        "token_generation_tps": ("mean", 40.0, None, None),
        "token_generation_s_per_token": ("mean", 0.025, None, None),
        "sampling_tps": ("mean", 5000.0, None, None),
        "sampling_s_per_token": ("mean", 0.0002, None, None),
        "wall_clock_tps": ("mean", 80.0, None, None),
        "wall_clock_s": ("mean", 1.2, None, None),
    }
    assert (single.workload, double.workload) == ("pp64+tg32", "pp64+tg32@b2")
    assert (contents.version, single.precision, single.started_at) == ("0.14.1", "int4", None)
    assert single.record["trigger_date"] == "2026-11-26 18:00:00"


def test_genai_s_first_form_has_the_same_figures() -> None:
    first = read("onnxruntime-genai", Document(FILES / "genai_first.csv")).results[0]
    second = read("onnxruntime-genai", Document(FILES / "genai.csv")).results[0]
    assert statistics(first.statistics) == statistics(second.statistics)
    assert (first.model, second.model) == (None, "smollm2-135m-instruct")


OPTIMUM: dict[str, Any] = {
    "config": {
        "name": "cpu",
        "backend": {
            "name": "pytorch", "version": "2.13.0", "model": "org/tiny", "device": "cpu", "torch_dtype": "float16",
            "_target_": "x", "intra_op_num_threads": 2, "model_kwargs": {}, "no_weights": True,
        },
        "scenario": {
            "name": "inference",
            "input_shapes": {"batch_size": 2, "sequence_length": 16},
            "generate_kwargs": {"max_new_tokens": 4},
        },
        "environment": {
            "cpu": " Example CPU", "cpu_count": 4, "cpu_ram_mb": 17179.869184, "machine": "x86_64", "system": "Linux",
            "optimum_benchmark_version": "0.6.0",
        },
    },
    "report": {
        "prefill": {
            "memory": {"unit": "MB", "max_ram": 512.25, "max_global_vram": None},
            "latency": {"unit": "s", "values": [0.5, 0.25], "count": 2, "mean": 0.375, "stdev": 0.125},
            "throughput": {"unit": "samples/s", "value": 5.333},
            "energy": {"unit": "kWh", "cpu": 1e-6, "ram": 0.0, "gpu": 0, "total": 2e-6},
            "efficiency": {"unit": "samples/kWh", "value": 1e6},
        },
        "per_token": {
            "memory": None, "latency": {"unit": "s", "values": [0.1, 0.2, 0.3]}, "throughput": None, "energy": None,
            "efficiency": None,
        },
    },
}  # fmt: skip


def test_optimum_benchmark_units_and_places(tmp_path: Path) -> None:
    contents = read("optimum-benchmark", document(tmp_path, OPTIMUM))
    [result] = contents.results
    assert result.raw == {"prefill_s": [0.5, 0.25]}
    assert result.arrays == {"per_token_s": [0.1, 0.2, 0.3]}
    found = statistics(result.statistics)
    assert found["prefill_max_ram_bytes"] == ("maximum", 512_250_000.0, None, None)
    assert found["prefill_cpu_estimated_joules"] == ("mean", pytest.approx(3.6), None, None)
    assert found["prefill_total_estimated_joules"] == ("mean", pytest.approx(7.2), None, None)
    assert "prefill_ram_estimated_joules" not in found  # nothing was found to measure it: 0 is no energy
    assert found["prefill_throughput_samples_per_s"] == ("value", 5.333, None, None)
    assert (result.workload, result.precision, result.device) == ("pp16+tg4@b2", "fp16", "cpu")
    assert contents.machine.cpu_model == "Example CPU"
    assert contents.machine.memory_bytes == 17_179_869_184
    assert set(found) | set(result.raw) | set(result.arrays) <= set(contents.definitions)


def test_optimum_benchmark_in_another_unit_is_refused(tmp_path: Path) -> None:
    report = {"prefill": {**OPTIMUM["report"]["prefill"], "memory": {"unit": "MiB", "max_ram": 5}}}
    with pytest.raises(ImportFileError, match="unit: MB is expected, not 'MiB'"):
        read("optimum-benchmark", document(tmp_path, report))


def test_hyperfine_times_are_repetitions_and_failures_are_flagged(tmp_path: Path) -> None:
    one = {
        "command": "sleep {n}", "mean": 0.15, "stddev": 0.05, "median": 0.15, "user": 0.001, "system": 0.002,
        "min": 0.1, "max": 0.2, "times": [0.1, 0.2], "memory_usage_byte": [1_048_576, 2_097_152],
        "exit_codes": [0, 3], "parameters": {"n": "0.1"},
    }  # fmt: skip
    [result] = read("hyperfine", document(tmp_path, {"results": [one]})).results
    assert result.raw == {"wall_s": [0.1, 0.2], "memory_bytes": [1_048_576.0, 2_097_152.0]}
    assert statistics(result.statistics) == {
        "user_s": ("mean", 0.001, 2, None),
        "system_s": ("mean", 0.002, 2, None),
    }
    assert (result.framework, result.workload, result.options) == ("external", "sleep {n}", {"n": "0.1"})
    assert list(result.flags) == ["1 of 2 runs ended with another exit status than 0"]


def test_pytest_benchmark_without_its_rounds_has_statistics(tmp_path: Path) -> None:
    stats = {"min": 0.1, "max": 0.4, "mean": 0.2, "stddev": 0.05, "median": 0.15, "rounds": 7}
    bench = {
        "name": "test_a",
        "fullname": "t.py::test_a",
        "options": {"timer": "perf_counter"},
        "stats": stats,
    }
    found = {"benchmarks": [bench], "machine_info": {"cpu": {}}, "version": "5.3.1"}
    [result] = read("pytest-benchmark", document(tmp_path, found)).results
    assert result.raw == {}
    assert [(one.statistic, one.value, one.n, one.stddev) for one in result.statistics] == [
        ("mean", 0.2, 7, 0.05), ("median", 0.15, 7, None), ("minimum", 0.1, 7, None), ("maximum", 0.4, 7, None),
    ]  # fmt: skip
    bench["stats"] = {**stats, "data": [0.1, 0.15, 0.4]}
    [result] = read("pytest-benchmark", document(tmp_path, found)).results
    assert (result.raw, list(result.statistics)) == ({"call_s": [0.1, 0.15, 0.4]}, [])
    assert "data" not in result.record["stats"]  # kept once
