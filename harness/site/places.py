"""Where on the site a session, the samples of a cell and a figure stand, by what is stored of them.

Owns these paths: whatever leads to them, on the site or from outside, asks here. Contract: paths from the site's root;
what has no page has none; a cell's first page has an anchor for every figure, for those that are missing too.
"""

from __future__ import annotations

from harness.site.names import slug
from harness.store.facts import CellFacts

#: Anchor of a cell's runs in its first page.
RUNS = "runs"


def session_home(session_id: str) -> str:
    """The folder of a session's pages."""
    return f"sessions/{slug(session_id)}"


def session_page(session_id: str) -> str:
    """Its first page."""
    return f"{session_home(session_id)}/index.html"


def cell_page(session_id: str, cell: CellFacts) -> str | None:
    """The first page of a cell's samples in a session; None where nothing of it is stored there."""
    # A run that was skipped has nothing but its reason, which the coverage page has; an artifact has figures.
    tried = any(run.status != "skipped" for run in cell.runs)
    if tried or cell.score is not None or cell.evaluation is not None or cell.artifact is not None:
        return f"{session_home(session_id)}/c{cell.position}.html"
    return None


def figure_place(page: str, column: str) -> str:
    """A figure in a cell's page; ``column``: as of the table."""
    return f"{page}#{column}"
