"""Colours and shapes with a fixed meaning in all plots.

Owns the one assignment of colours to frameworks. Imports the standard library. Contract: a framework has the same
colour in every plot and every version; colours are Okabe and Ito's, which people with any colour vision tell apart, and
never the only sign: phases have shapes, suspect figures are hollow.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Okabe and Ito's eight (2008), black for what is measured from outside.
_FRAMEWORKS = {
    "llamacpp": "#0072B2",
    "openvino": "#E69F00",
    "mlx": "#009E73",
    "olive": "#CC79A7",
    "qnn": "#D55E00",
    "directml": "#56B4E9",
    "server": "#000000",
}
#: Of frameworks that others add, by name; the last one is for all that remain.
_OTHERS = ("#F0E442", "#882255", "#999999")

#: Roofs, rules, text that is no data.
NEUTRAL = "#555555"

#: Vega's shapes.
PHASE_SHAPES = {"decode": "circle", "prefill": "triangle-up"}


def framework_colours(frameworks: Iterable[str]) -> dict[str, str]:
    """The colour of each framework that a plot shows, in order of name."""
    shown = sorted(set(frameworks))
    others = [name for name in shown if name not in _FRAMEWORKS]
    return {
        name: _FRAMEWORKS.get(name) or _OTHERS[min(others.index(name), len(_OTHERS) - 1)] for name in shown
    }
