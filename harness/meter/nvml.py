"""Energy of NVIDIA boards through NVML: the energy counter where a board has one, sampled power where not.

Owns reading ``nvmlDeviceGetTotalEnergyConsumption`` (Volta and newer) and ``nvmlDeviceGetPowerUsage``. Imports
``pynvml`` (from nvidia-ml-py) only when asked. Contract: one domain a board, the whole board's energy; a counter that
goes back (the driver was reloaded) is an error, not a wrap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.machine.accelerators import load_nvml, nvml_reason
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.counted import CounterMeter
from harness.meter.sampled import SampledMeter

#: Counter and power are updated about so often.
PERIOD_S = 0.1


class NvmlMeter(CounterMeter):
    """Board counters in millijoules.

    Args:
        nvml: the initialised module.
        handles: device handle of every domain.

    Raises:
        MeterError: a counter cannot be read.
    """

    name = "nvml"
    resolution_s = PERIOD_S
    resolution_joules = joules_per_unit = 0.001
    set_back = "was the driver reloaded"

    def __init__(self, nvml: Any, handles: Mapping[str, Any]) -> None:
        self._nvml = nvml
        self._handles = dict(handles)
        self.domains = tuple(sorted(handles))
        self.limits_watts = _limits(nvml, handles)
        self.open()

    def units(self) -> dict[str, int]:
        return {
            domain: _asked(self._nvml, self._nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
            for domain, handle in self._handles.items()
        }


class NvmlPowerMeter(SampledMeter):
    """Power of boards without a counter; the driver averages it over up to a second.

    Args:
        nvml: the initialised module.
        handles: device handle of every domain.
        clock: monotonic seconds.
    """

    name = "nvml-power"

    def __init__(
        self, nvml: Any, handles: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(tuple(sorted(handles)), PERIOD_S, clock)
        self._nvml = nvml
        self._handles = dict(handles)
        self.limits_watts = _limits(nvml, handles)

    def watts(self) -> dict[str, float]:
        return {
            domain: _asked(self._nvml, self._nvml.nvmlDeviceGetPowerUsage, handle) / 1000
            for domain, handle in self._handles.items()
        }


def _asked(nvml: Any, ask: Callable[[Any], Any], handle: Any) -> int:
    try:
        return int(ask(handle))
    except nvml.NVMLError as error:
        raise MeterError(nvml_reason(error)) from error


def _limits(nvml: Any, handles: Mapping[str, Any]) -> dict[str, float]:
    limits = {}
    for domain, handle in handles.items():
        try:
            limits[domain] = _asked(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle) / 1000
        except MeterError:
            continue  # a board that tells no limit is checked against none
    return limits


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meters of this machine, or why there is none.

    NVML stays initialised for as long as a meter may be read; it ends with the process.
    """
    step = "install NVIDIA's driver for the card; `nvidia-smi` must list it"
    nvml = sources.modules.get("pynvml")
    if nvml is None:
        nvml, reason = load_nvml()
        if nvml is None:
            return [MissingMeter("nvml", str(reason), "pip install nvidia-ml-py")]
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return [MissingMeter("nvml", nvml_reason(error), step)]
    try:
        count = nvml.nvmlDeviceGetCount()
        handles = {f"gpu:{index}": nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)}
    except nvml.NVMLError as error:
        nvml.nvmlShutdown()
        return [MissingMeter("nvml", nvml_reason(error), step)]
    counted, without = _answering(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handles)
    left = {domain: handle for domain, handle in handles.items() if domain not in counted}
    sampled, powerless = _answering(nvml, nvml.nvmlDeviceGetPowerUsage, left)
    meters: list[Meter | MissingMeter] = []
    if counted:
        meters.append(NvmlMeter(nvml, counted))
    if sampled:
        meters.append(NvmlPowerMeter(nvml, sampled, sources.clock))
    if not meters:
        nvml.nvmlShutdown()
        refusals = [
            f"{domain} has neither energy counter ({without[domain]}) nor power ({powerless[domain]})"
            for domain in handles
        ]
        return [MissingMeter("nvml", "; ".join(refusals) or "NVML enumerates no card", step)]
    return meters


def _answering(
    nvml: Any, ask: Callable[[Any], Any], handles: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Those boards that answer a question, and why the others do not."""
    usable: dict[str, Any] = {}
    refusals: dict[str, str] = {}
    for domain, handle in handles.items():
        try:
            _asked(nvml, ask, handle)
        except MeterError as error:
            refusals[domain] = str(error)
        else:
            usable[domain] = handle
    return usable, refusals
