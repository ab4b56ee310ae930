"""Presets: files, figures with their intervals, verdicts on stored sessions, and the whole command."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import make_store_records as make
import numpy as np
import pytest
import yaml
from fake_lab import SUITE, Lab

from harness.errors import UsageError
from harness.gate.deployment import chosen_cells, judge_rule, judge_session
from harness.gate.figures import Figure, median_ratio_interval, variation
from harness.gate.presets import SCHEMA, SHIPPED, Rule, load_preset, presets_json_schema
from harness.store import Store, records
from harness.table.estimates import median_interval

F16 = make.cell("F16", "fp16")
INT4 = make.cell()
EDGE = load_preset("edge-ready")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "presets.db") as made:
        made.record_model(replace(make.model(), configuration=None))
        for recipe in ("F16", "Q4_K_M"):
            made.record_artifact(make.artifact(recipe))
        made.record_environment(make.environment())
        made.record_machine(make.machine())
        yield made


def stored(
    store: Store,
    *,
    decode_s: tuple[float, ...] = (0.40, 0.404, 0.396, 0.402, 0.398),
    own_bytes: int = 40_000_000,
    cells: tuple[records.CellRecord, ...] = (F16, INT4),
    **changes: Any,
) -> str:
    """A session with the baseline at one second and 100 MB, and a quantised cell."""
    planned = [records.PlannedCellRecord(cell, place) for place, cell in enumerate(cells)]
    session = store.start_session(make.session(make.machine().id), planned)
    if F16 in cells:
        for index, seconds in enumerate((1.0, 1.01, 0.99, 1.005, 0.995)):
            store.record_run(timed(session, F16, index, seconds, 100_000_000))
    for index, seconds in enumerate(decode_s):
        store.record_run(timed(session, INT4, index, seconds, own_bytes, **changes))
    return session


def timed(
    session: str, cell: records.CellRecord, index: int, decode_s: float, own_bytes: int, **changes: Any
) -> records.RunRecord:
    memory = [
        records.MemoryRecord(phase, 60_000_000 + extra, 60_000_000 + extra, None, None, "VmHWM")
        for phase, extra in (("import", 0), ("decode", own_bytes))
    ]
    samples = [records.SampleRecord(0, False, {"decode_s": decode_s, "prefill_s": decode_s})]
    return make.run(session, cell.id, index, samples=samples, memory=memory, timeline=None, **changes)


def score(store: Store, session: str, same_top: tuple[int, ...] = (62, 61, 62, 62, 61, 62)) -> None:
    windows = [
        records.WindowRecord(place, 63, 170.5, 2.5, same, 0.09, 260) for place, same in enumerate(same_top)
    ]
    untimed: dict[str, Any] = {"samples": (), "memory": (), "energy": (), "timeline": None}
    reference = make.run(
        session, F16.id, 7, kind="reference", **untimed,
        score=make.score(make.sha("F16"), windows=windows, kld=None, verdict=None, quality_reference=None),
    )  # fmt: skip
    store.record_run(reference)
    own = make.score(make.artifact().id, (INT4.id,), windows=windows, reference_run_id=reference.id)
    store.record_run(make.run(session, INT4.id, kind="score", **untimed, score=own))


def tasks(store: Store, session: str, own: list[int], reference: list[int]) -> None:
    untimed: dict[str, Any] = {"samples": (), "memory": (), "energy": (), "timeline": None}
    first = make.run(
        session, F16.id, 8, kind="tasks", **untimed, evaluation=make.evaluation("reference", reference)
    )
    store.record_run(first)
    made = make.evaluation("own", own, reference_run_id=first.id, cells=(INT4.id,))
    store.record_run(make.run(session, INT4.id, 0, kind="tasks", **untimed, evaluation=made))


def verdicts(store: Store, session: str, **changes: Any) -> dict[str, dict[str, Any]]:
    document = judge_session(store, session, chosen_cells(store, session, ""), "edge-ready", EDGE, **changes)
    return {row["metric"]: row for row in document["verdicts"]}


# -- files ------------------------------------------------------------------------------------------------------------


def test_edge_ready_is_what_it_is_said_to_be() -> None:
    rules = {rule.figure: (rule.at_least, rule.at_most, rule.below) for rule in EDGE.rules}
    assert rules == {
        "accuracy_ratio": (0.95, None, None),
        "speedup_decode": (2.0, None, None),
        "memory_ratio": (None, 0.5, None),
        "decode_tps_cv": (None, None, 0.2),
    }


def test_the_published_schema_is_the_generated_one_and_the_shipped_file_follows_it() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == presets_json_schema(), "run: python -m harness.gate.presets"
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(yaml.safe_load(text))
    assert not validator.is_valid({"presets": {"a": {"title": "a", "rules": [{"figure": "decode_tps"}]}}})


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("figure: decode_tsp, at_least: 1", "decode_tps"),
        ("figure: decode_tps", "exactly one"),
        ("figure: decode_tps, at_least: 1, below: 2", "exactly one"),
        ("figure: decode_tps, at_least: fast", "number"),
        ("figure: decode_tps, at_leest: 1", "at_least"),
        ("figure: decode_tps, at_least: .nan", "at_least"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, rule: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"presets:\n  mine:\n    title: mine\n    rules:\n      - {{{rule}}}\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_preset("mine", path)
    assert f"{path}:5" in caught.value.what
    assert told in caught.value.what + caught.value.next_step


def test_an_unknown_preset_is_told_with_what_was_meant() -> None:
    with pytest.raises(UsageError) as caught:
        load_preset("edge_ready")
    assert "edge-ready" in caught.value.next_step


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "figure", "word"),
    [
        (Rule(figure="speedup_decode", at_least=2), Figure("", 2.5, 2.0, 3.0), "pass"),
        (Rule(figure="speedup_decode", at_least=2), Figure("", 2.5, 1.9, 3.0), "inconclusive"),
        (Rule(figure="speedup_decode", at_least=2), Figure("", 1.5, 1.2, 1.99), "fail"),
        (Rule(figure="memory_ratio", at_most=0.5), Figure("", 0.5, 0.5, 0.5), "pass"),
        (Rule(figure="decode_tps_cv", below=0.2), Figure("", 0.2, 0.2, 0.2), "fail"),
        (Rule(figure="decode_tps_cv", below=0.2), Figure("", 0.1, reason="one run"), "inconclusive"),
        (Rule(figure="decode_tps_cv", below=0.2), Figure(reason="no run"), "inconclusive"),
    ],
)
def test_a_rule_holds_only_where_the_whole_interval_does(rule: Rule, figure: Figure, word: str) -> None:
    assert judge_rule(rule, figure)[0] == word


def test_the_interval_of_a_ratio_of_medians_holds_it_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(600):
        own, base = random.lognormal(math.log(2), 0.05, 5), random.lognormal(0, 0.05, 5)
        found = median_ratio_interval(list(own), list(base))
        assert found is not None
        held += found[0] <= 2.0 <= found[1]
    assert 0.93 <= held / 600 <= 1.0


def test_a_ratio_to_an_exact_base_has_the_interval_of_its_own_median() -> None:
    own = [2.0, 2.1, 1.9, 2.05]
    found, alone = median_ratio_interval(own, [4.0, 4.0]), median_interval(own)
    assert found is not None
    assert alone is not None
    assert found == pytest.approx((alone[0] / 4, alone[1] / 4))
    assert median_ratio_interval(own, [4.0]) is None
    assert median_ratio_interval([0.0, -1.0, 2.0], [4.0, 4.0]) is None


def test_the_interval_of_a_variation_holds_it_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(600):
        found = variation(list(random.normal(100, 10, 5)), "")
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.1 <= found.high
    assert held / 600 == pytest.approx(0.95, abs=0.03)
    assert variation([], "why").reason == "why"
    assert variation([1.0], "").value is None


# -- stored sessions --------------------------------------------------------------------------------------------------


def test_a_configuration_that_is_fit_passes_every_rule(store: Store) -> None:
    session = stored(store)
    score(store, session)
    document = judge_session(store, session, chosen_cells(store, session, ""), "edge-ready", EDGE)
    rows = {row["metric"]: row for row in document["verdicts"]}
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(
        ("accuracy_ratio same top-1", "speedup_decode", "memory_ratio", "decode_tps_cv"), "pass"
    )
    assert document["exit_status"] == 0
    assert rows["speedup_decode"]["value"] == pytest.approx(2.5)
    assert rows["memory_ratio"]["value"] == pytest.approx(0.4)
    assert rows["accuracy_ratio same top-1"]["value"] == pytest.approx(370 / 378)
    assert {row["cell_id"] for row in document["verdicts"]} == {INT4.id}
    assert any("its own speed reference" in note for note in document["notes"])
    assert any("llamacpp F32" in note for note in document["notes"])


def test_each_figure_beyond_its_limit_fails_its_own_rule(store: Store) -> None:
    session = stored(store, decode_s=(0.8, 0.805, 0.795, 0.8, 0.8), own_bytes=60_000_000)
    score(store, session, (50, 51, 50, 52, 51, 50))
    words = {name: row["verdict"] for name, row in verdicts(store, session).items()}
    assert words == {
        "accuracy_ratio same top-1": "fail",
        "speedup_decode": "fail",
        "memory_ratio": "fail",
        "decode_tps_cv": "pass",
    }


def test_runs_that_vary_too_much_fail_and_few_of_them_are_inconclusive(store: Store) -> None:
    rows = verdicts(store, stored(store, decode_s=(0.1, 0.9, 0.2, 0.8, 0.15, 0.7, 0.1, 0.9)))
    assert rows["decode_tps_cv"]["verdict"] == "fail"
    # Twenty times a coefficient of variation is within the interval of two runs.
    rows = verdicts(store, stored(store, decode_s=(0.4, 0.42)))
    assert rows["decode_tps_cv"]["verdict"] == "inconclusive"
    assert rows["speedup_decode"]["verdict"] == "inconclusive"
    rows = verdicts(store, stored(store, decode_s=(0.4,)))
    assert "fewer than two runs" in rows["decode_tps_cv"]["reason"]


def test_what_was_not_measured_is_inconclusive_with_its_reason(store: Store) -> None:
    rows = verdicts(store, stored(store, cells=(INT4,)))
    assert rows["speedup_decode"]["verdict"] == "inconclusive"
    assert "no llamacpp cell at fp16" in rows["speedup_decode"]["reason"]
    assert "not scored" in rows["accuracy_ratio same top-1"]["reason"]
    rows = verdicts(store, stored(store, status="oom", reason="out of memory", phase="load"))
    assert {row["verdict"] for row in rows.values()} == {"inconclusive"}
    assert "out of memory" in rows["speedup_decode"]["reason"]


def test_suspect_runs_decide_nothing_unless_asked(store: Store) -> None:
    session = stored(store, validity="suspect", flags=["a hog"])
    rows = verdicts(store, session)
    assert rows["speedup_decode"]["verdict"] == rows["decode_tps_cv"]["verdict"] == "inconclusive"
    assert "a hog" in rows["speedup_decode"]["reason"]
    assert verdicts(store, session, with_suspect=True)["speedup_decode"]["verdict"] == "pass"


def test_accuracy_is_that_of_tasks_where_they_were_asked(store: Store) -> None:
    session = stored(store)
    score(store, session)
    # 95 of 100 against 100 of 100: the items that both have right leave an interval around 0.95.
    tasks(store, session, [1] * 95 + [0] * 5, [1] * 100)
    rows = verdicts(store, session)
    accuracy = [name for name in rows if name.startswith("accuracy_ratio")]
    assert accuracy == ["accuracy_ratio grammar acc"], "neither the same tokens nor the group of the task"
    row = rows["accuracy_ratio grammar acc"]
    assert row["value"] == pytest.approx(0.95)
    assert (row["verdict"], row["n"]) == ("inconclusive", 100)
    half = 1.984 * math.sqrt(0.95 * 0.05 / 99)
    assert (row["low"], row["high"]) == pytest.approx((0.95 - half, 0.95 + half), rel=1e-3)


def test_tasks_that_lose_nothing_pass_exactly(store: Store) -> None:
    session = stored(store)
    answers = [1, 0] * 20
    tasks(store, session, answers, answers)
    row = verdicts(store, session)["accuracy_ratio grammar acc"]
    assert (row["verdict"], row["low"], row["high"]) == ("pass", 1.0, 1.0)


def test_a_broken_artifact_fails_whatever_its_speed(store: Store) -> None:
    session = stored(store)
    untimed: dict[str, Any] = {"samples": (), "memory": (), "energy": (), "timeline": None}
    made = make.score(make.artifact().id, (INT4.id,), verdict=records.VerdictRecord("broken", "KLD 9"))
    store.record_run(make.run(session, INT4.id, kind="score", **untimed, score=made))
    rows = verdicts(store, session)
    assert {name: row["verdict"] for name, row in rows.items()} == {"artifact": "broken"}
    assert "KLD 9" in rows["artifact"]["reason"]


def test_nothing_but_the_reference_is_nothing_to_judge(store: Store) -> None:
    session = stored(store)
    with pytest.raises(UsageError, match="no cell to judge"):
        judge_session(store, session, {F16.id}, "edge-ready", EDGE)
    steady = load_preset("steady")
    document = judge_session(store, session, {F16.id}, "steady", steady)
    assert {row["cell_id"] for row in document["verdicts"]} == {F16.id}


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_run_is_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("ok", []))


def test_every_output_tells_a_stored_sessions_verdicts(lab: Lab) -> None:
    lab.database.parent.mkdir()
    with Store.open(lab.database) as store:
        store.record_model(replace(make.model(), configuration=None))
        store.record_artifact(make.artifact())
        store.record_environment(make.environment())
        store.record_machine(make.machine())
        session = stored(store, own_bytes=60_000_000)
    files = [f"--write={name}=out.{name}" for name in ("markdown", "github", "gitlab", "junit", "json")]
    result = lab.run("gate", "--preset", "edge-ready", "--session", session[:12], "-k", "int4", *files)
    assert result.status == 1, result.err
    assert "✗ fail" in result.out
    assert "has to be" in result.out
    texts = {name: (lab.folder / f"out.{name}").read_text(encoding="utf-8") for name in
             ("markdown", "github", "gitlab", "junit", "json")}  # fmt: skip
    document = json.loads(texts["json"])
    assert document["counts"]["fail"] == 1
    assert document["kind"] == "deployment"
    assert "::error title=edgebench fail::" in texts["github"]
    assert "has to be at most 50.0 %25" in texts["github"]
    assert "at most 50.0 %" in texts["markdown"]
    assert {issue["severity"] for issue in json.loads(texts["gitlab"])} == {"major", "minor"}
    suite = ET.fromstring(texts["junit"])
    assert (suite.get("failures"), suite.get("tests")) == ("1", "4")


@pytest.mark.usefixtures("_no_run_is_suspect")
@pytest.mark.alone
def test_a_suite_is_measured_with_the_references_that_its_cells_need(lab: Lab) -> None:
    lab.script({"decode": [{"do": "wait", "seconds": 0.1}]})
    lab.suite(SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0"))
    result = lab.run(
        "gate", "fake.yaml", "--preset", "edge-ready", "-k", "int4", "--runs", "3", "--format", "json", "-q"
    )
    assert result.status == 1, result.err + result.out
    document = result.json
    rows = {row["metric"]: row for row in document["verdicts"]}
    assert rows["speedup_decode"]["verdict"] == "fail", "the scripted int4 is as fast as its fp16"
    assert rows["speedup_decode"]["n"] == 3
    assert {row["cell"].split("-")[2] for row in document["verdicts"]} == {"int4"}
    sessions = lab.query('SELECT suite, "trigger", status FROM session')
    assert sessions == [("fake", "gate", "ok")]
    precisions = lab.query(
        "SELECT precision, count(*) FROM run JOIN cell ON cell.id = run.cell_id WHERE kind = 'timed' "
        "GROUP BY precision ORDER BY precision"
    )
    assert precisions == [("fp16", 3), ("int4", 3)]
    again = lab.run("gate", "--preset", "edge-ready", "-k", "int4", "--session", "2", "--format", "json")
    assert again.json == document, "a stored session is judged as it was when it was measured"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--preset", "edge-ready"), "no suite"),
        (("fake.yaml", "--preset", "edgy"), "no preset"),
        (("fake.yaml", "--preset", "edge-ready", "--head", "recipe=FP32"), "--head"),
        (("fake.yaml", "--preset", "edge-ready", "--session", "2"), "SUITE"),
        (("fake.yaml", "--presets", "mine.yaml", "--same"), "--presets"),
        (("fake.yaml", "--preset", "x", "--presets", "none.yaml"), "no file"),
        (("fake.yaml", "--same", "--runs", "3"), "--runs"),
        (("fake.yaml", "--preset", "edge-ready", "-k", "nothing"), "chooses none"),
        (("fake.yaml", "--baseline", "fake==1.0", "--base", "recipe=FP32"), "--base"),
        (("fake.yaml", "--baseline", "fake=="), "--baseline"),
        (("fake.yaml", "--baseline", "nothing==1.0"), "nothing"),
        (("fake.yaml", "--baseline", "fake==1.0"), "no stored run"),
        (("fake.yaml", "--baseline", "2026"), "begins with"),
    ],
)
def test_words_that_contradict_each_other_are_told_and_measure_nothing(
    lab: Lab, words: tuple[str, ...], told: str
) -> None:
    result = lab.run("gate", *words)
    assert result.status == 2, result.out
    assert told in result.one_message()
    assert not lab.database.exists() or lab.query("SELECT count(*) FROM session") == [(0,)]


def test_an_imported_session_is_not_judged(store: Store) -> None:
    record = make.imported()
    assert store.record_import(record)
    with pytest.raises(UsageError, match="imported"):
        judge_session(store, record.session_id, set(), "edge-ready", EDGE)


def test_rules_without_a_ratio_need_no_reference() -> None:
    assert EDGE.relative
    assert not load_preset("steady").relative
