"""The rows as a pandas frame, for notebooks and analyses of one's own.

Imported only by who wants one: pandas costs half a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.table.metrics import METRICS, ROW_KEYS
from harness.table.rows import Row


def comparison_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One line a row, one column a key of the table's JSON, in its order.

    Figures are float64 with NaN for what is missing (pandas' own sign for it), texts are objects with None. The unit
    of a column is in ``frame.attrs["units"]``.
    """
    frame = pd.DataFrame([[row[key] for key in ROW_KEYS] for row in rows], columns=list(ROW_KEYS))
    for key in ROW_KEYS:
        if METRICS[key].kind == "metric" and key not in ("intervals", "tasks"):
            frame[key] = pd.to_numeric(frame[key]).astype("float64")
    frame.attrs["units"] = {key: METRICS[key].unit for key in ROW_KEYS}
    return frame
