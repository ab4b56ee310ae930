"""Head's one session against stored sessions: what varies between sessions enters the test.

Owns the variance components, the comparison and the verdicts of a stored baseline. Imports scipy.special: scipy.stats
takes seconds to load. Contract: pure; values are logarithms of a metric turned so that more is better, one per process,
grouped by session; at least three stored sessions, else nothing is said of how far sessions vary.

A session shifts all of its processes alike (another temperature, another kernel, other neighbours). Let the value of a
process be ``level + session + process``. The variance of the means of stored sessions estimates what a session's mean
varies by, the process part of its own runs included; the variance within sessions says what fewer runs of head add to
that. Head's session is one more draw, so that even with many stored sessions its own shift stays in the interval: it is
a prediction interval, with the degrees of freedom of Welch and Satterthwaite.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from harness.gate.design import Rules
from harness.gate.metrics import GateMetric
from harness.gate.statistics import detectable, discoveries
from harness.gate.verdict import Word

#: Stored sessions at least: two have one degree of freedom, and an interval that says nothing.
SESSIONS_MIN = 3
#: Rate of false discoveries over all cells, metrics and directions (Benjamini and Hochberg).
RATE = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Comparison:
    """Head against the stored sessions, on the scale of logarithms; below 0 where head is worse.

    Attributes:
        shift: head's mean less the baseline's.
        error: standard error of the shift, both sides' session effects included; None with too few sessions.
        freedom: degrees of freedom of the error.
        sessions: stored sessions that the variance is from.
        between: standard deviation of session means; None with fewer than two sessions.
        within: standard deviation of processes within a session; None where no session has two.
    """

    shift: float
    error: float | None
    freedom: float
    sessions: int
    between: float | None
    within: float | None

    def p_value(self, limit: float, *, below: bool) -> float:
        """One-sided: how likely a shift as far beyond the limit were if it lay at the limit."""
        assert self.error is not None
        distance = self.shift - limit
        if self.error == 0.0:
            return float(not (distance < 0 if below else distance > 0))
        score = distance / self.error
        return float(stdtr(self.freedom, score if below else -score))

    def interval(self) -> tuple[float, float] | None:
        """Of the shift, 95 %; None with too few sessions."""
        if self.error is None:
            return None
        half = self.error * float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2))
        return self.shift - half, self.shift + half

    def detectable(self, limit: float, level: float, power: float) -> float | None:
        """The smallest worsening that would be found beyond the limit at this level with this power, above 0."""
        if self.error is None:
            return None
        points = float(stdtrit(self.freedom, 1 - level) + stdtrit(self.freedom, power))
        return abs(limit) + points * self.error

    def paired_detectable(self, limit: float, rules: Rules) -> float | None:
        """What the paired gate's confirmation would have found with the same noise of processes, as a size.

        A pair's difference has twice the variance of a process, and nothing of a session's.
        """
        if self.within is None:
            return None
        fresh = rules.max_pairs - rules.screen_max
        return abs(limit) + detectable(math.sqrt(2) * self.within, fresh, 2 * rules.last_alpha, rules.power)


def compare(stored: Sequence[Sequence[float]], head: Sequence[float], named: int | None = None) -> Comparison:
    """Head's processes against those of stored sessions.

    Args:
        stored: the processes of each session, at least one session with one process each.
        head: the processes of head's session, at least one.
        named: place of the one session that is the baseline; the others tell how far sessions vary. None: all are.
    """
    means = [statistics.fmean(one) for one in stored]
    count = len(means)
    base = statistics.fmean(means) if named is None else means[named]
    shift = statistics.fmean(head) - base
    within, freedom_within = _within([*stored, head])
    if count < 2:
        return Comparison(shift, None, 0.0, count, None, None if within is None else math.sqrt(within))
    of_means = statistics.variance(means)
    usual = statistics.fmean([1 / len(one) for one in stored])
    # Of the variance of means: once for head's session, and for the baseline's one, or its share in the mean of all.
    share = 2.0 if named is not None else 1 + 1 / count
    # Fewer runs than usual add process noise; more would take some off, which a few sessions cannot tell: left out.
    more = max(0.0, 1 / len(head) - usual)
    if named is not None:
        more += max(0.0, 1 / len(stored[named]) - usual)
    first, second = share * of_means, more * (within or 0.0)
    variance = first + second
    freedom = float(count - 1)
    if second > 0.0:
        freedom = variance**2 / (first**2 / (count - 1) + second**2 / freedom_within)
    enough = count >= SESSIONS_MIN and not (more > 0.0 and within is None)
    return Comparison(
        shift,
        math.sqrt(variance) if enough else None,
        freedom,
        count,
        math.sqrt(of_means),
        None if within is None else math.sqrt(within),
    )


def _within(sessions: Sequence[Sequence[float]]) -> tuple[float | None, int]:
    """Variance of processes within sessions, pooled, and its degrees of freedom; None where there are none."""
    freedom = sum(len(one) - 1 for one in sessions)
    if freedom == 0:
        return None, 0
    squares = 0.0
    for one in sessions:
        mean = statistics.fmean(one)
        squares += math.fsum((value - mean) ** 2 for value in one)
    return squares / freedom, freedom


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one comparison; figures as in `harness.gate.verdict.Verdict`, changes as shares."""

    word: Word
    p_value: float | None
    detectable: float | None
    paired_detectable: float | None
    reason: str


