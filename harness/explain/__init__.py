"""Where every figure of a table comes from: its samples, and from there machine, environment, artifact and commit.

Owns the explanation of rows: `explain` makes it, `explanation_json` and `explanation_text` show it. Imports the store,
the table and the list of frameworks. Contract: the values of runs are those that the table itself computed its figures
from (`Row.basis`), every id can be given to ``edgebench show``, and what was left out stands there with its reason.
"""

from harness.explain.explanation import Explanation, explain
from harness.explain.pages import explanation_json, explanation_text

__all__ = ["Explanation", "explain", "explanation_json", "explanation_text"]
