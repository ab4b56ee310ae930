"""optimum-benchmark: ``benchmark.json``, or ``benchmark_report.json`` with the configuration beside it.

Owns what its fields mean. Contract: every latency of a target is a repetition; latencies of tokens are an array,
because the file pools them over repetitions; energy is kept as the tool's figure, which may be a model's.
"""

from __future__ import annotations

import re
from typing import Any

from harness.importing.document import Document
from harness.importing.fields import KWH_JOULES, MB, Fields, file_stem, without
from harness.importing.precisions import precision_of_word
from harness.importing.registry import Format
from harness.importing.result import UNKNOWN, Contents, MachineFacts, Result, Statistic

_CONFIG = "benchmark_config.json"
_PARTS = ("memory", "latency", "throughput", "energy", "efficiency")
_POOLED = ("per_token", "per_step")

#: Its back ends that are frameworks of ours.
_FRAMEWORKS = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "llama_cpp": "llamacpp",
    "llama-cpp": "llamacpp",
}

_TARGETS = {
    "load_model": "loading the model",
    "first_generate": "the first generation, before any warm-up",
    "generate": "one whole generation, prompt included",
    "prefill": "one generation of a single token: the prompt, and choosing that token;"
    " edgebench's prefill ends with the"
    " logits",
    "decode": "one generation less its prefill, sampling included; edgebench's decode is the forward passes alone",
    "per_token": "each generated token, of all repetitions together",
}
_ENERGY = (
    "by codecarbon, of one call on average: measured where it found a counter, else a model of power;"
    " edgebench never compares an estimate"
)


class OptimumBenchmark(Format):
    """Its two JSON files with a report."""

    tool = "optimum-benchmark"
    files = "JSON"

    def recognise(self, document: Document) -> bool:
        found = document.json_or_none if document.is_json else None
        return isinstance(found, dict) and (
            _is_report(found) or (set(found) >= {"config", "report"} and _is_report(found["report"]))
        )

    def read(self, document: Document) -> Contents:
        whole = Fields(document, document.json, "")
        others: list[Document] = []
        if "report" in whole.values:
            config, report = whole.below("config"), whole.below("report")
        else:
            beside = document.beside(_CONFIG)
            others += [beside] if beside is not None else []
            config = Fields(beside or document, {} if beside is None else beside.json, "")
            report = whole
        environment = config.below("environment")
        return Contents(
            format="json",
            version=environment.name_or_none("optimum_benchmark_version"),
            results=[_result(config, report)],
            definitions=_definitions(report),
            machine=_machine(environment),
            system={
                name: environment.values[name]
                for name in ("system", "platform", "python_version")
                if name in environment.values
            },
            document={"config": config.values, **without(whole.values, ["config", "report", *report.values])},
            other_files=[one.facts() for one in others],
        )


def _is_report(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and bool(found)
        and all(isinstance(one, dict) and set(_PARTS) <= one.keys() for one in found.values())
    )


def _result(config: Fields, report: Fields) -> Result:
    backend, scenario = config.below("backend"), config.below("scenario")
    shapes, generate = scenario.below("input_shapes"), scenario.below("generate_kwargs")
    prompt, batch = shapes.whole("sequence_length", 0), shapes.whole("batch_size", 1)
    generated = generate.whole("max_new_tokens", 0)
    name = backend.name_or_none("name")
    device = backend.option("device")
    raw: dict[str, list[float | None]] = {}
    arrays: dict[str, list[float]] = {}
    statistics: list[Statistic] = []
    fields: dict[str, str] = {}
    for target in report.values:
        _read_target(report, target, raw, arrays, statistics, fields)
    if not raw and not statistics:
        report.refuse("", "no target of the report has a figure")
    kwargs = backend.below("model_kwargs")
    word = (
        backend.option("torch_dtype")
        or backend.option("dtype")
        or kwargs.option("torch_dtype")
        or kwargs.option("dtype")
    )
    recipe = " ".join(one for one in (word, backend.option("quantization_scheme")) if one) or UNKNOWN
    model = backend.name_or_none("model")
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    return Result(
        framework=_FRAMEWORKS.get(name or "", name or UNKNOWN),
        model=None if model is None else file_stem(model),
        workload=("+".join(parts) or scenario.name_or_none("name") or UNKNOWN)
        + (f"@b{batch}" if batch != 1 else ""),
        record=dict(report.values),
        recipe=recipe,
        precision=UNKNOWN if backend.option("quantization_scheme") else precision_of_word(word),
        device=UNKNOWN
        if device is None
        else "cpu"
        if device == "cpu"
        else f"gpu:{backend.option('device_ids') or 0}",
        api=device or UNKNOWN,
        prompt_tokens=prompt,
        decode_tokens=generated,
        batch=batch,
        options=_options(backend),
        raw=raw,
        arrays=arrays,
        statistics=statistics,
        framework_version=backend.option("version"),
        threads=backend.whole_or_none("intra_op_num_threads"),
        place=report.place or "the report",
        fields=fields,
    )


