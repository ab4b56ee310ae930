"""A stored baseline: variance components, verdicts, what may be compared, and the whole command."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_store_records as make
import numpy as np
import pytest
from fake_lab import SUITE, Lab
from scipy import stats

from gate_baseline import Case, one_gate
from harness.errors import UsageError
from harness.gate.again import Looker
from harness.gate.against import Judging
from harness.gate.alone import alone
from harness.gate.baseline import _confirmed
from harness.gate.between import RATE, Comparison, compare, judge
from harness.gate.design import Rules
from harness.gate.metrics import DEFAULTS
from harness.gate.render import FORMATS
from harness.gate.sides import Side, in_pairs, plan_side
from harness.gate.stored import Baseline, StoredRuns
from harness.runner.catalogue import cell_record
from harness.runner.front import Request, cell_of
from harness.store import Store, records
from harness.suite import PlannedCell, RunSettings

DECODE = DEFAULTS["decode_tps"]
CELL = cell_record(cell_of(make.cell()))


# -- the statistics ---------------------------------------------------------------------------------------------------


def test_with_as_many_runs_in_every_session_it_is_the_prediction_interval_of_one_more_mean() -> None:
    stored = [[0.00, 0.02], [0.03, 0.05], [-0.02, 0.00], [0.01, 0.01]]
    found = compare(stored, [-0.10, -0.12])
    means = [np.mean(one) for one in stored]
    error = np.std(means, ddof=1) * math.sqrt(1 + 1 / 4)
    assert found.shift == pytest.approx(-0.11 - np.mean(means))
    assert found.error == pytest.approx(error)
    assert found.freedom == 3
    low, high = found.interval() or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 3) * error)


def test_a_named_session_is_the_baseline_and_the_others_tell_how_far_sessions_vary() -> None:
    stored = [[0.00, 0.02], [0.03, 0.05], [-0.02, 0.00]]
    found = compare(stored, [0.0, 0.0], named=1)
    assert found.shift == pytest.approx(-0.04)
    assert found.error == pytest.approx(np.std([0.01, 0.04, -0.01], ddof=1) * math.sqrt(2))


def test_fewer_runs_of_head_than_usual_widen_the_error_and_more_do_not_narrow_it() -> None:
    stored = [[0.0, 0.1, 0.05, 0.02], [0.1, 0.2, 0.1, 0.12], [0.0, 0.0, 0.1, 0.07]]
    one, four, many = (compare(stored, values) for values in ([0.1], [0.1] * 4, [0.1] * 40))
    assert one.error is not None
    assert four.error is not None
    assert many.error is not None
    assert one.within is not None
    assert one.error**2 == pytest.approx(four.error**2 + one.within**2 * (1 - 1 / 4))
    assert many.error == pytest.approx(four.error)
    assert one.freedom > 2


def test_two_sessions_are_too_few_and_say_so() -> None:
    found = compare([[0.0, 0.01], [0.02, 0.01]], [-0.5, -0.5])
    assert found.error is None
    [finding] = judge([(found, DECODE)], Rules())
    assert finding.word == "inconclusive"
    assert "at least 3" in finding.reason
    assert finding.paired_detectable is not None, "the noise of runs is known all the same"


def test_single_runs_do_not_tell_how_far_runs_vary_but_sessions_do() -> None:
    found = compare([[0.00], [0.01], [0.02]], [-0.5])
    assert found.within is None
    assert found.paired_detectable(DECODE.log_margin, Rules()) is None
    [finding] = judge([(found, DECODE)], Rules())
    assert finding.word == "regression"


@pytest.mark.parametrize(
    ("head", "word"), [(-0.30, "regression"), (0.30, "improvement"), (0.0, "pass"), (-0.02, "pass")]
)
def test_a_change_beyond_the_margin_and_the_sessions_is_told(head: float, word: str) -> None:
    stored = [[0.0, 0.001], [0.001, 0.002], [0.0, 0.002], [0.001, 0.001]]
    [finding] = judge([(compare(stored, [head, head]), DECODE)], Rules())
    assert finding.word == word
    assert finding.detectable is not None
    assert finding.detectable < 0.05


def test_sessions_that_vary_make_a_small_change_inconclusive() -> None:
    stored = [[0.0, 0.001], [0.06, 0.061], [-0.05, -0.051], [0.02, 0.021]]
    [finding] = judge([(compare(stored, [-0.06, -0.061]), DECODE)], Rules())
    assert finding.word == "inconclusive"
    assert finding.detectable is not None
    assert finding.paired_detectable is not None
    assert finding.detectable > 5 * finding.paired_detectable


def test_exactly_equal_sessions_have_no_error_and_any_excess_shows() -> None:
    peak = DEFAULTS["peak_rss_bytes"]
    stored = [[0.0, 0.0]] * 3
    words = [
        judge([(compare(stored, [head, head]), peak)], Rules())[0].word
        for head in (peak.log_margin - 1e-6, peak.log_margin / 2, 0.0)
    ]
    assert words == ["regression", "pass", "pass"]


def test_the_rate_is_shared_by_all_cells_and_directions() -> None:
    def one(p_worse: float) -> Comparison:
        error = 0.01
        return Comparison(
            DECODE.log_margin + error * float(stats.t.ppf(p_worse, 9)), error, 9.0, 10, error, error
        )

    alone = judge([(one(0.8 * RATE / 2), DECODE)], Rules())
    among = judge([(one(0.8 * RATE / 2), DECODE), *[(one(0.9), DECODE)] * 9], Rules())
    assert alone[0].word == "regression"
    assert among[0].word != "regression"


def test_a_detectable_change_is_found_about_as_often_as_asked() -> None:
    random = np.random.default_rng(2)
    found = 0
    for _ in range(400):
        sessions = random.normal(0, 0.01, 11)
        stored = [list(level + random.normal(0, 0.005, 3)) for level in sessions[:10]]
        true_error = math.sqrt((0.01**2 + 0.005**2 / 3) * 1.1)
        known = Comparison(0.0, true_error, 9.0, 10, 0.01, 0.005)
        size = known.detectable(DECODE.log_margin, RATE / 2, 0.95)
        assert size is not None
        head = list(sessions[10] - size + random.normal(0, 0.005, 3))
        found += judge([(compare(stored, head), DECODE)], Rules())[0].word == "regression"
    assert found / 400 == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("sessions", [3, 30])
def test_sessions_that_vary_raise_no_more_false_alarms_than_the_rate(sessions: int) -> None:
    """A short form of ``benchmarks/gate_baseline.py``."""
    random = np.random.default_rng(sessions)
    words = [one_gate(Case(sessions, cells=3), random, 1.0)[0] for _ in range(300)]
    assert sum(word == "regression" for word in words) / 300 <= RATE


# -- what is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version", "covered"),
    [
        ("==2026.4.0", "2026.4.0-21919-f5b31", True),
        ("openvino==2026.4.1", "2026.4.0-21919-f5b31", False),
        (">=0.3.35,<0.3.37", "0.3.36", True),
        ("llamacpp>=0.3.35", "0.3.34", False),
        ("==1.0", "1.0+cpu", True),
        (">1.0", "1.1rc1", True),
        ("==1.0", "unknown: the server does not tell", False),
        ("==1.0", None, False),
    ],
)
def test_a_condition_is_on_the_frameworks_version(text: str, version: str | None, covered: bool) -> None:
    baseline = Baseline.condition(text)
    assert baseline is not None
    assert baseline.covers(version) is covered


def test_an_id_is_no_condition() -> None:
    assert Baseline.condition("20261123T0612") is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "baseline.db") as made:
        made.record_model(replace(make.model(), configuration=None))
        made.record_artifact(make.artifact())
        made.record_environment(make.environment())
        for name in ("one", "two"):
            made.record_machine(machine(name))
        yield made


def machine(name: str = "one") -> records.MachineRecord:
    return make.machine(cpu_model=name)


def night(
    store: Store,
    day: int,
    decode_s: tuple[float, ...] = (1.0, 1.002, 0.998),
    *,
    version: str = "0.3.36",
    machine_name: str = "one",
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    session = store.start_session(
        make.session(
            machine(machine_name).id,
            later_s=86_400.0 * day,
            settings={"overrides": [], "threads": 2, **(settings or {})},
        ),
        [records.PlannedCellRecord(CELL, 0)],
    )
    for index, seconds in enumerate(decode_s):
        samples = [records.SampleRecord(0, False, {"decode_s": seconds, "prefill_s": seconds})]
        store.record_run(
            make.run(
                session, CELL.id, index, samples=samples, framework_version=version, timeline=None, **changes
            )
        )
    return session


def judged(
    store: Store, baseline: Baseline, head: str, reason: str | None = None
) -> dict[str, dict[str, Any]]:
    stored = StoredRuns(store, machine().id, baseline, DEFAULTS)
    settings = RunSettings(repetitions=1, warmups=0, timeout_s=1.0, memory_limit_bytes=None)
    planned = [PlannedCell(cell_of(CELL), reason, None, settings)]
    rows = Judging(store, stored, head, DEFAULTS, Rules()).rows(planned)
    return {row["metric"]: row for row in rows}


def version(text: str = "==0.3.36") -> Baseline:
    found = Baseline.condition(text)
    assert found is not None
    return found


NIGHTS = ((1.0, 1.002, 0.998), (1.004, 1.002, 1.003), (0.998, 0.997, 0.999), (1.001, 1.0, 1.002))


def test_a_slower_head_is_a_regression_against_stored_sessions_alone(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs)
    head = night(store, 9, (2.0, 2.002, 1.998), version="0.3.37")
    rows = judged(store, version(), head)
    row = rows["decode_tps"]
    assert (row["verdict"], row["sessions"], row["runs"]) == ("regression", 4, 3)
    assert row["ratio"] == pytest.approx(0.5, rel=0.01)
    assert row["low"] < row["ratio"] < row["high"]
    assert row["version"] == "0.3.36"
    assert rows["peak_rss_bytes"]["verdict"] == "pass"
    assert rows["energy_joules_per_decode_token"]["verdict"] == "unmeasured"
    assert rows["kld_mean"]["verdict"] == "unmeasured"


def test_heads_own_session_is_no_part_of_its_baseline(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs)
    head = night(store, 9, (2.0, 2.002, 1.998))
    assert judged(store, version(), head)["decode_tps"]["sessions"] == 4


def test_two_stored_sessions_are_inconclusive(store: Store) -> None:
    for day, runs in enumerate(NIGHTS[:2]):
        night(store, day, runs)
    row = judged(store, version(), night(store, 9, (2.0, 2.0, 2.0)))["decode_tps"]
    assert row["verdict"] == "inconclusive"
    assert row["ratio"] == pytest.approx(0.5, rel=0.01)


def test_versions_are_never_mixed(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs, version="0.3.35" if day % 2 else "0.3.36")
    head = night(store, 9)
    rows = judged(store, version(">=0.3.35"), head)
    assert rows["cell"]["verdict"] == "inconclusive"
    assert "0.3.35, 0.3.36" in rows["cell"]["reason"]
    assert judged(store, version("==0.3.35"), head)["decode_tps"]["sessions"] == 2


def test_a_named_session_takes_the_variance_of_its_own_version_and_build(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs)
    night(store, 5, (3.0, 3.0, 3.0), version="0.3.35")
    wheel = night(store, 6, (3.0, 3.0, 3.0), settings={"overrides": ["./mine-0.3.36-py3-none-any.whl"]})
    named = night(store, 7, (1.5, 1.501, 1.499))
    head = night(store, 9, (1.5, 1.5, 1.5), version="0.3.37")
    row = judged(store, Baseline(named, session=named), head)["decode_tps"]
    assert row["sessions"] == 5
    assert row["ratio"] == pytest.approx(1.0, rel=0.01), "against the named one alone"
    assert judged(store, Baseline(wheel, session=wheel), head)["decode_tps"]["sessions"] == 1


def test_wheels_of_ones_own_are_no_version(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs, settings={"overrides": ["./mine-0.3.36-py3-none-any.whl"]})
    assert judged(store, version(), night(store, 9))["cell"]["verdict"] == "unmeasured"


def test_other_numbers_of_threads_are_not_compared(store: Store) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs, settings={"threads": 4})
    rows = judged(store, version(), night(store, 9))
    assert "threads: 2, 4" in rows["cell"]["reason"]


def test_another_machines_session_is_refused(store: Store) -> None:
    theirs = night(store, 0, machine_name="two")
    with pytest.raises(UsageError, match="another machine"):
        StoredRuns(store, machine().id, Baseline(theirs, session=theirs), DEFAULTS)
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs, machine_name="two")
    assert judged(store, version(), night(store, 9))["cell"]["verdict"] == "unmeasured"


@pytest.mark.parametrize(
    ("changes", "reason", "word"),
    [
        ({"status": "oom", "reason": "out of memory", "phase": "load"}, None, "missing"),
        ({"validity": "suspect", "flags": ["a hog"]}, None, "inconclusive"),
    ],
)
def test_a_head_without_runs_that_count_is_missing_or_open(
    store: Store, changes: dict[str, Any], reason: str | None, word: str
) -> None:
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs)
    rows = judged(store, version(), night(store, 9, **changes), reason)
    assert rows["cell"]["verdict"] == word


def test_a_cell_that_cannot_run_here_any_more_is_missing_and_one_that_never_did_is_no_change(
    store: Store,
) -> None:
    head = night(store, 9, ())
    assert judged(store, version(), head, "no such device") == {}
    night(store, 0)
    rows = judged(store, version(), head, "no such device")
    assert rows["cell"]["verdict"] == "missing"
    assert "no such device" in rows["cell"]["reason"]


def test_the_same_score_passes_exactly_and_a_broken_one_fails(store: Store) -> None:
    untimed: dict[str, Any] = {"kind": "score", "samples": (), "memory": (), "energy": (), "timeline": None}
    for day, runs in enumerate(NIGHTS):
        night(store, day, runs)
    scored = night(store, 5)
    own = make.run(scored, CELL.id, **untimed, score=make.score(make.artifact().id, (CELL.id,)))
    store.record_run(own)
    head = night(store, 9)
    store.link_score(head, [CELL.id], own.id)
    row = judged(store, version(), head)["kld_mean"]
    assert (row["verdict"], row["ratio"]) == ("pass", 1.0)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_output_tells_a_baselines_verdicts(name: str) -> None:
    row = {
        "cell": "one", "metric": "decode_tps", "title": "Decode t/s", "verdict": "regression", "ratio": 0.5, "low": 0.4,
        "high": 0.6, "sessions": 4, "runs": 3, "detectable": 0.2, "paired_detectable": 0.051, "reason": "beyond",
    }  # fmt: skip
    sides: dict[str, dict[str, Any]] = {"base": {"words": [], "text": "stored, ==1.0", "session": None}}
    document = alone("baseline", [row], suite="s", machine="m", sides=sides, notes=["a note"])
    assert document["exit_status"] == 1
    text = FORMATS[name](document)
    assert "-50.0 %" in text.replace("%25", "%") or name == "json"
    if name in ("table", "markdown"):
        assert "paired gate" in text
        assert "5.1 %" in text
        assert "a note" in text
        assert "stored, ==1.0" in text
        assert "edgebench show" not in text, "a condition is no session"


def test_what_heads_plan_cannot_run_stays_missing_beside_what_is_looked_at_again() -> None:
    row = {"cell_id": "a", "metric": "cell", "verdict": "missing", "reason": "no such device"}
    assert _confirmed([row], [], "again", {"a"}) == [row]
    (open_,) = _confirmed([row], [], "again")
    assert open_["verdict"] == "inconclusive"


def test_a_rule_repeats_the_runs_of_a_baselines_head_and_none_those_of_pairs(bare_lab: Lab) -> None:
    request = Request(suite=str(bare_lab.suite()), runs="auto")
    plan = plan_side(Side.parse("head", ()), request, bare_lab.cache)
    assert all(one.settings.runs_width and one.settings.runs_max for one in plan.cells)
    assert not any(one.settings.runs_width or one.settings.runs_max for one in in_pairs(plan).cells)


# -- the command ------------------------------------------------------------------------------------------------------


def three_nights_and_a_slow_head(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab with three stored sessions, whose framework has become fifteen times slower since."""
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("ok", []))
    small = SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0").replace("[fp16, int4]", "fp16")
    lab.suite(small)
    lab.script({"decode": [{"do": "wait", "seconds": 0.02}]})
    for _ in range(3):
        assert lab.run("run", "fake.yaml", "--runs", "1", "-q").status == 0
    lab.script({"decode": [{"do": "wait", "seconds": 0.3}]})


