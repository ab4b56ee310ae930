"""Energy counters of NVIDIA boards through NVML.

Owns reading ``nvmlDeviceGetTotalEnergyConsumption`` (Volta and newer). Imports ``pynvml`` (from nvidia-ml-py) only
when asked. Contract: one domain a board, the whole board's energy; a counter that goes back (the driver was
reloaded) is an error, not a wrap.
"""

from __future__ import annotations

from typing import Any

from harness.machine.accelerators import load_nvml, nvml_reason
from harness.meter.base import Meter, MeterError, MissingMeter


class NvmlMeter(Meter):
    """Board counters in millijoules, updated about every 100 ms."""

    name = "nvml"
    method = "counter"
    resolution_s = 0.1
    resolution_joules = 0.001

    def __init__(self, nvml: Any, handles: dict[str, Any]) -> None:
        """Opens the boards.

        Args:
            nvml: the initialised module.
            handles: device handle of every domain.

        Raises:
            MeterError: a counter cannot be read.
        """
        self._nvml = nvml
        self._handles = handles
        self.domains = tuple(sorted(handles))
        self._first = self._millijoules()
        self._last = dict(self._first)

    def _millijoules(self) -> dict[str, int]:
        try:
            return {
                domain: int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
                for domain, handle in self._handles.items()
            }
        except self._nvml.NVMLError as error:
            raise MeterError(nvml_reason(error)) from error

    def read(self) -> dict[str, float]:
        """Joules by board since the meter was opened."""
        now = self._millijoules()
        for domain, value in now.items():
            if value < self._last[domain]:
                raise MeterError(f"NVML: the energy counter of {domain} went back (was the driver reloaded?)")
        self._last = now
        return {domain: (now[domain] - self._first[domain]) / 1000 for domain in self.domains}


def find(nvml: Any = None) -> NvmlMeter | MissingMeter:
    """The meter of this machine, or why there is none.

    NVML stays initialised for as long as the meter may be read; it ends with the process.
    """
    step = "install NVIDIA's driver for the card; boards older than Volta have no energy counter"
    if nvml is None:
        nvml, reason = load_nvml()
        if nvml is None:
            return MissingMeter("nvml", str(reason), "pip install nvidia-ml-py")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return MissingMeter("nvml", nvml_reason(error), step)
    try:
        count = nvml.nvmlDeviceGetCount()
        handles = {f"gpu:{index}": nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)}
    except nvml.NVMLError as error:
        nvml.nvmlShutdown()
        return MissingMeter("nvml", nvml_reason(error), step)
    usable, refusals = _with_counter(nvml, handles)
    if not usable:
        nvml.nvmlShutdown()
        return MissingMeter("nvml", refusals[0] if refusals else "NVML enumerates no card", step)
    return NvmlMeter(nvml, usable)


def _with_counter(nvml: Any, handles: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    usable: dict[str, Any] = {}
    refusals: list[str] = []
    for domain, handle in handles.items():
        try:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except nvml.NVMLError as error:
            refusals.append(f"{domain} has no energy counter ({nvml_reason(error)})")
        else:
            usable[domain] = handle
    return usable, refusals
