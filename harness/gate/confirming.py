"""What a second look says of a cell's accuracy: nothing fails, and nothing is better, before it is confirmed.

Owns what the first look leaves in doubt, and the verdict on what was looked at again. Contract: pure. A verdict on what
was in doubt rests on the second look alone: on windows and items that the first one did not have, where the text and
the task have enough of them; else on the same ones, measured again, which confirms the measuring and not the sample:
the reason says so. What could not be looked at again is inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.gate.exact import ALPHA, divergence, tasks, weights
from harness.gate.metrics import GateMetric
from harness.gate.verdict import Verdict
from harness.store.evaluations import EvaluationFacts, TaskFacts
from harness.store.facts import ArtifactFacts, CellFacts, ScoreFacts
from harness.store.records import VerdictRecord

#: What can be looked at again: the divergence, the tasks, the bytes of the weights.
Look = Literal["score", "tasks", "weights"]
#: Fewer windows or items than these cannot show a change at a level of 1 %, whatever they say.
FEW = 8
#: A task whose p-value is at most this is in doubt: no procedure with this rate of false discoveries selects more.
SUSPECT = 0.2
#: Verdicts that a second look has to confirm.
CHANGED = ("regression", "improvement", "missing")


@dataclass(frozen=True, slots=True)
class Second:
    """The second look at a cell.

    Attributes:
        base: what base's second session has of it; where base cannot be measured again, what its first one had.
        head: what head's second session has of it.
        looks: what was looked at.
        weight_bytes: of the artifacts of base and head, counted in their files; in words why they could not be counted,
            None: not counted, and the files are those that were.
    """

    base: CellFacts | None
    head: CellFacts | None
    looks: frozenset[Look]
    weight_bytes: tuple[int | str | None, int | str | None] = field(default=(None, None))


def doubts(
    base: CellFacts | None, head: CellFacts, metrics: Mapping[str, GateMetric], *, more: bool = True
) -> frozenset[Look]:
    """What has to be looked at again, because the first look does not settle it.

    A divergence is settled where its 95 % interval lies within the limits: everything else is in doubt, which is more
    than any test of "no change" would select and could be confirmed. Too few windows for an interval are in doubt too,
    and what base alone lacks: once may be chance, and then nothing would have been compared.

    Args:
        base: the first look at base, None: nothing is known of it.
        head: the first look at head.
        metrics: what is judged; those of processes are passed over.
        more: base can be measured again, so that there can be more windows and items; False: what would change
            nothing is in doubt.
    """
    found: set[Look] = set()
    for metric in metrics.values():
        if metric.unit == "window":
            first = divergence(_score(base), head.score, metric)
            # Of different text or references a second look would say the same.
            few = first.word == "inconclusive" and first.pairs > 0
            if first.word in CHANGED or (more and (few or _base_lacks(base, head, "score"))):
                found.add("score")
        elif metric.unit == "artifact":
            first = weights(None if base is None else base.artifact, head.artifact, metric)
            if first.word in CHANGED:
                found.add("weights")
    for first in tasks(_evaluation(base), head.evaluation).values():
        if first.word in CHANGED or (more and _doubted(first)):
            found.add("tasks")
    if more and _base_lacks(base, head, "evaluation"):
        found.add("tasks")
    return frozenset(found)


def verdicts(
    base: CellFacts | None,
    head: CellFacts,
    metrics: Mapping[str, GateMetric],
    second: Second | None,
    alpha: float = ALPHA,
) -> dict[str, Verdict]:
    """The verdicts on weights, divergence and tasks of a cell, by metric or ``task metric``.

    Args:
        base: the first look at base, None: nothing is known of it.
        head: the first look at head.
        metrics: what is judged; those of processes are passed over.
        second: what was looked at again: what `doubts` named of it; None: nothing.
        alpha: level of each test.
    """
    seen = second or Second(None, None, frozenset())
    found: dict[str, Verdict] = {}
    for name, metric in metrics.items():
        if metric.unit == "window":
            found[name] = _divergence(_score(base), _score(head), seen, metric, alpha)
        elif metric.unit == "artifact":
            found[name] = _weights(None if base is None else base.artifact, head.artifact, seen, metric)
    first = tasks(_evaluation(base), head.evaluation, alpha)
    again = _tasks_again(_evaluation(base), seen, alpha) if "tasks" in seen.looks else {}
    for name, verdict in first.items():
        found[name] = _task_again(verdict, again.get(name), seen) if _doubted(verdict) else verdict
    if not first and "tasks" in seen.looks:
        late = _evaluation(seen.base), _evaluation(seen.head)
        found |= {name: _seen_once(verdict, "base") for name, verdict in tasks(*late, alpha).items()}
    return found


def broken_again(second: Second) -> VerdictRecord | None:
    """The verdict on head's artifact from its second scoring; None where that failed."""
    score = _score(second.head)
    return None if score is None else score.verdict


