"""`harness.plot.history`: what stands in the chart."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.history import change_points
from harness.plot.history import history_chart


def layers(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The data of the band, the dots, the levels and the rules."""
    return [spec["datasets"][layer["data"]["name"]] for layer in spec["layer"]]


def test_every_row_is_a_dot_and_every_change_a_rule_within_its_band() -> None:
    values = np.array([10.0] * 20 + [12.0] * 20)
    index = range(100, 140)
    spec = history_chart("speed", index, values, change_points(values), value_title="tokens/s").to_dict()
    bands, dots, levels, rules = layers(spec)
    assert [(row["index"], row["value"]) for row in dots] == list(zip(index, values.tolist(), strict=True))
    (change,) = rules
    assert (change["first"], change["index"], change["last"]) == (119, 119, 119)
    assert bands == rules
    assert [(level["index"], level["end"], level["value"]) for level in levels] == [
        (100, 119, 10.0),
        (120, 139, 12.0),
    ]
    assert spec["layer"][1]["encoding"]["y"]["title"] == "tokens/s"


def test_a_long_series_without_a_change_is_drawn_with_every_row() -> None:
    values = np.full(6000, 5.0)
    bands, dots, _, rules = layers(
        history_chart("speed", range(6000), values, change_points(values)).to_dict()
    )
    assert len(dots) == 6000
    assert bands == rules == []
