"""From readings to energy figures: gross, net of idle, per token, and whether physics allows them.

Owns the arithmetic and its rules; reads no meter. Contract: pure functions; what a rule forbids is None with the
reason. Only meters' readings come in: an estimate from a power model never passes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.meter.base import MIN_UPDATE_PERIODS, Meter
from harness.meter.domains import summed_domains

#: Idle power may change by this much, relative to its mean, from before the load to after it.
IDLE_DRIFT_LIMIT = 0.10

#: Net power may be above a domain's limit by this share: regulators overshoot, and limits hold on average.
LIMIT_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """Joules by domain that a meter counted in some seconds, which may lie in several pieces."""

    seconds: float
    joules: Mapping[str, float]
    stretches: int = 1


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What has to stand beside an energy figure: which meter, how, how fine, and which limits hold."""

    name: str
    method: str
    resolution_s: float
    limits_watts: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, meter: Meter) -> MeterFacts:
        """The facts of a meter."""
        return cls(meter.name, meter.method, meter.resolution_s, dict(meter.limits_watts))


@dataclass(frozen=True, slots=True)
class EnergyResult:
    """Energy of one load window. Every figure that is None has its text in ``reason``.

    Attributes:
        meter: meter, method and resolution.
        domains: domains whose joules are summed.
        seconds: length of the load window.
        tokens: tokens processed in it.
        joules_gross: everything the domains used in the window.
        joules_net: gross less idle power times the window, None without an idle window.
        idle_watts: idle power that net was computed with.
        idle_watts_before: idle power before the load.
        idle_watts_after: idle power after the load.
        drift: True when the two idle powers differ by more than `IDLE_DRIFT_LIMIT`; None with less than two.
        joules_per_token: gross per token.
        joules_per_token_net: net per token.
        by_domain: gross joules of every domain of the meter, also of those that are not summed.
        reason: why figures are None.
        impossible: the readings contradict physics: something is wrong with the meter or the run.
    """

    meter: MeterFacts
    domains: tuple[str, ...]
    seconds: float
    tokens: int
    joules_gross: float | None = None
    joules_net: float | None = None
    idle_watts: float | None = None
    idle_watts_before: float | None = None
    idle_watts_after: float | None = None
    drift: bool | None = None
    joules_per_token: float | None = None
    joules_per_token_net: float | None = None
    by_domain: Mapping[str, float] | None = None
    reason: str | None = None
    impossible: bool = False


def energy_result(
    load: Interval,
    *,
    tokens: int,
    device: str,
    meter: MeterFacts,
    idle_before: Interval | None = None,
    idle_after: Interval | None = None,
) -> EnergyResult:
    """Energy of a load window; a pure function.

    Args:
        load: the window under load.
        tokens: tokens processed in it.
        device: device that computed.
        meter: where the readings come from.
        idle_before: a window without load before it.
        idle_after: a window without load after it.
    """
    domains = summed_domains(load.joules, device)
    shortest = MIN_UPDATE_PERIODS * meter.resolution_s
    reason = _unusable(load, domains, tokens, device, meter)
    impossible = False
    idle = [
        each for each in (idle_before, idle_after) if each is not None and _usable(each, domains, shortest)
    ]
    if reason is None:
        reason = _impossible(load, domains, meter, idle)
        impossible = reason is not None
    if reason is not None:
        return EnergyResult(
            meter,
            domains,
            load.seconds,
            tokens,
            by_domain=dict(load.joules),
            reason=reason,
            impossible=impossible,
        )

    gross = sum(load.joules[domain] for domain in domains)
    before = _watts(idle_before, domains, shortest)
    after = _watts(idle_after, domains, shortest)
    known = [watts for watts in (before, after) if watts is not None]
    idle_watts = sum(known) / len(known) if known else None
    net = None if idle_watts is None else gross - idle_watts * load.seconds
    drift = None
    if before is not None and after is not None:
        drift = abs(after - before) > IDLE_DRIFT_LIMIT * (before + after) / 2
    return EnergyResult(
        meter=meter,
        domains=domains,
        seconds=load.seconds,
        tokens=tokens,
        joules_gross=gross,
        joules_net=net,
        idle_watts=idle_watts,
        idle_watts_before=before,
        idle_watts_after=after,
        drift=drift,
        joules_per_token=gross / tokens,
        joules_per_token_net=None if net is None else net / tokens,
        by_domain=dict(load.joules),
        reason=None if known else f"net: no idle window of at least {shortest:.3g} s",
    )


