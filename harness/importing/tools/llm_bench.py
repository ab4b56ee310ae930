"""llm_bench of openvino.genai: its JSON and its CSV.

Owns what their fields mean. Iteration 0 is the tool's warm-up; its rows named avg, mini and median follow from the
others and are kept as they stand. Contract: every iteration of a prompt is a repetition; -1, ``NA`` and empty are
no figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.importing.document import Document
from harness.importing.fields import GIB, MIB, MS, Fields, file_stem, without
from harness.importing.precisions import precision_of_recipe
from harness.importing.registry import Format
from harness.importing.result import UNKNOWN, Contents, Result, Statistic

#: Name in the JSON and in the CSV, ours, the divisor.
_FIGURES = (
    ("generation_time", "generation_time(s)", "generation_s", 1.0),
    ("latency", "latency(ms)", "latency_s_per_token", MS),
    ("first_latency", "1st_latency(ms)", "first_token_s", MS),
    ("second_avg_latency", "2nd_avg_latency(ms)", "other_tokens_s_per_token", MS),
    ("first_infer_latency", "1st_infer_latency(ms)", "first_infer_s", MS),
    ("second_infer_avg_latency", "2nd_infer_avg_latency(ms)", "other_infer_s_per_token", MS),
    ("tokenization_time", "tokenization_time", "tokenization_s", MS),
    ("detokenization_time", "detokenization_time", "detokenization_s", MS),
)
#: Shares of the machine's memory are per cent, and stay in the record.
_MEMORY = re.compile(r"^(max_(?!share_)\w*mem)(?:\((MB|MiB|GiB)\))?$")
_BYTES = {"MiB": MIB, "GiB": GIB}

_DEFINITIONS = {
    "generation_s": "seconds of one whole generation, tokenising and detokenising left out",
    "latency_s_per_token": "the whole generation over its output tokens: prompt and decoding"
    " blended, which edgebench never"
    " does",
    "first_token_s": "submission of the prompt to the first token, sampling included; prefix caching may be on",
    "other_tokens_s_per_token": "mean gap between tokens after the first, sampling and the"
    " pipeline's own work included:"
    " compare its inverse with edgebench's stream_tps, not with decode_tps",
    "first_infer_s": "the first inference of the model alone",
    "other_infer_s_per_token": "mean of the other inferences of the model alone: nearest to"
    " edgebench's decode, which sums"
    " them",
    "tokenization_s": "encoding the prompt",
    "detokenization_s": "decoding the generated tokens",
    "max_rss_mem_bytes": "largest resident set seen by polling, child processes included;"
    " edgebench reads the kernel's own"
    " high-water mark",
    "max_sys_mem_bytes": "most memory of the whole system in use, seen by polling: other processes are in it",
    "max_increase_rss_mem_bytes": "the same less what it was before the generation",
    "max_increase_sys_mem_bytes": "the same of the whole system",
    "max_uss_mem_bytes": "largest unique set seen by polling",
    "max_shared_mem_bytes": "most shared memory seen by polling",
    "max_rss_mem_mb": "largest resident set seen by polling, in what the tool calls MB: 10**6"
    " or 2**20 bytes, by its version",
    "max_uss_mem_mb": "largest unique set seen by polling, in the same",
    "max_shared_mem_mb": "most shared memory seen by polling, in the same",
    "compile_s": "reading and compiling the model, once",
}


class LlmBench(Format):
    """``--report_json`` and ``--report``."""

    tool = "llm_bench"
    files = "JSON, CSV"

    def recognise(self, document: Document) -> bool:
        if document.is_json:
            found = document.json_or_none
            data = found.get("perfdata") if isinstance(found, dict) else None
            return isinstance(data, dict) and "results" in data and "metadata" in found
        return {"iteration", "infer_count", "1st_latency(ms)", "prompt_idx"} <= set(document.head)

    def read(self, document: Document) -> Contents:
        return _from_json(document) if document.is_json else _from_csv(document)


def _from_json(document: Document) -> Contents:
    whole = Fields(document, document.json, "")
    meta, data = whole.below("metadata"), whole.below("perfdata")
    rows = data.rows("results")
    if not rows:
        data.refuse("results", "it holds no iteration")
    names = {name: (metric, scale) for name, _, metric, scale in _FIGURES}
    once = data.positive_or_none("compile_time")
    return Contents(
        format="json",
        version=None,
        results=_results(meta, rows, names, once),
        definitions=_DEFINITIONS,
        document={**without(whole.values, ["perfdata"]), "perfdata": without(data.values, ["results"])},
    )


def _from_csv(document: Document) -> Contents:
    head, lines = document.csv_rows()
    if "iteration" not in head:
        document.refuse("line 1", "it has no column `iteration`")
    rows = [Fields(document, row, f"line {line}") for line, row in lines]
    # Below the iterations the tool writes averages, an empty row and its comments.
    timed = [row for row in rows if str(row.values["iteration"]).strip().isdecimal()]
    if not timed:
        document.refuse("iteration", "it holds no iteration")
    others = [
        {name: value for name, value in row.values.items() if value}
        for row in rows
        if row not in timed and any(row.values.values())
    ]
    names = {name: (metric, scale) for _, name, metric, scale in _FIGURES}
    return Contents(
        format="csv",
        version=None,
        results=_results(timed[0], timed, names, timed[0].positive_or_none("pretrain_time(s)")),
        definitions=_DEFINITIONS,
        document={"other_rows": others},
    )


def _results(
    meta: Fields, rows: Sequence[Fields], names: Mapping[str, tuple[str, float]], compile_s: float | None
) -> list[Result]:
    groups: dict[tuple[int, int, int], list[Fields]] = {}
    for row in rows:
        # A prompt is varied between iterations, which may change its length: then it is another workload.
        key = (row.whole("prompt_idx", 0), row.whole("input_size", 0), row.whole("output_size", 0))
        groups.setdefault(key, []).append(row)
    made = []
    for place, ((_, prompt, generated), group) in enumerate(groups.items()):
        group.sort(key=lambda row: row.whole("iteration"))
        made.append(_result(meta, group, names, prompt, generated, compile_s if place == 0 else None))
    return made


def _result(
    meta: Fields,
    rows: Sequence[Fields],
    names: Mapping[str, tuple[str, float]],
    prompt: int,
    generated: int,
    compile_s: float | None,
) -> Result:
    batch, beams = meta.whole("batch_size", 1), meta.option("num_beams")
    precision = meta.name_or_none("precision")
    device = (meta.option("device") or UNKNOWN).lower()
    framework = meta.name_or_none("framework")
    ours = "openvino" if framework in ("ov", "openvino") else framework or UNKNOWN
    raw: dict[str, list[float | None]] = {}
    for name, (metric, scale) in names.items():
        found = [row.positive_or_none(name) for row in rows]
        if any(value is not None for value in found):
            raw[metric] = [None if value is None else value / scale for value in found]
    fields = {metric: name for name, (metric, _) in names.items()}
    for name, key, values in _memory(rows):
        raw[name], fields[name] = values, key
    if not raw:
        rows[0].refuse("", "an iteration without a figure")
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    return Result(
        framework=ours,
        model=file_stem(meta.name("model")),
        workload=("+".join(parts) or UNKNOWN) + (f"@b{batch}" if batch != 1 else ""),
        record={"iterations": [dict(row.values) for row in rows]},
        recipe=precision or UNKNOWN,
        precision=_precision(precision),
        device=f"{device}:0" if device in ("gpu", "npu") else device.replace("gpu.", "gpu:"),
        api=device.partition(".")[0],
        prompt_tokens=prompt,
        decode_tokens=generated,
        batch=batch,
        options={} if beams is None else {"num_beams": beams},
        raw=raw,
        warmups=sum(1 for row in rows if row.whole("iteration") == 0) if len(rows) > 1 else 0,
        statistics=[] if compile_s is None else [Statistic("compile_s", "value", compile_s, 1)],
        place=rows[0].place if len(rows) == 1 else f"{rows[0].place} to {rows[-1].place}",
        fields={**fields, "compile_s": "compile_time, or pretrain_time(s) in CSV"},
    )


def _memory(rows: Sequence[Fields]) -> list[tuple[str, str, list[float | None]]]:
    """Peaks by polling: metric, field, values.

    The CSV names the unit in its head; the JSON has MiB and does not say so. Where the head says MB, versions of the
    tool wrote 10**6 or 2**20 bytes under it: such a figure is not converted.
    """
    made: list[tuple[str, str, list[float | None]]] = []
    keys: dict[str, Any] = {key: None for row in rows for key in row.values}
    for key in keys:
        match = _MEMORY.match(key)
        if match is None:
            continue
        found = [row.positive_or_none(key) for row in rows]
        if any(value is not None for value in found):
            scale = _BYTES.get(match[2] or "MiB")
            name = f"{match[1]}_mb" if scale is None else f"{match[1]}_bytes"
            made.append((name, key, [None if value is None else value * (scale or 1.0) for value in found]))
    return made


def _precision(word: str | None) -> str:
    if word is None:
        return UNKNOWN
    found = precision_of_recipe("openvino", word)
    if found != UNKNOWN:
        return found
    # What optimum-intel's folders are called: OV_FP16-4BIT_DEFAULT.
    match = re.search(r"-(INT)?(4|8)(BIT|_)", word, re.IGNORECASE)
    return f"int{match[2]}" if match else UNKNOWN


FORMAT = LlmBench()
