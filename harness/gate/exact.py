"""One look at accuracy: paired windows for the divergence, items for tasks.

Owns the tests of what does not vary from run to run: given the artifact, its weights and its divergence are facts. The
units of the latter are the windows of the text; a task's are its items. Contract: pure; figures are compared only where
corpus, windows and scored positions, or the task's items, are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.artifact.adopting import UNKNOWN_WEIGHT
from harness.gate.metrics import GateMetric
from harness.gate.statistics import detectable, interval, sign_flip, spread
from harness.gate.verdict import Verdict, Word
from harness.store.evaluations import EvaluationFacts
from harness.store.facts import ArtifactFacts, ScoreFacts
from harness.table.flips import flips
from harness.table.power import detectable_drop

#: Level of one of these tests.
ALPHA = 0.01
POWER = 0.95
#: Two computations of the reference are one function where they agree so far, in nats a position, in every window.
REFERENCE_NATS = 1e-3


def divergence(
    base: ScoreFacts | None, head: ScoreFacts | None, metric: GateMetric, alpha: float = ALPHA
) -> Verdict:
    """The verdict on the mean divergence from the quality reference.

    A regression is beyond both limits: the relative margin and the absolute one (``metric.absolute``, nats).
    """
    sums = None if base is None or head is None else _paired(base, head)
    if base is None and head is None:
        return Verdict("unmeasured", reason="neither side was scored")
    if head is None:
        return Verdict("missing", reason="head has no score")
    if base is None:
        return Verdict("unmeasured", reason="base has no score")
    if sums is None:
        return Verdict(
            "inconclusive",
            reason="the two were scored on different text or windows, or their references differ",
        )
    before, after, weights = sums
    total = sum(weights)
    ratio = None if math.fsum(before) == 0 else math.fsum(after) / math.fsum(before)
    differences = [
        (new - old) / weight for old, new, weight in zip(before, after, weights, strict=True) if weight
    ]
    limit = max(metric.margin * math.fsum(before) / total, metric.absolute or 0.0)
    if not any(differences):
        return Verdict("pass", 1.0, pairs=len(differences), detectable=0.0, reason="the same in every window")
    # Means over windows of equal length: the unit of the limit.
    worse = sign_flip([one - limit for one in differences], "above")
    better = sign_flip([one + limit for one in differences], "below")
    seen = detectable(spread(differences), len(differences), 2 * alpha, POWER)
    ends = interval(differences)
    mean = math.fsum(before) / total
    bounds: tuple[float | None, float | None] = (None, None)
    if ends is not None and mean != 0:
        bounds = (1 + ends[0] / mean, 1 + ends[1] / mean)
    told = f"{len(differences)} windows, limit {limit:.2g} nats"
    share = None if mean == 0 or math.isinf(seen) else seen / mean
    if worse <= alpha:
        return Verdict(
            "regression", ratio, *bounds, len(differences), detectable=share, p_value=worse, reason=told
        )
    if better <= alpha:
        return Verdict(
            "improvement", ratio, *bounds, len(differences), detectable=share, p_value=better, reason=told
        )
    within = ends is not None and ends[1] <= limit
    return Verdict(
        "pass" if within else "inconclusive",
        ratio,
        *bounds,
        len(differences),
        detectable=share,
        p_value=worse,
        reason=told if within else f"{told}: too few windows to tell",
    )


def _paired(base: ScoreFacts, head: ScoreFacts) -> tuple[list[float], list[float], list[int]] | None:
    """Sums of the divergence per window of both, and scored positions; None where they cannot be compared."""
    shape = [
        (
            one.corpus_sha256,
            one.window_tokens,
            one.stride_tokens,
            one.score_from,
            one.bos,
            one.positions,
            one.reference.artifact_id if one.reference else None,
        )
        for one in (base, head)
    ]
    if shape[0] != shape[1] or len(base.windows) != len(head.windows) or not _same_reference(base, head):
        return None
    sums: tuple[list[float], list[float]] = ([], [])
    for place, score in enumerate((base, head)):
        for window in score.windows:
            if window.kld_sum is None or not math.isfinite(window.kld_sum):
                return None
            sums[place].append(window.kld_sum)
    return sums[0], sums[1], [window.positions for window in base.windows]


def _same_reference(base: ScoreFacts, head: ScoreFacts) -> bool:
    """Whether both were compared with the same function.

    Where the sides differ in the reference's own framework, each side computed the reference with its own: the two must
    agree on the text, or a fault that both of head's computations share would look like none.
    """
    one, other = base.reference, head.reference
    if one is None or other is None or one.scoring_key == other.scoring_key:
        return one is other is None or (one is not None and other is not None)
    return len(one.windows) == len(other.windows) and all(
        abs(first.nll_sum - second.nll_sum) <= REFERENCE_NATS * max(first.positions, 1)
        for first, second in zip(one.windows, other.windows, strict=True)
    )


def weights(base: ArtifactFacts | None, head: ArtifactFacts | None, metric: GateMetric) -> Verdict:
    """The verdict on the bits per weight: a fact of each artifact, so nothing is tested."""
    before, after = (None if one is None else one.bits_per_weight for one in (base, head))
    # An artifact without a weight says nothing of its weights.
    if not before:
        return Verdict("unmeasured", reason=_unknown_weight("base", base))
    if not after:
        return Verdict("unmeasured", reason=_unknown_weight("head", head))
    ratio = after / before
    told = f"{before:.3g} bits in base, {after:.3g} in head: a fact of the artifacts, nothing varies"
    word: Word = "pass"
    if ratio > 1 + metric.margin:
        word = "regression"
    elif ratio < 1 - metric.margin:
        word = "improvement"
    return Verdict(word, ratio, ratio, ratio, detectable=0.0, reason=told)


def _unknown_weight(side: str, artifact: ArtifactFacts | None) -> str:
    """Why an artifact has no bits per weight."""
    if artifact is not None and artifact.weight_bytes:
        return f"how many parameters {side}'s model has is not known"
    why = None if artifact is None else artifact.notes.get(UNKNOWN_WEIGHT)
    return f"the weights of {side}'s artifact are not known" + ("" if why is None else f": {why}")


def tasks(
    base: EvaluationFacts | None, head: EvaluationFacts | None, alpha: float = ALPHA
) -> dict[str, Verdict]:
    """The verdict on every metric of every task that base has items of, by ``task metric``."""
    found: dict[str, Verdict] = {}
    others = {} if head is None else {(one.task, one.metric): one for one in head.tasks}
    for one in () if base is None else base.tasks:
        name = f"{one.task} {one.metric}"
        other = others.get((one.task, one.metric))
        if not one.items:
            continue
        if other is None:
            found[name] = Verdict("missing", reason="head was not evaluated")
        elif other.corpus_sha256 != one.corpus_sha256 or other.version != one.version:
            found[name] = Verdict("inconclusive", reason="the two were asked different items")
        else:
            higher = one.higher_is_better is not False
            found[name] = _items(one.items, other.items, alpha, higher_is_better=higher)
    return found


def _items(base: Sequence[float], head: Sequence[float], alpha: float, *, higher_is_better: bool) -> Verdict:
    changed = flips(head, base)
    if changed is None:
        return Verdict("unmeasured", reason="its items are not simply right or wrong")
    lost, won = (changed.lost, changed.won) if higher_is_better else (changed.won, changed.lost)
    drop = detectable_drop(changed.n, lost, won, alpha)
    right = sum(base)
    ratio = sum(head) / right if right else None
    told = f"{changed.n} items: {lost} lost, {won} won"
    p_value = changed.p_value
    if p_value <= alpha:
        word: Word = "regression" if lost > won else "improvement"
        return Verdict(word, ratio, pairs=changed.n, detectable=drop, p_value=p_value, reason=told)
    if drop is None:
        return Verdict(
            "inconclusive", ratio, pairs=changed.n, p_value=p_value, reason=f"{told}: too few items to tell"
        )
    return Verdict("pass", ratio, pairs=changed.n, detectable=drop, p_value=p_value, reason=told)
