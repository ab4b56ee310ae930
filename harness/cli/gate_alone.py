"""What ``edgebench gate`` does without pairs: a preset over one configuration, and a stored baseline.

Owns which options belong together, and the way from them to a document. Contract: options that contradict each other
are refused before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.gate.metrics import GateMetric
    from harness.runner.front import Request
    from harness.runner.progress import SessionProgress
    from harness.store import Store

#: Makes the document.
Task = Callable[["Store", Path, "SessionProgress"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Words:
    """The options of the command that decide what kind of gate it is."""

    suite: str | None
    base: tuple[str, ...]
    head: tuple[str, ...]
    same: bool
    preset: str | None
    presets: Path | None
    session: str | None
    baseline: str | None
    runs: int | Literal["auto"] | None
    margins: tuple[str, ...]
    with_suspect: bool
    allow_missing: bool
    measuring: bool

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: it does, or there is nothing to judge.
        """
        if self.preset is not None:
            self._refuse(
                "--preset judges one configuration, not a change",
                {
                    "--base": self.base,
                    "--head": self.head,
                    "--same": self.same,
                    "--baseline": self.baseline,
                    "--margin": self.margins,
                    "--allow-missing": self.allow_missing,
                },
            )
        else:
            self._refuse("there is no --preset", {"--presets": self.presets, "--session": self.session})
        if self.session is not None:
            self._refuse(
                "--session judges what is stored",
                {"SUITE": self.suite, "--runs, --option, --models and --seed": self.measuring},
            )
        elif self.suite is None:
            raise UsageError(
                "there is no suite to measure",
                next_step="name one, such as quickstart; or --preset NAME with --session ID for a stored session",
            )
        if self.baseline is not None:
            self._refuse(
                "--baseline is in place of a base that runs",
                {"--base": self.base, "--same": self.same, "--with-suspect": self.with_suspect},
            )
        elif self.preset is None:
            self._refuse("a gate of pairs plans its runs itself (--max-pairs)", {"--runs": self.runs})

    @staticmethod
    def _refuse(why: str, given: Mapping[str, object]) -> None:
        found = [name for name, value in given.items() if value]
        if found:
            raise UsageError(f"{why}: {', '.join(found)}", next_step=f"leave out {' and '.join(found)}")


def preset_task(words: Words, run: Request) -> Task:
    """Judge a stored session, or measure the suite's chosen cells first.

    Raises:
        UsageError: no such preset, or its file is wrong.
    """
    from harness.gate.deployment import chosen_cells, judge_session, measure
    from harness.gate.presets import load_preset

    name = words.preset or ""
    preset = load_preset(name, words.presets)

    def task(store: Store, cache_dir: Path, progress: SessionProgress) -> dict[str, Any]:
        if words.session is not None:
            from harness.cli.lookup import session_id_of

            session_id = session_id_of(store, words.session)
            chosen = chosen_cells(store, session_id, run.expression)
        else:
            session_id, chosen = measure(run, preset, store, cache_dir, progress)
        return judge_session(store, session_id, chosen, name, preset, with_suspect=words.with_suspect)

    return task


def baseline_task(words: Words, run: Request, metrics: Mapping[str, GateMetric], max_pairs: int) -> Task:
    """Measure head and judge it against stored sessions.

    Raises:
        UsageError: no such condition.
    """
    from harness.gate.baseline import BaselineRequest, run_baseline_gate
    from harness.gate.stored import Baseline

    text = words.baseline or ""
    condition = Baseline.condition(text)

    def task(store: Store, cache_dir: Path, progress: SessionProgress) -> dict[str, Any]:
        from harness.cli.lookup import session_id_of

        baseline = condition or Baseline(text, session=session_id_of(store, text))
        request = BaselineRequest(
            run, baseline, words.head, metrics, max_pairs=max_pairs, allow_missing=words.allow_missing
        )
        return run_baseline_gate(request, store, cache_dir, progress)

    return task
