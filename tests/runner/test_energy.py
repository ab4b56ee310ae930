"""`harness.runner.energy` with a scripted worker and meter: order, length and extension of the windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.meter import base
from harness.meter.base import Meter, MeterError
from harness.runner.energy import EnergyProbe, EnergyReadings, EnergySource
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.worker.api import LoadSpec
from harness.worker.protocol import Message, TimedSpec

IDLE_W, PREFILL_W, DECODE_W = 10.0, 60.0, 30.0
WORK = TimedSpec(prompt_tokens=32, decode_tokens=16, depth=0, repetitions=1, warmups=0, seed=7)
LOAD = LoadSpec(Path("artifact"), "cpu", "cpu", 2, 48, {})


class Lab:
    """A clock, a machine whose power depends on what it does, its meter, and its worker."""

    def __init__(
        self, period_s: float = 0.001, prefill_tps: float = 320.0, decode_tps: float = 100.0
    ) -> None:
        self.now = 0.0
        self.joules = 0.0
        self.tps = {"prefill": prefill_tps, "decode": decode_tps}
        self.watts = {"idle": IDLE_W, "prefill": PREFILL_W, "decode": DECODE_W}
        self.context = LOAD.context_tokens
        self.largest = 10**9
        self.calls: list[tuple[str, Any]] = []
        self.meter = ScriptedMeter(self, period_s)
        self.probe = EnergyProbe(EnergySource((self.meter,), ""), "cpu", self.monotonic)
        self.streams = False
        self.seeds: list[int] = []

    def monotonic(self) -> float:
        return self.now

    def spend(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.joules += seconds * watts

    def measure(self, work: TimedSpec = WORK, timeout_s: float = 600.0) -> EnergyReadings:
        worker: Any = SimpleNamespace(call=self.call)
        assert hasattr(WorkerProcess, "call")
        return self.probe.measure(worker, LOAD, work, timeout_s)

    def call(self, method: str, body: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        assert timeout_s > 0
        self.calls.append((method, body.get("phase", body.get("context_tokens"))))
        if method == "load":
            if body["context_tokens"] > self.largest:
                raise WorkerRefused("no", type_="ValueError", message="static shape", traceback="")
            self.context = body["context_tokens"]
        if method != "energy":
            return {}
        phase, seconds, depth = body["phase"], body["seconds"], body["depth"]
        self.seeds.append(body["seed"])
        if self.streams and phase != "idle":
            return self.requests(body)
        tokens = done = 0.0
        while done < seconds:
            self.spend(0.7, PREFILL_W)  # filling the cache, outside
            self.edge("begin")
            if phase == "idle" or (phase == "prefill" and depth == 0):
                stretch = seconds
            else:
                wanted = max(seconds - done, body["stretch_s"])
                stretch = min(wanted, (self.context - depth) / self.tps[phase])
            self.spend(stretch, self.watts[phase])
            tokens += stretch * self.tps.get(phase, 0.0) * body["batch"]
            self.edge("end")
            done += stretch
            if stretch < body["stretch_s"]:
                break
        return {"tokens": round(tokens), "deepest_tokens": self.context, "seconds": done, "prompts": 0}

    def requests(self, body: dict[str, Any]) -> dict[str, Any]:
        """A server's: prefills alone, or prefills and the decodes behind them; one after another."""
        more = body["decode_tokens"] if body["phase"] == "decode" else 0
        prompt = body["prompt_tokens"] / self.tps["prefill"]
        behind = more / self.tps["decode"]
        begin, rounds = self.now, 0
        self.edge("begin")
        while self.now - begin < body["seconds"]:
            rounds += 1
            self.spend(prompt * body["concurrency"], self.watts["prefill"])
            self.spend(behind * body["concurrency"], self.watts["decode"])
        self.edge("end")
        prompts = rounds * body["concurrency"]
        return {
            "tokens": prompts * (more or body["prompt_tokens"]),
            "deepest_tokens": body["prompt_tokens"] + more,
            "seconds": self.now - begin,
            "prompts": prompts,
        }

    def edge(self, edge: str) -> None:
        self.probe.on_event(Message(1, "event", "window", {"edge": edge}))


