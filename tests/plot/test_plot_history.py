"""`harness.plot.history`: what stands in the chart."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.history import change_points
from harness.plot.history import history_chart


def _data(spec: dict[str, Any], layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one layer."""
    rows: list[dict[str, Any]] = spec["datasets"][layer["data"]["name"]]
    return rows


def test_every_row_is_a_dot_and_every_change_a_rule_within_its_band() -> None:
    values = np.array([10.0] * 20 + [12.0] * 20)
    index = range(100, 140)
    chart = history_chart("speed", index, values, change_points(values), value_title="tokens/s").to_dict()
    band, dots, lines, rules = chart["layer"]
    assert [(row["index"], row["value"]) for row in _data(chart, dots)] == list(
        zip(index, values.tolist(), strict=True)
    )
    (change,) = _data(chart, rules)
    assert (change["first"], change["index"], change["last"]) == (119, 119, 119)
    assert change == _data(chart, band)[0]
    assert [(line["index"], line["end"], line["value"]) for line in _data(chart, lines)] == [
        (100, 119, 10.0),
        (120, 139, 12.0),
    ]
    assert chart["layer"][1]["encoding"]["y"]["title"] == "tokens/s"