def judge(
    comparisons: Sequence[tuple[Comparison, GateMetric]], rules: Rules, rate: float = RATE
) -> list[Finding]:
    """The verdicts on all cells and metrics of a gate, in their order.

    Both directions of each are tested beyond the practical margin, and all of these tests share one rate of false
    discoveries. What a session does to all cells alike makes their tests depend on each other positively, which
    Benjamini and Hochberg's procedure allows.
    """
    tested = [place for place, (one, _) in enumerate(comparisons) if one.error is not None]
    worse: dict[int, float] = {}
    better: dict[int, float] = {}
    for place in tested:
        one, metric = comparisons[place]
        worse[place] = one.p_value(metric.log_margin, below=True)
        better[place] = one.p_value(metric.log_gain, below=False)
    found = discoveries([*worse.values(), *better.values()], rate)
    is_worse = dict(zip(tested, found[: len(tested)], strict=True))
    is_better = dict(zip(tested, found[len(tested) :], strict=True))
    # What a change of one metric alone has to pass.
    level = rate / max(1, 2 * len(tested))
    findings = []
    for place, (one, metric) in enumerate(comparisons):
        seen = one.detectable(metric.log_margin, level, rules.power)
        paired = one.paired_detectable(metric.log_margin, rules)
        word, reason = _word(
            one, metric, seen, worse=is_worse.get(place, False), better=is_better.get(place, False)
        )
        p_value = worse.get(place) if one.shift < 0 else better.get(place)
        findings.append(Finding(word, p_value, _share(seen), _share(paired), reason))
    return findings


def _share(size: float | None) -> float | None:
    return None if size is None or math.isinf(size) else math.expm1(size)


def _word(
    one: Comparison, metric: GateMetric, seen: float | None, *, worse: bool, better: bool
) -> tuple[Word, str]:
    if one.error is None or seen is None:
        if one.sessions < SESSIONS_MIN:
            told = f"{one.sessions} stored session{'' if one.sessions == 1 else 's'}"
            return "inconclusive", f"{told}: at least {SESSIONS_MIN} tell how far sessions vary"
        return "inconclusive", "fewer runs than the stored sessions, and none of them says how far runs vary"
    limit = f"the margin of {100 * metric.margin:g} %"
    if worse or better:
        word: Word = "regression" if worse else "improvement"
        return word, f"beyond {limit} and what sessions differ by"
    ends = one.interval()
    inside = ends is not None and ends[0] >= metric.log_margin and ends[1] <= metric.log_gain
    told = f"a change of {100 * math.expm1(seen):.1f} % would have been seen"
    if inside or seen <= metric.log_wanted:
        return "pass", told
    return "inconclusive", f"only {told}"