class ScriptedMeter(Meter):
    """Counts the machine's energy."""

    name = "scripted"
    method = "counter"
    domains = ("package-0", "psys")

    def __init__(self, lab: Lab, period_s: float) -> None:
        self.lab = lab
        self.resolution_s = period_s
        self.resolution_joules = 0.001
        self.opened = 0
        self.fails_at = -1
        self.reads = 0

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        self.opened -= 1

    def read(self) -> dict[str, float]:
        assert self.opened == 1, "read between open and close"
        self.reads += 1
        if self.reads == self.fails_at:
            raise MeterError("the counter vanished")
        return {"package-0": self.lab.joules, "psys": 2 * self.lab.joules}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    made = Lab()
    monkeypatch.setattr(base, "time", made)
    yield made
    assert made.meter.opened == 0, "whatever happens, the meter is closed"


def test_prefill_and_decode_have_windows_of_their_own_between_two_of_idleness(lab: Lab) -> None:
    readings = lab.measure()
    assert [phase for _, phase in lab.calls] == ["idle", "prefill", "decode", "idle"]
    prefill, decode = readings.records
    assert (prefill.phase, decode.phase) == ("prefill", "decode")
    for record, watts, tps in ((prefill, PREFILL_W, 320.0), (decode, DECODE_W, 100.0)):
        assert record.gross_joules is not None
        assert record.net_joules is not None
        assert record.tokens
        assert record.gross_joules / record.tokens == pytest.approx(watts / tps, rel=0.01)
        assert record.net_joules / record.tokens == pytest.approx((watts - IDLE_W) / tps, rel=0.01)
        assert record.idle_watts == pytest.approx(IDLE_W)
        assert record.idle_drift is False
        assert (record.meter, record.method, record.domain) == ("scripted", "counter", "package-0")
        assert (record.resolution_s, record.resolution_joules) == (0.001, 0.001)
        assert record.domain_joules is not None
        assert record.domain_joules["psys"] == pytest.approx(2 * record.gross_joules)
        assert record.reason is None
    assert readings.flags == []


def test_filling_the_cache_again_is_in_no_figure(lab: Lab) -> None:
    _, decode = lab.measure().records
    # 16 tokens fit behind the prompt: the window of 2 s at 100 tokens/s has many stretches.
    assert decode.window_s == pytest.approx(2.0)
    assert decode.gross_joules == pytest.approx(DECODE_W * 2.0)


def test_a_window_is_extended_by_more_tokens_until_it_is_long_enough_for_the_meter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(period_s=0.1)
    monkeypatch.setattr(base, "time", lab)
    prefill, decode = lab.measure().records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is not None
    assert decode.window_s is not None
    assert decode.window_s >= 5.0
    loads = [context for method, context in lab.calls if method == "load"]
    # 5.5 s at 100 tokens/s, and a tenth more, behind a prompt of 32.
    assert loads == [pytest.approx(32 + 605, abs=2)]
    assert decode.deepest_tokens == loads[0]
    assert decode.gross_joules / (decode.tokens or 1) == pytest.approx(0.3, rel=0.01)


