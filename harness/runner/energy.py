"""Energy of one loaded worker: idle, prefill, decode, idle again, each in a window long enough for the meter.

Where only whole requests can be seen (a server), the decode's window is one of requests, less what as many prefills
took in the prefills' own window.

Owns the order of the windows, their length, and when the meter is read. The arithmetic is `harness.meter.energy`'s, the
work the worker's. Contract: without a meter no window is run and the reason is returned; nothing is ever estimated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.meter import (
    EnergyResult,
    EnergyWindow,
    Interval,
    Meter,
    MeterError,
    MeterFacts,
    energy_result,
    find_meters,
    meter_for,
    unavailable_reason,
    without_prefills,
)
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.store.records import EnergyRecord
from harness.worker.api import LoadSpec
from harness.worker.bodies import to_body
from harness.worker.energy import EnergySpec
from harness.worker.protocol import Message, TimedSpec

#: Windows are at least this long, however fast the meter is: a few tokens would not be the model's steady state.
MIN_WINDOW_S = 2.0

#: So often a cache is made longer: the first few tokens tell the speed only roughly.
EXTENSIONS = 3

#: The meter is read when a message of the worker comes; a window that is longer or shorter by this share was misread.
LATE_SHARE = 0.05

#: Windows are this much longer than the meter's rule: an estimate of the speed decides where they end.
MARGIN = 1.1

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True)
class EnergySource:
    """The meters of this machine, found once per session.

    Attributes:
        meters: those that can be read.
        missing: why there is none, for the rows.
    """

    meters: tuple[Meter, ...]
    missing: str

    @classmethod
    def of_this_machine(cls) -> EnergySource:
        """Meters that can be read here and now."""
        meters, missing = find_meters()
        return cls(tuple(meters), unavailable_reason(missing))


@dataclass(frozen=True, slots=True)
class EnergyReadings:
    """What the windows of a run gave: a record for each phase, and what in them contradicts physics."""

    records: list[EnergyRecord]
    flags: list[str]


@dataclass(frozen=True, slots=True)
class _Load:
    """A window: what the meter saw, or why nothing, and what the worker did in how many seconds by its own clock.

    ``prompts``: how many were prefilled in it.
    """

    seen: Interval | str
    seconds: float = 0.0
    tokens: int = 0
    deepest_tokens: int | None = None
    prompts: int = 0


class EnergyProbe:
    """Runs the energy windows of one worker.

    The worker says when a window begins and ends, without its preparation; the meter is read at that moment.

    Args:
        source: the meters of this machine.
        device: whose energy is wanted.
        clock: monotonic seconds.
    """

    def __init__(
        self, source: EnergySource, device: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._device = device
        self._clock = clock
        found = meter_for(device, source.meters) if source.meters else source.missing
        self._meter = found if isinstance(found, Meter) else None
        self._reason = "" if isinstance(found, Meter) else found
        self._open: AbstractContextManager[EnergyWindow] | None = None
        self._windows: list[EnergyWindow] = []
        self._deadline = 0.0
        self._seed = 0

    def on_event(self, message: Message) -> None:
        """Reads the meter at the edges of a window."""
        if self._meter is None or message.name != "window":
            return
        if message.body.get("edge") == "begin":
            self._open = self._meter.window()
            self._windows.append(self._open.__enter__())
        elif self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None

    def measure(
        self, worker: WorkerProcess, load: LoadSpec, work: TimedSpec, timeout_s: float
    ) -> EnergyReadings:
        """Readings of the prefill and of the decode phase, or the reason why there are none.

        Args:
            worker: with the model loaded.
            load: how it was loaded; where the cache is too short for the meter, it is loaded again with more room.
            work: the run's work.
            timeout_s: what is left of the run's time.
        """
        phases: list[Phase] = []
        if work.prompt_tokens:
            phases.append("prefill")
        if work.decode_tokens:
            phases.append("decode")
        meter, reason = self._meter, self._reason
        if meter is None:
            return _nothing(phases, reason)
        self._deadline = self._clock() + timeout_s
        try:
            with meter:
                return self._measure(meter, worker, load, work, phases)
        except MeterError as error:
            return _nothing(phases, str(error))

    def _measure(
        self, meter: Meter, worker: WorkerProcess, load: LoadSpec, work: TimedSpec, phases: list[Phase]
    ) -> EnergyReadings:
        length = max(MIN_WINDOW_S, MARGIN * meter.min_window_s)
        # A window that turns out to be in pieces is made once more.
        longest = 2 * (1 + len(phases)) * length
        left = self._deadline - self._clock()
        if longest > left:
            return _nothing(
                phases,
                f"windows long enough for {meter.name} ({length:.3g} s each) may take {longest:.3g} s, and the run has"
                f" {left:.3g} s left: give it more `timeout`",
            )
        before = self._run(worker, EnergySpec("idle", length)).seen
        loads: list[tuple[Phase, _Load]] = []
        self._seed = work.seed
        for phase in phases:
            depth = work.depth if phase == "prefill" else work.depth + work.prompt_tokens
            spec = EnergySpec(
                phase,
                length,
                work.prompt_tokens,
                depth,
                self._seed,
                meter.min_window_s,
                work.batch,
                work.decode_tokens,
                work.concurrency,
            )
            done = self._long_enough(meter, worker, load, spec)
            if phase == "decode" and done.prompts:
                done = self._behind_prefills(meter, worker, spec, done, dict(loads).get("prefill"))
            loads.append((phase, done))
        after = self._run(worker, EnergySpec("idle", length)).seen
        idle = [None if isinstance(each, str) else each for each in (before, after)]
        records, flags = [], []
        for phase, done in loads:
            if isinstance(done.seen, str):
                records.append(EnergyRecord(phase=phase, meter=meter.name, reason=done.seen))
                continue
            result = energy_result(
                done.seen,
                tokens=done.tokens,
                device=self._device,
                meter=MeterFacts.of(meter),
                idle_before=idle[0],
                idle_after=idle[1],
            )
            records.append(_record(phase, result, meter, done.deepest_tokens))
            if result.impossible:
                flags.append(f"energy of {phase}: {result.reason}")
        return EnergyReadings(records, flags)

    def _long_enough(self, meter: Meter, worker: WorkerProcess, load: LoadSpec, spec: EnergySpec) -> _Load:
        """A window whose stretches are long enough for the meter: with a longer cache where the run's is too short."""
        context = load.context_tokens
        for _ in range(EXTENSIONS):
            done = self._run(worker, spec)
            if isinstance(done.seen, str) or done.seconds >= spec.seconds or done.tokens == 0:
                return done
            if spec.phase == "decode" and done.prompts:
                return done  # whole requests, which no longer cache makes longer
            # Of one sequence: the cache that is loaded has so much room for each.
            tokens = int(MARGIN * spec.seconds * done.tokens / spec.batch / done.seconds) + 1
            if spec.phase == "prefill":
                tokens += spec.prompt_tokens  # whole prompts only
            try:
                self._call(worker, "unload", {})
                self._call(worker, "load", to_body(replace(load, context_tokens=spec.depth + tokens)))
            except WorkerRefused as refusal:
                self._call(worker, "load", to_body(load))
                return _Load(
                    f"the cache of {context} tokens is full before {meter.name} has seen enough"
                    f" ({meter.min_window_s:.3g} s), and one of {spec.depth + tokens} cannot be had: {refusal.message}"
                )
            context = spec.depth + tokens
        return self._run(worker, spec)

    def _behind_prefills(
        self, meter: Meter, worker: WorkerProcess, spec: EnergySpec, done: _Load, prefills: _Load | None
    ) -> _Load:
        """The decode of whole requests, which is itself to be long enough for the meter."""
        if prefills is None or isinstance(prefills.seen, str) or not prefills.prompts:
            why = prefills.seen if prefills is not None and isinstance(prefills.seen, str) else "none was run"
            return replace(done, seen=f"the prefills of the requests cannot be taken out: {why}")
        if prefills.seen.seconds / prefills.seen.stretches < meter.min_window_s:
            return replace(
                done, seen="the prefills of the requests cannot be taken out: their window was too short"
            )
        for _ in range(EXTENSIONS):
            if isinstance(done.seen, str):
                return done
            left = done.seconds - done.prompts / prefills.prompts * prefills.seconds
            if left >= spec.seconds / MARGIN:
                break
            # A tenth of the requests at least is taken to be decode: what is less drowns in the prefills' own scatter.
            longer = MARGIN * spec.seconds * done.seconds / max(left, done.seconds / 10)
            if longer > self._deadline - self._clock() - spec.seconds:
                return replace(
                    done,
                    seen=f"decode is {left:.3g} s of {done.seconds:.3g} s of requests: a window long enough for"
                    f" {meter.name} takes {longer:.3g} s, and the run has less left: give it more `timeout`",
                )
            done = self._run(worker, replace(spec, seconds=longer))
        if isinstance(done.seen, str):
            return done
        return replace(done, seen=without_prefills(done.seen, prefills.seen, done.prompts / prefills.prompts))

    def _call(
        self, worker: WorkerProcess, method: Literal["energy", "load", "unload"], body: dict[str, Any]
    ) -> dict[str, Any]:
        return worker.call(method, body, timeout_s=max(0.001, self._deadline - self._clock()))

    def _run(self, worker: WorkerProcess, spec: EnergySpec) -> _Load:
        self._windows.clear()
        self._seed += 1  # no prompt comes twice: a server may keep what it computed
        try:
            done = self._call(worker, "energy", to_body(replace(spec, seed=self._seed)))
        except WorkerRefused as refusal:
            if refusal.type != "Unsupported":
                raise
            return _Load(refusal.message)
        if not self._windows:
            return _Load("the worker told no window")
        joules: dict[str, float] = {}
        for window in self._windows:
            if window.joules is None:
                return _Load(window.reason or "the meter gave no reading")
            for domain, value in window.joules.items():
                joules[domain] = joules.get(domain, 0.0) + value
        seconds = sum(window.seconds for window in self._windows)
        told = float(done["seconds"])
        seen: Interval | str = Interval(seconds, joules, len(self._windows))
        if abs(seconds - told) > LATE_SHARE * told and told >= spec.seconds:
            seen = f"the meter was read at the wrong moments: {seconds:.3g} s for a window of {told:.3g} s"
        return _Load(seen, told, int(done["tokens"]), int(done["deepest_tokens"]), int(done["prompts"]))


def _nothing(phases: list[Phase], reason: str) -> EnergyReadings:
    return EnergyReadings([EnergyRecord(phase=phase, reason=reason) for phase in phases], [])


def _record(phase: str, result: EnergyResult, meter: Meter, deepest_tokens: int | None) -> EnergyRecord:
    return EnergyRecord(
        phase=phase,
        gross_joules=result.joules_gross,
        net_joules=result.joules_net,
        tokens=result.tokens,
        deepest_tokens=deepest_tokens,
        window_s=result.seconds,
        idle_watts=result.idle_watts,
        idle_watts_before=result.idle_watts_before,
        idle_watts_after=result.idle_watts_after,
        idle_drift=result.drift,
        meter=meter.name,
        domain="+".join(result.domains) or None,
        method=meter.method,
        resolution_s=meter.resolution_s,
        resolution_joules=meter.resolution_joules,
        domain_joules=None if result.by_domain is None else dict(result.by_domain),
        reason=result.reason,
    )
