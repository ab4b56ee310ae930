"""What a person sees while artifacts are made: a bar, a line per job under way, a line per job that ended.

Owns the display only; writes to standard error. It draws from a thread of its own: nothing is being measured.
Contract: its methods may be called from several threads.
"""

from __future__ import annotations

import threading
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from harness.runner.progress import LineProgress, QuietProgress, SessionProgress


class PrepareProgress(SessionProgress, Protocol):
    """Where a preparation says what it is doing."""

    def begin_jobs(self, total: int, at_once: int) -> None:
        """Everything that jobs share is there."""

    def job_started(self, name: str) -> None:
        """A job begins."""

    def job_ended(self, name: str, outcome: str, *, ok: bool) -> None:
        """A job ended."""


class QuietPrepare(QuietProgress):
    """Nothing at all."""

    def begin_jobs(self, total: int, at_once: int) -> None: ...
    def job_started(self, name: str) -> None: ...
    def job_ended(self, name: str, outcome: str, *, ok: bool) -> None: ...


class LinePrepare(LineProgress):
    """A line per event, for logs and pipes."""

    def begin_jobs(self, total: int, at_once: int) -> None:
        self._total = total
        self._print(f"{total} artifacts, up to {at_once} at once")

    def job_started(self, name: str) -> None:
        """Not written: making says itself that it begins, where nothing is in the cache."""

    def job_ended(self, name: str, outcome: str, *, ok: bool) -> None:
        self._done += 1
        self._print(f"[{self._done}/{self._total}] {'' if ok else 'FAILED '}{name}: {outcome}")


class TerminalPrepare(QuietProgress):
    """Bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._all: TaskID | None = None
        self._running: dict[str, TaskID] = {}
        self._bar.start()

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def step(self, text: str) -> None:
        # Jobs have lines of their own; waiting for another session and warnings have not.
        if not text.startswith("making "):
            self.note(text)

    def begin_jobs(self, total: int, at_once: int) -> None:
        self._all = self._bar.add_task(f"preparing, up to {at_once} at once", total=total)

    def job_started(self, name: str) -> None:
        with self._lock:
            self._running[name] = self._bar.add_task(f"  {name}", total=None)

    def job_ended(self, name: str, outcome: str, *, ok: bool) -> None:
        with self._lock:
            task = self._running.pop(name, None)
        if task is not None:
            self._bar.remove_task(task)
        self.note(f"{'✓' if ok else '✗'} {name}: {outcome}")
        if self._all is not None:
            self._bar.advance(self._all)

    def close(self) -> None:
        self._bar.stop()


def prepare_progress_for(console: Console, *, quiet: bool) -> PrepareProgress:
    """The display that fits: bars on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return QuietPrepare()
    return TerminalPrepare(console) if console.is_terminal else LinePrepare(console)
