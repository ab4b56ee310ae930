"""Recorded sysfs trees for the tests of meters, and what they all ask of one."""

from __future__ import annotations

from pathlib import Path

from harness.meter.base import Meter, MissingMeter


def write(folder: Path, **files: object) -> Path:
    """Files of a kernel folder, one value each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n", encoding="ascii")
    return folder


def only_meter(found: list[Meter | MissingMeter]) -> Meter:
    [meter] = found
    assert isinstance(meter, Meter), meter
    return meter


def only_missing(found: list[Meter | MissingMeter]) -> MissingMeter:
    [missing] = found
    assert isinstance(missing, MissingMeter), missing
    assert missing.reason
    assert missing.next_step
    return missing


class Ticks:
    """A monotonic clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float) -> None:
        self.now += seconds