def test_a_speed_that_was_misjudged_extends_the_window_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(period_s=0.1)
    monkeypatch.setattr(base, "time", lab)
    call = lab.call

    def faster(method: str, body: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        if method == "load":
            lab.tps["decode"] = 200.0
        return call(method, body, timeout_s=timeout_s)

    lab.call = faster  # type: ignore[method-assign]
    _, decode = lab.measure().records
    assert decode.gross_joules is not None
    assert [method for method, _ in lab.calls].count("load") == 2


def test_prompts_at_a_depth_are_extended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(period_s=0.1)
    monkeypatch.setattr(base, "time", lab)
    work = TimedSpec(prompt_tokens=32, decode_tokens=0, depth=8, repetitions=1, warmups=0, seed=7)
    [prefill] = lab.measure(work).records
    assert prefill.gross_joules is not None
    assert len([method for method, _ in lab.calls if method == "load"]) == 1


def test_a_model_whose_cache_cannot_grow_has_no_figure_but_the_reason_and_stays_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(period_s=0.1)
    lab.largest = 48
    monkeypatch.setattr(base, "time", lab)
    prefill, decode = lab.measure().records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is None
    assert "the cache of 48 tokens is full before scripted has seen enough (5 s)" in (decode.reason or "")
    assert "static shape" in (decode.reason or "")
    assert [context for method, context in lab.calls if method == "load"][-1] == 48
    assert [phase for method, phase in lab.calls if method == "energy"][-1] == "idle"


def test_windows_that_do_not_fit_into_the_runs_time_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(period_s=1.0)
    monkeypatch.setattr(base, "time", lab)
    readings = lab.measure(timeout_s=300.0)
    assert lab.calls == []
    for record in readings.records:
        assert record.gross_joules is None
        assert "give it more `timeout`" in (record.reason or "")


def test_a_batchs_joules_are_per_token_of_all_its_sequences(lab: Lab) -> None:
    prefill, decode = lab.measure(replace(WORK, batch=4)).records
    for record, watts, tps in ((prefill, PREFILL_W, 4 * 320.0), (decode, DECODE_W, 4 * 100.0)):
        assert record.gross_joules is not None
        assert record.gross_joules / (record.tokens or 1) == pytest.approx(watts / tps, rel=0.01)


def test_a_batchs_cache_is_extended_for_each_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(period_s=0.1)
    monkeypatch.setattr(base, "time", lab)
    _, decode = lab.measure(replace(WORK, batch=4)).records
    assert decode.gross_joules is not None
    loads = [context for method, context in lab.calls if method == "load"]
    assert loads == [pytest.approx(32 + 605, abs=2)]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_of_a_server_the_decode_is_whole_requests_less_their_prefills(lab: Lab, concurrency: int) -> None:
    lab.streams = True
    readings = lab.measure(replace(WORK, concurrency=concurrency))
    prefill, decode = readings.records
    for record, watts, tps in ((prefill, PREFILL_W, 320.0), (decode, DECODE_W, 100.0)):
        assert record.gross_joules is not None
        assert record.net_joules is not None
        assert record.window_s is not None
        assert record.gross_joules / (record.tokens or 1) == pytest.approx(watts / tps, rel=1e-6)
        assert record.net_joules / (record.tokens or 1) == pytest.approx((watts - IDLE_W) / tps, rel=1e-6)
        assert record.window_s >= 2.0, "of this phase alone"
        assert record.window_s == pytest.approx((record.tokens or 0) / tps)
        assert (record.meter, record.domain, record.reason) == ("scripted", "package-0", None)
    assert readings.flags == []
    assert decode.deepest_tokens == 48
    assert len(set(lab.seeds)) == len(lab.seeds), "no prompt comes twice"


def test_requests_that_are_mostly_prefill_go_on_until_their_decode_is_long_enough(lab: Lab) -> None:
    lab.streams = True
    lab.tps["decode"] = 500.0
    _, decode = lab.measure(replace(WORK, decode_tokens=10)).records
    # 0.1 s of prefill before 0.02 s of decode: six times as many requests.
    assert decode.window_s is not None
    assert decode.window_s >= 2.0
    assert [phase for _, phase in lab.calls].count("decode") == 2
    assert not [method for method, _ in lab.calls if method == "load"], "no longer cache helps"


def test_requests_whose_decode_would_take_longer_than_the_run_has_are_told(lab: Lab) -> None:
    lab.streams = True
    lab.tps["decode"] = 5000.0
    prefill, decode = lab.measure(replace(WORK, decode_tokens=10), timeout_s=25.0).records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is None
    assert "give it more `timeout`" in (decode.reason or "")


def test_requests_without_the_energy_of_their_prefills_have_none(lab: Lab) -> None:
    lab.streams = True
    lab.meter.fails_at = 4  # the end of the window of prefill
    prefill, decode = lab.measure().records
    assert (prefill.gross_joules, decode.gross_joules) == (None, None)
    assert decode.reason == "the prefills of the requests cannot be taken out: the counter vanished"


def test_requests_that_took_no_more_than_their_prefills_are_no_figure(lab: Lab) -> None:
    lab.streams = True
    lab.watts["decode"] = -0.1  # what the prefills' own scatter can make of a decode that is small
    prefill, decode = lab.measure().records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is None
    assert decode.reason == "whole requests took no more energy than their prefills alone"


def test_idle_power_that_drifts_is_flagged(lab: Lab) -> None:
    call = lab.call

    def warmer(method: str, body: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        answer = call(method, body, timeout_s=timeout_s)
        lab.watts["idle"] = 12.0
        return answer

    lab.call = warmer  # type: ignore[method-assign]
    prefill, _ = lab.measure().records
    assert prefill.idle_watts_before == pytest.approx(10.0)
    assert prefill.idle_watts_after == pytest.approx(12.0)
    assert prefill.idle_drift is True
    assert prefill.idle_watts == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("limit", "watts", "words"),
    [(19.0, DECODE_W, "above the limit of 19 W"), (900.0, 0.0, "used no energy")],
)
def test_what_physics_forbids_is_no_figure_and_flags_the_run(
    lab: Lab, limit: float, watts: float, words: str
) -> None:
    lab.meter.limits_watts = {"package-0": limit}
    lab.watts |= {"prefill": 20.0, "decode": watts}
    readings = lab.measure()
    prefill, decode = readings.records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is None
    assert words in (decode.reason or "")
    assert decode.domain_joules is not None, "what was read is kept"
    [flag] = readings.flags
    assert flag == f"energy of decode: {decode.reason}"


def test_a_counter_that_vanishes_in_a_window_takes_only_that_window(lab: Lab) -> None:
    lab.meter.fails_at = 4  # the end of the window of prefill
    prefill, decode = lab.measure().records
    assert (prefill.gross_joules, prefill.reason) == (None, "the counter vanished")
    assert decode.gross_joules is not None


def test_a_meter_that_was_read_too_late_gives_no_figure(lab: Lab) -> None:
    read = lab.meter.read

    def late() -> dict[str, float]:
        if lab.calls[-1][1] == "decode":
            lab.spend(0.2, IDLE_W)
        return read()

    lab.meter.read = late  # type: ignore[method-assign]
    prefill, decode = lab.measure().records
    assert prefill.gross_joules is not None
    assert decode.gross_joules is None
    assert "read at the wrong moments" in (decode.reason or "")


def test_a_meter_that_does_not_start_is_the_reason(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise MeterError("the external meter is gone")

    monkeypatch.setattr(lab.meter, "open", refuse)
    readings = lab.measure()
    assert [record.reason for record in readings.records] == ["the external meter is gone"] * 2
    assert lab.calls == []


def test_without_a_meter_no_window_is_run_and_the_reason_is_every_records() -> None:
    lab = Lab()
    lab.probe = EnergyProbe(EnergySource((), "no energy meter: none"), "cpu")
    readings = lab.measure()
    assert [(record.gross_joules, record.reason) for record in readings.records] == [
        (None, "no energy meter: none")
    ] * 2
    assert (lab.calls, readings.flags) == ([], [])


def test_a_backend_that_cannot_tell_its_phases_apart_says_so(lab: Lab) -> None:
    def refuse(method: str, body: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        assert method == "energy"
        assert body
        assert timeout_s > 0
        raise WorkerRefused("no", type_="Unsupported", message="a client of a server", traceback="")

    lab.call = refuse  # type: ignore[method-assign]
    assert {record.reason for record in lab.measure().records} == {"a client of a server"}
