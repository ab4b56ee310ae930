"""`harness.meter.find`: every kind is here or has its reason, whoever declares it, and a device has one meter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pytest
from meter_trees import write

from harness import meter as package
from harness.declared import Declared, of_checkout
from harness.meter import find as module
from harness.meter import find_meters, meter_for, unavailable_reason
from harness.meter.base import Meter, Sources
from harness.meter.find import GROUP

KINDS = ["amd_energy", "amdgpu", "apple", "battery", "emi", "external", "ina", "nvml", "powercap"]


class NVMLError_LibraryNotFound(Exception):  # noqa: N801
    """The name that pynvml gives it."""


class NoLibrary:
    """NVML where there is no driver."""

    NVMLError = NVMLError_LibraryNotFound

    @staticmethod
    def nvmlInit() -> None:  # noqa: N802
        raise NVMLError_LibraryNotFound


def here(root: Path, **environment: str) -> Sources:
    return Sources(root, system="linux", environment=environment, modules={"pynvml": NoLibrary})


class Still(Meter):
    """Measures nothing that moves."""

    name = "still"
    method: Literal["counter", "power"] = "counter"
    resolution_s = 0.1

    def __init__(
        self, *domains: str, name: str = "still", method: str = "counter", period: float = 0.1
    ) -> None:
        self.domains = domains
        self.name = name
        self.method = "counter" if method == "counter" else "power"
        self.resolution_s = period

    def read(self) -> dict[str, float]:
        return dict.fromkeys(self.domains, 0.0)


def test_the_project_declares_each_kind_of_meter_in_a_file_of_its_own() -> None:
    declared = of_checkout(GROUP, Path(__file__).resolve().parents[2] / "harness")
    assert [each.name for each in declared] == KINDS
    files = {each.value.partition(":")[0] for each in declared}
    assert files == {f"{package.__name__}.{kind}" for kind in KINDS}


def test_on_a_machine_without_meters_every_kind_has_a_reason_and_a_next_step(tmp_path: Path) -> None:
    meters, missing = find_meters(here(tmp_path))
    assert meters == []
    assert [each.name for each in missing] == KINDS
    assert all(each.reason and each.next_step for each in missing)


def test_the_reason_of_an_empty_value_names_the_kinds_that_might_be_here(tmp_path: Path) -> None:
    _, missing = find_meters(here(tmp_path))
    assert unavailable_reason(missing) == (
        f"no energy meter: NVML library not found; no powercap zone under {tmp_path}/class/powercap"
    )
    _, missing = find_meters(here(tmp_path, EDGEBENCH_METER="/nowhere/meter"))
    assert "'/nowhere/meter' does not start" in unavailable_reason(missing)
    assert unavailable_reason([]) == "no energy meter: none of the known kinds is here"


def test_what_is_here_is_found_beside_what_is_not(tmp_path: Path) -> None:
    write(tmp_path / "class/powercap/intel-rapl:0", name="package-0", max_energy_range_uj=10**12, energy_uj=5)
    meters, missing = find_meters(here(tmp_path))
    assert [each.name for each in meters] == ["powercap"]
    assert [each.name for each in missing] == [kind for kind in KINDS if kind != "powercap"]


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of another distribution that tests fill in."""
    file = tmp_path / "acme_meters.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_meters", raising=False)
    return file


def declare(monkeypatch: pytest.MonkeyPatch, *kinds: Declared) -> None:
    monkeypatch.setattr(module, "declared", lambda _: list(kinds))


def test_a_third_partys_meter_is_found_by_its_entry_point(
    third_party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third_party.write_text(
        "from harness.meter import Meter\n"
        "class Acme(Meter):\n"
        "    name, method, resolution_s, domains = 'acme', 'counter', 0.5, ('npu:0',)\n"
        "    def read(self): return {'npu:0': 0.0}\n"
        "def find(sources): return [Acme()]\n"
    )
    declare(monkeypatch, Declared("acme", "acme_meters:find", "acme-meters"))
    meters, missing = find_meters(here(tmp_path))
    assert [(each.name, each.min_window_s) for each in meters] == [("acme", 25.0)]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('for another Python')", "RuntimeError: for another Python"),
        ("", "AttributeError"),
        ("def find(sources): return ['a watt']", "gave a str"),
        ("def find(sources): return None", "TypeError"),
        ("def find(sources): 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_broken_kind_is_listed_with_its_distribution_and_hides_no_other(
    text: str, words: str, third_party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third_party.write_text(text)
    declare(
        monkeypatch,
        Declared("acme", "acme_meters:find", "acme-meters"),
        Declared("ina", "harness.meter.ina:find", "edgebench"),
    )
    _, missing = find_meters(here(tmp_path))
    assert [each.name for each in missing] == ["acme", "ina"]
    assert words in missing[0].reason
    assert "'acme-meters'" in missing[0].reason


def test_of_two_kinds_of_one_name_the_projects_own_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(
        monkeypatch,
        Declared("ina", "harness.meter.ina:find", "edgebench"),
        Declared("ina", "acme_meters:find", "acme-meters"),
    )
    _, missing = find_meters(here(tmp_path))
    assert "no INA power monitor" in missing[0].reason
    assert "another distribution declares" in missing[1].reason


RAPL = Still("package-0", "dram-0", name="powercap", period=0.001)
AMD = Still("package-0", name="amd_energy")
BOARD = Still("gpu:0", name="nvml")
BOARD_POWER = Still("gpu:0", name="nvml-power", method="power")
CARD = Still("gpu:0", name="amdgpu")
BATTERY = Still("battery", name="battery", method="power", period=1.0)
PLUG = Still("wall", name="external", method="power", period=1.0)


@pytest.mark.parametrize(
    ("device", "meters", "chosen"),
    [
        ("cpu", [AMD, BATTERY, RAPL, BOARD], RAPL),
        ("gpu:0", [RAPL, BOARD_POWER, BATTERY, BOARD], BOARD),
        ("gpu:0", [RAPL, BATTERY], BATTERY),
        ("npu:0", [RAPL, BOARD, BATTERY], BATTERY),
        ("cpu", [RAPL, PLUG], PLUG),
        ("gpu:0", [BOARD, CARD, PLUG], PLUG),
    ],
)
def test_a_device_has_the_meter_that_measures_it_best(
    device: str, meters: list[Meter], chosen: Meter
) -> None:
    assert meter_for(device, meters) is chosen
    assert meter_for(device, meters[::-1]) is chosen


def test_a_device_that_nobody_measures_has_none_with_the_reason() -> None:
    assert meter_for("gpu:0", [RAPL]) == "no meter of this machine measures gpu:0"
    assert meter_for("cpu", [Still("psys")]) == "no meter of this machine measures cpu"


def test_cards_of_two_vendors_with_one_number_are_not_guessed() -> None:
    reason = meter_for("gpu:0", [BOARD, CARD])
    assert reason == "amdgpu and nvml both have a gpu:0: which one computed is not told"
    assert meter_for("gpu:0", [BOARD, BOARD_POWER]) is BOARD