def _options(backend: Fields) -> dict[str, str]:
    """The settings of its back end, but what the cell says already."""
    said = (
        "name",
        "version",
        "_target_",
        "model",
        "processor",
        "task",
        "library",
        "model_type",
        "device",
        "seed",
    )
    return {
        key: value for key in backend.values if key not in said and (value := backend.option(key)) is not None
    }


def _read_target(
    report: Fields,
    target: str,
    raw: dict[str, list[float | None]],
    arrays: dict[str, list[float]],
    statistics: list[Statistic],
    fields: dict[str, str],
) -> None:
    found, name = report.below(target), report.checked_name(target, target)
    latency, memory, energy = found.below("latency"), found.below("memory"), found.below("energy")
    _need_unit(latency, "s")
    _need_unit(memory, "MB")
    _need_unit(energy, "kWh")
    values = latency.positives("values")
    fields[f"{name}_s"] = f"{target}.latency.{'values' if values else 'mean'}"
    if values and name in _POOLED:
        arrays[f"{name}_s"] = values
    elif values:
        raw[f"{name}_s"] = list(values)
    elif latency.has("mean"):
        spread = latency.positive_or_none("stdev")
        statistics.append(
            Statistic(f"{name}_s", "mean", latency.positive("mean"), latency.whole_or_none("count"), spread)
        )
    for key in memory.values:
        if key != "unit" and memory.positive_or_none(key) is not None:
            metric = f"{name}_{memory.checked_name(key, key)}_bytes"
            fields[metric] = f"{target}.memory.{key}"
            statistics.append(Statistic(metric, "maximum", memory.number(key) * MB))
    for key in energy.values:
        if key != "unit" and energy.positive_or_none(key) is not None:
            metric = f"{name}_{energy.checked_name(key, key)}_estimated_joules"
            fields[metric] = f"{target}.energy.{key}"
            statistics.append(Statistic(metric, "mean", energy.number(key) * KWH_JOULES))
    for part, unit in (("throughput", "s"), ("efficiency", "kWh")):
        one = found.below(part)
        if one.positive_or_none("value") is not None:
            what, _, per = one.name("unit").partition("/")
            if per != unit:
                one.refuse("unit", f"something per {unit} is expected")
            fields[f"{name}_{part}_{what}_per_{per}"] = f"{target}.{part}.value"
            statistics.append(Statistic(f"{name}_{part}_{what}_per_{per}", "value", one.number("value")))


def _need_unit(part: Fields, unit: str) -> None:
    if part.values and part.values.get("unit") != unit:
        part.refuse("unit", f"{unit} is expected, not {part.values.get('unit')!r}")


def _definitions(report: Fields) -> dict[str, str]:
    made: dict[str, str] = {}
    for target in report.values:
        what = _TARGETS.get(target, f"the target {target}")
        made[f"{target}_s"] = f"seconds of {what}"
        # The rest of the sentence is about the seconds.
        what = re.split("[:;]", what)[0]
        for key in report.below(target).below("memory").values:
            made[f"{target}_{key}_bytes"] = (
                f"largest {key} seen by polling from a process beside it while {what} was repeated"
            )
        for key in report.below(target).below("energy").values:
            made[f"{target}_{key}_estimated_joules"] = f"energy ({key}) of {what}, {_ENERGY}"
        for part in ("throughput", "efficiency"):
            unit = report.below(target).below(part).values.get("unit")
            if isinstance(unit, str):
                what_per = unit.replace("/", "_per_")
                made[f"{target}_{part}_{what_per}"] = (
                    f"the tool's {unit} of {what}: tokens or samples of a call over its mean"
                )
    return made


def _machine(environment: Fields) -> MachineFacts:
    memory = environment.positive_or_none("cpu_ram_mb")
    cpu = environment.option("cpu")
    return MachineFacts(
        cpu_model=cpu,
        arch=environment.name_or_none("machine"),
        logical_cores=environment.whole_or_none("cpu_count"),
        memory_bytes=None if memory is None or memory > 1e12 else round(memory * MB),
        accelerators=[
            environment.checked_name("gpu", one)
            for one in environment.list_of("gpu")
            if isinstance(one, str) and one.strip()
        ],
    )


FORMAT = OptimumBenchmark()
