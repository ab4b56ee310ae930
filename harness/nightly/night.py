"""The course of a night: an unfinished session first, then a new one within the time that is left.

Owns the order of these steps and what of them is stored with the session. Imports the runner's front door. Contract:
one night at a time on a machine; whatever ends the process leaves the session resumable, and the next night on the same
database takes it up; what a budget has no room for is stored as skipped, with the reason, and never taken up later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.environment import EnvironmentManager, Override
from harness.environment.releases import newest_release
from harness.errors import EdgebenchError, UsageError
from harness.files import exclusive_now
from harness.history.alerts import Look, look
from harness.machine import describe_machine, describe_session_state
from harness.machine.locks import lock_path
from harness.nightly.candidates import candidates
from harness.nightly.pace import Cooled, NightPace, temperatures
from harness.nightly.planner import Choice, choose
from harness.nightly.upgrade import Upgrade, newest_releases
from harness.runner import front
from harness.runner.progress import SessionProgress
from harness.store import Store

TRIGGER = "nightly"
#: A night without a budget that was interrupted is taken up as this night's for so long.
_NIGHT = timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for.

    Attributes:
        request: the suite, with what changes it; its trigger is `TRIGGER`.
        budget: time that there is; None: as long as it takes.
        upgrade: take the newest releases of the frameworks' packages.
        cool_below_c: a sensor above it is waited for; None: by the rule of `harness.nightly.pace`.
        only_resume: take up an unfinished night, and begin none.
    """

    request: front.Request
    budget: timedelta | None = None
    upgrade: bool = False
    cool_below_c: float | None = None
    only_resume: bool = False


@dataclass
class Night:
    """What became of a night.

    Attributes:
        machine_id: where.
        began: aware.
        ended: aware.
        resumed: the session of an earlier start that was taken up, None: none.
        session: the session that was begun, None: none.
        choice: the cells of that one.
        upgrade: what came of asking for newest releases; None: nobody asked.
        cooled: how the night was held up.
        failures: name of the cell -> reason, of everything that failed.
        look: at all series, afterwards.
        notes: what else the morning has to know.
        names: cell id -> name, of what could be chosen.
    """

    machine_id: str
    began: datetime
    ended: datetime
    look: Look
    resumed: str | None = None
    session: str | None = None
    choice: Choice | None = None
    upgrade: Upgrade | None = None
    cooled: Cooled = field(default_factory=Cooled)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def sessions(self) -> list[str]:
        """What was carried out, in order."""
        return [one for one in (self.resumed, self.session) if one is not None]


@contextmanager
def only_night() -> Iterator[None]:
    """This machine's one night; free again as soon as the process is dead.

    Raises:
        UsageError: another one is under way.
    """
    lock = lock_path("nightly")
    about = lock.with_suffix(".running")
    with exclusive_now(lock) as is_ours:
        if not is_ours:
            told = about.read_text(encoding="utf-8").strip() if about.is_file() else "another process"
            raise UsageError(
                f"a nightly is under way on this machine: {told}",
                next_step="wait for its end, or end it: it is resumed by the next one",
            )
        try:
            about.write_text(
                f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n", encoding="utf-8"
            )
            yield
        finally:
            about.unlink(missing_ok=True)


