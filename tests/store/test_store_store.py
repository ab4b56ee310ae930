"""The whole store on SQLite and, where it is installed, on PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import make_store_records as make
import pytest

from harness.errors import EdgebenchError
from harness.store import Store, facts, records
from harness.worker import protocol


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        yield opened


CELL = make.cell()
OTHER = make.cell("Q8_0", "int8")
SKIPPED = make.cell("Q4_K_M", device="gpu:0", api="cuda")


def begin(store: Store, runs: int = 2, *, later_s: float = 0.0) -> str:
    """A session with two runnable cells, one skipped, a scoring per cell and some timed runs in mixed order."""
    machine = store.record_machine(make.machine())
    store.record_environment(make.environment())
    store.record_model(make.model())
    for recipe in ("Q4_K_M", "Q8_0"):
        store.record_artifact(make.artifact(recipe))
    cells = [
        records.PlannedCellRecord(CELL, 0, expected_s=4.0, settings={"repetitions": 3}),
        records.PlannedCellRecord(OTHER, 1),
        records.PlannedCellRecord(SKIPPED, 2, reason="no CUDA device here"),
    ]
    plan = [
        records.PlannedRunRecord(CELL.id, "score", 0, 0),
        records.PlannedRunRecord(OTHER.id, "score", 0, 1),
    ]
    for index in range(runs):
        for cell in (OTHER, CELL):
            plan.append(records.PlannedRunRecord(cell.id, "timed", index, len(plan), seed=7 + index))
    return store.start_session(make.session(machine, later_s=later_s), cells, plan)


def scoring_run(
    session: str, cell: records.CellRecord, recipe: str = "Q4_K_M", **changes: object
) -> records.RunRecord:
    score = make.score(make.artifact(recipe).id, (cell.id,), **changes)
    return make.run(
        session, cell.id, kind="score", samples=(), energy=(), artifact_id=score.artifact_id, score=score
    )


def only(found: facts.SessionFacts, cell: records.CellRecord) -> facts.CellFacts:
    [one] = [each for each in found.cells if each.cell.id == cell.id]
    return one


def test_attempts_to_make_an_artifact_are_kept_and_their_peaks_found(store: Store) -> None:
    session = begin(store)
    common: dict[str, Any] = {
        "machine_id": make.machine().id, "model": "tiny", "framework": "llamacpp", "recipe": "Q4_K_M", "tool": "t",
        "tool_version": "1", "seconds": 2.5, "threads": 2, "jobs": 1,
    }  # fmt: skip
    made = records.PreparationRecord(
        **common, status="ok", artifact_id=make.artifact().id, peak_bytes=5, started_at=make.BEGAN
    )
    killed = records.PreparationRecord(
        **common, status="oom", reason="killed", error="none left", log_tail="last words", peak_bytes=9,
        started_at=make.BEGAN, session_id=session,
    )  # fmt: skip
    for _ in range(2):
        assert [store.record_preparation(one) for one in (made, killed)] == [made.id, killed.id]
    assert store.info()["rows"]["preparation"] == 2
    assert store.preparation_peaks() == {("tiny", "llamacpp", "Q4_K_M"): 9}
    [listed] = store.describe("artifact", make.artifact().id)["preparations"]
    assert (listed["id"], listed["peak_bytes"]) == (made.id, 5)
    [(kind, _)] = store.find(killed.id)
    described = store.describe(kind, killed.id)
    assert (described["status"], described["log_tail"]) == ("oom", "last words")


@pytest.mark.parametrize(
    "wrong", [{"status": "ok"}, {"status": "failed"}, {"status": "failed", "reason": "x", "artifact_id": "a"}]
)
def test_an_attempt_without_its_reason_or_artifact_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="preparation of tiny"):
        records.PreparationRecord(
            machine_id="m", model="tiny", framework="f", recipe="r", tool="t", tool_version="1", seconds=1.0,
            threads=1, jobs=1, started_at=make.BEGAN, **wrong,
        )  # fmt: skip


def test_a_model_whose_source_is_synthetic_makes_its_cells_so(store: Store) -> None:
    session = begin(store)
    real = make.model()
    store.record_model(records.ModelRecord(real.name, '{"synthetic": {"seed": 7}}', make.sha("s"), "llama"))
    assert only(store.session_facts(session), CELL).synthetic


def test_a_model_that_was_stored_without_its_configuration_gets_it_and_keeps_its_id(store: Store) -> None:
    known = make.model()
    plain = replace(known, configuration=None, id="")
    assert known.id == plain.id
    for record, stored in ((plain, None), (known, {"layers": 30}), (plain, {"layers": 30})):
        assert store.record_model(record) == plain.id
        assert store.describe("model", plain.id)["configuration"] == stored


def test_everything_that_was_stored_about_a_run_comes_back(store: Store) -> None:
    session = begin(store)
    stored = make.run(session, CELL.id, validity="suspect", flags=["steal time 4 %"], details={"note": "é"})
    assert store.record_run(stored)
    found = store.session_facts(session)
    assert [one.cell for one in found.cells] == [CELL, OTHER, SKIPPED]
    assert [one.reason for one in found.cells] == [None, None, "no CUDA device here"]
    assert (found.status, found.seed, found.ended_at, found.machine) == ("running", 7, None, make.machine())
    cell = only(found, CELL)
    assert (cell.expected_s, cell.settings, cell.configuration) == (4.0, {"repetitions": 3}, {"layers": 30})
    assert cell.artifact == facts.ArtifactFacts(
        make.artifact().id,
        101_000_000,
        134_515_008,
        make.artifact().bits_per_weight,
        made_s=2.5,
        made_peak_bytes=700_000_000,
        notes={"fell_back": 180},
    )
    assert not cell.synthetic
    [run] = cell.runs
    for name in facts.RunFacts.__dataclass_fields__:
        expected = getattr(stored, name)
        got = getattr(run, name)
        assert (list(got) if isinstance(expected, list) else got) == (
            [same(one) for one in expected] if name == "samples" else expected
        ), name
    assert run.values("prefill_s") == pytest.approx((0.011, 0.012, 0.013))
    assert len(run.traces("token_ns")) == 3
    assert run.values("never_measured_s") == ()


def same(sample: records.SampleRecord) -> records.SampleRecord:
    """As it comes back: traces as tuples."""
    traces = {name: tuple(numbers) for name, numbers in sample.traces.items()}
    return records.SampleRecord(sample.repetition, sample.warmup, sample.values, traces)


def test_storing_the_same_things_twice_adds_nothing(store: Store) -> None:
    session = begin(store)
    run = make.run(session, CELL.id)
    scored = scoring_run(session, CELL)
    assert store.record_run(run)
    assert store.record_run(scored)
    before = store.info()["rows"]
    assert not store.record_run(run)
    assert not store.record_run(scored)
    store.record_machine(make.machine())
    store.record_environment(make.environment())
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    store.record_cells([CELL, OTHER, CELL])
    store.record_plan(session, [records.PlannedCellRecord(CELL, 0)], store.missing_runs(session))
    store.link_score(session, [CELL.id], scored.id)
    store.record_verdict(scored.id, scored.artifact_id or "", records.VerdictRecord("broken", "later"))
    assert store.info()["rows"] == before
    found = only(store.session_facts(session), CELL).score
    assert found is not None
    assert found.verdict == records.VerdictRecord("ok")


def test_an_artifact_that_was_made_twice_is_one_artifact_with_two_lineages(store: Store) -> None:
    begin(store)
    again = make.artifact(recipe="Q4_K_M", made_at=make.BEGAN + timedelta(days=1), made_s=3.0)
    store.record_artifact(again)
    described = store.describe("artifact", again.id)
    assert [one["made_s"] for one in described["lineage"]] == [2.5, 3.0]
    assert described["bits_per_weight"] == pytest.approx(101_000_000 * 8 / 134_515_008)


def test_what_no_token_reads_is_of_the_content_whichever_version_noted_it(store: Store) -> None:
    session = begin(store)
    store.record_run(make.run(session, CELL.id))
    assert _unread(store, session) is None
    made = make.artifact()
    noted = {**made.notes, records.UNREAD: 28_000_000}
    store.record_artifact(dataclasses.replace(made, notes=noted))
    store.record_artifact(dataclasses.replace(made, notes=noted))
    assert _unread(store, session) == 28_000_000
    assert len(store.describe("artifact", made.id)["lineage"]) == 2
    # Made again by a version that notes nothing, or of another recipe: the files are the same.
    store.record_artifact(dataclasses.replace(made, made_at=make.BEGAN + timedelta(days=1)))
    assert _unread(store, session) == 28_000_000


@pytest.mark.parametrize("told", ["28", -1, 2.5, None, [1]])
def test_what_is_no_number_of_bytes_is_not_known(store: Store, told: object) -> None:
    session = begin(store)
    store.record_run(make.run(session, CELL.id))
    made = make.artifact()
    store.record_artifact(dataclasses.replace(made, notes={records.UNREAD: told}))
    assert _unread(store, session) is None


def _unread(store: Store, session: str) -> int | None:
    artifact = only(store.session_facts(session), CELL).artifact
    assert artifact is not None
    return artifact.unread_weight_bytes


def test_the_same_session_begun_twice_is_two_sessions(store: Store) -> None:
    assert begin(store) != begin(store)
    assert len(store.sessions()) == 2


def test_what_is_missing_is_what_was_planned_and_is_not_stored(store: Store) -> None:
    session = begin(store)
    planned = store.missing_runs(session)
    assert [(one.cell_id, one.kind, one.index, one.position) for one in planned] == [
        (CELL.id, "score", 0, 0),
        (OTHER.id, "score", 0, 1),
        (OTHER.id, "timed", 0, 2),
        (CELL.id, "timed", 0, 3),
        (OTHER.id, "timed", 1, 4),
        (CELL.id, "timed", 1, 5),
    ]
    store.record_run(make.run(session, OTHER.id, 1, artifact_id=make.artifact("Q8_0").id))
    store.record_run(make.run(session, CELL.id, 0, status="timeout", reason="took over 60 s", phase="decode"))
    scored = scoring_run(session, CELL)
    store.record_run(scored)
    assert [one.position for one in store.missing_runs(session)] == [1, 2, 5]
    store.link_score(session, [OTHER.id], scored.id)
    assert [one.position for one in store.resume_session(session)] == [2, 5]
    assert store.session_facts(session).resumed == 1


def test_a_run_that_never_had_a_worker_is_still_missing_and_counts_as_an_attempt(store: Store) -> None:
    session = begin(store)
    assert store.attempts(session, CELL.id, "timed", 0) == 0
    failed = make.run(
        session, CELL.id, status="failed", reason="no index", phase=records.SETUP_PHASE, samples=()
    )
    store.record_run(failed)
    assert store.attempts(session, CELL.id, "timed", 0) == 1
    assert len(store.missing_runs(session)) == 6
    store.record_run(make.run(session, CELL.id, attempt=2))
    assert len(store.missing_runs(session)) == 5
    cell = only(store.session_facts(session), CELL)
    assert [one.attempt for one in cell.runs] == [1, 2]
    assert [(one.attempt, one.status) for one in cell.timed()] == [(2, "ok")]


def test_the_newest_bench_of_a_machine_counts_and_a_suspect_one_only_without_another(store: Store) -> None:
    store.record_machine(make.machine())
    assert store.machine_bench(make.machine().id) is None
    spoiled = make.machine_bench(
        measured_at=make.BEGAN + timedelta(days=9), validity="suspect", flags=["memory: steal time 4 %"]
    )
    store.record_machine_bench(spoiled)
    assert store.machine_bench(make.machine().id) == spoiled
    for days in (1, 3, 2):
        store.record_machine_bench(make.machine_bench(measured_at=make.BEGAN + timedelta(days=days)))
    store.record_machine_bench(spoiled)
    found = store.machine_bench(make.machine().id)
    assert found == make.machine_bench(measured_at=make.BEGAN + timedelta(days=3))
    assert len(store.describe("machine", make.machine().id)["benches"]) == 4
    store.start_session(make.session(make.machine().id))
    assert store.session_facts(store.sessions()[0]["id"]).bench == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"reasons": {}},
        {"read_bytes_per_s": 0.0},
        {"fp32_flops": float("nan")},
        {"last_level_cache_bytes": None},
    ],
)
def test_a_bench_with_a_hole_without_reason_or_a_figure_that_is_none_is_refused(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="bench of machine"):
        make.machine_bench(**wrong)


def test_the_newest_session_is_the_one_that_began_last(store: Store) -> None:
    assert store.newest_session() is None
    old, new = begin(store, later_s=0), begin(store, runs=0, later_s=86400)
    scored = scoring_run(new, CELL)
    store.record_run(scored)
    store.link_score(new, [OTHER.id], scored.id)
    assert store.newest_session() == new
    assert store.newest_session(suite="full") is None
    assert store.newest_session(suite="quickstart", machine=make.machine().id) == new
    assert store.newest_session(machine="another") is None
    assert store.newest_session(unfinished=True) == new, "it never ended"
    store.end_session(new, "ok")
    assert store.newest_session(unfinished=True) == old
    store.end_session(old, "interrupted")
    assert store.newest_session(unfinished=True) == old, "it lacks runs"
    listed = store.sessions()
    assert [(one["id"], one["status"]) for one in listed] == [(new, "ok"), (old, "interrupted")]
    assert [(one["runs"], one["cells"], one["cells_skipped"]) for one in listed] == [
        ({"ok": 1}, 3, 1),
        ({}, 3, 1),
    ]


def test_a_score_is_found_again_with_its_reference(store: Store) -> None:
    session = begin(store)
    reference_cell = make.cell("F32", "fp32", workload="score")
    store.record_cells([reference_cell])
    store.record_artifact(make.artifact("F32", precision="fp32"))
    windows = [records.WindowRecord(0, 63, 168.0), records.WindowRecord(1, 63, 163.0)]
    of_reference = make.score(make.artifact("F32").id, windows=windows, kld=None, quality_reference=None)
    reference = make.run(session, reference_cell.id, kind="reference", samples=(), score=of_reference)
    assert store.record_run(reference)
    scored = scoring_run(session, CELL, reference_run_id=reference.id)
    assert store.record_run(scored)
    assert scored.score is not None
    found = store.find_score(scored.score.scoring_key)
    assert found is not None
    assert list(found.windows) == list(scored.score.windows)
    assert (found.run_id, found.positions, found.kld_p999, found.verdict) == (
        scored.id,
        126,
        0.9,
        records.VerdictRecord("ok"),
    )
    assert found.reference is not None
    assert list(found.reference.windows) == windows
    assert found.reference.run_id == reference.id
    assert store.find_score("of something else") is None
    facts_found = store.session_facts(session)
    assert only(facts_found, CELL).score == found
    assert [one.id for one in facts_found.others] == [reference.id]
    later = begin(store, later_s=3600)
    store.link_score(later, [CELL.id], scored.id)
    cell = only(store.session_facts(later), CELL)
    assert cell.score == found
    assert cell.artifact is not None
    assert cell.artifact.id == make.artifact().id


def test_a_score_against_an_unknown_reference_is_refused_whole(store: Store) -> None:
    session = begin(store)
    before = store.info()["rows"]
    with pytest.raises(LookupError, match="no run 0123456789abcdef"):
        store.record_run(scoring_run(session, CELL, reference_run_id="0123456789abcdef"))
    assert store.info()["rows"] == before


def test_a_run_that_cannot_be_stored_leaves_no_part_of_it(store: Store) -> None:
    session = begin(store)
    before = store.info()["rows"]
    bad = make.run(
        session, CELL.id, samples=[records.SampleRecord(0, False, {"new_s": 1.0}, {"big_ns": [2**63]})]
    )
    with pytest.raises(ValueError, match="does not fit"):
        store.record_run(bad)
    assert store.info()["rows"] == before
    good = make.run(session, CELL.id, samples=[records.SampleRecord(0, False, {"new_s": 1.0})])
    assert store.record_run(good), "the metric of the run that failed is not thought to be known"
    [run] = only(store.session_facts(session), CELL).runs
    assert run.values("new_s") == (1.0,)


def test_durations_are_the_median_of_the_newest_five_on_this_machine(store: Store) -> None:
    session = begin(store, runs=8)
    for index, duration in enumerate([100.0, 100.0, 1.0, 2.0, 3.0, 4.0, 5.0]):
        store.record_run(make.run(session, CELL.id, index, duration_s=duration))
    store.record_run(make.run(session, CELL.id, 7, status="timeout", reason="too long", duration_s=900.0))
    store.record_run(scoring_run(session, CELL))
    machine = make.machine().id
    assert store.durations(machine, [CELL.id, OTHER.id]) == {
        (CELL.id, "timed"): 3.0,
        (CELL.id, "score"): 3.25,
    }
    assert store.durations("another", [CELL.id]) == {}
    assert store.durations(machine, []) == {}


def test_an_id_is_found_by_its_beginning(store: Store) -> None:
    session = begin(store)
    run = make.run(session, CELL.id)
    store.record_run(run)
    assert store.find(session[:14]) == [("session", session)]
    assert ("run", run.id) in store.find(run.id[:6])
    assert store.find(CELL.id) == [("cell", CELL.id)]
    assert store.find(make.artifact().id[:20]) == [("artifact", make.artifact().id)]
    assert store.find("") == store.find("%") == store.find("_") == store.find("zz") == []


def test_everything_can_be_described_down_to_its_samples(store: Store) -> None:
    session = begin(store)
    run, scored = make.run(session, CELL.id), scoring_run(session, CELL)
    store.record_run(run)
    store.record_run(scored)
    described = store.describe("run", run.id)
    assert (described["what"], described["kind"], described["id"]) == ("run", "timed", run.id)
    assert len(described["samples"]) == 40
    assert described["samples"][0] == {
        "metric": "decode_s",
        "repetition": 0,
        "warmup": True,
        "value": pytest.approx(0.02),
    }
    assert described["traces"][0]["values"] == list(run.samples[0].traces["forward_ns"])
    assert [one["phase"] for one in described["memory"]] == ["import", "load", "prefill", "decode"]
    assert described["energy"][0]["reason"] == "no meter here"
    assert described["score"] is None
    score = store.describe("run", scored.id)["score"]
    assert score["verdict"] == {"verdict": "ok", "reason": None}
    assert [one["nll_sum"] for one in score["windows"]] == [170.5, 165.25]
    in_session = store.describe("session", session)
    assert [one["reason"] for one in in_session["cells"]] == [None, None, "no CUDA device here"]
    assert in_session["missing"] == 4
    assert {one["id"] for one in in_session["runs"]} == {run.id, scored.id}
    of_cell = store.describe("cell", CELL.id)
    assert [one["session_id"] for one in of_cell["sessions"]] == [session]
    assert [one["id"] for one in store.describe("artifact", make.artifact().id)["runs"]]
    packages = store.describe("environment", make.environment().id)["packages"]
    assert [one["name"] for one in packages] == ["llama-cpp-python", "numpy"]
    assert store.describe("machine", make.machine().id)["sessions"] == [session]
    assert len(store.describe("model", make.model().id)["artifacts"]) == 2
    for kind, identity in (("run", "nothing"), ("session", ""), ("nothing", run.id)):
        with pytest.raises(LookupError):
            store.describe(kind, identity)


def test_what_a_worker_sent_becomes_records() -> None:
    sample = protocol.Sample(0, False, {"prefill_s": 0.5}, [1, 2], [])
    assert records.SampleRecord.of(sample).traces == {"forward_ns": [1, 2]}
    reading = protocol.MemoryReading("load", 5, 4, None, None, "VmHWM", 3)
    assert records.MemoryRecord.of(reading).allocator_peak_bytes == 3
    shares = protocol.MemoryReading("load", 5, 4, 1, 2, "VmHWM", None, None, 1, 3, 2, "why")
    kept = records.MemoryRecord.of(shares)
    assert (kept.shared_bytes, kept.pss_bytes, kept.uss_bytes, kept.shares_reason) == (1, 3, 2, "why")
    window = protocol.WindowScore(4, 63, 1.5, 0.5, 60, 0.25)
    assert records.WindowRecord.of(window, text_bytes=9) == records.WindowRecord(4, 63, 1.5, 0.5, 60, 0.25, 9)


def test_a_runs_memory_over_time_comes_back_and_one_without_has_none(store: Store) -> None:
    session = begin(store)
    watched, other = make.run(session, CELL.id), make.run(session, CELL.id, 1, timeline=None)
    for run in (watched, other):
        assert store.record_run(run)
    found = store.describe("run", watched.id)["memory_timeline"]
    assert found["series"] == make.timeline().series
    assert found["marks"] == [["import", 0], ["load", 40_000_000]]
    assert (found["scope"], found["readings"], found["reason"]) == ("worker", 6, None)
    assert store.describe("run", other.id)["memory_timeline"] is None


def test_an_empty_timeline_keeps_its_series_and_its_reason(store: Store) -> None:
    session = begin(store)
    series: dict[str, list[int]] = {name: [] for name in make.timeline().series}
    empty = replace(make.timeline(), series=series, reason="no reading saw the worker")
    run = make.run(session, CELL.id, timeline=empty)
    assert store.record_run(run)
    found = store.describe("run", run.id)["memory_timeline"]
    assert found["series"] == series
    assert found["reason"] == "no reading saw the worker"


def test_one_run_is_found_with_its_cell_artifact_and_shape(store: Store) -> None:
    session = begin(store)
    run = make.run(session, CELL.id)
    assert store.record_run(run)
    assert store.record_run(make.run(session, CELL.id, 1))
    found = store.run_in_cell(run.id)
    assert found is not None
    assert found == replace(only(store.session_facts(session), CELL), runs=found.runs)
    assert [one.id for one in found.runs] == [run.id]
    with pytest.raises(LookupError):
        store.run_in_cell("nothing")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: make.timeline(0),
        lambda: records.TimelineRecord("worker", "m", 1.0, 1, 1.0, 0.0, {"rss_bytes": [1]}),
        lambda: records.TimelineRecord("worker", "m", 1.0, 1, 1.0, 0.0, {"time_ns": [1], "rss_bytes": []}),
        lambda: make.run("s", "c", status="failed"),
        lambda: make.run("s", "c", validity="suspect"),
        lambda: make.run("s", "c", duration_s=float("inf")),
        lambda: records.SampleRecord(0, False, {"prefill_s": float("nan")}),
        lambda: records.EnergyRecord("decode"),
        lambda: make.energy(meter=None),
        lambda: make.energy(meter=""),
        lambda: make.energy(method=None),
        lambda: make.energy(method="TDP x time"),
        lambda: make.energy(domain=None),
        lambda: make.energy(gross_joules=None, reason="none"),
        lambda: make.energy(gross_joules=0.0),
        lambda: make.energy(gross_joules=-1.0),
        lambda: make.energy(gross_joules=float("nan")),
        lambda: make.energy(tokens=0),
        lambda: make.energy(window_s=None),
        lambda: make.energy(domain_joules={"package-0": float("inf")}),
        lambda: make.energy(estimate_joules=3.0, estimate_label="TDP 15 W x time"),
        lambda: records.EnergyRecord("decode", idle_watts_before=3.0, reason="none"),
        lambda: records.EnergyRecord("decode", domain_joules={"psys": 3.0}, reason="none"),
        lambda: records.EnergyRecord("decode", estimate_joules=3.0, reason="no meter"),
        lambda: records.EnergyRecord("decode", estimate_label="TDP", reason="no meter"),
        lambda: records.WindowRecord(0, 1, float("nan")),
        lambda: make.score("a", kld={"p50": 1.0}),
    ],
)
def test_a_record_that_hides_something_cannot_be_made(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"without|is inf|is nan|no column"):
        wrong()


def test_two_stores_write_into_one_database(any_database: str) -> None:
    with Store.open(any_database) as one, Store.open(any_database) as two:
        session = begin(one)
        assert one.record_run(make.run(session, CELL.id, 0))
        assert two.record_run(make.run(session, CELL.id, 1))
        assert not two.record_run(make.run(session, CELL.id, 0))
        assert len(one.missing_runs(session)) == len(two.missing_runs(session)) == 4


def test_a_reader_reads_and_does_not_write(any_database: str) -> None:
    with Store.open(any_database) as writer:
        session = begin(writer)
        with Store.open(any_database, read_only=True) as reader:
            writer.record_run(make.run(session, CELL.id))
            assert len(reader.missing_runs(session)) == 5
            with pytest.raises(EdgebenchError, match="for reading only"):
                reader.record_machine(make.machine())


def test_a_time_without_its_zone_is_refused(store: Store) -> None:
    machine = store.record_machine(make.machine())
    with pytest.raises(Exception, match="without its zone"):
        store.start_session(make.session(machine, started_at=make.BEGAN.replace(tzinfo=None)))


def test_sessions_that_begin_at_once_in_the_same_words_stay_apart(any_database: str) -> None:
    with Store.open(any_database) as store:
        record = make.session(store.record_machine(make.machine()))
        with ThreadPoolExecutor(8) as pool:
            made = [one.result() for one in [pool.submit(store.start_session, record) for _ in range(16)]]
        assert len(set(made)) == 16
        assert {one["id"] for one in store.sessions()} == set(made)
