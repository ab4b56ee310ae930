"""The choice among measured configurations, what decided it, and how often noise would have made it differ.

Owns the rule; the definitions for readers are in ``docs/recommend.md``. Contract: pure; every row ends up chosen,
possible, excluded with the limit that it breaks, or unknown with what nobody measured; the same rows, the same answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.recommend.wishes import Limits, Preference, keeps, practically_equal, utility
from harness.table.metrics import METRICS
from harness.table.rows import EMULATED, SYNTHETIC, Row, tell_other_positions

#: Repetitions of the bootstrap.
DRAWS = 1000
#: Shown as close: chosen in at least this share of the repetitions.
CLOSE = 0.05
#: What decided where no limit did: the limits are not at fault.
NOTHING_LEFT = "nothing is left to choose from, whatever the limits"
#: What decided where rows are left that nobody knows enough of.
NOTHING_KNOWN = "nothing is known to keep the limits and to have every figure that counts"
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Excluded:
    """A row that is out, why, and whether that is a limit which it breaks."""

    row: Row
    reason: str
    by_limit: bool = False


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer.

    Attributes:
        choice: the row to ship; None where none keeps the limits.
        decided: what decided, in words.
        share: of the bootstrap's repetitions that choose it too.
        frontier: rows within the limits that no other such row beats or equals in everything that counts, best first
            in what counts first.
        possible: all rows within the limits, in the order of the rows.
        close: others that noise would have chosen, with their share, most often first.
        none_share: of the repetitions in which no row keeps the limits.
        excluded: rows that cannot be chosen, with the reason.
        unknown: rows that nobody ran, or that lack a figure that a limit or a preference needs.
        columns: what counted; a preference that no possible row has a figure for is left out.
        uncounted: preferences left out so, with the reason.
    """

    choice: Row | None
    decided: str
    share: float | None
    frontier: tuple[Row, ...]
    possible: tuple[Row, ...]
    close: tuple[tuple[Row, float], ...]
    none_share: float | None
    excluded: tuple[Excluded, ...]
    unknown: tuple[Excluded, ...]
    columns: tuple[str, ...]
    uncounted: Mapping[str, str]


def recommend(
    rows: Sequence[Row],
    limits: Limits,
    preference: Preference,
    *,
    with_suspect: bool = False,
    repeated: bool = True,
    seed: int = 0,
) -> Recommendation:
    """The recommendation among rows.

    Args:
        rows: of one or several sessions.
        limits: what must hold.
        preference: what is preferred among rows that keep the limits.
        with_suspect: rows whose runs are all suspect may be chosen too.
        repeated: whether to tell, by a bootstrap, how often noise would have chosen otherwise.
        seed: of the bootstrap.
    """
    wanted = limits.of_columns()
    rows = tell_other_positions(rows)
    excluded: list[Excluded] = []
    unknown: list[Excluded] = []
    candidates: list[Row] = []
    for row in rows:
        why, broken = not_shippable(row, with_suspect=with_suspect), _breaks(row, wanted)
        nobody = unmeasured(row)
        if nobody is not None:
            unknown.append(Excluded(row, nobody))
        elif why is not None:
            excluded.append(Excluded(row, why))
        elif broken is not None:
            excluded.append(Excluded(row, broken, by_limit=True))
        else:
            candidates.append(row)
    left = bool(candidates)
    counted, uncounted = _counted(candidates, preference)
    needed = dict.fromkeys([*wanted, *counted])
    unknown += [
        Excluded(row, "; ".join(f"{METRICS[key].title}: {_why_missing(row, key)}" for key in lacking))
        for row in candidates
        if (lacking := [key for key in needed if row[key] is None])
    ]
    # Divergences over other positions do not compare: only rows that rest on what most do are candidates.
    if "kld_mean" in needed:
        unknown += [
            Excluded(row, f"KLD: it rests on {row.other_positions}")
            for row in candidates
            if row.other_positions is not None and all(row[key] is not None for key in needed)
        ]
        candidates = [row for row in candidates if row.other_positions is None]
    possible = [row for row in candidates if all(row[key] is not None for key in needed)]
    figures = [{key: float(row[key]) for key in needed} for row in possible]
    place, decided = _choose(figures, preference, counted)
    if not possible and left:
        decided = NOTHING_KNOWN
    elif not possible and not any(one.by_limit for one in excluded):
        decided = NOTHING_LEFT
    shares = _bootstrap(possible, wanted, needed, preference, counted, seed) if repeated else None
    return Recommendation(
        choice=None if place is None else possible[place],
        decided=decided,
        share=None if shares is None or place is None else shares[place] / DRAWS,
        frontier=frontier(possible, counted),
        possible=tuple(possible),
        close=tuple(
            (possible[other], count / DRAWS)
            for other, count in (shares or Counter()).most_common()
            if other is not None and other != place and count / DRAWS >= CLOSE
        ),
        none_share=None if shares is None else shares[None] / DRAWS,
        excluded=tuple(excluded),
        unknown=tuple(unknown),
        columns=counted,
        uncounted=uncounted,
    )


def unmeasured(row: Row) -> str | None:
    """Why nobody ran a row, which says nothing against it; None where somebody did, or its artifact is broken."""
    if row["status"] != "skipped" or row["artifact_verdict"] == "broken":
        return None
    return f"skipped: {row['reason']}"


