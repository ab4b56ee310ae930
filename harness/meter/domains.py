"""What a meter measures, and which of it is the energy of a device.

Owns the words. Imports nothing. Contract: no joule is counted twice, and a meter of something else is never taken for
the device's.

=================  ===============================================================================
word               what it holds
=================  ===============================================================================
``package-N``      a processor package: cores, caches, uncore; ``package-N-die-M`` one of its dies
``dram-N``         the memory of package N
``psys``           the platform, as the processor sees it; holds the packages
``gpu:N``          a GPU's board, or the GPU of an SoC
``npu:N``          the neural engine of an SoC
``module``         the whole input of a computing module, such as a Jetson's VDD_IN
``battery``        what the battery gives: the whole device, display included
``wall``           what an external meter sees: the whole device, losses of its power supply included
``rail:NAME``      a supply rail; part of something above
=================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Iterable

#: Domains that hold everything that computes, best first; for a device without a domain of its own.
WHOLE = ("module", "battery", "wall")


def summed_domains(domains: Iterable[str], device: str) -> tuple[str, ...]:
    """Domains that together are the energy of a device, no joule twice; empty where there is none.

    For ``cpu`` all packages and memory banks; psys holds these already and is never added. For ``gpu:0`` its board. For
    a device without a domain of its own, the whole of the machine where that is measured.
    """
    known = tuple(domains)
    if device in known:
        return (device,)
    if device == "cpu" and any(each.startswith("package-") for each in known):
        return tuple(sorted(each for each in known if each.startswith(("package-", "dram-"))))
    return next(((each,) for each in WHOLE if each in known), ())


def is_whole(domains: tuple[str, ...]) -> bool:
    """Whether the summed domains hold more than the device."""
    return any(each in WHOLE for each in domains)
