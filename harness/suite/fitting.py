"""Whether a recipe fits: a workload into a static graph, a batch into a framework, a model into this machine's memory.

Owns these answers, for planning. Imports declarations only. Contract: a pure function of what is known before
anything is made; None where it may be tried, else the reason for a person.
"""

from __future__ import annotations

from harness.suite.cell import Workload
from harness.suite.estimate import nominal_bits
from harness.worker.api import Backend, Host, ModelFacts, Recipe

#: Share of main memory that weights may take by plan: the system and the cache of tokens need the rest.
_SHARE = 0.85


def too_long(recipe: Recipe, workload: Workload) -> str | None:
    """Why the workload does not fit a graph of static shape."""
    if recipe.static is None:
        return None
    tokens = workload.prompt_tokens + workload.decode_tokens + workload.depth
    room = recipe.static.context_tokens
    if tokens <= room:
        return None
    return f"{recipe.name} is a graph of static shape for {room} tokens, the workload takes {tokens}"


def unbatched(backend: type[Backend], recipe: Recipe, workload: Workload) -> str | None:
    """Why the framework does not process several sequences in one pass."""
    if workload.batch == 1:
        return None
    if "stream" in backend.capabilities:
        return f"{backend.title} makes batches of the requests that it gets: ask for @c{workload.batch}"
    if recipe.static is not None:
        return f"{recipe.name} is a graph of static shape for one sequence, the workload is a batch of {workload.batch}"
    if "batch" not in backend.capabilities:
        return f"{backend.title} processes one sequence at a time here"
    if workload.depth and "batch_depth" not in backend.capabilities:
        return f"{backend.title} takes the prompts of a batch into empty caches only: a batch has no depth"
    return None


def too_large(recipe: Recipe, model: ModelFacts, host: Host) -> str | None:
    """Why the weights, by the nominal width of their precision, cannot be held in this machine's memory."""
    if model.parameters is None or host.memory_bytes is None:
        return None
    weights = model.parameters * nominal_bits(recipe.precision) / 8
    if weights <= _SHARE * host.memory_bytes:
        return None
    return (
        f"the weights alone take {weights / 1e9:.1f} GB at {recipe.precision}, "
        f"and this machine has {host.memory_bytes / 1e9:.1f} GB of memory"
    )
