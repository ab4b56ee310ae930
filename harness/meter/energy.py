"""From readings to energy figures: gross, net of idle, per token.

Owns the arithmetic and its rules; reads no meter. Contract: pure functions; what a rule forbids is None with the
reason. Only meters' readings come in: an estimate from a power model never passes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.meter.base import MIN_UPDATE_PERIODS, Meter

#: Idle power may change by this much, relative to its mean, from before the load to after it.
IDLE_DRIFT_LIMIT = 0.10


@dataclass(frozen=True, slots=True)
class Interval:
    """Joules by domain that a meter counted in some seconds."""

    seconds: float
    joules: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What has to stand beside an energy figure: which meter, how, how fine."""

    name: str
    method: str
    resolution_s: float

    @classmethod
    def of(cls, meter: Meter) -> MeterFacts:
        """The facts of a meter."""
        return cls(meter.name, meter.method, meter.resolution_s)


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
        idle_watts_before: idle power before the load.
        idle_watts_after: idle power after the load.
        drift: True when the two idle powers differ by more than `IDLE_DRIFT_LIMIT`; None with less than two.
        joules_per_token: gross per token.
        joules_per_token_net: net per token.
        by_domain: gross joules of every domain of the meter, also of those that are not summed.
        reason: why figures are None.
    """

    meter: MeterFacts
    domains: tuple[str, ...]
    seconds: float
    tokens: int
    joules_gross: float | None = None
    joules_net: float | None = None
    idle_watts_before: float | None = None
    idle_watts_after: float | None = None
    drift: bool | None = None
    joules_per_token: float | None = None
    joules_per_token_net: float | None = None
    by_domain: Mapping[str, float] | None = None
    reason: str | None = None


def summed_domains(domains: Mapping[str, float] | tuple[str, ...], device: str) -> tuple[str, ...]:
    """Domains that together are the energy of a device, no joule twice.

    For ``cpu`` all packages and memory banks; psys holds these already and is never added. For ``gpu:0`` its board.
    """
    if device in domains:
        return (device,)
    if device == "cpu":
        return tuple(sorted(each for each in domains if each.startswith(("package-", "dram-"))))
    return ()


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
    domains = summed_domains(tuple(load.joules), device)
    shortest = MIN_UPDATE_PERIODS * meter.resolution_s
    reason = None
    if not domains:
        reason = (
            f"{meter.name} has no domain for {device} (it has {', '.join(sorted(load.joules)) or 'none'})"
        )
    elif load.seconds < shortest:
        reason = (
            f"window of {load.seconds:.3g} s is shorter than {MIN_UPDATE_PERIODS} update periods"
            f" of {meter.name} ({shortest:.3g} s)"
        )
    elif tokens <= 0:
        reason = "no token was processed in the window"
    if reason is not None:
        return EnergyResult(meter, domains, load.seconds, tokens, by_domain=dict(load.joules), reason=reason)

    gross = sum(load.joules[domain] for domain in domains)
    before = _watts(idle_before, domains, shortest)
    after = _watts(idle_after, domains, shortest)
    idle = [watts for watts in (before, after) if watts is not None]
    net = gross - sum(idle) / len(idle) * load.seconds if idle else None
    drift = None
    if before is not None and after is not None:
        mean = (before + after) / 2
        drift = abs(after - before) > IDLE_DRIFT_LIMIT * mean
    return EnergyResult(
        meter=meter,
        domains=domains,
        seconds=load.seconds,
        tokens=tokens,
        joules_gross=gross,
        joules_net=net,
        idle_watts_before=before,
        idle_watts_after=after,
        drift=drift,
        joules_per_token=gross / tokens,
        joules_per_token_net=None if net is None else net / tokens,
        by_domain=dict(load.joules),
        reason=None if idle else f"net: no idle window of at least {shortest:.3g} s",
    )


def _watts(idle: Interval | None, domains: tuple[str, ...], shortest: float) -> float | None:
    if idle is None or idle.seconds < shortest or any(domain not in idle.joules for domain in domains):
        return None
    return sum(idle.joules[domain] for domain in domains) / idle.seconds