def not_shippable(row: Row, *, with_suspect: bool) -> str | None:
    """Why a row is no evidence for a choice, whatever its figures are; None where it is."""
    if row["artifact_verdict"] == "broken":
        return f"the artifact is broken: {row.notes.get('artifact_verdict', 'no reason was stored')}"
    if row["status"] != "ok":
        return f"{row['status']}: {row['reason']}"
    if row["emulated"]:
        return EMULATED
    if row["synthetic"]:
        return SYNTHETIC
    if row["validity"] == "suspect" and not with_suspect:
        return f"suspect: {'; '.join(row['flags']) or 'no flag was stored'}"
    return None


def _breaks(row: Row, limits: Mapping[str, float]) -> str | None:
    broken = [
        f"{METRICS[key].title} {METRICS[key].format(row[key])} is "
        f"{'below' if METRICS[key].better == 'higher' else 'above'} {METRICS[key].format(limit)}"
        for key, limit in limits.items()
        if row[key] is not None and not keeps(key, row[key], limit) and not _elsewhere(row, key)
    ]
    return "; ".join(broken) or None


def _elsewhere(row: Row, key: str) -> bool:
    """Whether the figure is a divergence over other positions than most rows' divergences: it compares with none."""
    return key == "kld_mean" and row.other_positions is not None


def _why_missing(row: Row, key: str) -> str:
    return row.notes.get(key) or row["reason"] or "not measured"


def _counted(rows: Sequence[Row], preference: Preference) -> tuple[tuple[str, ...], dict[str, str]]:
    """The preferences that can count: those that some row has a figure for."""
    known = [key for key in preference.columns if any(row[key] is not None for row in rows)]
    uncounted = {
        key: _why_missing(rows[0], key) if rows else "no row is left"
        for key in preference.columns
        if key not in known
    }
    return tuple(known), uncounted


def _choose(
    figures: Sequence[Mapping[str, float]], preference: Preference, columns: Sequence[str]
) -> tuple[int | None, str]:
    """Place of the choice, and what decided."""
    left = list(range(len(figures)))
    if not left:
        return None, "nothing keeps the limits"
    if len(left) == 1:
        return 0, "it alone keeps the limits"
    if not columns:
        return None, "nothing that is preferred was measured"
    if preference.weights:
        score = [
            math.fsum(preference.weights[key] * utility(key, one[key]) for key in columns) for one in figures
        ]
        order = sorted(left, key=lambda at: -score[at])
        gain = score[order[0]] - score[order[1]]
        return order[0], f"the weighted sum: {gain:.3g} above the next"
    for key in columns:
        best = max((figures[at][key] for at in left), key=lambda value: utility(key, value))
        near = [at for at in left if practically_equal(key, figures[at][key], best)]
        if len(near) == 1:
            return near[0], f"{METRICS[key].title}, after {_after(key, columns)}" if key != columns[
                0
            ] else METRICS[key].title
        left = near
    first = columns[0]
    return max(left, key=lambda at: utility(first, figures[at][first])), (
        f"nothing: {len(left)} are practically equal in everything; the best {METRICS[first].title} is named"
    )


def _after(key: str, columns: Sequence[str]) -> str:
    names = [METRICS[one].title for one in columns[: columns.index(key)]]
    return f"{' and '.join(names)} left several practically equal"


def frontier(rows: Sequence[Row], columns: Sequence[str]) -> tuple[Row, ...]:
    """Rows that no other beats or equals in everything that counts; of rows alike in all of it every one."""
    if not columns:
        return ()
    worth = [tuple(utility(key, float(row[key])) for key in columns) for row in rows]
    kept = [
        at
        for at, own in enumerate(worth)
        if not any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in worth)
    ]
    return tuple(rows[at] for at in sorted(kept, key=lambda at: tuple(-value for value in worth[at])))


def _bootstrap(
    rows: Sequence[Row],
    limits: Mapping[str, float],
    needed: Mapping[str, None],
    preference: Preference,
    columns: Sequence[str],
    seed: int,
) -> Counter[int | None] | None:
    """How often each place is chosen when the measurement is repeated from its own spread; None where there is none.

    Figures that are medians over runs: runs drawn with replacement. Others: normal, by their 95 % interval. A figure
    with neither stays as it is.
    """
    draws = [{key: _redraw(row, key) for key in needed} for row in rows]
    if not any(draw is not None for each in draws for draw in each.values()):
        return None
    random = np.random.default_rng(seed)
    counts: Counter[int | None] = Counter()
    for _ in range(DRAWS):
        figures = [
            {key: float(row[key]) if draw is None else draw(random) for key, draw in each.items()}
            for row, each in zip(rows, draws, strict=True)
        ]
        inside = [
            at
            for at, one in enumerate(figures)
            if all(keeps(key, one[key], limit) for key, limit in limits.items())
        ]
        place, _ = _choose([figures[at] for at in inside], preference, columns)
        counts[None if place is None else inside[place]] += 1
    return counts


Draw = Callable[[np.random.Generator], float]


def _redraw(row: Row, key: str) -> Draw | None:
    runs = np.array(sorted(row.basis.get(key, {}).values()))
    if len(runs) > 1:
        return lambda random: float(np.median(random.choice(runs, len(runs))))
    interval = (row["intervals"] or {}).get(key)
    if interval is None:
        return None
    value, error = float(row[key]), (interval[1] - interval[0]) / (2 * _Z95)
    # None of the figures can be below 0, and a utility needs one above it.
    return lambda random: max(float(random.normal(value, error)), value * 1e-3)
