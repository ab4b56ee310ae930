"""Colours and shapes with a fixed meaning in all plots.

Owns the one assignment of colours to frameworks. Imports the standard library. Contract: a framework has the same
colour in every plot and every version, whoever stands beside it; colours are Okabe and Ito's, which people with any
colour vision tell apart, for frameworks of others such of Tol's as differ from them; and never the only sign: phases
have shapes, suspect figures are hollow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

#: Okabe and Ito's eight (2008).
BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

#: Black for what is measured from outside.
_FRAMEWORKS = {
    "llamacpp": BLUE,
    "openvino": ORANGE,
    "mlx": GREEN,
    "olive": PURPLE,
    "qnn": VERMILION,
    "directml": SKY_BLUE,
    "server": BLACK,
}
#: Of frameworks that others add, by their names alone: two of them may share one.
_OTHERS = (YELLOW, "#882255", "#999999", "#332288", "#999933")

#: A series over time: its values, its levels, and where they change.
SERIES_VALUES = SKY_BLUE
SERIES_LEVELS = BLUE
SERIES_CHANGES = VERMILION

#: Roofs, rules, text that is no data.
NEUTRAL = "#555555"

#: Lines behind the data.
GRID = "#eeeeee"

#: What stands for a colour on a dark ground, where the colour itself is not seen.
ON_DARK = {
    NEUTRAL: "#bbbbbb",
    BLACK: "#ffffff",
    GRID: "#3a3a3a",
    BLUE: "#4aa3df",
    "#882255": "#cc6699",
    "#332288": "#9a8cff",
}

#: Vega's settings on a dark ground, for what a chart gives no colour of its own.
DARK_CONFIG: dict[str, dict[str, str]] = {
    "title": {"color": "#eeeeee", "subtitleColor": "#bbbbbb"},
    "axis": {
        "labelColor": "#dddddd",
        "titleColor": "#eeeeee",
        "tickColor": "#777777",
        "domainColor": "#777777",
    },
    "legend": {"labelColor": "#dddddd", "titleColor": "#eeeeee"},
    "header": {"labelColor": "#dddddd", "titleColor": "#eeeeee"},
    "text": {"color": "#dddddd"},
    "view": {"stroke": "#555555"},
}

#: Parts of a peak of memory, in the order in which they are stacked.
MEMORY_PARTS = {
    "framework's own size": "#999999",
    "touched weights": BLUE,
    "KV cache": ORANGE,
    "residual": PURPLE,
}

#: Vega's shapes, by how far a mark may be believed.
STANDING_SHAPES = {
    "measured": "circle",
    "suspect": "triangle-down",
    "emulated": "square",
    "not comparable": "diamond",
}

#: Vega's shapes.
PHASE_SHAPES = {"decode": "circle", "prefill": "triangle-up"}


def framework_colours(frameworks: Iterable[str]) -> dict[str, str]:
    """The colour of each framework that a plot shows, in order of name."""
    return {name: _FRAMEWORKS.get(name) or _of_name(name) for name in sorted(set(frameworks))}


def _of_name(framework: str) -> str:
    digest = hashlib.sha256(framework.encode("utf-8", "surrogatepass")).digest()
    return _OTHERS[int.from_bytes(digest[:4]) % len(_OTHERS)]
