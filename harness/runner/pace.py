"""What may hold a session up or end it early: a night's time budget, a machine that is still hot.

Owns the interface and the pace of a session that nobody hurries. Imports the standard library. Contract: asked between
runs only, never while something is measured; once it said that time is over it goes on saying so.
"""

from __future__ import annotations

from typing import Protocol


class Pace(Protocol):
    """Asked by a session between its runs."""

    def over(self) -> str | None:
        """Why nothing more may begin; None while there is time. What is left is then stored as skipped."""

    def before_timed(self) -> None:
        """A timed run is about to begin; may wait."""


class Unhurried:
    """Goes on at once, to the end."""

    def over(self) -> str | None:
        """Never."""
        return None

    def before_timed(self) -> None:
        """No wait."""
