"""`harness.meter.apple` on a scripted monitor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from meter_trees import only_meter, only_missing

from harness.meter.apple import MODULE, find
from harness.meter.base import Meter, MeterError, MissingMeter, Sources


def told(cpu: int, gpu: int, sram: int | None, dram: int, ane: int | None = None) -> SimpleNamespace:
    """Cumulative millijoules, as the library tells them."""
    return SimpleNamespace(cpu_total_mj=cpu, gpu_mj=gpu, gpu_sram_mj=sram, dram_mj=dram, ane_mj=ane)


def scripted(*readings: Any) -> dict[str, Any]:
    """The module, with a monitor that gives the readings one by one, or raises them."""
    left = list(readings)

    class AppleEnergyMonitor:
        def get_cumulative_energy(self) -> Any:
            reading = left.pop(0)
            if isinstance(reading, Exception):
                raise reading
            return reading

    return {MODULE: SimpleNamespace(AppleEnergyMonitor=AppleEnergyMonitor)}


def look(*readings: Any) -> list[Meter | MissingMeter]:
    return find(Sources(system="darwin", modules=scripted(*readings)))


def test_the_parts_of_the_chip_are_domains_and_the_gpu_has_its_sram() -> None:
    meter = only_meter(look(told(1000, 500, 50, 200), told(3500, 700, 150, 300)))
    assert meter.domains == ("dram-0", "gpu:0", "package-0")
    assert meter.read() == {"package-0": 2.5, "gpu:0": 0.3, "dram-0": 0.1}


def test_a_neural_engine_is_a_domain_where_it_is_told() -> None:
    assert only_meter(look(told(1, 1, None, 1, 7))).domains == ("dram-0", "gpu:0", "npu:0", "package-0")


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (told(999, 500, 50, 200), "package-0 went back"),
        (SimpleNamespace(cpu_total_mj=2000), "dram-0 is not told any more"),
        (RuntimeError("no subscription"), "no subscription"),
    ],
)
def test_a_counter_that_goes_back_or_away_is_an_error(then: Any, words: str) -> None:
    meter = only_meter(look(told(1000, 500, 50, 200), then))
    with pytest.raises(MeterError, match=words):
        meter.read()


def test_without_the_module_the_next_step_installs_it() -> None:
    missing = only_missing(find(Sources(system="darwin", modules={MODULE: None})))
    assert missing.next_step == "pip install zeus-apple-silicon"
    assert missing.expected


def test_a_chip_that_tells_nothing_is_missing_with_the_reason() -> None:
    assert "none of its parts" in only_missing(look(SimpleNamespace())).reason


def test_elsewhere_it_is_not_looked_for() -> None:
    missing = only_missing(find(Sources(system="linux", modules={MODULE: None})))
    assert not missing.expected
