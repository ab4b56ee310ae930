"""llama-bench of llama.cpp: its JSON, JSON lines, CSV and SQL.

Owns what its fields mean. JSON and JSON lines have every repetition (``samples_ns``); CSV and SQL have the mean and the
standard deviation, and do not tell over how many. Contract: one record, one result; every setting is part of the cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.importing.document import Document, quietly
from harness.importing.fields import NS, Fields, file_stem
from harness.importing.precisions import precision_of_recipe
from harness.importing.registry import Format
from harness.importing.result import UNKNOWN, Contents, MachineFacts, Result, Statistic
from harness.importing.sql import SqlError, insert_rows

_TABLE = "llama_bench"

_DEFINITIONS = {
    "prefill_s": "seconds of processing the prompt in batches, logits of its last position alone; the span of"
    " edgebench's prefill_s, but with a context, a warm-up and a process of its own",
    "prefill_tps": "prompt tokens over those seconds; CSV and SQL have the mean over repetitions, edgebench takes the"
    " median over repetitions and then over processes",
    "decode_s": "seconds of generating one token after another, drawing random tokens and filling batches included; the"
    " cache begins empty or at the depth, where edgebench decodes behind its own prompt",
    "decode_tps": "generated tokens over those seconds; edgebench divides by the synchronised forward passes alone, and"
    " decodes the most likely token",
    "total_s": "seconds of a prompt and of generating behind it, in one span: edgebench never blends the two",
    "total_tps": "tokens of both over that span",
}

#: What is no setting: results, the file, the machine, the build, what the workload says.
_NO_OPTION = frozenset(
    {
        "build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type",
        "model_size", "model_n_params", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns",
        "avg_ts", "stddev_ts", "samples_ns", "samples_ts",
    }
)  # fmt: skip

_FTYPE = re.compile(
    r"(?:^|\s)(?P<all>all )?(?P<name>F32|F16|BF16|T?I?Q\d\w*|MXFP4\w*|NVFP4)(?: - (?P<size>Small|Medium|Large))?"
    r"(?: - [\d.]+ bpw(?: ternary)?)?(?: \(guessed\))?$"
)

#: What llama.cpp calls its back ends, and what they are here.
_APIS = {"mtl": "metal", "rocm": "hip"}


class LlamaBench(Format):
    """Its four machine-readable outputs."""

    tool = "llama-bench"
    files = "JSON, JSON lines, CSV, SQL"

    def recognise(self, document: Document) -> bool:
        return _kind(document) is not None

    def read(self, document: Document) -> Contents:
        kind = _kind(document) or _meant(document)
        rows = _rows(document, kind)
        if not rows:
            document.refuse("", "it holds no test")
        results = [_result(row) for row in rows]
        first = rows[0]
        machines = {(row.option("cpu_info"), row.option("gpu_info")) for row in rows}
        if len(machines) > 1:
            first.refuse("cpu_info", "the file holds tests of several machines")
        builds = {(row.option("build_number"), row.option("build_commit")) for row in rows}
        return Contents(
            format=kind,
            version=_version(first) if len(builds) == 1 else None,
            results=results,
            definitions=_DEFINITIONS,
            machine=_machine(first),
            started_at=min((one.started_at for one in results if one.started_at), default=None),
        )


def _kind(document: Document) -> str | None:
    """The kind of file, None where it is none of llama-bench's."""
    if document.is_json:
        if (found := document.json_or_none) is not None:
            if isinstance(found, list) and found and _is_test(found[0]):
                return "json"
            return "jsonl" if _is_test(found) else None
        first = quietly(lambda: next(document.json_lines(), None))
        return "jsonl" if first is not None and _is_test(first[1]) else None
    if {"model_filename", "n_prompt", "n_gen", "avg_ns"} <= set(document.head):
        return "csv"
    begin = document.data[:4096].decode("utf-8-sig", errors="replace")
    return "sql" if re.search(rf"(CREATE TABLE IF NOT EXISTS|INSERT INTO) {_TABLE}\b", begin) else None


def _meant(document: Document) -> str:
    """The kind that a file most likely is, where it is told to be llama-bench's but does not look like it."""
    if document.is_json:
        return "json" if document.data.lstrip()[:1] == b"[" else "jsonl"
    return "csv" if len(document.head) > 1 else "sql"


def _is_test(value: Any) -> bool:
    return isinstance(value, dict) and {"model_filename", "n_prompt", "n_gen", "avg_ns"} <= value.keys()


