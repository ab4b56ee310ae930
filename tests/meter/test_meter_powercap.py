"""`harness.meter.powercap` on recorded trees of ``/sys``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.meter.base import Meter, MeterError, MissingMeter, Sources, WrappingCounter
from harness.meter.powercap import PowercapMeter, find, find_zones

RANGE_UJ = 262_143_328_850


def zone(root: Path, folder: str, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> Path:
    path = root / "class/powercap" / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n", encoding="ascii")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n", encoding="ascii")
    (path / "energy_uj").write_text(f"{energy_uj}\n", encoding="ascii")
    return path


def put(path: Path, energy_uj: int) -> None:
    (path / "energy_uj").write_text(f"{energy_uj}\n", encoding="ascii")


class Clock:
    """Monotonic seconds, ten more at every look: a counter may have grown by kilojoules meanwhile."""

    def __init__(self, step: float = 10.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def opened(root: Path, clock: Clock | None = None) -> PowercapMeter:
    [meter] = find(Sources(root, clock=clock or Clock()))
    assert isinstance(meter, PowercapMeter), meter
    return meter


def refused(root: Path) -> MissingMeter:
    [missing] = find(Sources(root))
    assert isinstance(missing, MissingMeter), missing
    return missing


def test_two_sockets_with_memory_are_four_domains_and_parts_of_packages_are_not_read(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 1)
    zone(tmp_path, "intel-rapl:0:1", "uncore", 1)
    zone(tmp_path, "intel-rapl:0:2", "dram", 500)
    zone(tmp_path, "intel-rapl:1", "package-1", 2_000)
    zone(tmp_path, "intel-rapl:1:0", "dram", 700)
    zone(tmp_path, "intel-rapl:2", "psys", 9_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)
    assert opened(tmp_path).domains == ("dram-0", "dram-1", "package-0", "package-1", "psys")
    assert find_zones(tmp_path)["package-0"].name == "intel-rapl:0"


def test_joules_count_from_the_opening_of_the_meter(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    meter = opened(tmp_path)
    assert meter.read() == {"package-0": 0.0}
    put(package, 7_500_000)
    assert meter.read() == {"package-0": 2.5}


def test_a_wrap_is_counted_and_not_negative(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    meter = opened(tmp_path)
    put(package, 2_000_000)
    assert meter.read()["package-0"] == pytest.approx(3.0)


def test_a_window_has_the_joules_between_its_ends(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    meter = opened(tmp_path)
    with meter.window() as window:
        put(package, 1_000_100)
    assert window.joules == pytest.approx({"package-0": 1.0})
    assert window.reason is None
    assert window.seconds > 0


def test_a_window_that_may_have_wrapped_twice_is_none_with_the_reason(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    meter = opened(tmp_path)
    assert meter.max_gap_s == pytest.approx(262.1, abs=0.1)
    meter.max_gap_s = 0.0
    with meter.window() as window:
        pass
    assert window.joules is None
    assert "wrapped more than once" in (window.reason or "")


def test_a_counter_that_disappears_leaves_a_reason_and_does_not_disturb_the_body(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    meter = opened(tmp_path)
    with meter.window() as window:
        (package / "energy_uj").unlink()
    assert window.joules is None
    assert "energy_uj cannot be read" in (window.reason or "")
    with meter.window() as again:
        done = True
    assert done
    assert again.joules is None


def test_a_counter_for_root_only_is_missing_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    read = Path.read_text

    def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, encoding=encoding, errors=errors)

    monkeypatch.setattr(Path, "read_text", refuse)
    missing = refused(tmp_path)
    assert missing.reason.endswith("intel-rapl:0/energy_uj may be read by root only")
    assert "chmod a+r" in missing.next_step


@pytest.mark.parametrize("name", ["energy_uj", "max_energy_range_uj"])
@pytest.mark.parametrize("text", ["", "garbage", "-5"])
def test_a_counter_without_a_number_is_missing(tmp_path: Path, name: str, text: str) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0", 100) / name).write_text(text, encoding="ascii")
    missing = refused(tmp_path)
    assert "holds no number" in missing.reason


def test_a_counter_that_begins_anew_is_an_error_and_not_a_wrap(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000_000)
    meter = opened(tmp_path, Clock(0.5))
    put(package, 1_000)  # a wrap would mean 257 kJ in half a second
    for _ in range(2):
        with pytest.raises(MeterError, match="package-0: the counter went back from 5000000000 to 1000"):
            meter.read()
    with meter:  # the next run counts anew
        put(package, 2_001_000)
        assert meter.read() == {"package-0": 2.0}


def test_a_reset_within_a_window_leaves_it_without_joules(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000_000)
    meter = opened(tmp_path, Clock(0.5))
    with meter.window() as window:
        put(package, 1_000)
    assert window.joules is None
    assert "went back" in (window.reason or "")


def test_the_limit_of_a_zone_is_its_highest(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    for name, value in (
        ("constraint_0_max_power_uw", 28_000_000),
        ("constraint_0_power_limit_uw", 30_000_000),
        ("constraint_1_max_power_uw", 0),
        ("constraint_1_power_limit_uw", 64_000_000),
    ):
        (package / name).write_text(f"{value}\n", encoding="ascii")
    zone(tmp_path, "intel-rapl:0:0", "dram", 1)
    assert opened(tmp_path).limits_watts == {"package-0": 64.0}


def test_without_a_zone_there_is_no_meter(tmp_path: Path) -> None:
    missing = refused(tmp_path)
    assert missing.reason == f"no powercap zone under {tmp_path}/class/powercap"
    assert missing.expected


@given(st.integers(1, 10**15), st.data())
def test_wraps_never_give_negative_energy_and_parts_add_up_to_the_whole(
    full: int, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(0, full - 1), max_size=20))
    first = data.draw(st.integers(0, full))
    counter, raw, before = WrappingCounter(first, full), first, 0
    for step in steps:
        raw = (raw + step) if raw + step <= full else raw + step - full
        after = counter.update(raw)
        assert after - before == step
        before = after
    assert counter.total == sum(steps)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**7)))
def test_even_a_counter_that_lies_about_its_range_never_goes_back(full: int, raws: list[int]) -> None:
    counter, last = WrappingCounter(0, full), 0
    for raw in raws:
        total = counter.update(raw)
        assert total >= last
        last = total


def test_a_meter_error_is_the_reason_and_nothing_else_is_swallowed(tmp_path: Path) -> None:
    class Failing(PowercapMeter):
        def read(self) -> dict[str, float]:
            raise MeterError("gone")

    zone(tmp_path, "intel-rapl:0", "package-0", 100)
    meter: Meter = Failing(find_zones(tmp_path))
    with meter.window() as window:
        pass
    assert (window.joules, window.reason) == (None, "gone")
    with pytest.raises(ZeroDivisionError), meter.window():
        _ = 1 / 0


@given(st.integers(1, 10**15), st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_wrap_that_is_too_much_for_the_time_is_refused_and_any_other_counted(
    full: int, first: int, raw: int, most: int
) -> None:
    counter = WrappingCounter(first, full)
    step = raw - first if raw >= first else raw - first + max(full, first)
    if raw < first and step > most:
        with pytest.raises(MeterError):
            counter.update(raw, most)
        assert counter.total == 0
    else:
        assert counter.update(raw, most) == step
