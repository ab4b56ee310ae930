"""`harness.runner.progress`: the bar of several sessions in one display."""

from __future__ import annotations

import io

from rich.console import Console

from harness.runner.progress import TerminalProgress


def test_sessions_after_each_other_in_one_display_have_one_bar() -> None:
    """As of a gate: both sides, and both sides' second looks."""
    progress = TerminalProgress(Console(file=io.StringIO(), force_terminal=True, width=100))
    for total in (3, 2):
        progress.step("making things")
        progress.begin(total, 0)
    progress.more(1)
    progress.run_ended("one", "ok", ok=True)
    progress.close()
    (task,) = progress._bar.tasks
    assert (task.completed, task.total) == (1, 3)
