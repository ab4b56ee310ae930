"""The rows for programs: JSON and CSV, raw values in raw units."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from harness.safe_text import finite, guarded, json_text, printable
from harness.table.rows import Row


def render_json(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """``{"rows": [...]}``; missing is null."""
    listed = [{key: row[key] for key in keys} for row in rows]
    return json_text({"rows": listed}) + "\n"


def render_csv(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """One line a row after a line of keys; missing is empty, lists and mappings are JSON.

    A text that a spreadsheet might take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_field(row[key]) for key in keys] for row in rows)
    return text.getvalue()


def _field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return printable(json.dumps(finite(value), allow_nan=False, ensure_ascii=False))
    return guarded(printable(value)) if isinstance(value, str) else value
