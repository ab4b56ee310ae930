"""Where a run's peak memory goes: own size, touched weights, KV cache, and the rest.

Owns the definitions (in words: ``docs/method.md``, "Where the memory goes"). Imports only the standard library and its
own room. Contract: pure; what is missing is None, and ``reasons`` says why under the same key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.table.facts import RunFacts

T = TypeVar("T")

NO_READING = "no memory reading was stored"
NO_PHASE = "no reading was made at the end of that phase"
NO_SHAPE = "the model's shape is not known"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One run's memory, in bytes.

    Attributes:
        peak_rss_bytes: the headline, at the last reading.
        import_bytes: the worker's resident set after importing its framework.
        load_peak_bytes: high-water mark once the model is loaded.
        prefill_peak_bytes: the same after the first prefill.
        decode_peak_bytes: the same after the last pass.
        touched_weight_bytes: weights that are read for one decoded token.
        analytic_kv_bytes: keys and values of the tokens that are in the cache at the end.
        device_bytes: most memory of the device that was seen after a request.
        residual_bytes: peak (and device) less import, touched weights and KV cache.
        pss_bytes: proportional set size at the last reading that has one.
        uss_bytes: unique set size, likewise.
        reasons: why a figure is None.
    """

    peak_rss_bytes: int | None = None
    import_bytes: int | None = None
    load_peak_bytes: int | None = None
    prefill_peak_bytes: int | None = None
    decode_peak_bytes: int | None = None
    touched_weight_bytes: int | None = None
    analytic_kv_bytes: int | None = None
    device_bytes: int | None = None
    residual_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    reasons: dict[str, str] = field(default_factory=dict)


#: The figures of a `Breakdown` that the table has as columns of their own.
COLUMNS = (
    "import_bytes",
    "load_peak_bytes",
    "prefill_peak_bytes",
    "decode_peak_bytes",
    "touched_weight_bytes",
    "analytic_kv_bytes",
    "residual_bytes",
    "device_bytes",
    "pss_bytes",
    "uss_bytes",
)


def breakdown(run: RunFacts) -> Breakdown:
    """The parts of one run's memory."""
    readings = run.memory
    found: dict[str, int | None] = {
        "peak_rss_bytes": last(reading.peak_rss_bytes for reading in readings),
        # A server's own size is read once it is started: after the worker's import.
        "import_bytes": first(reading.rss_bytes for reading in readings if reading.phase == "import"),
        "touched_weight_bytes": run.touched_weight_bytes,
        "analytic_kv_bytes": run.analytic_kv_bytes,
        "device_bytes": max(
            (one.device_bytes for one in readings if one.device_bytes is not None), default=None
        ),
        "pss_bytes": last(reading.pss_bytes for reading in readings),
        "uss_bytes": last(reading.uss_bytes for reading in readings),
    }
    for phase in ("load", "prefill", "decode"):
        found[f"{phase}_peak_bytes"] = last(one.peak_rss_bytes for one in readings if one.phase == phase)
    told = first(reading.reason for reading in readings)
    shares = last(reading.shares_reason for reading in readings) or NO_READING
    why = {
        "peak_rss_bytes": told or NO_READING,
        "touched_weight_bytes": run.shape_reason or run.weights_reason or NO_SHAPE,
        "analytic_kv_bytes": run.kv_reason or run.shape_reason or NO_SHAPE,
        "device_bytes": last(reading.device_note for reading in readings) or "the device was not asked",
        "pss_bytes": shares,
        "uss_bytes": shares,
    }
    found["residual_bytes"], why["residual_bytes"] = _residual(found, own_device=run.own_device)
    reasons = {key: why.get(key, told or NO_PHASE) for key, value in found.items() if value is None}
    return Breakdown(**found, reasons=reasons)


def _residual(found: Mapping[str, int | None], *, own_device: bool | None) -> tuple[int | None, str]:
    """What the parts leave unexplained; negative where something of them was never in memory."""
    keys = ["peak_rss_bytes", "import_bytes", "touched_weight_bytes", "analytic_kv_bytes"]
    if own_device is None:
        return None, "it is not known whether the device has memory of its own"
    if own_device:
        # Weights and cache lie there.
        keys.append("device_bytes")
    missing = [key for key in keys if found[key] is None]
    if missing:
        return None, f"without {', '.join(missing)} there is no rest"
    peak, imported, weights, cache, *device = (found[key] or 0 for key in keys)
    return peak + sum(device) - imported - weights - cache, ""


def first(values: Iterable[T | None]) -> T | None:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)


def last(values: Iterable[T | None]) -> T | None:
    """The last that is not None."""
    return first(reversed(list(values)))
