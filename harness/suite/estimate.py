"""How long a cell will take, roughly, so that a plan can say so.

Owns this one guess; it is for progress displays and `--dry-run`, is never stored as a measurement and never
compared with one. Imports nothing heavy. Contract: what a run took before is used where it is known.
"""

from __future__ import annotations

from harness.suite.cell import Cell, RunSettings
from harness.worker.warmup import AGREEING_PASSES

# A slow desktop processor: the guess is to be too long rather than too short.
_START_S = 4.0
_READ_BYTES_PER_S = 8e9
_MULTIPLY_ADDS_PER_S = 3e10
_PARAMETERS_WHERE_UNKNOWN = 1e9
_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "fp8": 8, "w8a8": 8, "w8a16": 8, "int6": 6, "int5": 5}
_BITS_OTHERWISE = 4


def nominal_bits(precision: str) -> int:
    """Bits of a weight by the name of a canonical precision, low ones taken as 4: for planning only."""
    return _BITS.get(precision, _BITS_OTHERWISE)


def expected_s(
    cell: Cell, settings: RunSettings, runs: int, parameters: int | None, run_seconds: float | None
) -> float:
    """Seconds that a cell's timed runs take: from an earlier run's duration, else guessed from the model's size."""
    if run_seconds is not None:
        return runs * run_seconds
    weights = parameters or _PARAMETERS_WHERE_UNKNOWN
    token_s = weights * nominal_bits(cell.precision) / 8 / _READ_BYTES_PER_S
    prompt_token_s = weights / _MULTIPLY_ADDS_PER_S
    workload = cell.workload
    prompt_s = workload.batch * (workload.prompt_tokens + workload.depth) * prompt_token_s
    # The weights are read once for all sequences of a batch; from some size on its arithmetic takes longer.
    step_s = token_s if workload.batch == 1 else max(token_s, workload.batch * prompt_token_s)
    one_pass = prompt_s + workload.decode_tokens * step_s
    # Warm-up by rule: as many passes as have to agree, where nothing goes wrong.
    warmups = settings.warmups if settings.warmup_change is None else min(settings.warmups, AGREEING_PASSES)
    return round(runs * (_START_S + (settings.repetitions + warmups) * one_pass), 1)
