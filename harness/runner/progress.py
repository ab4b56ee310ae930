"""What a person sees while a session runs: one bar, the current cell and phase, the time left.

Owns the display only; writes to standard error, so that standard output holds the table alone. Contract: every
call returns at once and never draws from a thread of its own while a timed run is under way, so that the display
takes no processor time from what is measured.
"""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from harness.safe_text import printable, without_passwords


class SessionProgress(Protocol):
    """Where a session says what it is doing."""

    def note(self, text: str) -> None:
        """A line that stays: a licence, an environment being made, a failure."""

    def step(self, text: str) -> None:
        """What set-up is doing now."""

    def begin(self, total: int, done: int) -> None:
        """The runs begin: ``total`` of them, ``done`` already stored."""

    def more(self, count: int) -> None:
        """So many more runs were planned."""

    def run_started(self, label: str, left_s: float | None) -> None:
        """A run begins; ``left_s`` is the expected time until the end of the session."""

    def phase(self, name: str) -> None:
        """The current run enters a phase."""

    def run_ended(self, label: str, outcome: str, *, ok: bool) -> None:
        """A run ended and is stored."""

    def close(self) -> None:
        """The session ended."""


def _plain(text: str) -> str:
    """Words of files, frameworks and servers: no control characters, no passwords."""
    return printable(without_passwords(text))


def duration_text(seconds: float | None) -> str:
    """``75`` -> ``1 min 15 s``; None -> ``?``."""
    if seconds is None:
        return "?"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class TerminalProgress:
    """A rich bar, drawn only when something changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            # No refresh thread: it would wake up beside the timed process.
            auto_refresh=False,
        )
        self._task: TaskID | None = None
        self._total = 0
        self._label = ""
        self._bar.start()
        self._setup: TaskID | None = None

    def note(self, text: str) -> None:
        self._bar.console.print(_plain(text), markup=False, highlight=False)

    def step(self, text: str) -> None:
        if self._setup is None:
            self._setup = self._bar.add_task("", total=None, left="")
        shown = escape(_plain(text)[: self._room()])
        self._bar.update(self._setup, description=f"[bold]set-up[/bold] {shown}")
        self._bar.refresh()

    def begin(self, total: int, done: int) -> None:
        if self._setup is not None:
            self._bar.remove_task(self._setup)
            self._setup = None
        if self._task is not None:  # of a session before in the same display
            self._bar.remove_task(self._task)
        self._total = total
        self._task = self._bar.add_task("measuring", total=total, completed=done, left="")
        self._bar.refresh()

    def more(self, count: int) -> None:
        self._total += count
        if self._task is not None:
            self._bar.update(self._task, total=self._total)
            self._bar.refresh()

    def run_started(self, label: str, left_s: float | None) -> None:
        self._label = _plain(label)
        if self._task is not None:
            self._bar.update(
                self._task,
                description=escape(self._label[: self._room()]),
                left=f"{duration_text(left_s)} left",
            )
            self._bar.refresh()

    def phase(self, name: str) -> None:
        if self._task is not None:
            self._bar.update(
                self._task,
                description=f"{escape(self._label[: self._room() - 12])} [cyan]{escape(name)}[/cyan]",
            )
            self._bar.refresh()

    def run_ended(self, label: str, outcome: str, *, ok: bool) -> None:
        if not ok:
            self._bar.console.print(f"[red]✗[/red] {escape(_plain(f'{label}: {outcome}'))}", highlight=False)
        if self._task is not None:
            self._bar.advance(self._task)
            self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()

    def _room(self) -> int:
        return max(24, self._console.width - 62)


class LineProgress:
    """A line per event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._left: float | None = None

    def note(self, text: str) -> None:
        self._print(text)

    def step(self, text: str) -> None:
        self._print(f"set-up: {text}")

    def begin(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._print(f"{total - done} of {total} runs to do")

    def more(self, count: int) -> None:
        self._total += count

    def run_started(self, label: str, left_s: float | None) -> None:
        self._left = left_s

    def phase(self, name: str) -> None:
        """Not written: a log wants results, not phases."""

    def run_ended(self, label: str, outcome: str, *, ok: bool) -> None:
        self._done += 1
        mark = "" if ok else "FAILED "
        self._print(
            f"[{self._done}/{self._total}] {mark}{label}: {outcome} ({duration_text(self._left)} left)"
        )

    def close(self) -> None:
        """Nothing to take down."""

    def _print(self, text: str) -> None:
        self._console.print(_plain(text), markup=False, highlight=False, soft_wrap=True)


class QuietProgress:
    """Nothing at all: ``--quiet``, and programs that read JSON."""

    def note(self, text: str) -> None: ...
    def step(self, text: str) -> None: ...
    def begin(self, total: int, done: int) -> None: ...
    def more(self, count: int) -> None: ...
    def run_started(self, label: str, left_s: float | None) -> None: ...
    def phase(self, name: str) -> None: ...
    def run_ended(self, label: str, outcome: str, *, ok: bool) -> None: ...
    def close(self) -> None: ...


def progress_for(*, quiet: bool = False) -> SessionProgress:
    """The display that fits standard error: a bar on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return QuietProgress()
    console = Console(file=sys.stderr)
    return TerminalProgress(console) if console.is_terminal else LineProgress(console)
