"""The verdict on each cell and metric, and on the whole gate.

Owns what a verdict says. Pure. Contract: red means confirmed; a pass says how small a change it would have seen; what
it could not have seen is inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.gate.design import Design, Track
from harness.gate.metrics import GateMetric
from harness.gate.statistics import interval

Word = Literal["pass", "regression", "improvement", "inconclusive", "broken", "missing", "unmeasured"]

#: Exit statuses of the command.
PASSED, FAILED, UNDECIDED = 0, 1, 3
_SUMMARIES = {PASSED: "pass", FAILED: "fail", UNDECIDED: "inconclusive"}
#: Verdicts that fail a gate; ``fail`` is a broken rule of a preset.
FAILING = frozenset({"fail", "regression", "broken", "missing"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one metric of one cell.

    Attributes:
        word: the verdict.
        ratio: head / base, None without a pair.
        low: lower end of its 95 % interval, None with too few pairs.
        high: upper end.
        pairs: pairs that both sides have a figure of.
        fresh: how many of them are the confirmation's; ratio and interval are then these pairs' alone.
        detectable: the smallest change, as a share, that these pairs would have shown; None where nothing was tested.
        p_value: of the confirmation where there was one, else of the screen.
        reason: in words.
    """

    word: Word
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    fresh: int = 0
    detectable: float | None = None
    p_value: float | None = None
    reason: str = ""


def of_track(design: Design[Any], track: Track, metric: GateMetric) -> Verdict:
    """The verdict on a metric whose pairs are all taken."""
    values = track.confirm or track.screen
    mean = track.mean
    if mean is None:
        return Verdict("unmeasured", reason="no pair has figures above 0 on both sides")
    ends = interval(values)
    bounds = None if ends is None else sorted(metric.ratio(end) for end in ends)
    visible = design.detectable(track)
    seen = None if math.isinf(visible) else math.expm1(visible)
    word: Word
    if track.confirmed:
        word = "regression" if track.suspected == "worse" else "improvement"
        reason = f"beyond the margin of {100 * metric.margin:g} % in {len(track.confirm)} fresh pairs"
    elif visible <= track.limits.wanted or _inside(ends, track):
        word = "pass"
        reason = (
            "suspected, not confirmed on fresh pairs"
            if track.suspected
            else "nothing to be seen"
            if seen is None
            else f"a change of {100 * seen:.1f} % would have been seen"
        )
    else:
        word = "inconclusive"
        reason = (
            "too few pairs" if seen is None else f"only a change of {100 * seen:.1f} % would have been seen"
        )
    return Verdict(
        word,
        metric.ratio(mean),
        None if bounds is None else bounds[0],
        None if bounds is None else bounds[1],
        pairs=len(track.screen) + len(track.confirm),
        fresh=len(track.confirm),
        detectable=seen,
        p_value=track.p_value if track.confirm_p is None else track.confirm_p,
        reason=reason,
    )


def _inside(ends: tuple[float, float] | None, track: Track) -> bool:
    """Whether the whole interval lies within the margins: shown to be no regression, however noisy."""
    return ends is not None and ends[0] >= track.limits.worse and ends[1] <= track.limits.better


def exit_status(verdicts: Iterable[Verdict], *, allow_missing: bool = False) -> int:
    """Of the whole gate: 1 where anything failed, else 3 where anything is open or nothing was judged, else 0."""
    return status_of({one.word for one in verdicts}, allow_missing=allow_missing)


def failing(*, allow_missing: bool) -> frozenset[str]:
    """The verdicts that fail a gate."""
    return FAILING - {"missing"} if allow_missing else FAILING


def status_of(words: Iterable[str], *, allow_missing: bool) -> int:
    """Exit status of a gate that gave these verdicts."""
    given = set(words)
    if given & failing(allow_missing=allow_missing):
        return FAILED
    # Where nothing at all could be measured, nothing says that head is no worse.
    return UNDECIDED if "inconclusive" in given or given <= {"unmeasured"} else PASSED


def summary(counts: Mapping[str, int], status: int) -> tuple[str, str]:
    """The whole gate in a word, and in a line: ``fail: 1 regression, 11 pass``."""
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return _SUMMARIES[status], f"{_SUMMARIES[status]}: {told or 'nothing to judge'}"
