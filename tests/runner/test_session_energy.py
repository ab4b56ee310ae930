"""Energy of a whole session on the scripted framework: without a meter, with one, and with one that lies."""

from __future__ import annotations

import json
import sys

import pytest
from fake_lab import SUITE, Lab

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("precision: [fp16, int4]", "precision: fp16").replace("runs: 2", "runs: 1")

#: A meter that counts 100 W, a hundred times a second; the hole may spoil its line.
PROGRAM = """\
import sys, time
begin = time.monotonic()
while True:
    seconds = time.monotonic() - begin
    joules = 100 * seconds
    HOLE
    print(f"{seconds:.6f} {joules:.6f} J", flush=True)
    time.sleep(0.01)
"""


def meter(hole: str = "pass") -> str:
    return json.dumps([sys.executable, "-I", "-S", "-c", PROGRAM.replace("HOLE", hole)])


def readings(lab: Lab) -> list[dict[str, object]]:
    names = [
        "phase",
        "gross_joules",
        "net_joules",
        "tokens",
        "window_s",
        "meter",
        "domain",
        "method",
        "resolution_s",
        "idle_watts",
        "domain_joules",
        "reason",
    ]
    return [
        dict(zip(names, row, strict=True))
        for row in lab.query(f"SELECT {', '.join(names)} FROM energy_reading ORDER BY position")
    ]


def test_without_a_meter_every_value_is_null_with_its_reason(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.runner.energy.find_meters", lambda: ([], []))
    monkeypatch.delenv("EDGEBENCH_METER", raising=False)
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    stored = readings(lab)
    assert [row["phase"] for row in stored] == ["prefill", "decode"]
    for row in stored:
        assert row.pop("reason") == "no energy meter: none of the known kinds is here"
        row.pop("phase")
        assert set(row.values()) == {None}
    [shown] = lab.rows()
    assert shown["energy_joules_per_prefill_token"] is None
    assert shown["energy_joules_per_decode_token"] is None


def test_this_machines_own_meters_give_a_joule_with_its_source_or_the_reason(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEBENCH_METER", raising=False)
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    stored = readings(lab)
    assert len(stored) == 2
    for row in stored:
        if row["gross_joules"] is None:
            assert row["reason"]
        else:
            assert row["meter"]
            assert row["method"]
            assert row["domain"]


@pytest.mark.alone
def test_an_external_meters_joules_are_stored_per_phase_with_their_source(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_METER", meter())
    lab.suite(ONE)
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    for row in readings(lab):
        assert isinstance(row["gross_joules"], float), row["reason"]
        assert isinstance(row["window_s"], float)
        assert isinstance(row["resolution_s"], float)
        assert row["gross_joules"] == pytest.approx(100 * row["window_s"], rel=0.1)
        assert row["window_s"] >= 50 * row["resolution_s"]
        assert row["idle_watts"] == pytest.approx(100, rel=0.1)
        assert (row["meter"], row["domain"], row["method"]) == ("external", "wall", "counter")
        assert json.loads(str(row["domain_joules"])) == {"wall": row["gross_joules"]}
        assert row["reason"] is None
    [shown] = lab.rows()
    assert shown["energy_joules_per_decode_token"] > 0


@pytest.mark.alone
def test_a_batch_has_its_joules_per_token(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_METER", meter())
    monkeypatch.setattr("harness.runner.energy.MIN_WINDOW_S", 1.0)
    lab.suite(ONE.replace("pp8+tg4", "pp8+tg4@b3"))
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    stored = readings(lab)
    assert [row["phase"] for row in stored] == ["prefill", "decode"]
    for row in stored:
        assert isinstance(row["gross_joules"], float), row["reason"]
        assert isinstance(row["tokens"], int)
        assert row["tokens"] % 3 == 0
    [shown] = lab.rows()
    decode = stored[1]
    assert isinstance(decode["tokens"], int)
    assert isinstance(decode["gross_joules"], float)
    assert shown["energy_joules_per_decode_token"] == pytest.approx(decode["gross_joules"] / decode["tokens"])


def test_readings_that_cannot_be_are_no_figure_and_the_run_is_marked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_METER", meter("joules = 5.0"))
    monkeypatch.setattr("harness.runner.energy.MIN_WINDOW_S", 1.0)
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    for row in readings(lab):
        assert row["gross_joules"] is None
        assert "wall used no energy in" in str(row["reason"])
        assert json.loads(str(row["domain_joules"])) == {"wall": 0.0}
    [(validity, flags)] = lab.query("SELECT validity, flags FROM run WHERE kind = 'timed'")
    assert validity == "suspect"
    told = [flag for flag in json.loads(flags) if flag.startswith("energy of ")]
    assert [flag.split(":")[0] for flag in told] == ["energy of prefill", "energy of decode"]
