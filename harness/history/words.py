"""Changes in words: how far, how sure, and whether it is for the better.

Owns these texts, for the terminal and reports alike. Imports the registry of metrics. Contract: a confidence is rounded
down: nothing is called surer than it is.
"""

from __future__ import annotations

from typing import Literal

from harness.table.metrics import METRICS

Worth = Literal["better", "worse", "neither"]


#: Beginnings of lm-eval's metrics of which more is better, in a series named ``task metric``.
_RIGHT = ("acc", "exact_match", "f1", "mcc", "bleu", "rouge", "pass@")


def value_text(metric: str, value: float) -> str:
    """A value of a metric with its unit, as tables have it; five digits where the registry does not know it."""
    known = METRICS.get(metric)
    return f"{value:.5g}" if known is None else known.format(value)


def figure_title(metric: str) -> str:
    """What a figure is called, as a table's column is; of a task's its own name."""
    known = METRICS.get(metric)
    return metric if known is None else known.title


def axis_title(metric: str) -> str:
    """The same with its unit, where it has one."""
    known = METRICS.get(metric)
    return (
        f"{figure_title(metric)} ({known.unit})" if known is not None and known.unit else figure_title(metric)
    )


def moved(metric: str, before: float, after: float, ratio: float | None) -> str:
    """``20.11 -> 19.02 (-5.4 %)``."""
    share = "" if ratio is None else f" ({100 * (ratio - 1):+.1f} %)"
    return f"{value_text(metric, before)} -> {value_text(metric, after)}{share}"


def sureness(confidence: float) -> str:
    """``99.98 %``, rounded down."""
    return f"{int(confidence * 10_000) / 100:.2f} %" if confidence < 0.9999 else "> 99.99 %"


def worth(metric: str, direction: str) -> Worth:
    """Whether a move in a direction is for the better, by the registry, of a task by its metric's name."""
    known = METRICS.get(metric)
    if known is None and metric.partition(" ")[2].startswith(_RIGHT):
        return "better" if direction == "up" else "worse"
    if known is None or known.better is None:
        return "neither"
    return "better" if (known.better == "higher") == (direction == "up") else "worse"
