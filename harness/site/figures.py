"""Figures as the site shows them: with their uncertainty and what it rests on, and which of them may be ranked.

Owns `uncertain_text`, `interval_of` and the one rule by which a value is marked as the best. Imports the table.
Contract: no figure of a measurement without its interval or the number of runs behind it; no mark without a significant
difference; what is emulated, suspect, broken or incomplete is never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.table import estimates
from harness.table.metrics import METRICS, as_bytes, as_factor, as_joules, as_percent, as_seconds
from harness.table.rows import BASELINE_SUSPECT, QUALITY_KEYS, Row

#: Figures of an artifact or of a model's shape: they have no spread.
EXACT = frozenset({"weight_bytes", "bits_per_weight", "touched_weight_bytes", "analytic_kv_bytes"})
#: Figures against the speed baseline, and the figure of a run that they compare.
_RATIOS = {"speedup_prefill": "prefill_tps", "speedup_decode": "decode_tps"}

#: A formatter's units: factor and suffix, largest first; of the others the number stands as it is.
_UNITS: Mapping[Callable[[float], str], tuple[tuple[str, float], ...]] = {
    as_bytes: ((" GB", 1e9), (" MB", 1e6), (" kB", 1e3), (" B", 1.0)),
    as_seconds: ((" s", 1.0), (" ms", 1e-3), (" µs", 1e-6), (" ns", 1e-9)),
    as_joules: ((" J", 1.0), (" mJ", 1e-3), (" µJ", 1e-6)),
    as_percent: ((" %", 1e-2),),
    as_factor: (("×", 1.0),),
}


def interval_of(rows: Sequence[Row], row: Row, key: str) -> tuple[float, float] | None:
    """The 95 % interval of a figure; of one against the speed baseline from both sides' intervals.

    Args:
        rows: of the row's session, as `comparison_rows` gave them: its baseline's place is among them.
        row: the row.
        key: the column.

    Returns:
        None where fewer than two runs or windows are behind it. A figure that has no spread is its own interval.
    """
    value = row[key]
    if value is None:
        return None
    if key in EXACT:
        return value, value
    known = (row["intervals"] or {}).get(key)
    if known is not None:
        return known[0], known[1]
    if row.baseline is None:
        return None
    base = rows[row.baseline]
    if base is row:
        # It is what the others are compared with.
        return (value, value) if key in _RATIOS or key == "memory_reduction" else None
    if key in _RATIOS:
        of = _RATIOS[key]
        own, other = ((each["intervals"] or {}).get(of) for each in (row, base))
        return estimates.mover(base[of], other, row[of], own)
    if key == "memory_reduction":
        before, after = (list(each.basis.get(key, {}).values()) for each in (base, row))
        of_base, own_bytes = estimates.median(before), estimates.median(after)
        if of_base is None or own_bytes is None or min(of_base, own_bytes) <= 0:
            return None
        bounds = estimates.median_interval(before), estimates.median_interval(after)
        ratio = estimates.mover(of_base, bounds[0], own_bytes, bounds[1])
        return None if ratio is None else (1 - ratio[1], 1 - ratio[0])
    return None


def runs_behind(row: Row, key: str) -> str:
    """What a figure rests on, in words: ``5 runs``, ``8,064 positions``; empty where it is neither."""
    of = _RATIOS.get(key, key)
    count = len(row.basis.get(of, ()))
    if count:
        return f"{count} run{'' if count == 1 else 's'}"
    if key in QUALITY_KEYS and row["scored_positions"] is not None:
        return f"{row['scored_positions']:,} positions"
    return ""


def uncertain_text(rows: Sequence[Row], row: Row, key: str) -> str:
    """``121 ± 2 (5 runs)``: a figure with half its 95 % interval in its own unit, and what it rests on.

    Without an interval the number of runs alone says why.
    """
    value = row[key]
    interval = interval_of(rows, row, key)
    behind = runs_behind(row, key)
    text = METRICS[key].format(value)
    if interval is not None and interval[0] < interval[1] and value:
        text = with_half(METRICS[key].format, value, (interval[1] - interval[0]) / 2)
    return f"{text} ({behind})" if behind else text


def with_half(formatter: Callable[[float], str], value: float, half: float) -> str:
    """``351.2 ± 1.4 MB``; where the interval is wider than the value, that it is."""
    # Two runs that disagree leave an interval of any length: its digits would say nothing. A share may be near 0.
    if (
        not math.isfinite(half)
        or (half > abs(value) and formatter is not as_percent)
        or half > 1e4 * abs(value)
    ):
        return f"{formatter(value)} ± >100 %"
    units = _UNITS.get(formatter, (("", 1.0),))
    suffix, size = next((each for each in units if abs(value) >= each[1]), units[-1])
    scaled, spread = value / size, half / size
    # Two digits of the spread where it begins with 1, else one; the value as far as they go.
    digits = -math.floor(math.log10(spread))
    if spread * 10**digits < 2:
        digits += 1
    most = 4 - math.floor(math.log10(abs(scaled)))
    if digits > 6:  # 2.99e-06: with an exponent of its own
        return f"{scaled:.3g} ± {spread:.1g}{suffix}"
    if digits > most:  # narrower than the figure is told
        digits = most
        if round(spread, digits) == 0:
            return f"{scaled:,.{max(digits, 0)}f} ± <{10.0**-digits:g}{suffix}"
    digits = max(digits, 0)
    if round(scaled, digits) == 0:
        scaled = 0.0  # never "-0.0"
    return f"{scaled:,.{digits}f} ± {spread:,.{digits}f}{suffix}"


def why_unranked(row: Row) -> str | None:
    """Why a row is in no ranking, in a word or two; None where it is."""
    if row["emulated"]:
        return "emulated"
    if row["validity"] == "suspect":
        return "suspect"
    if row["artifact_verdict"] == "broken":
        return "broken artifact"
    if row["status"] != "ok":
        return str(row["status"])
    return None


def best_figures(rows: Sequence[Row], keys: Sequence[str]) -> set[tuple[int, str]]:
    """Which figures are marked as the best: ``(place among rows, key)``.

    The one rule: among the ranked rows of the same session, model, device, workload and class of precision, a figure is
    the best where its 95 % interval lies wholly on the better side of every other one's. So there is at most one; there
    is none where the first two overlap, where a figure of the group has no interval, or where nothing else is in it.

    Args:
        rows: of one session, as `comparison_rows` gave them.
        keys: the columns.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if why_unranked(row) is None:
            group = tuple(row[key] for key in ("session", "model", "device", "workload", "precision_class"))
            groups.setdefault(group, []).append(place)
    found = set()
    for places in groups.values():
        for key in keys:
            winner = _best(rows, places, key)
            if winner is not None:
                found.add((winner, key))
    return found


def _best(rows: Sequence[Row], places: Sequence[int], key: str) -> int | None:
    better = METRICS[key].better
    ranked = [place for place in places if rows[place][key] is not None and _compares(rows[place], key)]
    if better is None or len(ranked) < 2:
        return None
    bounds = {place: interval_of(rows, rows[place], key) for place in ranked}
    if None in bounds.values():
        return None
    known = {place: each for place, each in bounds.items() if each is not None}
    if better == "higher":
        first = max(known, key=lambda place: known[place][0])
        clear = all(known[first][0] > known[place][1] for place in ranked if place != first)
    else:
        first = min(known, key=lambda place: known[place][1])
        clear = all(known[first][1] < known[place][0] for place in ranked if place != first)
    return first if clear else None


def _compares(row: Row, key: str) -> bool:
    """Whether a figure compares with the others of its group."""
    if key.startswith("speedup_") and BASELINE_SUSPECT in (row["flags"] or ()):
        return False
    return not (key in QUALITY_KEYS and row.other_positions is not None)
