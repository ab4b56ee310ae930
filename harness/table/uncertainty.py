"""Figures with their uncertainty and what it rests on, as documents show them: ``121 ± 2 (5 runs)``.

Owns `interval_of`, `uncertain_text` and `with_half`. Contract: no figure of a measurement without its interval or the
number of runs behind it; an interval is in the figure's own unit, and never told to more digits than it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from harness.table.metrics import METRICS, as_bytes, as_factor, as_joules, as_percent, as_seconds
from harness.table.rows import COMPARED, QUALITY_KEYS, Row

#: Figures of an artifact or of a model's shape: they have no spread.
EXACT = frozenset({"weight_bytes", "bits_per_weight", "touched_weight_bytes", "analytic_kv_bytes"})

#: A formatter's units: factor and suffix, largest first; of the others the number stands as it is.
_UNITS: Mapping[Callable[[float], str], tuple[tuple[str, float], ...]] = {
    as_bytes: ((" GB", 1e9), (" MB", 1e6), (" kB", 1e3), (" B", 1.0)),
    as_seconds: ((" s", 1.0), (" ms", 1e-3), (" µs", 1e-6), (" ns", 1e-9)),
    as_joules: ((" J", 1.0), (" mJ", 1e-3), (" µJ", 1e-6)),
    as_percent: ((" %", 1e-2),),
    as_factor: (("×", 1.0),),
}


def interval_of(row: Row, key: str) -> tuple[float, float] | None:
    """The 95 % interval of a figure.

    Returns:
        None where fewer than two runs or windows are behind it. A figure that has no spread is its own interval.
    """
    value = row[key]
    if value is None:
        return None
    if key in EXACT:
        return value, value
    known = (row["intervals"] or {}).get(key)
    return None if known is None else (known[0], known[1])


def runs_behind(row: Row, key: str) -> str:
    """What a figure rests on, in words: ``5 runs``, ``8,064 positions``; empty where it is neither."""
    of = COMPARED.get(key, key)
    count = len(row.basis.get(of, ()))
    if count:
        return f"{count} run{'' if count == 1 else 's'}"
    if key in QUALITY_KEYS and row["scored_positions"] is not None:
        return f"{row['scored_positions']:,} positions"
    return ""


def uncertain_text(row: Row, key: str) -> str:
    """``121 ± 2 (5 runs)``: a figure with half its 95 % interval in its own unit, and what it rests on.

    Without an interval the number of runs alone says why.
    """
    value = row[key]
    interval = interval_of(row, key)
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