def without_prefills(requests: Interval, prefills: Interval, share: float) -> Interval | str:
    """What whole requests took behind their prefills, or why that cannot be told; a pure function.

    Args:
        requests: a window of whole requests: each is a prefill and then its decode.
        prefills: a window of prefills alone.
        share: prompts of the first window over prompts of the second.
    """
    seconds = requests.seconds - share * prefills.seconds
    joules = {
        domain: value - share * prefills.joules[domain]
        for domain, value in requests.joules.items()
        if domain in prefills.joules
    }
    if seconds <= 0:
        return "whole requests took no longer than their prefills alone"
    spent = [domain for domain, value in requests.joules.items() if value > 0 and domain in joules]
    if any(joules[domain] <= 0 for domain in spent):
        return "whole requests took no more energy than their prefills alone"
    return Interval(seconds, joules, requests.stretches)


def _unusable(
    load: Interval, domains: tuple[str, ...], tokens: int, device: str, meter: MeterFacts
) -> str | None:
    """Why a window gives no figure, as far as rules of measurement go."""
    shortest = MIN_UPDATE_PERIODS * meter.resolution_s
    if not domains:
        return f"{meter.name} has no domain for {device} (it has {', '.join(sorted(load.joules)) or 'none'})"
    # Each stretch begins and ends somewhere between two updates: each must be long.
    if load.seconds / load.stretches < shortest:
        pieces = f" in {load.stretches} stretches" if load.stretches > 1 else ""
        return (
            f"window of {load.seconds:.3g} s{pieces} is shorter than {MIN_UPDATE_PERIODS} update periods"
            f" of {meter.name} ({shortest:.3g} s{' each' if pieces else ''})"
        )
    if tokens <= 0:
        return "no token was processed in the window"
    return None


def _impossible(
    load: Interval, domains: tuple[str, ...], meter: MeterFacts, idle: list[Interval]
) -> str | None:
    """How a window's readings contradict physics."""
    # A memory bank may be a domain that is there in name only; what computes uses energy.
    still = [domain for domain in domains if load.joules[domain] == 0 and not domain.startswith("dram-")]
    if still:
        return f"{meter.name}: {', '.join(still)} used no energy in {load.seconds:.3g} s of work, which cannot be"
    fallen = [domain for domain in domains if load.joules[domain] < 0]
    if fallen:
        return f"{meter.name}: the energy of {', '.join(fallen)} went back, which energy cannot"
    limited = [domain for domain in domains if domain in meter.limits_watts]
    limit = sum(meter.limits_watts[domain] for domain in limited)
    watts = sum(load.joules[domain] for domain in limited) / load.seconds
    resting = [sum(each.joules[domain] for domain in limited) / each.seconds for each in idle]
    net = watts - (sum(resting) / len(resting) if resting else 0.0)
    if limited and net > limit * (1 + LIMIT_TOLERANCE):
        return (
            f"{meter.name}: net power of {' + '.join(limited)} was {net:.4g} W, above the limit of {limit:.4g} W,"
            " which cannot be"
        )
    return None


def _usable(idle: Interval, domains: tuple[str, ...], shortest: float) -> bool:
    return idle.seconds >= shortest and all(domain in idle.joules for domain in domains)


def _watts(idle: Interval | None, domains: tuple[str, ...], shortest: float) -> float | None:
    if idle is None or not _usable(idle, domains, shortest):
        return None
    return sum(idle.joules[domain] for domain in domains) / idle.seconds
