"""`harness.meter.energy`: gross, net, per token, and the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.meter.domains import is_whole, summed_domains
from harness.meter.energy import Interval, MeterFacts, energy_result

RAPL = MeterFacts("powercap", "counter", 0.001)
NVML = MeterFacts("nvml", "counter", 0.1)


def test_gross_and_net_of_idle_per_token() -> None:
    result = energy_result(
        Interval(10.0, {"package-0": 300.0, "dram-0": 50.0, "psys": 900.0}),
        tokens=100,
        device="cpu",
        meter=RAPL,
        idle_before=Interval(5.0, {"package-0": 45.0, "dram-0": 5.0, "psys": 100.0}),
        idle_after=Interval(5.0, {"package-0": 49.0, "dram-0": 5.0, "psys": 100.0}),
    )
    assert result.domains == ("dram-0", "package-0"), "psys holds the packages already"
    assert result.joules_gross == pytest.approx(350)
    assert result.idle_watts == pytest.approx(10.4)
    assert result.idle_watts_before == pytest.approx(10)
    assert result.idle_watts_after == pytest.approx(10.8)
    assert result.joules_net == pytest.approx(350 - 10.4 * 10)
    assert result.joules_per_token == pytest.approx(3.5)
    assert result.joules_per_token_net == pytest.approx(2.46)
    assert result.drift is False
    assert result.reason is None
    assert result.by_domain is not None
    assert result.by_domain["psys"] == 900.0


def test_idle_power_that_changed_is_flagged() -> None:
    result = energy_result(
        Interval(10.0, {"package-0": 300.0}),
        tokens=1,
        device="cpu",
        meter=RAPL,
        idle_before=Interval(5.0, {"package-0": 50.0}),
        idle_after=Interval(5.0, {"package-0": 60.0}),
    )
    assert result.drift is True
    assert result.joules_net is not None


def test_without_idle_there_is_gross_only_and_the_reason() -> None:
    result = energy_result(Interval(10.0, {"gpu:0": 300.0}), tokens=10, device="gpu:0", meter=NVML)
    assert result.joules_per_token == pytest.approx(30)
    assert result.joules_net is None
    assert result.joules_per_token_net is None
    assert result.drift is None
    assert result.reason == "net: no idle window of at least 5 s"


def test_one_idle_window_gives_net_without_a_verdict_on_drift() -> None:
    idle = Interval(6.0, {"gpu:0": 60.0})
    result = energy_result(
        Interval(10.0, {"gpu:0": 300.0}), tokens=10, device="gpu:0", meter=NVML, idle_before=idle
    )
    assert result.joules_net == pytest.approx(200)
    assert result.drift is None


@pytest.mark.parametrize(
    ("load", "tokens", "device", "word"),
    [
        (Interval(4.9, {"gpu:0": 1.0}), 10, "gpu:0", "shorter than 50 update periods"),
        (Interval(9.0, {"gpu:0": 1.0}, stretches=2), 10, "gpu:0", "in 2 stretches is shorter than 50 update"),
        (Interval(9.0, {"gpu:0": 1.0}), 0, "gpu:0", "no token"),
        (Interval(9.0, {"gpu:1": 1.0}), 10, "gpu:0", "no domain for gpu:0"),
        (Interval(9.0, {"psys": 1.0}), 10, "cpu", "no domain for cpu"),
    ],
)
def test_what_a_rule_forbids_is_none_with_the_reason(
    load: Interval, tokens: int, device: str, word: str
) -> None:
    result = energy_result(load, tokens=tokens, device=device, meter=NVML)
    assert result.joules_gross is None
    assert result.joules_per_token is None
    assert word in (result.reason or "")


def test_a_short_idle_window_is_not_used() -> None:
    short = Interval(0.04, {"package-0": 0.5})
    result = energy_result(
        Interval(10.0, {"package-0": 300.0}), tokens=1, device="cpu", meter=RAPL, idle_before=short
    )
    assert result.joules_net is None


def test_no_joule_is_counted_twice() -> None:
    domains = ("package-0-die-0", "package-0-die-1", "dram-0", "psys", "gpu:0")
    assert summed_domains(domains, "cpu") == ("dram-0", "package-0-die-0", "package-0-die-1")
    assert summed_domains(domains, "gpu:0") == ("gpu:0",)
    assert summed_domains(domains, "npu:0") == ()
    assert summed_domains(("rail:VDD_CPU",), "cpu") == ()


def test_the_whole_of_a_device_stands_for_it_only_where_nothing_finer_is_measured() -> None:
    assert summed_domains(("wall", "battery"), "npu:0") == ("battery",)
    assert summed_domains(("wall", "package-0"), "cpu") == ("package-0",)
    assert is_whole(("wall",))
    assert not is_whole(("dram-0", "package-0"))


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=8), st.integers(1, 10**6))
def test_the_energy_of_parts_is_the_energy_of_the_whole(parts: list[float], tokens: int) -> None:
    whole = energy_result(
        Interval(10.0 * len(parts), {"gpu:0": sum(parts)}), tokens=tokens, device="gpu:0", meter=NVML
    )
    each = [
        energy_result(Interval(10.0, {"gpu:0": part}), tokens=tokens, device="gpu:0", meter=NVML)
        for part in parts
    ]
    assert whole.joules_gross == pytest.approx(sum(part.joules_gross or 0 for part in each))


LIMITED = MeterFacts("powercap", "counter", 0.001, {"package-0": 15.0})


def test_work_without_energy_in_a_package_is_impossible() -> None:
    still = Interval(10.0, {"package-0": 120.0, "package-1": 0.0, "dram-0": 1.0})
    result = energy_result(still, tokens=10, device="cpu", meter=RAPL)
    assert result.impossible
    assert result.joules_gross is None
    assert result.reason == "powercap: package-1 used no energy in 10 s of work, which cannot be"
    assert result.by_domain == still.joules, "what was read is kept"


def test_a_memory_bank_that_counts_nothing_is_possible() -> None:
    result = energy_result(
        Interval(10.0, {"package-0": 120.0, "dram-0": 0.0}), tokens=10, device="cpu", meter=RAPL
    )
    assert (result.impossible, result.joules_gross) == (False, 120.0)


@pytest.mark.parametrize(("joules", "possible"), [(157.0, True), (158.0, False)])
def test_power_above_the_limit_is_impossible(joules: float, possible: bool) -> None:
    result = energy_result(
        Interval(10.0, {"package-0": joules, "dram-0": 900.0}), tokens=10, device="cpu", meter=LIMITED
    )
    assert result.impossible is not possible
    assert (result.joules_gross is None) is not possible
    if not possible:
        assert "above the limit of 15 W" in (result.reason or "")


def test_the_limit_is_one_of_net_power() -> None:
    idle = Interval(5.0, {"package-0": 25.0})
    result = energy_result(
        Interval(10.0, {"package-0": 200.0}), tokens=10, device="cpu", meter=LIMITED, idle_before=idle
    )
    assert result.joules_net == pytest.approx(150.0)


def test_a_window_in_which_energy_went_back_is_impossible() -> None:
    result = energy_result(Interval(10.0, {"gpu:0": -3.0}), tokens=10, device="gpu:0", meter=NVML)
    assert result.impossible
    assert "went back" in (result.reason or "")


@given(
    st.floats(1.0, 1e4),
    st.floats(0.0, 1e6),
    st.floats(0.1, 1e3),
    st.one_of(st.none(), st.floats(0.0, 1e3)),
)
def test_no_figure_passes_that_physics_forbids(
    seconds: float, joules: float, limit: float, idle_watts: float | None
) -> None:
    idle = None if idle_watts is None else Interval(10.0, {"gpu:0": idle_watts * 10})
    facts = MeterFacts("nvml", "counter", 0.01, {"gpu:0": limit})
    result = energy_result(
        Interval(seconds, {"gpu:0": joules}), tokens=1, device="gpu:0", meter=facts, idle_before=idle
    )
    if result.joules_gross is None:
        assert result.impossible
        assert result.reason
        return
    assert result.joules_gross > 0
    net = result.joules_gross if result.joules_net is None else result.joules_net
    assert net / seconds <= limit * 1.05 * (1 + 1e-9)
