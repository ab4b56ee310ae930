"""Errors that a person reads: what happened, and what to do next.

Every failure that the program foresees is one of these; the command line prints the two sentences and exits with
the status, without a stack trace (`--traceback` shows it). Imports nothing.
"""

from __future__ import annotations


class EdgebenchError(Exception):
    """Something that the user can act on.

    Attributes:
        what: what happened, naming the cell, file or package.
        next_step: what to type or change next.
        status: exit status of the command line.
    """

    status = 1

    def __init__(self, what: str, *, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step


class UsageError(EdgebenchError):
    """The words of a command, a suite file or a setting are wrong."""

    status = 2