def _doubted(task: Verdict) -> bool:
    return task.word in CHANGED or (task.p_value is not None and task.p_value <= SUSPECT)


def _base_lacks(base: CellFacts | None, head: CellFacts, what: Literal["score", "evaluation"]) -> bool:
    return base is not None and getattr(base, what) is None and getattr(head, what) is not None


def _seen_once(verdict: Verdict, side: str) -> Verdict:
    """Of what the first look could not compare: nothing confirms it."""
    told = f"{side} could be measured the second time alone"
    if verdict.word not in CHANGED:
        return replace(verdict, fresh=verdict.pairs, reason=f"{verdict.reason}; {told}")
    reason = f"{verdict.word}, and not confirmed: {told} ({verdict.reason})"
    return replace(verdict, word="inconclusive", fresh=verdict.pairs, reason=reason)


def _unlooked(what: str, first: Verdict, seen: Second, look: Look) -> Verdict:
    """Of what was in doubt and has no second look: it is no change then."""
    if first.word not in CHANGED:
        return first
    why = f"{what} failed the second time" if look in seen.looks else "there was no second look"
    return replace(first, word="inconclusive", reason=f"suspected, and not confirmed: {why} ({first.reason})")


# -- the divergence ---------------------------------------------------------------------------------------------------


def _score(cell: CellFacts | None) -> ScoreFacts | None:
    return None if cell is None else cell.score


def _evaluation(cell: CellFacts | None) -> EvaluationFacts | None:
    return None if cell is None else cell.evaluation


def _divergence(
    base: ScoreFacts | None, head: ScoreFacts | None, seen: Second, metric: GateMetric, alpha: float
) -> Verdict:
    first = divergence(base, head, metric, alpha)
    before, after = (_score(seen.base), _score(seen.head)) if "score" in seen.looks else (None, None)
    if base is None or head is None:
        if before is not None and after is not None:
            return _seen_once(divergence(before, after, metric, alpha), "head" if head is None else "base")
        if base is not None and before is not None:
            return replace(first, reason=f"{first.reason}, and again none")
    if base is None or head is None or before is None or after is None:
        return _unlooked("a scoring", first, seen, "score")
    moved = max(_moved(base, before, metric), _moved(head, after, metric))
    known = {window.window for one in (base, head) for window in one.windows}
    unseen = _without(before, known), _without(after, known)
    new = min(len(one.windows) for one in unseen) >= FEW
    if new:
        before, after = unseen
    verdict = divergence(before, after, metric, alpha)
    fresh = verdict.pairs
    told = "fresh windows" if new else "the same windows, scored again: the text has no others"
    reason = _of_fresh(verdict.reason, "windows", told)
    verdict = replace(verdict, pairs=first.pairs + fresh, fresh=fresh, reason=reason)
    if verdict.word in CHANGED and moved:
        why = f"windows of the first look were off by {moved:.2g} nats a position"
        verdict = replace(
            verdict,
            word="inconclusive",
            reason=f"{verdict.word}, and not confirmed: scored again, {why} ({reason})",
        )
    return verdict


def _moved(first: ScoreFacts, second: ScoreFacts, metric: GateMetric) -> float:
    """How far a second scoring is from the first one on the windows of both: mean size, nats a position.

    Divergence does not vary: what comes out otherwise was computed wrongly once, and says nothing of the other windows.
    0 within the limits of the metric, which no rounding reaches.
    """
    again = {window.window: window for window in second.windows}
    both = [(one, again[one.window]) for one in first.windows if one.window in again]
    sums = [
        math.inf if one.kld_sum is None or other.kld_sum is None else abs(other.kld_sum - one.kld_sum)
        for one, other in both
    ]
    positions = max(1, sum(one.positions for one, _ in both))
    size = math.fsum(one.kld_sum or 0.0 for one, _ in both) / positions
    moved = math.fsum(sums) / positions
    return 0.0 if moved <= max(metric.absolute or 0.0, metric.margin * size) else moved


