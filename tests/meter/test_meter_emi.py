"""`harness.meter.emi` on scripted devices, in the layout of emi.h."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_trees import only_meter, only_missing

from harness.meter import emi, emi_windows
from harness.meter.base import Meter, MeterError, MissingMeter, Sources

PKG, DRAM, CORES = "RAPL_Package0_PKG", "RAPL_Package0_DRAM", "RAPL_Package0_PP0"


def second(*names: str, unit: int = 0) -> bytes:
    """EMI_METADATA_V2 of some channels."""
    raw = "Example".encode("utf-16-le").ljust(32, b"\0") * 2 + struct.pack("<HH", 1, len(names))
    for name in names:
        text = (name + "\0").encode("utf-16-le")
        raw += struct.pack("<IH", unit, len(text)) + text
    return raw


def first(name: str) -> bytes:
    """EMI_METADATA_V1."""
    text = name.encode("utf-16-le")
    return struct.pack("<I", 0) + bytes(64) + struct.pack("<HH", 1, len(text)) + text


class Scripted:
    """A device with some metadata whose channels count as told (picowatt-hours)."""

    def __init__(self, metadata: bytes, *counts: list[int], version: int = 2) -> None:
        self.answers = {
            emi.GET_VERSION: struct.pack("<H", version),
            emi.GET_METADATA_SIZE: struct.pack("<I", len(metadata)),
            emi.GET_METADATA: metadata,
        }
        self.counts = list(counts)

    def ask(self, code: int, size: int) -> bytes:
        if code != emi.GET_MEASUREMENT:
            answer = self.answers[code]
            assert size >= len(answer)
            return answer
        if not self.counts:
            raise OSError("the device is gone")
        return b"".join(struct.pack("<QQ", count, 123) for count in self.counts.pop(0))


def look(*devices: Scripted) -> list[Meter | MissingMeter]:
    windows = SimpleNamespace(open_devices=lambda: list(devices))
    return emi.find(Sources(system="win32", modules={"harness.meter.emi_windows": windows}))


def test_channels_of_the_processor_are_packages_and_memory_in_joules() -> None:
    hour = 10**12  # picowatt-hours of a watt-hour, which is 3600 J
    meter = only_meter(look(Scripted(second(PKG, CORES, DRAM), [hour, 5, 0], [2 * hour, 6, hour // 3600])))
    assert meter.domains == ("dram-0", "package-0")
    assert meter.read() == {"package-0": pytest.approx(3600), "dram-0": pytest.approx(1.0, rel=1e-6)}


def test_a_device_of_the_first_version_is_one_rail() -> None:
    meter = only_meter(look(Scripted(first("Battery"), [0], [10**9], version=1)))
    assert meter.read() == {"rail:Battery": pytest.approx(3.6)}


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (Scripted(second(PKG), version=3), "version 3 is not known"),
        (Scripted(second(PKG, unit=1)), "unit 1 is not known"),
        (Scripted(second(PKG)[:-4]), "ends within a name"),
        (Scripted(second(PKG)[:40]), "cannot be read"),
        (Scripted(second(PKG)), "the device is gone"),
        (Scripted(second(), []), "no device has a channel"),
    ],
)
def test_a_device_that_answers_strangely_is_missing_with_the_reason(device: Scripted, words: str) -> None:
    assert words in only_missing(look(device)).reason


def test_a_counter_that_goes_back_or_vanishes_is_an_error() -> None:
    meter = only_meter(look(Scripted(second(PKG), [100], [90])))
    with pytest.raises(MeterError, match="package-0 went back"):
        meter.read()
    with pytest.raises(MeterError, match="is gone"):
        meter.read()


def test_a_machine_without_energy_meters_says_so_and_another_system_does_not_look() -> None:
    assert only_missing(look()).reason == "Windows lists no energy meter"
    assert not only_missing(emi.find(Sources(system="linux"))).expected


@given(st.binary(max_size=200), st.integers(1, 2))
def test_no_metadata_does_more_than_raise_a_meter_error(raw: bytes, version: int) -> None:
    try:
        names = emi.channels(Scripted(raw, version=version))
    except MeterError:
        return
    assert all(isinstance(name, str) for name in names)


@pytest.mark.skipif(not hasattr(__import__("ctypes"), "WinDLL"), reason="Windows only")
def test_windows_lists_its_meters() -> None:
    assert isinstance(emi_windows.device_paths(), list)


@pytest.mark.skipif(hasattr(__import__("ctypes"), "WinDLL"), reason="everywhere but on Windows")
def test_what_asks_windows_refuses_elsewhere_with_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="not Windows"):
        emi_windows.device_paths()
    sources = Sources(system="win32", modules={"harness.meter.emi_windows": emi_windows})
    assert only_missing(emi.find(sources)).reason == "this is not Windows"
