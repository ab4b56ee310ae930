"""What somebody wants of a configuration: limits that it must keep, and what is preferred among those that do.

Owns both. Contract: objectives are columns of the comparison table, in its units; a wrong word is a UsageError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from harness.errors import UsageError
from harness.gate.metrics import DEFAULTS
from harness.table.metrics import METRICS

#: Words for a person, and the column each is of; in the default order of preference.
OBJECTIVES: Mapping[str, str] = {
    "speed": "decode_tps",
    "accuracy": "kld_mean",
    "memory": "peak_rss_bytes",
    "energy": "energy_joules_per_decode_token",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What must hold; None: no limit. In the units of the columns."""

    max_memory_bytes: float | None = None
    min_decode_tps: float | None = None
    min_prefill_tps: float | None = None
    max_kld: float | None = None
    max_joules_per_token: float | None = None

    def of_columns(self) -> dict[str, float]:
        """The limits that are set, by column."""
        return {
            _COLUMN_OF[one.name]: value
            for one in fields(self)
            if (value := getattr(self, one.name)) is not None
        }


_COLUMN_OF = {
    "max_memory_bytes": "peak_rss_bytes",
    "min_decode_tps": "decode_tps",
    "min_prefill_tps": "prefill_tps",
    "max_kld": "kld_mean",
    "max_joules_per_token": "energy_joules_per_decode_token",
}


def keeps(column: str, value: float, limit: float) -> bool:
    """Whether a figure keeps a limit: at least where higher is better, else at most."""
    return value >= limit if METRICS[column].better == "higher" else value <= limit


@dataclass(frozen=True, slots=True)
class Preference:
    """What is preferred: columns in order, or weights of columns.

    Attributes:
        order: of what counts first to what counts last; used where there are no weights.
        weights: by column, above 0; empty: the order decides.
    """

    order: tuple[str, ...]
    weights: Mapping[str, float]

    @property
    def columns(self) -> tuple[str, ...]:
        """What counts at all."""
        return tuple(self.weights) if self.weights else self.order


def preference(order: str | None, weights: str | None) -> Preference:
    """Of ``speed,memory`` or ``speed=2,accuracy=5``; of neither the default order.

    Raises:
        UsageError: both are given, or a word means nothing.
    """
    if order is not None and weights is not None:
        raise UsageError(
            "preferences are an order or weights, not both", next_step="leave --prefer or --weights out"
        )
    if weights is None:
        words = OBJECTIVES if order is None else [word.strip() for word in order.split(",") if word.strip()]
        columns = tuple(dict.fromkeys(_column(word) for word in words))
        if not columns:
            raise UsageError("no preference is named", next_step=f"name some of {', '.join(OBJECTIVES)}")
        return Preference(columns, {})
    found = {}
    for part in weights.split(","):
        word, _, number = part.partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise UsageError(
                f"{part.strip()!r} is no weight above 0", next_step="write speed=2,memory=1,accuracy=5"
            )
        found[_column(word.strip())] = weight
    return Preference((), found)


def _column(word: str) -> str:
    if word not in OBJECTIVES:
        raise UsageError(
            f"no preference is called {word!r}", next_step=f"choose from {', '.join(OBJECTIVES)}"
        )
    return OBJECTIVES[word]


def utility(column: str, value: float) -> float:
    """On one scale, higher is better: natural logarithms; a divergence is one already."""
    if column == "kld_mean":
        return -value
    sign = 1 if METRICS[column].better == "higher" else -1
    return sign * math.log(value)


def practically_equal(column: str, value: float, best: float) -> bool:
    """Whether a figure is so near the best one that the difference does not matter: the gate's practical margins."""
    metric = DEFAULTS[column]
    if metric.absolute is not None:
        return value - best <= max(metric.absolute, metric.margin * best)
    return utility(column, best) - utility(column, value) <= math.log1p(metric.margin)
