"""What is known of each cell of a plan when a night is planned: when it was last measured, how noisily, what changed.

Owns these questions to the database. Imports the store and the plan. Contract: only what is stored is used; a cell that
nothing is known of is a candidate too, with the plan's rough guess of its time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name

from harness import __version__
from harness.environment import Override
from harness.environment.override import applicable
from harness.environment.pins import exact_version, top_level
from harness.nightly.planner import Candidate
from harness.runner.front import Plan
from harness.store import Store
from harness.store.history import HistoryPoint
from harness.store.versions import Surroundings, VersionChange, differences, state_of
from harness.worker.api import Requirements

_METRICS = ("prefill_tps", "decode_tps")
#: The newest sessions that tell how noisy a cell is.
_NEWEST = 5
_TOLD = 3


def candidates(plan: Plan, store: Store, machine_id: str, system: Mapping[str, Any]) -> list[Candidate]:
    """Every cell of a plan that can run here.

    Args:
        plan: with what its cells took before (`front.with_history`).
        store: the database.
        machine_id: this machine.
        system: its state now (`describe_session_state`).
    """
    runnable = [planned for planned in plan.cells if planned.reason is None]
    ids = [planned.cell.id for planned in runnable]
    took = store.durations(machine_id, ids)
    last = store.last_measured(machine_id)
    known = store.cells(ids)
    wanted = {name: _wanted(plan, name) for name in {planned.cell.framework for planned in runnable}}
    state = state_of(system, __version__)
    found = []
    for planned in runnable:
        cell = planned.cell
        session = last.get(cell.id) if cell.id in known else None
        changed = None
        noise = None
        if session is not None:
            around = store.surroundings(cell.id, [session])
            # Where versions changed within a session, any of them is not what is wanted now, or all are.
            changed = what_changed(list(around.values()), wanted[cell.framework], state)
            points = store.history(cell.id, machine_id, _METRICS, tried=False)
            noise = spread_between_runs(points[-_NEWEST:])
        expected = planned.expected_s or 0.0
        if session is None or changed is not None:
            # Scores and tasks are made once for each artifact, environment and question.
            expected += sum(took.get((cell.id, kind), 0.0) for kind in ("score", "tasks"))
        found.append(
            Candidate(
                cell_id=cell.id,
                name=cell.name,
                expected_s=expected,
                last_at=None if session is None else store.began_at(session),
                noise=noise,
                changed=changed,
            )
        )
    return found


def _wanted(plan: Plan, framework: str) -> dict[str, str]:
    """Versions that the runtime environment of a framework would have: its exact pins, and what takes their place."""
    requirements = plan.entries[framework].backend.requirements
    return {**_pinned(requirements), **_overridden(plan.overrides, framework, requirements)}


def _pinned(requirements: Requirements) -> dict[str, str]:
    return {
        canonicalize_name(requirement.name): version
        for requirement in top_level(requirements)
        if (version := exact_version(requirement)) is not None
    }


def _overridden(overrides: Sequence[Override], framework: str, requirements: Requirements) -> dict[str, str]:
    chosen = applicable(overrides, framework, requirements, converter=False)
    return {override.name: override.version for override in chosen}


def what_changed(
    before: Sequence[Surroundings], packages: Mapping[str, str], state: Surroundings
) -> str | None:
    """What differs from the last time, in words; None where nothing does, or nothing is known of the last time.

    Args:
        before: what surrounded the last session's runs.
        packages: wanted now, by name; others do not count.
        state: of the machine and the program now.
    """
    for around in before:
        then = {key: value for key, value in around.items() if key[0] in ("system", "driver", "program")}
        then.pop(("program", "commit"), None)
        now = dict(state)
        for name, version in packages.items():
            if (installed := around.get(("package", name))) is not None:
                then["package", name], now["package", name] = installed, version
        found = differences(then, now)
        if found:
            return _words(found)
    return None


def _words(found: Sequence[VersionChange]) -> str:
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return "; ".join(str(one) for one in found[:_TOLD]) + more


def spread_between_runs(points: Iterable[HistoryPoint]) -> float | None:
    """The standard deviation between runs of one session as a share of their mean, pooled over sessions.

    The larger one where several metrics have it; None where no session has two runs.
    """
    pooled: dict[str, list[tuple[float, int]]] = {}
    for point in points:
        for metric, values in point.of_runs.items():
            if len(values) >= 2 and (mean := statistics.fmean(values)) > 0:
                share = statistics.variance(values) / mean**2
                pooled.setdefault(metric, []).append((share, len(values) - 1))
    return max(
        (
            math.sqrt(sum(share * freedom for share, freedom in found) / sum(freedom for _, freedom in found))
            for found in pooled.values()
        ),
        default=None,
    )
