"""`harness.suite.fitting`: what cannot fit is planned with its reason."""

from __future__ import annotations

import pytest

from harness.suite import Workload
from harness.suite.fitting import too_large, too_long, unbatched
from harness.worker.api import Backend, Capability, Host, ModelFacts, Recipe, StaticShape

STATIC = Recipe("A16W8", "w8a16", "model", "t", static=StaticShape(context_tokens=64, block_tokens=32))
INT4 = Recipe("Q4_K_M", "int4", "model", "t")
FP32 = Recipe("F32", "fp32", "model", "t")


@pytest.mark.parametrize(
    ("workload", "fits"),
    [("pp32+tg16", True), ("pp32+tg32", True), ("pp32+tg33", False), ("pp32+tg16@d17", False)],
)
def test_a_static_graph_takes_what_fits_its_context(workload: str, fits: bool) -> None:
    reason = too_long(STATIC, Workload.parse(workload))
    assert (reason is None) == fits
    assert fits or "static shape for 64 tokens" in (reason or "")
    assert too_long(INT4, Workload(10_000, 10_000)) is None


@pytest.mark.parametrize(
    ("capabilities", "recipe", "reason"),
    [
        ({"prefill", "batch"}, INT4, None),
        ({"prefill", "batch", "batch_depth"}, INT4, None),
        ({"prefill"}, INT4, "It processes one sequence at a time here"),
        (
            {"prefill", "batch"},
            STATIC,
            "A16W8 is a graph of static shape for one sequence, the workload is a batch of 4",
        ),
        ({"stream"}, INT4, "It makes batches of the requests that it gets: ask for @c4"),
    ],
)
def test_a_batch_is_for_frameworks_and_graphs_that_take_one(
    capabilities: set[Capability], recipe: Recipe, reason: str | None
) -> None:
    backend = type("It", (Backend,), {"title": "It", "capabilities": frozenset(capabilities)})
    assert unbatched(backend, recipe, Workload.parse("pp8@b4")) == reason
    assert unbatched(backend, recipe, Workload.parse("pp8@c4")) is None
    deep = unbatched(backend, recipe, Workload.parse("pp8@d8@b4"))
    if reason is not None or "batch_depth" in capabilities:
        assert deep == reason
    else:
        assert deep == "It takes the prompts of a batch into empty caches only: a batch has no depth"


def test_weights_beyond_the_machines_memory_are_not_tried() -> None:
    model = ModelFacts("m", "llama", "synthetic", 4096, 8_000_000_000)
    host = Host("linux", "x86_64", memory_bytes=24_000_000_000)
    assert too_large(INT4, model, host) is None
    assert too_large(FP32, model, host) == (
        "the weights alone take 32.0 GB at fp32, and this machine has 24.0 GB of memory"
    )
    assert too_large(FP32, model, Host("linux", "x86_64")) is None, "what is not known refuses nothing"
    assert too_large(FP32, ModelFacts("m", "llama", "gguf"), host) is None
