"""pytest as a second front door: ``pytest suites/quickstart.yaml``.

Owns collecting suite files that are named on the command line (never by walking folders), one item per cell, and
handing a cell's timings to pytest-benchmark. The session itself is `harness.runner.front`'s, the same as the command
line's. Imports nothing of the lab half until a suite file is collected: this plugin is loaded in every pytest of the
environment. Contract: all selected cells are measured in one session, shuffled, when the first item runs; each item
then reports its own cell.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.runner.front import Plan
    from harness.store.facts import CellFacts
    from harness.suite import PlannedCell

SUFFIXES = (".yaml", ".yml")
_KEY = pytest.StashKey["SuiteSession"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of suite files; they do nothing without one."""
    group = parser.getgroup("edgebench", "edgebench suites")
    group.addoption(
        "--edgebench-db", metavar="PATH|URL", default=None, help="Results database of edgebench suites."
    )
    group.addoption(
        "--edgebench-with",
        metavar="REQUIREMENT",
        action="append",
        default=[],
        help="As `edgebench run --with`: NAME==VERSION or ./FILE.whl in place of a framework's pin.",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Collects a suite file that the command line names."""
    if file_path.suffix.lower() not in SUFFIXES or not _named(file_path, parent.config):
        return None
    return SuiteFile.from_parent(parent, path=file_path)


def _named(path: Path, config: pytest.Config) -> bool:
    invoked = config.invocation_params.dir
    for argument in config.args:
        word = argument.partition("::")[0]
        if (invoked / word).resolve() == path.resolve():
            return True
    return False


class SuiteFile(pytest.File):
    """A suite: one item per cell."""

    def collect(self) -> Iterator[CellItem]:
        """The cells of the suite, in its order."""
        from harness.errors import EdgebenchError
        from harness.runner import front

        request = front.Request(
            suite=self.path, overrides=tuple(self.config.getoption("--edgebench-with")), trigger="pytest"
        )
        try:
            plan = front.make_plan(request)
        except EdgebenchError as error:
            raise self.CollectError(f"{error.what}\n{error.next_step}") from None
        self.stash[_KEY] = SuiteSession(self, plan)
        for planned in plan.cells:
            yield CellItem.make(self, planned)


class SuiteSession:
    """One session for all selected items of a suite file."""

    def __init__(self, file: SuiteFile, plan: Plan) -> None:
        self._file = file
        self._plan = plan
        self._facts: dict[str, CellFacts] | None = None
        self._failure: Exception | None = None

    def facts(self, cell_id: str) -> CellFacts:
        """What was stored of a cell; the first call measures all selected cells."""
        if self._failure is not None:
            raise self._failure
        if self._facts is None:
            try:
                self._facts = self._measure()
            except Exception as error:
                # A session that could not be carried out is not begun again for the next item.
                self._failure = error
                raise
        return self._facts[cell_id]

    def _measure(self) -> dict[str, CellFacts]:
        import dataclasses

        from harness.paths import cache_dir, default_database
        from harness.runner import front
        from harness.runner.progress import progress_for
        from harness.store import Store

        config = self._file.config
        chosen = {
            item.planned.cell.id
            for item in self._file.session.items
            if isinstance(item, CellItem) and item.suite is self
        }
        cells = tuple(planned for planned in self._plan.cells if planned.cell.id in chosen)
        database = (
            config.getoption("--edgebench-db") or os.environ.get("EDGEBENCH_DB") or str(default_database())
        )
        capture = config.pluginmanager.getplugin("capturemanager")
        with Store.open(database) as store:
            warning = front.clock_warning(store)
            session_id = front.begin_session(dataclasses.replace(self._plan, cells=cells), store)
            # None with `-p no:capture`: then nothing is captured anyway.
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                progress = progress_for(quiet=config.get_verbosity() < 0)
                progress.note(f"\nsession {session_id} in {store.place}")
                if warning is not None:
                    progress.note(warning)
                front.carry_out(session_id, store, cache_dir(), progress)
            return {one.cell.id: one for one in store.session_facts(session_id).cells}


class CellFailed(Exception):
    """A cell that ended neither ok nor skipped; the message is what a person reads."""


class CellItem(pytest.Function):
    """One cell. A function item, so that it takes pytest-benchmark's own fixture."""

    planned: PlannedCell
    suite: SuiteSession

    @classmethod
    def make(cls, parent: SuiteFile, planned: PlannedCell) -> CellItem:
        """The item of a cell."""
        clock = SampleClock()
        item: CellItem = cls.from_parent(parent, name=planned.cell.name, callobj=_body(planned, clock))
        item.planned = planned
        item.suite = parent.stash[_KEY]
        item.extra_keyword_matches.update(planned.cell.parts)
        if planned.reason is not None:
            item.add_marker(pytest.mark.skip(reason=planned.reason))
        if _has_benchmark(parent.config):
            item.add_marker(pytest.mark.benchmark(timer=clock, group=_group(planned)))
        return item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A failed cell's reason, without this plugin's stack."""
        from harness.errors import EdgebenchError

        if isinstance(excinfo.value, CellFailed):
            return str(excinfo.value)
        if isinstance(excinfo.value, EdgebenchError):
            return f"{excinfo.value.what}\n{excinfo.value.next_step}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The suite file and the cell's name."""
        return self.path, 0, self.name


class SampleClock:
    """A timer that stands where the stored samples say: pytest-benchmark then sees exactly their durations."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _has_benchmark(config: pytest.Config) -> bool:
    """Whether pytest-benchmark takes part: `-p no:benchmark` and an environment without it are fine."""
    return config.pluginmanager.hasplugin("benchmark")


def _group(planned: PlannedCell) -> str:
    return f"{planned.cell.workload}: seconds per token of the {_phase(planned)}"


def _phase(planned: PlannedCell) -> str:
    return "decode" if planned.cell.workload.decode_tokens else "prefill"


def _body(planned: PlannedCell, clock: SampleClock) -> Any:
    """The item's test function."""

    def cell(request: pytest.FixtureRequest) -> None:
        item = request.node
        assert isinstance(item, CellItem)
        facts = item.suite.facts(planned.cell.id)
        seconds = _seconds_per_token(planned, facts)
        _raise_for_status(facts)
        if not _has_benchmark(request.config):
            return  # everything is measured and stored; only pytest's own table of timings is missing
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info.update(_extra(planned, facts))
        durations = iter(seconds)

        def advance() -> None:
            clock.now += next(durations)

        benchmark.pedantic(advance, rounds=1 if benchmark.disabled else len(seconds), iterations=1)

    return cell


def _seconds_per_token(planned: PlannedCell, facts: CellFacts) -> list[float]:
    """One value per timed repetition of every run; tokens of all sequences of a batch."""
    phase = _phase(planned)
    workload = planned.cell.workload
    tokens = workload.decode_tokens if phase == "decode" else workload.prompt_tokens
    return [
        sample.values[f"{phase}_s"] / (tokens * workload.batch)
        for run in facts.timed()
        for sample in run.samples
        if not sample.warmup and f"{phase}_s" in sample.values
    ]


def _raise_for_status(facts: CellFacts) -> None:
    runs = facts.timed()
    for run in runs:
        if run.status not in ("ok", "skipped"):
            raise CellFailed(f"{run.status}: {run.reason} (edgebench show {run.id})")
    failed = [run for run in facts.runs if run.kind == "score" and run.status not in ("ok", "skipped")]
    if failed:
        raise CellFailed(f"scoring {failed[-1].status}: {failed[-1].reason} (edgebench show {failed[-1].id})")
    skipped = [run.reason for run in runs if run.status == "skipped"]
    if skipped and len(skipped) == len(runs):
        pytest.skip(skipped[0] or "skipped")


def _extra(planned: PlannedCell, facts: CellFacts) -> dict[str, Any]:
    """What pytest-benchmark's JSON says beside the timings: where the samples are, and the prefill's."""
    runs = facts.timed()
    prompt = planned.cell.workload.batch * planned.cell.workload.prompt_tokens
    return {
        "session": runs[0].session_id if runs else None,
        "cell": planned.cell.id,
        "runs": [run.id for run in runs],
        "validity": [run.validity for run in runs],
        "framework_version": runs[0].framework_version if runs else None,
        "prefill_tps": [
            prompt / sample.values["prefill_s"]
            for run in runs
            for sample in run.samples
            if not sample.warmup and sample.values.get("prefill_s")
        ],
    }
