"""The rows as a pandas frame."""

import math

from table_facts import cell, run, session

from harness.table import ROW_KEYS, comparison_rows
from harness.table.frame import comparison_frame


def test_the_frame_has_the_rows_and_keys_of_the_json() -> None:
    rows = comparison_rows(
        session(
            cell("llamacpp", "fp16", "F16", runs=(run("a", 0.1, 20, 500),)), cell("mlx", "int4", "4bit_g64")
        )
    )
    frame = comparison_frame(rows)
    assert list(frame.columns) == list(ROW_KEYS)
    assert len(frame) == len(rows)
    assert frame.attrs["units"]["decode_tps"] == "tokens/s"
    for place, row in enumerate(rows):
        found = frame["decode_tps"].iloc[place]
        expected = row["decode_tps"]
        assert (expected is None and math.isnan(found)) or found == expected