def _without(score: ScoreFacts, known: set[int]) -> ScoreFacts:
    return replace(score, windows=tuple(one for one in score.windows if one.window not in known))


def _of_fresh(reason: str, unit: str, told: str) -> str:
    """``16 windows, limit ...`` -> ``16 fresh windows, limit ...``."""
    return reason.replace(unit, told, 1) if unit in reason else f"{reason} ({told})"


# -- the weights ------------------------------------------------------------------------------------------------------


def _weights(
    base: ArtifactFacts | None, head: ArtifactFacts | None, seen: Second, metric: GateMetric
) -> Verdict:
    first = weights(base, head, metric)
    if "weights" not in seen.looks:
        return _unlooked("the count", first, seen, "weights")
    sizes = zip(("base", "head"), seen.weight_bytes, strict=True)
    unknown = [
        f"{name}'s files could not be counted again: {size}" for name, size in sizes if isinstance(size, str)
    ]
    if unknown:
        return replace(
            first, word="inconclusive", reason=f"{first.reason}; not confirmed: {'; '.join(unknown)}"
        )
    of_base, of_head = seen.weight_bytes
    verdict = weights(_with_weight(base, of_base), _with_weight(head, of_head), metric)
    return replace(verdict, reason=f"{verdict.reason}; their files were looked at again")


def _with_weight(artifact: ArtifactFacts | None, size: int | str | None) -> ArtifactFacts | None:
    if not isinstance(size, int) or artifact is None or not artifact.parameters:
        return artifact
    return replace(artifact, weight_bytes=size, bits_per_weight=8 * size / artifact.parameters)


# -- tasks ------------------------------------------------------------------------------------------------------------


def _tasks_again(base: EvaluationFacts | None, seen: Second, alpha: float) -> dict[str, Verdict]:
    """The verdicts of the second evaluation, by ``task metric``: on the items that the first did not have."""
    before, after = _evaluation(seen.base), _evaluation(seen.head)
    if base is None or before is None:
        return {}
    asked = {(one.task, one.metric): len(one.items) for one in base.tasks}
    fresh = _only(before, asked), None if after is None else _only(after, asked)
    new = {
        (one.task, one.metric)
        for one in fresh[0].tasks
        if min(len(one.items), _items_of(fresh[1], one, len(one.items))) >= FEW
    }
    found = tasks(_chosen(fresh[0], before, new), _chosen(fresh[1], after, new), alpha)
    for key in asked:
        name = " ".join(key)
        if name in found:
            told = "fresh items" if key in new else "items, the same asked again: the task has no others"
            reason = _of_fresh(found[name].reason, "items", told)
            found[name] = replace(found[name], fresh=found[name].pairs, reason=reason)
    return found


def _only(one: EvaluationFacts, asked: Mapping[tuple[str, str], int]) -> EvaluationFacts:
    """Without the items that were asked before: the first ones of each task."""
    left = (replace(each, items=each.items[asked.get((each.task, each.metric), 0) :]) for each in one.tasks)
    return replace(one, tasks=tuple(left))


def _items_of(evaluation: EvaluationFacts | None, task: TaskFacts, otherwise: int) -> int:
    """Items of the same task and metric."""
    found = [] if evaluation is None else evaluation.tasks
    return next(
        (len(one.items) for one in found if (one.task, one.metric) == (task.task, task.metric)), otherwise
    )


def _chosen(
    fresh: EvaluationFacts | None, whole: EvaluationFacts | None, new: Collection[tuple[str, str]]
) -> EvaluationFacts | None:
    """Of each task in ``new`` the fresh items, of the others all."""
    if fresh is None or whole is None:
        return None
    both = zip(fresh.tasks, whole.tasks, strict=True)
    return replace(whole, tasks=tuple(one if (one.task, one.metric) in new else other for one, other in both))


def _task_again(first: Verdict, again: Verdict | None, seen: Second) -> Verdict:
    if again is None or (again.word == "missing" and first.word != "missing"):
        return _unlooked("an evaluation", first, seen, "tasks")
    if again.word == "missing":
        return replace(again, reason=f"{again.reason}, twice")
    if first.word == "missing":
        return _seen_once(again, "head")
    return replace(again, pairs=first.pairs + again.fresh)
