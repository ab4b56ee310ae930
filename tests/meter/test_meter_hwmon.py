"""The meters that read hardware monitors, on recorded trees: amdgpu, amd_energy, INA, and the battery's relatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from meter_trees import Ticks, only_meter, only_missing, write

from harness.meter import amd_energy, amdgpu, battery, ina
from harness.meter.base import Meter, MeterError, MissingMeter, Sources

Find = Callable[[Sources], list[Meter | MissingMeter]]


def monitor(root: Path, number: int, name: str, device: str | None = None, **files: object) -> Path:
    """A hwmon folder, of a device at some place."""
    folder = write(root / f"class/hwmon/hwmon{number}", name=name, **files)
    if device is not None:
        place = root / "devices" / device
        place.mkdir(parents=True, exist_ok=True)
        (folder / "device").symlink_to(place)
    return folder


def after(meter: Meter, clock: Ticks, seconds: float) -> dict[str, float]:
    """Joules after some time without a sample in between."""
    clock.after(seconds)
    return meter.read()


# -- amdgpu ----------------------------------------------------------------------------------------------------------


def test_cards_are_numbered_by_their_places_and_a_counter_is_preferred(tmp_path: Path) -> None:
    second = monitor(
        tmp_path,
        1,
        "amdgpu",
        "0000:83:00.0",
        energy1_input=5_000_000,
        power1_average=9,
        power1_cap=300_000_000,
    )
    monitor(tmp_path, 7, "amdgpu", "0000:03:00.0", power1_average=40_000_000)
    monitor(tmp_path, 2, "nvme", "0000:01:00.0", temp1_input=4)
    counted, sampled = amdgpu.find(Sources(tmp_path))
    assert isinstance(counted, Meter)
    assert isinstance(sampled, Meter)
    assert (counted.domains, counted.method, counted.limits_watts) == (
        ("gpu:1",),
        "counter",
        {"gpu:1": 300.0},
    )
    assert (sampled.domains, sampled.method) == (("gpu:0",), "power")
    write(second, energy1_input=7_500_000)
    assert counted.read() == {"gpu:1": 2.5}


def test_a_newer_cards_power_is_sampled_and_integrated(tmp_path: Path) -> None:
    clock = Ticks()
    card = monitor(tmp_path, 1, "amdgpu", power1_input=100_000_000, power1_cap=150_000_000)
    meter = only_meter(amdgpu.find(Sources(tmp_path, clock=clock)))
    meter.read()
    write(card, power1_input=50_000_000)
    assert after(meter, clock, 0.5) == {"gpu:0": 37.5}
    assert meter.limits_watts == {"gpu:0": 150.0}


def test_a_card_whose_counter_was_reset_is_an_error(tmp_path: Path) -> None:
    card = monitor(tmp_path, 1, "amdgpu", energy1_input=5_000_000)
    meter = only_meter(amdgpu.find(Sources(tmp_path)))
    write(card, energy1_input=10)
    with pytest.raises(MeterError, match="gpu:0 went back"):
        meter.read()


def test_a_card_that_tells_nothing_is_missing_with_the_reason(tmp_path: Path) -> None:
    monitor(tmp_path, 1, "amdgpu", temp1_input=4)
    assert "neither energy nor power" in only_missing(amdgpu.find(Sources(tmp_path))).reason


# -- amd_energy --------------------------------------------------------------------------------------------------------


def test_the_sockets_of_amd_energy_are_packages_and_its_cores_are_not_read(tmp_path: Path) -> None:
    folder = monitor(
        tmp_path,
        3,
        "amd_energy",
        energy1_label="Ecore000",
        energy1_input=1,
        energy65_label="Esocket0",
        energy65_input=1_000_000,
        energy66_label="Esocket1",
        energy66_input=2_000_000,
    )
    meter = only_meter(amd_energy.find(Sources(tmp_path)))
    assert meter.domains == ("package-0", "package-1")
    write(folder, energy65_input=4_000_000, energy66_input=2_500_000)
    assert meter.read() == {"package-0": 3.0, "package-1": 0.5}
    write(folder, energy65_input=0)
    with pytest.raises(MeterError, match="package-0 went back"):
        meter.read()


# -- INA ---------------------------------------------------------------------------------------------------------------


def test_a_jetsons_rails_are_volts_times_amperes_and_its_input_is_the_module(tmp_path: Path) -> None:
    clock = Ticks()
    folder = monitor(
        tmp_path,
        1,
        "ina3221",
        in1_label="VDD_IN",
        in1_input=5000,
        curr1_input=2000,
        in2_label="VDD_CPU_GPU_CV",
        in2_input=5000,
        curr2_input=-8,
    )
    meter = only_meter(ina.find(Sources(tmp_path, clock=clock)))
    assert meter.domains == ("module", "rail:VDD_CPU_GPU_CV")
    assert (meter.method, meter.resolution_s) == ("power", 0.1)
    meter.read()
    assert after(meter, clock, 1.0) == {"module": 10.0, "rail:VDD_CPU_GPU_CV": 0.0}
    (folder / "curr1_input").unlink()
    with pytest.raises(MeterError, match="curr1_input cannot be read"):
        meter.read()


def test_a_monitor_that_multiplies_itself_is_read_in_microwatts_at_its_own_rate(tmp_path: Path) -> None:
    monitor(tmp_path, 4, "ina226", in1_input=1, curr1_input=1, power1_input=2_500_000, update_interval=17)
    meter = only_meter(ina.find(Sources(tmp_path)))
    assert isinstance(meter, ina.InaMeter)
    assert meter.watts() == {"rail:ina226.hwmon4.1": 2.5}
    assert meter.resolution_s == pytest.approx(0.017)


# -- battery -----------------------------------------------------------------------------------------------------------


def supply(root: Path, name: str, **files: object) -> Path:
    return write(root / "class/power_supply" / name, **files)


def test_a_discharging_battery_is_the_whole_device_in_watts(tmp_path: Path) -> None:
    clock = Ticks()
    supply(tmp_path, "AC", type="Mains", online=0)
    supply(tmp_path, "hidpp_battery_0", type="Battery", scope="Device", status="Discharging", power_now=1)
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", power_now=8_000_000)
    supply(
        tmp_path, "BAT1", type="Battery", status="Discharging", current_now=-500_000, voltage_now=12_000_000
    )
    meter = only_meter(battery.find(Sources(tmp_path, clock=clock)))
    assert (meter.domains, meter.method, meter.min_window_s) == (("battery",), "power", 50.0)
    meter.read()
    assert after(meter, clock, 2.0) == {"battery": pytest.approx(28.0)}


def test_a_charger_that_is_plugged_in_ends_the_measurement(tmp_path: Path) -> None:
    folder = supply(tmp_path, "BAT0", type="Battery", status="Discharging", power_now=8_000_000)
    meter = only_meter(battery.find(Sources(tmp_path)))
    write(folder, status="Charging")
    with meter.window() as window:
        pass
    assert window.joules is None
    assert window.reason == "the battery does not discharge (Charging): the device runs on mains"
    assert "Charging" in only_missing(battery.find(Sources(tmp_path))).reason


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("find", [amdgpu.find, amd_energy.find, ina.find, battery.find])
def test_hardware_that_is_not_here_is_missing_and_in_no_rows_reason(find: Find, tmp_path: Path) -> None:
    assert not only_missing(find(Sources(tmp_path))).expected


@pytest.mark.parametrize(
    ("find", "name", "file", "others"),
    [
        (amdgpu.find, "amdgpu", "energy1_input", {}),
        (amdgpu.find, "amdgpu", "power1_average", {}),
        (amd_energy.find, "amd_energy", "energy1_input", {"energy1_label": "Esocket0"}),
        (ina.find, "ina219", "power1_input", {}),
    ],
)
def test_a_file_for_root_only_is_missing_with_the_next_step(
    find: Find,
    name: str,
    file: str,
    others: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(monitor(tmp_path, 1, name), **{file: 5, **others})
    read = Path.read_text

    def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self.name == file:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, encoding=encoding, errors=errors)

    monkeypatch.setattr(Path, "read_text", refuse)
    missing = only_missing(find(Sources(tmp_path)))
    assert missing.reason.endswith(f"{file} may be read by root only")
    assert "chmod a+r" in missing.next_step
    assert missing.expected
