"""What of one run a figure is made from: the values, traces and readings that its definition names.

Owns which inputs belong to which column. Imports the table's definitions of figures and the store's facts. Contract:
nothing is computed here but by the table's own functions; long traces are summed up, their numbers are in
``edgebench show RUN --json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.store import facts as stored
from harness.store.records import SampleRecord
from harness.table import rows
from harness.table.estimates import median
from harness.table.facts import BenchFacts, CellFacts, RunFacts, SampleFacts
from harness.table.stored import sample_facts

#: Figures that are a median over repetitions: what one repetition gives, and the names of its inputs.
_OF_REPETITION: dict[str, tuple[Callable[[SampleFacts, CellFacts], float | None], tuple[str, ...]]] = {
    "prefill_tps": (lambda one, cell: rows.prefill_tps(one, cell.prompt_tokens, cell.batch), ("prefill_s",)),
    "decode_tps": (
        lambda one, cell: rows.decode_tps(one, cell.decode_tokens, cell.batch),
        ("forward_ns", "decode_s"),
    ),
    "ttft_s": (lambda one, _cell: rows.ttft_s(one), ("ttft_s", "token_ns")),
    "stream_tps": (lambda one, _cell: rows.stream_tps(one), ("token_ns", "request_ns.")),
    "throughput_tps": (
        lambda one, cell: rows.throughput_tps(one, cell.batch),
        ("tokens", "wall_s", "ttft_s", "token_ns"),
    ),
    "tokenize_tps": (lambda one, _cell: rows.tokenize_tps(one), ("text_tokens", "tokenize_s")),
    "detokenize_tps": (lambda one, _cell: rows.detokenize_tps(one), ("text_tokens", "detokenize_s")),
    "sampling_s_per_token": (
        lambda one, _cell: rows.sampling_s_per_token(one),
        ("sampling_s", "token_ns"),
    ),
}

#: Figures over the requests or gaps of all repetitions together: the names of their inputs.
_POOLED = {
    "itl_s_p50": ("token_ns", "request_ns."),
    "itl_s_p99": ("token_ns", "request_ns."),
    "ttft_s_p99": ("ttft_s", "token_ns", "request_ns."),
}

#: Figures of the memory readings: the phase they look at (None: every one), the columns, and which reading counts.
_OF_READINGS: dict[str, tuple[str | None, tuple[str, ...], str]] = {
    "peak_rss_bytes": (None, ("peak_rss_bytes",), "the last that has one"),
    "allocator_peak_bytes": (None, ("allocator_peak_bytes",), "the highest"),
    "import_bytes": ("import", ("rss_bytes",), "the first"),
    "load_peak_bytes": ("load", ("peak_rss_bytes",), "the last"),
    "prefill_peak_bytes": ("prefill", ("peak_rss_bytes",), "the last"),
    "decode_peak_bytes": ("decode", ("peak_rss_bytes",), "the last"),
    "device_bytes": (None, ("device_bytes",), "the highest"),
    "pss_bytes": (None, ("pss_bytes",), "the last that has one"),
    "uss_bytes": (None, ("uss_bytes",), "the last that has one"),
    "memory_reduction": (
        None,
        ("peak_rss_bytes", "rss_bytes"),
        "the last peak less the first resident set of the phase import",
    ),
    "residual_bytes": (None, ("peak_rss_bytes", "rss_bytes", "device_bytes"), "as their own columns say"),
}

#: What of a run's work, from the model's shape, a figure takes beside its speed.
_SHAPED = ("touched_weight_bytes", "analytic_kv_bytes")


def run_inputs(
    key: str, run: stored.RunFacts, shown: RunFacts, cell: CellFacts, bench: BenchFacts | None
) -> dict[str, Any]:
    """The inputs of a figure in one run, ready for JSON: ``repetitions``, ``readings`` or ``terms``.

    Args:
        key: the column.
        run: as stored.
        shown: the same run as the table takes it.
        cell: its cell.
        bench: of the machine.
    """
    timed = [one for one in run.samples if not one.warmup]
    if key in _OF_REPETITION:
        value_of, names = _OF_REPETITION[key]
        return {
            "repetitions": [
                {
                    "repetition": one.repetition,
                    "value": value_of(sample_facts(one), cell),
                    "inputs": _inputs(one, names),
                }
                for one in timed
            ]
        }
    if key in _POOLED:
        return {
            "repetitions": [
                {"repetition": one.repetition, "inputs": _inputs(one, _POOLED[key])} for one in timed
            ]
        }
    if key in _OF_READINGS:
        phase, columns, which = _OF_READINGS[key]
        found: dict[str, Any] = {
            "readings": [
                {"phase": one.phase, "method": one.method, **{name: getattr(one, name) for name in columns}}
                for one in run.memory
                if phase is None or one.phase == phase
            ],
            "counts": which,
        }
        if key == "residual_bytes":
            found["terms"] = {name: getattr(shown, name) for name in _SHAPED}
        return found
    if key in _SHAPED:
        terms = {key: getattr(shown, key)}
        artifact = cell.artifact
        if (
            key == "touched_weight_bytes"
            and artifact is not None
            and artifact.unread_weight_bytes is not None
        ):
            terms |= {
                "weight_bytes": artifact.weight_bytes,
                "unread_weight_bytes": artifact.unread_weight_bytes,
            }
        return {"terms": terms, "counts": "from the model's shape and the artifact"}
    if key.startswith("energy_joules_per_"):
        return {"readings": _energy(key, run)}
    return {"terms": _utilisation(key, shown, cell, bench)}


def _inputs(sample: SampleRecord, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {name: sample.values[name] for name in names if name in sample.values}
    for name, numbers in sample.traces.items():
        if name in names or any(one.endswith(".") and name.startswith(one) for one in names):
            found[name] = {
                "numbers": len(numbers),
                "sum": sum(numbers),
                "first": numbers[0] if numbers else None,
                "last": numbers[-1] if numbers else None,
            }
    return found


def _energy(key: str, run: stored.RunFacts) -> list[dict[str, Any]]:
    phase = key.removeprefix("energy_joules_per_").removesuffix("_token")
    names = (
        "phase",
        "gross_joules",
        "tokens",
        "window_s",
        "meter",
        "domain",
        "method",
        "resolution_s",
        "reason",
    )
    return [{name: getattr(one, name) for name in names} for one in run.energy if one.phase == phase]


def _utilisation(key: str, shown: RunFacts, cell: CellFacts, bench: BenchFacts | None) -> Mapping[str, Any]:
    work = shown.work
    if work is None or bench is None:
        return {}
    if key == "mbu_decode":
        return {
            "decode_bytes": work.decode_bytes,
            "decode_tps": _median_of(shown, cell, "decode_tps"),
            "read_bytes_per_s": bench.read_bytes_per_s,
        }
    return {
        "prefill_flops": work.prefill_flops,
        "prompt_tokens": cell.prompt_tokens,
        "prefill_tps": _median_of(shown, cell, "prefill_tps"),
        "fp32_flops": bench.fp32_flops,
    }


def _median_of(shown: RunFacts, cell: CellFacts, key: str) -> float | None:
    value_of = _OF_REPETITION[key][0]
    return median([value for one in shown.samples if (value := value_of(one, cell)) is not None])
