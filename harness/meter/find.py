"""Which energy meters this machine has, in words why not the others, and which one measures a device.

Owns `find_meters`; there is one list of kinds, the entry points of the group ``edgebench.meters``. Contract: every
kind of meter is either usable or in the second list with its reason; a broken kind never hides the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from harness.declared import Declared, declared
from harness.meter.base import Meter, MissingMeter, Sources
from harness.meter.domains import is_whole, summed_domains

GROUP = "edgebench.meters"


def find_meters(sources: Sources | None = None) -> tuple[list[Meter], list[MissingMeter]]:
    """Meters that can be read here and now, and those that cannot.

    Args:
        sources: where to look; this machine by default.
    """
    sources = sources or Sources()
    meters: list[Meter] = []
    missing: list[MissingMeter] = []
    seen: set[str] = set()
    for kind in declared(GROUP):
        if kind.name in seen:
            missing.append(_broken(kind, "another distribution declares a meter of this name"))
            continue
        seen.add(kind.name)
        for found in _of_kind(kind, sources):
            if isinstance(found, Meter):
                meters.append(found)
            else:
                missing.append(found)
    return meters, missing


def _of_kind(kind: Declared, sources: Sources) -> list[Meter | MissingMeter]:
    module, _, attribute = kind.value.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)(sources)
        wrong = [each for each in found if not isinstance(each, Meter | MissingMeter)]
    except Exception as error:  # noqa: BLE001  foreign code may raise anything
        return [_broken(kind, f"{type(error).__name__}: {error}")]
    if wrong:
        return [_broken(kind, f"{kind.value} gave a {type(wrong[0]).__name__}")]
    return list(found)


def _broken(kind: Declared, why: str) -> MissingMeter:
    return MissingMeter(
        kind.name,
        f"the meter {kind.name!r} of the distribution {kind.distribution!r} cannot be used: {why}",
        f"update or uninstall {kind.distribution!r}; the other meters are not affected",
    )


def unavailable_reason(missing: Iterable[MissingMeter]) -> str:
    """The reason of an energy value that is None: ``no energy meter: ...; ...``."""
    reasons = [each.reason for each in missing if each.expected]
    return f"no energy meter: {'; '.join(reasons) or 'none of the known kinds is here'}"


def meter_for(device: str, meters: Iterable[Meter]) -> Meter | str:
    """The meter of the energy of a device, or why there is none.

    One that the user named comes first; then those that measure the device and not the whole machine; then counters
    before sampled power; then the finer one.
    """
    able = [meter for meter in meters if summed_domains(meter.domains, device)]
    if not able:
        return f"no meter of this machine measures {device}"

    def rank(meter: Meter) -> tuple[bool, bool, bool, float]:
        whole = is_whole(summed_domains(meter.domains, device))
        return meter.name != "external", whole, meter.method != "counter", meter.resolution_s

    first, *others = sorted(able, key=rank)
    vendors = sorted(
        {meter.name for meter in [first, *others] if meter.name != "external" and device in meter.domains}
    )
    if first.name != "external" and len({name.removesuffix("-power") for name in vendors}) > 1:
        # Each vendor's driver counts its own cards from 0.
        return f"{' and '.join(vendors)} both have a {device}: which one computed is not told"
    return first
