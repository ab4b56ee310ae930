"""Energy of one loaded worker: idle, prefill, decode, idle again, each in a window long enough for the meter.

Owns the order of the windows and when the meter is read. The arithmetic is `harness.meter.energy`'s, the work the
worker's. Contract: without a meter no window is run and the reason is returned; nothing is ever estimated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from harness.meter import (
    EnergyResult,
    EnergyWindow,
    Interval,
    Meter,
    MeterFacts,
    energy_result,
    find_meters,
    meter_for,
    unavailable_reason,
)
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.store.records import EnergyRecord
from harness.worker.bodies import to_body
from harness.worker.energy import EnergySpec
from harness.worker.protocol import Message, TimedSpec

#: Windows are at least this long, however fast the meter is: a few tokens would not be the model's steady state.
MIN_WINDOW_S = 2.0


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


class EnergyProbe:
    """Runs the energy windows of one worker.

    The worker says when a window begins and ends, without its preparation; the meter is read at that moment.

    Args:
        source: the meters of this machine.
        device: whose energy is wanted.
    """

    def __init__(self, source: EnergySource, device: str) -> None:
        self._device = device
        self._meter = meter_for(device, source.meters)
        self._reason = source.missing if not source.meters else f"no meter of this machine measures {device}"
        self._open: AbstractContextManager[EnergyWindow] | None = None
        self._windows: list[EnergyWindow] = []

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

    def measure(self, worker: WorkerProcess, work: TimedSpec, timeout_s: float) -> list[EnergyRecord]:
        """Readings of the prefill and of the decode phase, or the reason why there are none."""
        phases: list[Literal["prefill", "decode"]] = []
        if work.prompt_tokens:
            phases.append("prefill")
        if work.decode_tokens:
            phases.append("decode")
        meter = self._meter
        if meter is None:
            return [EnergyRecord(phase=phase, reason=self._reason) for phase in phases]
        length = max(MIN_WINDOW_S, 1.1 * meter.min_window_s)
        idle = EnergySpec("idle", length)
        before, _ = self._run(worker, idle, timeout_s)
        loads = []
        for phase in phases:
            depth = work.depth if phase == "prefill" else work.depth + work.prompt_tokens
            spec = EnergySpec(phase, length, work.prompt_tokens, depth, work.seed)
            loads.append((phase, *self._run(worker, spec, timeout_s)))
        after, _ = self._run(worker, idle, timeout_s)
        return [
            EnergyRecord(phase=phase, reason=load)
            if isinstance(load, str)
            else _record(
                phase,
                energy_result(
                    load,
                    tokens=tokens,
                    device=self._device,
                    meter=MeterFacts.of(meter),
                    idle_before=None if isinstance(before, str) else before,
                    idle_after=None if isinstance(after, str) else after,
                ),
                meter,
            )
            for phase, load, tokens in loads
        ]

    def _run(self, worker: WorkerProcess, spec: EnergySpec, timeout_s: float) -> tuple[Interval | str, int]:
        self._windows.clear()
        try:
            done = worker.call("energy", to_body(spec), timeout_s=timeout_s)
        except WorkerRefused as refusal:
            if refusal.type != "Unsupported":
                raise
            return refusal.message, 0
        if not self._windows:
            return "the worker told no window", 0
        window = self._windows[-1]
        if window.joules is None:
            return window.reason or "the meter gave no reading", 0
        return Interval(window.seconds, window.joules), int(done["tokens"])


def _record(phase: str, result: EnergyResult, meter: Meter) -> EnergyRecord:
    return EnergyRecord(
        phase=phase,
        gross_joules=result.joules_gross,
        net_joules=result.joules_net,
        tokens=result.tokens,
        window_s=result.seconds,
        idle_watts_before=result.idle_watts_before,
        idle_watts_after=result.idle_watts_after,
        idle_drift=result.drift,
        meter=meter.name,
        domain="+".join(result.domains) or None,
        method=meter.method,
        resolution_joules=meter.resolution_joules,
        reason=result.reason,
    )
