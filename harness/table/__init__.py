"""The metrics, the rows of the comparison table, and its formats.

`metrics` defines every column once, `facts` what rows are made from, `rows` makes them, `view` arranges them for
people, `render` writes them. Imports no store: whoever reads the database fills the facts.
"""

from harness.table.facts import About, SessionFacts
from harness.table.metrics import METRICS, ROW_KEYS, Metric
from harness.table.render import FORMATS, render
from harness.table.rows import Row, comparison_rows
from harness.table.verdict import artifact_broken

__all__ = [
    "FORMATS",
    "METRICS",
    "ROW_KEYS",
    "About",
    "Metric",
    "Row",
    "SessionFacts",
    "artifact_broken",
    "comparison_rows",
    "render",
]
