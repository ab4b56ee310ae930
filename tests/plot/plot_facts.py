"""Sessions made by hand for the plots: cells with figures that are easy to check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.table.facts import (
    ArtifactFacts,
    BenchFacts,
    CellFacts,
    EnergyFacts,
    MemoryFacts,
    RunFacts,
    SampleFacts,
    ScoreFacts,
    SessionFacts,
    WindowFacts,
    WorkFacts,
)

#: 20 GB/s, 100 GFLOP/s, 400 GOP/s.
BENCH = BenchFacts(20e9, 100e9, 400e9, 10_000_000, "2026-11-26")
#: A decode of 2 FLOP/byte, a prefill of 80.
WORK = WorkFacts(decode_bytes=100e6, decode_flops=200e6, prefill_bytes=100e6, prefill_flops=8e9)
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'=1+1\u202e{}$\\"


def score(kld: float | None, positions: int = 100) -> ScoreFacts:
    """Three windows with this mean divergence, 10 % apart; without a reference for None."""
    windows = tuple(
        WindowFacts(
            place,
            positions,
            2.0 * positions,
            None if kld is None else kld * positions * (1 + 0.1 * (place - 1)),
            None if kld is None else positions,
        )
        for place in range(3)
    )
    return ScoreFacts(windows, windows, "llamacpp F32")


def run(
    name: str, *, token_ms: float, peak_mb: int, joules: float | None, ttft_s: float, validity: str
) -> RunFacts:
    """A run of four gaps between five tokens; of the peak 40 MB are the framework's and 30 MB touched weights."""
    ns = int(token_ms * 1e6)
    first = int(ttft_s * 1e9)
    sample = SampleFacts(
        {"prefill_s": ttft_s, "ttft_s": ttft_s}, (ns,) * 4, tuple(first + ns * place for place in range(5))
    )
    energy = (
        EnergyFacts("decode", joules, meter="powercap package-0")
        if joules is not None
        else EnergyFacts("decode", None, reason="no energy meter")
    )
    return RunFacts(
        name,
        "ok",
        validity="ok" if validity == "ok" else "suspect",
        flags=() if validity == "ok" else ("steal time 9 %",),
        framework_version="1.0",
        samples=(sample,),
        memory=(MemoryFacts("import", 40_000_000, 40_000_000), MemoryFacts("decode", peak_mb * 10**6, None)),
        energy=(energy,),
        touched_weight_bytes=30_000_000,
        analytic_kv_bytes=2_000_000,
        own_device=False,
        work=WORK,
    )


def cell(
    framework: str = "llamacpp",
    recipe: str = "Q4_0",
    *,
    precision: str = "int4",
    token_ms: float = 10.0,
    peak_mb: int = 100,
    kld: float | None = 0.1,
    joules: float | None = None,
    ttft_s: float = 0.5,
    workload: str = "pp32+tg4",
    validity: str = "ok",
    positions: int = 100,
    **more: Any,
) -> CellFacts:
    """A cell with two runs, the second one 2 % slower."""
    runs = tuple(
        run(
            f"{framework}-{recipe}-{workload}-{place}",
            token_ms=token_ms * (1 + 0.02 * place),
            peak_mb=peak_mb,
            joules=joules,
            ttft_s=ttft_s,
            validity=validity,
        )
        for place in range(2)
    )
    prompt = int(workload.partition("+")[0].removeprefix("pp"))
    fields: dict[str, Any] = {
        "framework": framework,
        "model": "tiny",
        "precision": precision,
        "recipe": recipe,
        "device": "cpu",
        "workload": workload,
        "prompt_tokens": prompt,
        "decode_tokens": 4,
        "artifact": ArtifactFacts("a", 30_000_000, 4.5, "ok"),
        "runs": runs,
        "score": score(kld, positions),
        "score_status": "ok",
    }
    return CellFacts(**{**fields, **more})


def skipped(framework: str = "mlx", reason: str = "needs a Mac", **more: Any) -> CellFacts:
    """A cell that was planned as skipped."""
    made = cell(framework, **more)
    return replace(made, runs=(), reason=reason, artifact=None, score=None, score_status=None)


def session(*cells: CellFacts, bench: BenchFacts | None = BENCH) -> SessionFacts:
    """One session of these cells."""
    return SessionFacts("s-1", "m", "Test CPU, 2 cores, 8 GiB", cells, bench=bench)
