"""Small fixed facts that the tests of the table share. All figures are made up to be easy to check by hand."""

from __future__ import annotations

from harness.table.facts import (
    ArtifactFacts,
    CellFacts,
    MemoryFacts,
    RunFacts,
    SampleFacts,
    ScoreFacts,
    SessionFacts,
    WindowFacts,
)

MB = 1_000_000
ENERGY_REASON = "no energy meter: no powercap zone under /sys/class/powercap; NVML library not found"
REFERENCE = (WindowFacts(0, 100, 200.0, 0.0, 100), WindowFacts(1, 100, 220.0, 0.0, 100))


def sample(prefill_s: float, token_ms: int, tokens: int = 4) -> SampleFacts:
    """A repetition whose tokens come at a steady pace after the prefill."""
    first = round(prefill_s * 1e9)
    return SampleFacts(
        values={"prefill_s": prefill_s, "decode_s": tokens * token_ms / 1e3, "ttft_s": prefill_s},
        forward_ns=(token_ms * 1_000_000,) * tokens,
        token_ns=tuple(first + index * token_ms * 1_000_000 for index in range(tokens + 1)),
    )


def run(
    identity: str, prefill_s: float, token_ms: int, peak_mb: int, *flags: str, imported_mb: int = 100
) -> RunFacts:
    """A run of two equal repetitions; with flags it is suspect."""
    return RunFacts(
        id=identity,
        status="ok",
        validity="suspect" if flags else "ok",
        flags=flags,
        framework_version="1.2.3",
        hints={"kv": "f16"},
        samples=(sample(prefill_s, token_ms), sample(prefill_s, token_ms)),
        memory=(
            MemoryFacts("import", imported_mb * MB, imported_mb * MB),
            MemoryFacts("load", (peak_mb - 10) * MB, (peak_mb - 20) * MB),
            MemoryFacts("decode", peak_mb * MB, (peak_mb - 5) * MB),
        ),
    )


def score(kld: float, same: int, extra_nll: float) -> ScoreFacts:
    """Two windows of 100 positions, with this divergence, equal top tokens, and surprise over the reference."""
    return ScoreFacts(
        windows=(
            WindowFacts(0, 100, 200.0 + extra_nll, 100 * kld * 0.9, same),
            WindowFacts(1, 100, 220.0 + extra_nll, 100 * kld * 1.1, same),
        ),
        reference=REFERENCE,
        quality_reference="llamacpp F32 (dequantised Q4_1)",
    )


def cell(framework: str, precision: str, recipe: str, **more: object) -> CellFacts:
    """A cell of pp32+tg4 on the CPU."""
    fields: dict[str, object] = {
        "framework": framework,
        "model": "SmolLM2-135M-Instruct",
        "precision": precision,
        "recipe": recipe,
        "device": "cpu",
        "workload": "pp32+tg4",
        "prompt_tokens": 32,
        "decode_tokens": 4,
        **more,
    }
    return CellFacts(**fields)  # type: ignore[arg-type]


def session(*cells: CellFacts) -> SessionFacts:
    """A session of these cells, or of the usual five: fine, suspect, broken, failed and skipped."""
    usual = (
        cell(
            "llamacpp",
            "fp16",
            "F16",
            artifact=ArtifactFacts("a1", 270 * MB, 16.0, "ok"),
            runs=(run("r1", 0.1, 20, 500), run("r2", 0.1, 20, 500), run("r3", 0.1, 20, 500)),
            score=score(0.0, 100, 0.0),
            score_status="ok",
        ),
        cell(
            "llamacpp",
            "int4",
            "Q4_K_M",
            artifact=ArtifactFacts("a2", 90 * MB, 5.25, "ok"),
            runs=(
                run("r4", 0.08, 10, 300),
                run("r5", 0.081, 11, 300),
                run("r6", 0.5, 90, 300, "steal time 4.2 % (limit 1 %)"),
            ),
            score=score(0.05, 92, 4.0),
            score_status="ok",
        ),
        cell(
            "openvino",
            "int4",
            "INT4_SYM_g64",
            artifact=ArtifactFacts(
                "a3", 95 * MB, 5.5, "broken", "perplexity is 54.6 times the reference's (limit 20)"
            ),
            runs=(run("r7", 0.05, 8, 420, "CPU pressure 43 % of the time (limit 5 %)"),),
            score=score(6.0, 3, 400.0),
            score_status="ok",
        ),
        cell(
            "mlx",
            "int4",
            "4bit_g64",
            artifact=ArtifactFacts("a4", 84 * MB, 5.0, None),
            runs=(
                RunFacts("r8", "ok", samples=(sample(3.0, 120),)),
                RunFacts("r9", "timeout", "no answer in 60 s"),
            ),
            score_status="failed",
            score_reason="the worker ended with signal 9",
        ),
        cell(
            "qnn", "w8a16", "W8A16", reason="needs Windows | or an emulator & <time>", baseline_precision=None
        ),
    )
    return SessionFacts(
        id="s-0001",
        machine_id="0123456789abcdef",
        machine_name="Test CPU, 2 cores, 8 GiB",
        cells=cells or usual,
        started="2026-11-23T06:16:29+00:00",
        details={"suite": "quickstart", "commit": "9bfed38"},
        energy_reason=ENERGY_REASON,
    )
