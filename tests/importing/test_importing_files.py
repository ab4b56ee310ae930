"""The files that the tools wrote: recognised by their content alone, read whole, with nothing of them lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from import_files import FILES, document, llama_bench_test

from harness.errors import UsageError
from harness.importing.document import Document, ImportFileError
from harness.importing.reading import read_file
from harness.importing.records import named_machine
from harness.importing.registry import format_of, formats
from harness.importing.tools import lm_eval

#: File, tool, version, format, results.
KNOWN = [
    ("llama_bench.json", "llama-bench", "b1 0c1e570", "json", 4),
    ("llama_bench.jsonl", "llama-bench", "b1 0c1e570", "jsonl", 4),
    ("llama_bench.csv", "llama-bench", "b1 0c1e570", "csv", 4),
    ("llama_bench.sql", "llama-bench", "b1 0c1e570", "sql", 4),
    ("mlx_lm.txt", "mlx-lm", None, "text", 1),
    ("llm_bench.json", "llm_bench", None, "json", 1),
    ("llm_bench.csv", "llm_bench", None, "csv", 1),
    ("genai.csv", "onnxruntime-genai", "0.14.1", "csv", 2),
    ("genai_first.csv", "onnxruntime-genai", None, "csv", 1),
    ("pytest_benchmark.json", "pytest-benchmark", "5.3.1", "json", 3),
    ("pytest_benchmark_saved.json", "pytest-benchmark", "5.3.1", "json", 3),
    ("hyperfine.json", "hyperfine", None, "json", 2),
    ("hyperfine_failing.json", "hyperfine", None, "json", 1),
    ("lm_eval/results_2026-11-26T19-03-36.611759.json", "lm-eval", "0.4.13", "json", 1),
    ("optimum_benchmark/benchmark.json", "optimum-benchmark", "0.6.0", "json", 1),
    ("optimum_benchmark/benchmark_report.json", "optimum-benchmark", "0.6.0", "json", 1),
]


@pytest.mark.parametrize(("name", "tool", "version", "kind", "count"), KNOWN, ids=[one[0] for one in KNOWN])
def test_a_file_is_recognised_and_read(
    name: str, tool: str, version: str | None, kind: str, count: int
) -> None:
    record = read_file(FILES / name)
    source = record.source
    assert (source.tool, source.tool_version, source.format) == (tool, version, kind)
    assert len(record.runs) == count
    assert source.file_sha256 == Document(FILES / name).sha256
    for one in record.runs:
        assert one.cell.source == tool
        assert one.run.samples or one.run.statistics or one.run.evaluation
        assert one.run.details["record"]
        assert one.run.validity in (None, "suspect")


@pytest.mark.parametrize(("name", "tool"), [one[:2] for one in KNOWN], ids=[one[0] for one in KNOWN])
def test_every_metric_carries_the_tool_and_has_a_definition(name: str, tool: str) -> None:
    record = read_file(FILES / name)
    metrics = {
        metric
        for one in record.runs
        for metric in (
            *(key for sample in one.run.samples for key in (*sample.values, *sample.traces)),
            *(statistic.metric for statistic in one.run.statistics),
        )
    }
    assert all(metric.startswith(f"{tool}:") for metric in metrics)
    assert metrics <= record.source.definitions.keys()


def test_every_tool_has_a_file_here_and_every_file_is_in_the_list() -> None:
    assert {one[1] for one in KNOWN} == set(formats())
    beside = {"README.md", "benchmark_config.json"}
    found = {
        path
        for path in FILES.rglob("*.*")
        if path.name not in beside and not path.name.startswith("samples_")
    }
    assert found == {FILES / one[0] for one in KNOWN}


def texts(value: Any) -> set[str]:
    """Every number and text in a value, as JSON."""
    if isinstance(value, dict):
        return set().union(*(texts(one) for one in value.values()), set())
    if isinstance(value, list | tuple):
        return set().union(*(texts(one) for one in value), set())
    return {json.dumps(value)}


@pytest.mark.parametrize(
    "name", [one[0] for one in KNOWN if one[3] == "json" and not one[0].startswith("optimum")]
)
def test_no_value_of_a_file_is_lost(name: str) -> None:
    record = read_file(FILES / name)
    kept = texts(record.source.document) | texts([one.run.details for one in record.runs])
    kept |= {
        json.dumps(value)
        for one in record.runs
        for sample in one.run.samples
        for value in sample.values.values()
    }
    lost = texts(json.loads((FILES / name).read_text(encoding="utf-8"))) - kept
    assert lost == set()


def test_an_unknown_field_is_kept(tmp_path: Path) -> None:
    found = document(tmp_path, [llama_bench_test(of_tomorrow={"x": [1, "y"]})])
    [one] = read_file(found.path).runs
    assert one.run.details["record"]["of_tomorrow"] == {"x": [1, "y"]}


def test_the_raw_repetitions_of_the_tool_s_file_are_samples() -> None:
    tests = json.loads((FILES / "llama_bench.json").read_text(encoding="utf-8"))
    record = read_file(FILES / "llama_bench.json")
    for test, one in zip(tests, record.runs, strict=True):
        name = "llama-bench:prefill_s" if test["n_prompt"] else "llama-bench:decode_s"
        assert [sample.values[name] for sample in one.run.samples] == [ns / 1e9 for ns in test["samples_ns"]]
        tps = [sample.values[name.replace("_s", "_tps")] for sample in one.run.samples]
        assert tps == pytest.approx(test["samples_ts"], rel=1e-5)


def test_lm_eval_s_items_come_from_the_samples_beside_it() -> None:
    [one] = read_file(FILES / "lm_eval/results_2026-11-26T19-03-36.611759.json").runs
    evaluation = one.run.evaluation
    assert evaluation is not None
    by_name = {task.task: task for task in evaluation.tasks}
    grammar = by_name["edgebench_grammar"]
    assert (grammar.n, len(grammar.items)) == (4, 4)
    assert all(len(item.loglikelihoods) == 2 for item in grammar.items)
    [accuracy] = [metric for metric in grammar.metrics if metric.metric == "acc"]
    assert accuracy.value == pytest.approx(sum(item.values["acc"] for item in grammar.items) / 4)
    arithmetic = by_name["edgebench_arithmetic"]
    assert all(item.text is not None and not item.loglikelihoods for item in arithmetic.items)
    assert evaluation.artifact_id is None
    # What lm-eval was asked for, by default: a model that needs no device at all ran.
    assert (one.cell.device, one.cell.options["device"]) == ("unknown", "cuda:0")


def test_whatever_else_lm_eval_tells_of_an_item_is_kept() -> None:
    folder = FILES / "lm_eval"
    [one] = read_file(folder / "results_2026-11-26T19-03-36.611759.json").runs
    kept = one.run.details["items"]
    assert set(kept) == {"edgebench_grammar", "edgebench_arithmetic"}
    for task, items in kept.items():
        path = folder / f"samples_{task}_2026-11-26T19-03-36.611759.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(items) == 4
        for row in rows:
            item = items[row["doc_id"]]
            for key, value in row.items():
                if key not in row["metrics"]:
                    assert any(each.get(key) == value for each in (item, *item.get("filters", ()))), key
            assert not set(row["metrics"]) & item.keys()


def test_the_bound_of_what_is_kept_of_items_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (FILES / "lm_eval").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    results = tmp_path / "results_2026-11-26T19-03-36.611759.json"
    [whole] = read_file(results).runs
    sizes = [len(json.dumps(one)) for items in whole.run.details["items"].values() for one in items]
    monkeypatch.setattr(lm_eval, "MAX_ITEMS_BYTES", sum(sizes) // 2)
    [half] = read_file(results).runs
    kept = [one for items in half.run.details["items"].values() for one in items]
    left_out = [one for one in kept if "not_kept" in one]
    assert len(kept) == len(sizes)
    assert 0 < len(left_out) < len(kept)
    monkeypatch.setattr(lm_eval, "MAX_ITEM_BYTES", 10)
    [none] = read_file(results).runs
    for items in none.run.details["items"].values():
        assert [one["doc_id"] for one in items] == [0, 1, 2, 3]
        assert all(one["not_kept"].endswith("more than 10 of an item") for one in items)
    assert none.run.evaluation == whole.run.evaluation


def test_every_figure_has_the_field_that_it_was_made_from() -> None:
    for path in sorted(FILES.rglob("*")):
        if not path.is_file() or path.name.startswith(("samples_", "README", "benchmark_config")):
            continue
        for one in read_file(path).runs:
            metrics = {name for sample in one.run.samples for name in (*sample.values, *sample.traces)}
            metrics |= {statistic.metric for statistic in one.run.statistics}
            assert one.run.details["place"], path
            assert metrics <= set(one.run.details.get("fields", ())), path


def test_lm_eval_without_samples_beside_it_has_results_alone(tmp_path: Path) -> None:
    path = tmp_path / "results_2026-11-26T19-03-36.611759.json"
    path.write_bytes((FILES / "lm_eval" / path.name).read_bytes())
    record = read_file(path)
    [one] = record.runs
    assert one.run.evaluation is not None
    assert [len(task.items) for task in one.run.evaluation.tasks] == [0, 0]
    assert [task.n for task in one.run.evaluation.tasks] == [4, 4]
    assert record.source.other_files == []


def test_a_task_s_name_reaches_no_file_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "samples_x_2026-11-26T18-44-00.jsonl").write_text("secret\n")
    found = {"results": {"../samples_x": {"acc,none": 0.5}}, "configs": {}, "versions": {}}
    path = tmp_path / "in" / "results_2026-11-26T18-44-00.json"
    path.write_text(json.dumps(found))
    assert read_file(path).source.other_files == []


def test_machine_and_model_are_the_file_s_or_the_given_ones_or_named_after_the_file() -> None:
    told = read_file(FILES / "llama_bench.json")
    assert told.machine.cpu_model is not None
    assert told.machine.memory_bytes is None  # not told: not known
    untold = read_file(FILES / "mlx_lm.txt")
    short = untold.source.file_sha256[:8]
    assert untold.machine.name == f"unnamed machine of {short}"
    assert untold.runs[0].cell.model == f"unnamed model of {short}"
    given = read_file(FILES / "mlx_lm.txt", machine=named_machine("lab-3"), model="smollm2")
    assert (given.machine.name, given.runs[0].cell.model) == ("lab-3", "smollm2")
    assert given.session_id != untold.session_id
    named = read_file(FILES / "llama_bench.json", machine=named_machine("lab-3"), model="other")
    assert named.runs[0].cell.model == "smollm2-135m-instruct-Q4_K_M"  # the file tells
    assert named.system["machine"]["cpu_model"] == told.machine.cpu_model


def test_more_repetitions_than_the_database_counts_are_one_array(tmp_path: Path) -> None:
    times = [0.5 + 1e-6 * place for place in range(40_000)]
    one = {"command": "x", "mean": 0.5, "user": 0.1, "system": 0.1, "times": times}
    [run] = read_file(document(tmp_path, {"results": [one]}).path).runs
    [sample] = run.run.samples
    assert list(sample.traces["hyperfine:wall_s"]) == times
    assert sample.values == {}


def test_a_format_can_be_named_and_a_wrong_name_lists_the_right_ones(tmp_path: Path) -> None:
    found = document(tmp_path, '{"something": "else"}')
    with pytest.raises(ImportFileError, match="no known tool") as caught:
        format_of(found)
    assert "llama-bench" in caught.value.next_step
    with pytest.raises(UsageError, match="no format 'llama'"):
        format_of(found, "llama")
    assert format_of(found, "hyperfine") is formats()["hyperfine"]
    with pytest.raises(ImportFileError, match="results: it holds no benchmark"):
        formats()["hyperfine"].read(found)


def test_a_broken_file_is_named_with_its_place_even_where_it_is_not_recognised(tmp_path: Path) -> None:
    text = (FILES / "hyperfine.json").read_text(encoding="utf-8")
    with pytest.raises(ImportFileError):
        read_file(document(tmp_path, text[:400]).path)
    with pytest.raises(ImportFileError, match="line 1: this is no JSON"):
        read_file(document(tmp_path, '{"results": [').path)


def test_tests_of_two_machines_in_one_file_are_refused(tmp_path: Path) -> None:
    found = document(tmp_path, [llama_bench_test(), llama_bench_test(cpu_info="Another")])
    with pytest.raises(ImportFileError, match=r"cpu_info: the file holds tests of several machines"):
        read_file(found.path)
