"""Where on the site a session and the samples of its cells are shown.

Owns what leads where. Contract: paths from the site's root; what has no page has no way.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.site.session import Published


class Ways:
    """The pages of the sessions that have some."""

    def __init__(self) -> None:
        self._sessions: dict[str, str] = {}
        self._cells: dict[tuple[str, str], str] = {}

    def add(self, one: Published) -> None:
        """A session whose pages are written."""
        self._sessions[one.id] = one.page
        for each in one.shown:
            if each.page is not None and each.cell_id is not None:
                self._cells[one.id, each.cell_id] = each.page

    @property
    def sessions(self) -> Mapping[str, str]:
        """The first page of each session, by its id."""
        return self._sessions

    def samples(self, session_id: str, cell_id: str) -> str | None:
        """The page of a cell's samples in a session; the session's where the cell has none there."""
        return self._cells.get((session_id, cell_id)) or self._sessions.get(session_id)
