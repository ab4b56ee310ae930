"""onnxruntime-genai's ``benchmark_e2e.py``: its CSV in both forms, and the JSON of the same records.

Owns what its columns mean. All figures are means, and the file does not tell over how many repetitions: its
``measured_runs`` and ``warmup_runs`` are defaults of the class that writes it, not what was run. Contract: no
figure is a repetition; the time in ``trigger_date`` has no zone and is kept in the record alone.
"""

from __future__ import annotations

from typing import Any

from harness.importing.document import Document
from harness.importing.fields import GIB, MS, Fields, file_stem
from harness.importing.precisions import precision_of_word
from harness.importing.registry import Format
from harness.importing.result import UNKNOWN, Contents, Result, Statistic

_PHASES = ("tokenization", "prompt_processing", "token_generation", "sampling")

#: Columns of the first form, which had heads for people, by the names of the second.
_TITLES = {
    "Batch Size": "config.batch_size",
    "Prompt Length": "config.prompt_length",
    "Tokens Generated": "config.tokens_generated",
    "Max Length": "config.max_length",
    "Tokenization Throughput (tps)": "metrics.tokenization_throughput_tps",
    "Tokenization Latency (ms)": "metrics.tokenization_latency_ms",
    "Prompt Processing Throughput (tps)": "metrics.prompt_processing_throughput_tps",
    "Prompt Processing Latency (ms)": "metrics.prompt_processing_latency_ms",
    "Token Generation Throughput (tps)": "metrics.token_generation_throughput_tps",
    "Token Generation Latency (ms)": "metrics.token_generation_latency_ms",
    "Sampling Throughput (tps)": "metrics.sampling_throughput_tps",
    "Sampling Latency (ms)": "metrics.sampling_latency_ms",
    "Wall Clock Throughput (tps)": "metrics.wall_clock_throughput_tps",
    "Wall Clock Time (s)": "metrics.wall_clock_time_s",
    "peak_gpu_memory (GiB)": "metrics.peak_gpu_memory_gb",
    "peak_cpu_memory (GiB)": "metrics.peak_cpu_memory_gb",
    "peak_cpu_memory(GiB)": "metrics.peak_cpu_memory_gb",
}
_WANTED = ("config.prompt_length", "metrics.prompt_processing_throughput_tps")

_DEFINITIONS = {
    "tokenization_tps": "prompt tokens over the time of encoding the prompt",
    "tokenization_s": "seconds of encoding the whole prompt",
    "prompt_processing_tps": "prompt tokens of all sequences over the time of processing the"
    " prompt, mean over repetitions"
    " of one prompt that is the same in each; edgebench's prompts are fresh, and it takes a median",
    "prompt_processing_s_per_token": "that time over the prompt's tokens",
    "token_generation_tps": "sequences over the mean time of a token. Since version 0.6 that time is of"
    " generate_next_token, which computes and chooses: compare with edgebench's stream_tps;"
    " before, of the forward pass",
    "token_generation_s_per_token": "that mean time",
    "sampling_tps": "sequences over the mean time of choosing a token",
    "sampling_s_per_token": "that mean time; since version 0.6 of the first token alone",
    "wall_clock_tps": "prompt and generated tokens together over the wall time: edgebench never blends the two",
    "wall_clock_s": "wall time of a repetition, making the generator and tokenising included",
    "peak_cpu_memory_bytes": "most memory of the whole machine in use, seen by polling: not of the process",
    "peak_gpu_memory_bytes": "most memory of the fullest GPU in use, seen by polling nvidia-smi: not of the process",
}


class Genai(Format):
    """``--output``."""

    tool = "onnxruntime-genai"
    files = "CSV, JSON"

    def recognise(self, document: Document) -> bool:
        if document.is_json:
            found = document.json_or_none
            first = found[0] if isinstance(found, list) and found else None
            return isinstance(first, dict) and set(_WANTED) <= _flat(first).keys()
        return set(_WANTED) <= {_TITLES.get(name, name) for name in document.head}

    def read(self, document: Document) -> Contents:
        if document.is_json:
            found = document.json
            if not isinstance(found, list):
                document.refuse("", "a list of records is expected")
            records = [(f"record [{place}]", one) for place, one in enumerate(found)]
            rows = [
                Fields(document, _flat(Fields(document, one, place).values), place) for place, one in records
            ]
        else:
            rows = [
                Fields(
                    document, {_TITLES.get(name, name): value for name, value in row.items()}, f"line {line}"
                )
                for line, row in document.csv_rows()[1]
            ]
        if not rows:
            document.refuse("", "it holds no record")
        versions = {row.name_or_none("metadata.package_version") for row in rows}
        return Contents(
            format="json" if document.is_json else "csv",
            version=versions.pop() if len(versions) == 1 else None,
            results=[_result(row) for row in rows],
            definitions=_DEFINITIONS,
        )


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """``{"config": {"batch_size": 1}}`` as the CSV has it: ``config.batch_size``."""
    made: dict[str, Any] = {}
    waiting = [("", record)]
    while waiting:
        before, one = waiting.pop()
        for name, value in one.items():
            if isinstance(value, dict):
                waiting.append((f"{before}{name}.", value))
            else:
                made[f"{before}{name}"] = value
    return made


def _result(row: Fields) -> Result:
    prompt, generated = row.whole("config.prompt_length"), row.whole("config.tokens_generated", 0)
    batch = row.whole("config.batch_size", 1)
    word = row.name_or_none("config.precision")
    provider = (row.option("metadata.device") or UNKNOWN).lower()
    fields: dict[str, str] = {}
    for name in _PHASES:
        latency = "s" if name == "tokenization" else "s_per_token"
        fields[f"{name}_tps"] = f"metrics.{name}_throughput_tps"
        fields[f"{name}_{latency}"] = f"metrics.{name}_latency_ms"
    fields["wall_clock_tps"] = "metrics.wall_clock_throughput_tps"
    fields["wall_clock_s"] = "metrics.wall_clock_time_s"
    statistics = []
    for metric, key in fields.items():
        statistics += _mean(row, key, metric)
    for name in ("peak_cpu_memory", "peak_gpu_memory"):
        fields[f"{name}_bytes"] = f"metrics.{name}_gb"
        if (found := row.positive_or_none(f"metrics.{name}_gb")) is not None:
            statistics.append(Statistic(f"{name}_bytes", "maximum", found * GIB))
    if not statistics:
        row.refuse("metrics", "a record without a figure")
    model = row.name_or_none("config.model_info.full_name")
    parts = [f"pp{prompt}"] + [f"tg{generated}"] * bool(generated)
    return Result(
        framework="onnxruntime-genai",
        model=None if model is None else file_stem(model),
        workload="+".join(parts) + (f"@b{batch}" if batch != 1 else ""),
        record=dict(row.values),
        recipe=word or UNKNOWN,
        precision=precision_of_word(word),
        device="cpu" if provider == "cpu" else UNKNOWN if provider == UNKNOWN else "gpu:0",
        api=provider,
        prompt_tokens=prompt,
        decode_tokens=generated,
        batch=batch,
        options={
            name: value
            for name, key in (("max_length", "config.max_length"), ("backend", "config.backend"))
            if (value := row.option(key)) is not None
        },
        statistics=statistics,
        framework_version=row.name_or_none("metadata.package_version"),
        place=row.place,
        fields=fields,
    )


def _mean(row: Fields, key: str, metric: str) -> list[Statistic]:
    found = row.positive_or_none(key)
    if found is None:
        return []
    return [Statistic(metric, "mean", found / MS if key.endswith("_ms") else found)]


FORMAT = Genai()