def test_a_much_slower_head_fails_against_three_stored_sessions(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_nights_and_a_slow_head(lab, monkeypatch)
    result = lab.run("gate", "fake.yaml", "--baseline", "fake==1.0", "--format", "json", "-q")
    assert result.status == 1, result.err + result.out
    rows = {row["metric"]: row for row in result.json["verdicts"]}
    assert rows["decode_tps"]["verdict"] == "regression"
    assert rows["decode_tps"]["sessions"] == 3
    assert rows["decode_tps"]["paired_detectable"] < rows["decode_tps"]["detectable"]
    assert rows["kld_mean"]["verdict"] == "pass"
    assert any("shift of its session away" in note for note in result.json["notes"])
    assert rows["decode_tps"]["reason"].endswith("in both sessions of head")
    told = lab.query("SELECT suite, id FROM session ORDER BY started_at")[-2:]
    assert [suite for suite, _ in told] == ["fake [gate head]", "fake [gate head, again]"]
    head = result.json["sides"]["head"]
    assert [head["session"], head["again"]] == [session_id for _, session_id in told]
    # Head's second session is no further draw of how far sessions vary.
    once_more = lab.run("gate", "fake.yaml", "--baseline", "fake==1.0", "--format", "json", "-q").json
    (row,) = [row for row in once_more["verdicts"] if row["metric"] == "decode_tps"]
    assert row["sessions"] == 4


def test_what_the_second_session_of_head_does_not_show_fails_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_nights_and_a_slow_head(lab, monkeypatch)
    look = Looker.look

    def quick_again(*given: Any, **more: Any) -> Any:
        lab.script({"decode": [{"do": "wait", "seconds": 0.02}]})
        return look(*given, **more)

    monkeypatch.setattr(Looker, "look", quick_again)
    result = lab.run("gate", "fake.yaml", "--baseline", "fake==1.0", "--format", "json", "-q")
    assert result.status == 3, result.err + result.out
    (row,) = [row for row in result.json["verdicts"] if row["metric"] == "decode_tps"]
    assert row["verdict"] == "inconclusive"
    assert row["reason"].startswith("regression in the first session of head")
    assert result.json["sides"]["head"]["again"] in row["reason"]
