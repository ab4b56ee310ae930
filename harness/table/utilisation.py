"""How much of the machine a run used: MBU, MFU, and the measurement that cannot be right.

Owns these definitions (in words: ``docs/method.md``, "Utilisation"). Imports the standard library and its own room.
Contract: pure; what is missing is None with its reason, never an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.table.facts import BenchFacts, RunFacts

#: Above this, more bytes were read than the memory can deliver: the bench's own repeatability is in it.
MBU_LIMIT = 1.05
#: Weights must be this many times the last-level cache, or part of them may have come from there.
CACHES = 4

#: A flag that begins so is this rule's: put on the run when it was stored, or when a table was made.
MARK = "MBU "

NEVER_BENCHED = "this machine was never benched: edgebench doctor --bench"


@dataclass(frozen=True, slots=True)
class Share:
    """A share of what the machine can do, or why there is none."""

    value: float | None
    reason: str = ""


def why_not_comparable(device: str, bench: BenchFacts | None, *, emulated: bool) -> str | None:
    """Why a cell on this device has no utilisation; None where it may have one.

    Args:
        device: as a row names it: ``cpu``, ``cpu.auto``, ``gpu:0.cuda``.
        bench: what counts of the machine's benches.
        emulated: another processor computed what the device would.
    """
    if emulated:
        return "emulated: the host's memory says nothing about the device"
    if device.partition(".")[0] != "cpu":
        return f"the bench measures the CPU and its memory, not {device}"
    return NEVER_BENCHED if bench is None else None


def mbu_decode(run: RunFacts, decode_tps: float | None, bench: BenchFacts) -> Share:
    """(Touched weight bytes + KV bytes read) x decode tokens/s / measured read bandwidth.

    Args:
        run: for the bytes.
        decode_tps: the run's.
        bench: for the bandwidth.
    """
    if run.work is None or run.work.decode_bytes is None:
        why = run.shape_reason or run.weights_reason or run.kv_reason
        return Share(None, why or "the bytes of a token are not known")
    if decode_tps is None:
        return Share(None, "there is no decode speed")
    return Share(run.work.decode_bytes * decode_tps / bench.read_bytes_per_s)


def mfu_prefill(run: RunFacts, prefill_tps: float | None, prompt_tokens: int, bench: BenchFacts) -> Share:
    """The model's own floating-point operations per second of prefill / measured fp32 peak.

    Args:
        run: for the operations.
        prefill_tps: the run's.
        prompt_tokens: of the prefill.
        bench: for the peak.
    """
    if run.work is None:
        return Share(None, run.shape_reason or "the work of a prefill is not known")
    if prefill_tps is None or prompt_tokens < 1:
        return Share(None, "there is no prefill speed")
    return Share(run.work.prefill_flops * prefill_tps / prompt_tokens / bench.fp32_flops)


def impossible(run: RunFacts, decode_tps: float | None, bench: BenchFacts) -> str | None:
    """The flag of a measurement that is wrong; None where it can be right, or where nobody can say.

    Nobody can where the bench itself is in doubt (disturbed, or its kernels did not reach the memory's limit), where
    the cache's size is not told, or where the weights are so small that much of them stays in it.
    """
    cache, touched = bench.last_level_cache_bytes, run.touched_weight_bytes
    if bench.doubt is not None or cache is None or touched is None or touched <= CACHES * cache:
        return None
    share = mbu_decode(run, decode_tps, bench).value
    if share is None or share <= MBU_LIMIT:
        return None
    return f"{MARK}{share:.2f} (limit {MBU_LIMIT:g}): more bytes than the memory can deliver, the measurement is wrong"


def about_bench(bench: BenchFacts) -> str:
    """What stands beside a utilisation: against what."""
    doubt = "" if bench.doubt is None else f"; {bench.doubt}"
    read, peak = bench.read_bytes_per_s / 1e9, bench.fp32_flops / 1e9
    return f"against {read:.3g} GB/s read and {peak:.3g} GFLOP/s fp32, measured {bench.measured_at}{doubt}"