def _rows(document: Document, kind: str) -> list[Fields]:
    if kind == "json":
        found = document.json
        if not isinstance(found, list):
            document.refuse("", "a list of tests is expected")
        return [Fields(document, one, f"test [{place}]") for place, one in enumerate(found)]
    if kind == "jsonl":
        return [Fields(document, one, f"line {line}") for line, one in document.json_lines()]
    if kind == "csv":
        return [Fields(document, one, f"line {line}") for line, one in document.csv_rows()[1]]
    try:
        return [Fields(document, one, f"line {line}") for line, one in insert_rows(document.text, _TABLE)]
    except SqlError as error:
        document.refuse(
            f"line {error.line}",
            f"this is no row of llama-bench: {error.what}",
            next_step="write the file anew with -o jsonl: in SQL llama-bench does not escape quotes",
        )


def _result(row: Fields) -> Result:
    prompt, generated, depth = row.whole("n_prompt"), row.whole("n_gen"), row.whole("n_depth", 0)
    if prompt + generated == 0:
        row.refuse("n_prompt", "a test without tokens")
    name = "total" if prompt and generated else "prefill" if prompt else "decode"
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    recipe, precision = _precision(row)
    device, api = _device(row)
    tokens = prompt + generated
    raw: dict[str, list[float | None]] = {}
    statistics = []
    if row.has("samples_ns"):
        times = row.positives("samples_ns")
        raw = {
            f"{name}_s": [time / NS for time in times],
            f"{name}_tps": [NS * tokens / time for time in times],
        }
    if not raw.get(f"{name}_s"):
        raw = {}
        statistics = [
            Statistic(f"{name}_s", "mean", row.positive("avg_ns") / NS, None, _spread(row, "stddev_ns", NS)),
            Statistic(f"{name}_tps", "mean", row.positive("avg_ts"), None, _spread(row, "stddev_ts", 1.0)),
        ]
    return Result(
        framework="llamacpp",
        model=file_stem(row.name("model_filename"), (".gguf",)),
        workload="+".join(parts) + (f"@d{depth}" if depth else ""),
        record=dict(row.values),
        recipe=recipe,
        precision=precision,
        device=device,
        api=api,
        prompt_tokens=prompt,
        decode_tokens=generated,
        depth=depth,
        options={
            key: value
            for key in row.values
            if key not in _NO_OPTION and (value := row.option(key)) is not None
        },
        raw=raw,
        statistics=statistics,
        started_at=row.time_or_none("test_time"),
        framework_version=_version(row),
        threads=row.whole_or_none("n_threads"),
        place=row.place,
        fields={f"{name}_s": "samples_ns", f"{name}_tps": "samples_ns"}
        if raw
        else {f"{name}_s": "avg_ns", f"{name}_tps": "avg_ts"},
    )


def _spread(row: Fields, key: str, scale: float) -> float | None:
    """The standard deviation. The tool writes 0 for a single repetition, which has none."""
    found = row.positive_or_none(key)
    return None if found is None else found / scale


def _version(row: Fields) -> str | None:
    number, commit = row.option("build_number"), row.option("build_commit")
    told = [f"b{number}"] if number not in (None, "0") else []
    return " ".join([*told, *([commit] if commit not in (None, "unknown") else [])]) or None


def _precision(row: Fields) -> tuple[str, str]:
    match = _FTYPE.search(row.option("model_type") or "")
    if match is None:
        return UNKNOWN, UNKNOWN
    recipe = match["name"] + {None: "", "Small": "_S", "Medium": "_M", "Large": "_L"}[match["size"]]
    known = precision_of_recipe("llamacpp", recipe)
    bits = re.match(r"I?Q(\d)", recipe)
    # A type that is no recipe of ours is named by its bits all the same.
    return recipe, f"int{bits[1]}" if known == UNKNOWN and bits else known


def _device(row: Fields) -> tuple[str, str]:
    """Where it computed: without an enumerated GPU on the CPU, whatever back end llama.cpp was built with."""
    backends = [one.strip().lower() for one in (row.option("backends") or "").split(",") if one.strip()]
    if not backends:
        return UNKNOWN, UNKNOWN
    graphics = [one for one in backends if one not in ("cpu", "blas", "rpc", "zendnn", "amx")]
    offloaded = row.option("n_gpu_layers") != "0" and row.option("devices") != "none"
    if "rpc" in backends and offloaded:
        return "rpc", "rpc"
    if not graphics or not row.option("gpu_info") or not offloaded:
        return "cpu", "cpu"
    return "gpu:0", _APIS.get(graphics[0], graphics[0])


def _machine(row: Fields) -> MachineFacts:
    graphics: Mapping[int, str] = dict(enumerate((row.option("gpu_info") or "").split(", ")))
    return MachineFacts(
        cpu_model=row.option("cpu_info"), accelerators=[name for name in graphics.values() if name]
    )


FORMAT = LlamaBench()
