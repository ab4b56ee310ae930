"""Energy of an Apple SoC as its own energy model counts it, through ``zeus-apple-silicon`` (no root needed).

Owns the names of its fields. Imports the module only when asked. Contract: the processor is ``package-0``, memory
``dram-0``, the GPU with its SRAM ``gpu:0``, the neural engine ``npu:0``; a field that this chip does not tell is no
domain.
"""

from __future__ import annotations

from typing import Any

from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.counted import CounterMeter

MODULE = "zeus_apple_silicon"

#: Fields, in millijoules, that are summed to a domain; the first one must be there.
_FIELDS = {
    "package-0": ("cpu_total_mj",),
    "dram-0": ("dram_mj",),
    "gpu:0": ("gpu_mj", "gpu_sram_mj"),
    "npu:0": ("ane_mj",),
}


class AppleMeter(CounterMeter):
    """Cumulative counters of the SoC.

    Args:
        monitor: an ``AppleEnergyMonitor``: all that is used of it is ``get_cumulative_energy()``.

    Raises:
        MeterError: it tells no energy.
    """

    name = "apple"
    set_back = "did the machine sleep"
    # Apple tells no period; the counters were designed for tools that ask a few times a second.
    resolution_s = 0.1
    resolution_joules = joules_per_unit = 0.001

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor
        self.open()
        self.domains = tuple(sorted(self._first))
        if not self.domains:
            raise MeterError("this chip tells the energy of none of its parts")

    def units(self) -> dict[str, int]:
        try:
            told = self._monitor.get_cumulative_energy()
        except RuntimeError as error:
            raise MeterError(f"{MODULE}: {error}") from error
        found = {}
        for domain, fields in _FIELDS.items():
            values = [getattr(told, field, None) for field in fields]
            if values[0] is not None:
                found[domain] = sum(int(value) for value in values if value is not None)
        return found


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    if sources.system != "darwin":
        reason = f"Apple's energy counters exist on Apple silicon only, this is {sources.system}"
        return [MissingMeter("apple", reason, "run on an Apple-silicon Mac", expected=False)]
    module = sources.module(MODULE)
    if module is None:
        reason = f"the Python module {MODULE} is not installed"
        return [MissingMeter("apple", reason, "pip install zeus-apple-silicon")]
    try:
        return [AppleMeter(module.AppleEnergyMonitor())]
    except (MeterError, RuntimeError) as error:
        return [MissingMeter("apple", str(error), "update macOS and zeus-apple-silicon")]
