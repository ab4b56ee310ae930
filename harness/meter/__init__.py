"""Energy meters behind one interface, a file for each kind, and the arithmetic on their readings."""

from harness.meter.base import EnergyWindow, Meter, MeterError, MissingMeter, Sources
from harness.meter.energy import EnergyResult, Interval, MeterFacts, energy_result, without_prefills
from harness.meter.find import find_meters, meter_for, unavailable_reason

__all__ = [
    "EnergyResult",
    "EnergyWindow",
    "Interval",
    "Meter",
    "MeterError",
    "MeterFacts",
    "MissingMeter",
    "Sources",
    "energy_result",
    "find_meters",
    "meter_for",
    "unavailable_reason",
    "without_prefills",
]