def spend(
    wish: Wish,
    store: Store,
    cache_dir: Path,
    progress: SessionProgress,
    *,
    read: Callable[[], dict[str, float]] | None = None,
    newest: Callable[[str], str] = newest_release,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Night:
    """Carry out a night. The caller holds `only_night`.

    Args:
        wish: what is asked for.
        store: the database, open for writing.
        cache_dir: of models, environments, artifacts.
        progress: told what happens.
        read: temperatures; None: this machine's.
        newest: gives the newest release of a distribution.
        now: the clock.

    Raises:
        UsageError: something in the request or the suite is wrong, or no cell has room in the budget.
        EdgebenchError: nothing can be measured at all, or the database fails.
        KeyboardInterrupt: passed on, with the session marked as interrupted.
    """
    began = now()
    own = began + wish.budget if wish.budget is not None else None
    night = Night(describe_machine().id, began, began, Look((), (), 0, 0))
    sensors = read or temperatures()
    unfinished = unfinished_night(store, front.suite_title(wish.request.suite))
    goes_on = not wish.only_resume
    if unfinished is not None:
        state = store.session_state(unfinished)
        deadline = _deadline(state)
        this_night = deadline > began if deadline is not None else began - state["started_at"] < _NIGHT
        progress.note(f"going on with session {unfinished}, which was interrupted")
        pace = _pace(wish, deadline if this_night else own, sensors, progress, now)
        if _resume(night, unfinished, wish, store, cache_dir, progress, pace):
            night.upgrade = _stored_upgrade(state)
            # An older night's rest is done first; then comes this night's own.
            goes_on = goes_on and not this_night
    if goes_on and (own is None or now() < own):
        _begin(night, wish, store, cache_dir, progress, _pace(wish, own, sensors, progress, now), newest, now)
    progress.note("looking at the history of every cell")
    night.look = look(store, night.machine_id, now())
    night.ended = now()
    return night


def unfinished_night(store: Store, title: str) -> str | None:
    """The newest night of a suite on this machine, if it was interrupted or killed."""
    newest = store.newest_session(title, describe_machine().id, trigger=TRIGGER)
    if newest is None or store.session_state(newest)["status"] not in ("running", "interrupted"):
        return None
    return newest


def _deadline(state: dict[str, Any]) -> datetime | None:
    told = (state["settings"].get("nightly") or {}).get("deadline")
    return None if told is None else datetime.fromisoformat(told)


def _stored_upgrade(state: dict[str, Any]) -> Upgrade | None:
    told = (state["settings"].get("nightly") or {}).get("upgrade")
    return None if told is None else Upgrade(**{name: tuple(words) for name, words in told.items()})


def _pace(
    wish: Wish,
    deadline: datetime | None,
    sensors: Callable[[], dict[str, float]],
    progress: SessionProgress,
    now: Callable[[], datetime],
) -> NightPace:
    return NightPace(deadline, sensors, progress.note, below_c=wish.cool_below_c, now=now)


def _resume(
    night: Night,
    session: str,
    wish: Wish,
    store: Store,
    cache_dir: Path,
    progress: SessionProgress,
    pace: NightPace,
) -> bool:
    """Whether an unfinished session could be taken up; why not is noted, and the night goes on without it."""
    trusted = wish.request.tasks.trusted
    try:
        outcome = front.carry_out(
            session, store, cache_dir, progress, resumed=True, trust_task_code=trusted, pace=pace
        )
    except EdgebenchError as error:
        # What is gone may be gone for good, and would end every night; a full disk ends the new session too, if any.
        if wish.only_resume and not isinstance(error, UsageError):
            raise
        night.notes.append(f"session {session} could not be taken up: {error.what}")
        return False
    night.resumed = session
    night.cooled = pace.cooled
    night.failures |= outcome.failures
    return True


def _begin(
    night: Night,
    wish: Wish,
    store: Store,
    cache_dir: Path,
    progress: SessionProgress,
    pace: NightPace,
    newest: Callable[[str], str],
    now: Callable[[], datetime],
) -> None:
    """Plan a new session within what is left of the time, and carry it out."""
    plan = front.make_plan(wish.request)
    if wish.upgrade:
        night.upgrade = _upgraded(plan, cache_dir, progress, newest)
        if night.upgrade.overrides:
            overrides = (*wish.request.overrides, *night.upgrade.overrides)
            plan = front.make_plan(replace(wish.request, overrides=overrides))
    front.record_machine(store)
    plan = front.with_history(plan, store)
    known = candidates(plan, store, night.machine_id, describe_session_state())
    left_s = None if pace.deadline is None else (pace.deadline - now()).total_seconds()
    night.names |= {one.cell_id: one.name for one in known}
    night.choice = choose(known, left_s, now())
    if not night.choice.picked:
        if night.resumed is not None:
            night.notes.append("no time was left for a session of this night's own")
            return
        raise UsageError(
            "no cell of the suite can be measured here"
            if not known
            else f"none of {len(known)} cells has room in {left_s or 0:.0f} s: "
            f"the shortest takes {min(one.expected_s for one in known):.0f} s",
            next_step="give a longer --budget, or another suite; `edgebench run SUITE --dry-run` tells cells' times",
        )
    chosen = {one.candidate.cell_id for one in night.choice.picked}
    plan = replace(
        plan, cells=tuple(one for one in plan.cells if one.reason is not None or one.cell.id in chosen)
    )
    night.session = front.begin_session(plan, store, about={"nightly": _about(night, pace.deadline)})
    progress.note(f"session {night.session} in {store.place}: {len(chosen)} of {len(known)} cells")
    cooled = night.cooled
    outcome = front.carry_out(night.session, store, cache_dir, progress, pace=pace)
    night.cooled = Cooled(
        cooled.waits + pace.cooled.waits,
        cooled.seconds + pace.cooled.seconds,
        cooled.still_hot + pace.cooled.still_hot,
        pace.cooled.unreadable,
    )
    night.failures |= outcome.failures


def _about(night: Night, deadline: datetime | None) -> dict[str, Any]:
    """What a resume and a later reader have to know of the choice; ready for JSON."""
    assert night.choice is not None
    return {
        "deadline": None if deadline is None else deadline.isoformat(),
        "expected_s": round(night.choice.expected_s, 1),
        "picked": [
            {"cell_id": one.candidate.cell_id, "urgency": round(one.urgency, 2), "why": one.why}
            for one in night.choice.picked
        ],
        "left_out": [
            {"cell_id": cell_id, "name": night.names[cell_id], "reason": reason}
            for cell_id, reason in night.choice.left_out.items()
        ],
        "upgrade": None if night.upgrade is None else asdict(night.upgrade),
    }


def _upgraded(
    plan: front.Plan, cache_dir: Path, progress: SessionProgress, newest: Callable[[str], str]
) -> Upgrade:
    """Newest releases for the frameworks that the plan measures; each environment is made to see that it can be."""
    manager = EnvironmentManager(cache_dir)
    apis: dict[str, set[str]] = {}
    for planned in plan.cells:
        if planned.reason is None:
            apis.setdefault(planned.cell.framework, set()).add(planned.cell.api)

    def trial(framework: str, overrides: Any) -> None:
        backend = plan.entries[framework].backend
        variants = {api if api in backend.requirements.build else "cpu" for api in apis[framework]}
        for variant in sorted(variants):
            manager.ensure(backend, variant, overrides, progress=progress.step)
        if backend.requirements.converter is not None:
            manager.ensure(backend, "cpu", overrides, role="converter", progress=progress.step)

    backends = [plan.entries[name].backend for name in sorted(apis)]
    given: list[Override] = list(plan.overrides)
    try:
        return newest_releases(backends, given, trial, progress.note, ask=newest)
    except OSError as error:
        raise EdgebenchError(
            f"newest releases cannot be looked for: {error}", next_step="leave --upgrade out"
        ) from error
