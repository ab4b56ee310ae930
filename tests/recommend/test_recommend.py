"""The choice among rows, what decided it, and how sure it is."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import make_store_records as make
import pytest
from fake_lab import Lab
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.errors import UsageError
from harness.recommend import Limits, Recommendation, recommend
from harness.recommend.matrix import PLATFORMS, of_platform, selection_matrix
from harness.recommend.showing import json_of, matrix_view, view_of
from harness.recommend.wishes import preference, utility
from harness.store import Store, records
from harness.table.metrics import ROW_KEYS
from harness.table.rows import Row

LIMITS = Limits()
DEFAULT = preference(None, None)


def row(name: str, tps: float | None, memory: float, kld: float | None, **more: object) -> Row:
    """A row with three runs, 1 % apart."""
    values: dict[str, object] = {
        **dict.fromkeys(ROW_KEYS), "framework": "llamacpp", "model": "tiny", "precision": "int4", "recipe": name,
        "device": "cpu", "workload": "pp8+tg4", "options": "defaults", "status": "ok", "artifact_verdict": "ok",
        "emulated": False, "synthetic": False, "validity": "ok", "flags": [], "runs": 3, "session": "s", "machine": "m",
        "decode_tps": tps, "peak_rss_bytes": memory, "kld_mean": kld, "framework_version": "1", "intervals": {}, **more,
    }  # fmt: skip
    basis = {"peak_rss_bytes": {str(place): memory for place in range(3)}}
    if tps is not None:
        basis["decode_tps"] = {str(place): tps * (1 + 0.01 * (place - 1)) for place in range(3)}
    notes = {
        "energy_joules_per_decode_token": "no energy meter",
        "kld_mean": "not scored",
        "decode_tps": "no sample",
    }
    return Row(values, notes, basis=basis)


FAST, SMALL, EXACT = row("Q4_0", 100, 4e8, 0.3), row("Q2_K", 80, 2e8, 0.9), row("Q8_0", 60, 8e8, 0.004)


def chosen(found: Recommendation) -> str | None:
    return None if found.choice is None else str(found.choice["recipe"])


@pytest.mark.parametrize(
    ("order", "choice"), [(None, "Q4_0"), ("memory", "Q2_K"), ("accuracy,speed", "Q8_0"), ("speed", "Q4_0")]
)
def test_what_counts_first_decides(order: str | None, choice: str) -> None:
    found = recommend([FAST, SMALL, EXACT], LIMITS, preference(order, None))
    assert chosen(found) == choice
    assert found.share == 1.0
    assert found.close == ()


def test_what_is_practically_equal_leaves_the_next_preference_to_decide() -> None:
    near = row("Q4_1", 99, 3e8, 0.1)
    found = recommend([FAST, near, EXACT], LIMITS, DEFAULT)
    assert chosen(found) == "Q4_1"
    assert found.decided == "KLD, after Decode t/s left several practically equal"


def test_limits_exclude_with_the_figure() -> None:
    found = recommend([FAST, SMALL, EXACT], Limits(max_memory_bytes=5e8, max_kld=0.5), DEFAULT)
    assert chosen(found) == "Q4_0"
    assert found.decided == "it alone keeps the limits"
    assert {one.row["recipe"]: one.reason for one in found.excluded} == {
        "Q2_K": "KLD 0.9 is above 0.5",
        "Q8_0": "Memory 800 MB is above 500 MB",
    }
    assert all(one.by_limit for one in found.excluded)
    none = recommend([FAST, EXACT], Limits(min_decode_tps=200), DEFAULT)
    assert (none.choice, none.decided) == (None, "nothing keeps the limits")


def test_what_nobody_measured_is_unknown_not_excluded() -> None:
    unscored = row("Q5_0", 500, 1e8, None)
    found = recommend([FAST, unscored], Limits(max_kld=0.5), DEFAULT)
    assert chosen(found) == "Q4_0"
    assert [(one.row["recipe"], one.reason) for one in found.unknown] == [("Q5_0", "KLD: not scored")]
    assert found.excluded == ()
    # The limit left nothing that is known: it is not said to be broken, nor to be of no account.
    nothing = recommend([unscored], Limits(max_kld=0.5), DEFAULT)
    assert nothing.decided == "nothing is known to keep the limits and to have every figure that counts"


def test_what_never_ran_is_unknown_and_not_held_against_it() -> None:
    never_ran = row("Q6_K", None, None, None, status="skipped", reason="no such device")  # type: ignore[arg-type]
    broken = row("Q3_K", None, 1e8, None, status="skipped", reason="broken", artifact_verdict="broken")
    found = recommend([never_ran, FAST, broken], LIMITS, DEFAULT)
    assert [(one.row["recipe"], one.reason) for one in found.unknown] == [("Q6_K", "skipped: no such device")]
    assert [one.row["recipe"] for one in found.excluded] == ["Q3_K"]
    assert (
        recommend([never_ran], LIMITS, DEFAULT).decided
        == "nothing is left to choose from, whatever the limits"
    )


def test_a_divergence_over_other_positions_than_most_is_unknown_where_it_is_limited_or_counts() -> None:
    one = [row(name, 100, 4e8, 0.3, scored_positions=1016, score_window=512) for name in ("Q4_0", "Q5_0")]
    other = row("4bit_g64", 200, 4e8, 0.1, framework="mlx", scored_positions=127, score_window=256)
    for rows in ([*one, other], [other, *one]):
        for limits, order in (
            (Limits(max_kld=0.5), "speed"),
            (Limits(max_kld=0.05), "speed"),
            (LIMITS, None),
        ):
            found = recommend(rows, limits, preference(order, None))
            assert [(each.row["recipe"], each.reason) for each in found.unknown] == [
                (
                    "4bit_g64",
                    "KLD: it rests on 127 positions in windows of 256, of most rows 1,016 positions in windows of 512",
                )
            ]
            assert other["recipe"] not in {each.row["recipe"] for each in found.excluded}
        assert chosen(recommend(rows, LIMITS, preference("speed", None))) == "4bit_g64"


def test_a_preference_that_nothing_was_measured_for_does_not_count_and_says_so() -> None:
    found = recommend([FAST, EXACT], LIMITS, preference("energy,speed", None))
    assert chosen(found) == "Q4_0"
    assert found.uncounted == {"energy_joules_per_decode_token": "no energy meter"}
    assert found.columns == ("decode_tps",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"artifact_verdict": "broken"}, "the artifact is broken"),
        ({"status": "oom", "reason": "killed"}, "oom: killed"),
        ({"emulated": True}, "emulated"),
        ({"synthetic": True}, "synthetic"),
        ({"validity": "suspect", "flags": ["steal time 9 %"]}, "suspect: steal time 9 %"),
    ],
)
def test_what_is_no_evidence_is_never_recommended(change: dict[str, object], reason: str) -> None:
    found = recommend([row("F16", 1000, 1e6, 0.0, **change), FAST], LIMITS, DEFAULT)
    assert chosen(found) == "Q4_0"
    (out,) = found.excluded
    assert reason in out.reason
    assert not out.by_limit


def test_suspect_rows_may_be_asked_for() -> None:
    suspect = row("F16", 1000, 1e6, 0.0, validity="suspect", flags=["x"])
    assert chosen(recommend([suspect, FAST], LIMITS, DEFAULT, with_suspect=True)) == "F16"


def test_noise_is_told_by_how_often_it_would_choose_otherwise() -> None:
    def noisy(name: str, *runs: float) -> Row:
        made = row(name, sorted(runs)[len(runs) // 2], 4e8, 0.1)
        return Row(made.values, made.notes, basis={"decode_tps": {str(i): one for i, one in enumerate(runs)}})

    found = recommend([noisy("A", 90, 100, 130), noisy("B", 80, 95, 120)], LIMITS, preference("speed", None))
    assert chosen(found) == "A"
    assert found.share is not None
    assert 0.5 < found.share < 0.95
    ((other, share),) = found.close
    assert other["recipe"] == "B"
    assert share + found.share == pytest.approx(1)
    assert found == recommend(
        [noisy("A", 90, 100, 130), noisy("B", 80, 95, 120)], LIMITS, preference("speed", None)
    )


def test_noise_about_a_limit_is_told() -> None:
    made = row("A", 100, 4e8, 0.1)
    runs = Row(made.values, made.notes, basis={"decode_tps": {"1": 90.0, "2": 100.0, "3": 110.0}})
    found = recommend([runs], Limits(min_decode_tps=99), DEFAULT)
    assert found.none_share is not None
    assert found.none_share > 0.1


def test_weights_are_of_logarithms() -> None:
    assert chosen(recommend([FAST, EXACT], LIMITS, preference(None, "speed=1,accuracy=1"))) == "Q4_0"
    assert chosen(recommend([FAST, EXACT], LIMITS, preference(None, "speed=1,accuracy=3"))) == "Q8_0"


figures = st.tuples(st.floats(1, 1e3), st.floats(1e6, 1e10), st.floats(0, 10))


@given(st.lists(figures, min_size=1, max_size=6))
def test_the_frontier_is_what_nothing_beats_and_holds_every_weighted_choice(
    each: list[tuple[float, ...]],
) -> None:
    rows = [row(str(place), *one) for place, one in enumerate(each)]
    order = preference("speed,memory,accuracy", None)
    found = recommend(rows, LIMITS, order, repeated=False)
    worth = {id(one): tuple(utility(key, one[key]) for key in order.order) for one in rows}

    def beats(one: Row, other: Row) -> bool:
        a, b = worth[id(one)], worth[id(other)]
        return a != b and all(x >= y for x, y in zip(a, b, strict=True))

    assert found.frontier
    for one, other in itertools.product(rows, found.frontier):
        assert not beats(one, other)
    for one in rows:
        inside = any(one is kept for kept in found.frontier)
        assert inside or any(beats(other, one) for other in rows)


@pytest.mark.parametrize(
    ("order", "weights", "said"),
    [
        ("speed,beauty", None, "beauty"),
        ("", None, "no preference"),
        (None, "speed", "no weight"),
        (None, "speed=-1", "no weight"),
        (None, "speed=nan", "no weight"),
        ("speed", "speed=1", "not both"),
    ],
)
def test_preferences_that_mean_nothing_are_refused(order: str | None, weights: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        preference(order, weights)


# -- the matrix -------------------------------------------------------------------------------------------------------


def test_a_platform_is_told_by_the_processor_and_portable_frameworks_by_their_names() -> None:
    mlx = row("4bit", 50, 1e8, 0.1, framework="mlx", machine="mac")
    rows = [mlx, row("Q4_0", 10, 1e8, 0.1, machine="pc")]
    processors = {"mac": "Apple M4 Max", "pc": "Intel(R) Core(TM) Ultra 7", "board": None}
    assert of_platform(rows, processors, "apple") == [mlx]
    assert [one["framework"] for one in of_platform(rows, processors, "cross-platform")] == ["llamacpp"]
    assert of_platform(rows, processors, "qualcomm") == []
    cells = {(one.platform, one.need): one for one in selection_matrix(rows, processors, LIMITS)}
    assert len(cells) == 4 * len(PLATFORMS)
    measured = cells["apple", "speed"].measured
    assert measured is not None
    assert measured["framework"] == "mlx"
    nothing = cells["qualcomm", "speed"]
    assert nothing.measured is None
    assert {claim.framework for claim in nothing.claims} == {"qnn"}
    assert cells["apple", "energy"].measured is None  # nobody measured any


def test_a_matrix_names_the_precision_and_the_figure_and_no_claim_where_limits_left_nothing() -> None:
    rows = [FAST, row("Q4_1", 50, 3e8, 0.1)]
    processors = {"m": "Intel(R) Core(TM) Ultra 7"}

    def line(limits: Limits) -> dict[str, str]:
        view = matrix_view(selection_matrix(rows, processors, limits), ["pp8+tg4", "pp32+tg4"])
        assert "Several workloads are compared: pp8+tg4, pp32+tg4." in " ".join(view.sections[-1].lines)
        heads = [column.title for column in view.columns]
        return dict(zip(heads, next(one for one in view.body if one[0] == "intel"), strict=True))

    assert line(LIMITS)["Speed"] == "llamacpp int4 (Q4_0) cpu: 100 (3 runs), best of 2"
    assert line(LIMITS)["Energy"].startswith("claimed: openvino")
    # Nobody's speed is unknown for want of an energy that one row alone has.
    metered = row("Q2_K", 10, 4e8, 0.1, energy_joules_per_decode_token=0.2)
    cells = {
        one.need: one
        for one in selection_matrix([*rows, metered], processors, LIMITS)
        if one.platform == "intel"
    }
    assert [cells[need].candidates for need in ("speed", "energy")] == [3, 1]
    assert cells["speed"].measured is FAST
    assert line(Limits(min_decode_tps=200))["Speed"] == "none of 2 measured is known to keep the limits"


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_rows_of_several_machines_have_their_machines_names() -> None:
    other = Row({**FAST.values, "machine": "m2"}, FAST.notes, basis=FAST.basis)
    names = {"m": "lab-1", "m2": "lab-2"}
    view = view_of(recommend([FAST, other], LIMITS, DEFAULT), machines=names)
    assert {line[1].rpartition(" on ")[2] for line in view.body} == {"lab-1", "lab-2"}
    assert "Several machines are compared: m (lab-1); m2 (lab-2)" in " ".join(view.sections[0].lines)
    alone = view_of(recommend([FAST], LIMITS, DEFAULT), machines=names)
    assert "lab" not in alone.title


def test_of_a_platform_where_nothing_was_measured_stands_what_others_claim() -> None:
    found = recommend([], LIMITS, DEFAULT)
    sections = {one.title: one.lines for one in view_of(found, nowhere="qualcomm").sections}
    assert sections["Unknown: nobody measured it"] == (
        "qualcomm: nothing of these sessions was measured there",
    )
    (claim,) = sections["What others say (claims, not measurements)"]
    assert claim.startswith("qnn ")
    assert [one["framework"] for one in json.loads(json_of(found, nowhere="qualcomm"))["claims"]] == ["qnn"]
    assert json.loads(json_of(found))["claims"] == []


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_recommendation_has_its_evidence_and_its_exit_status(measured_lab: Lab) -> None:
    found = measured_lab.run("recommend", "--max-memory", "100GB", "--with-suspect", "--json")
    assert found.status == 0, found.err
    document = found.json
    assert document["choice"]["framework"] == "fake"
    assert document["frontier"]
    shown = measured_lab.run("recommend", "--with-suspect", "--prefer", "accuracy,speed")
    assert shown.status == 0, shown.err
    assert "Recommended: fake" in shown.out
    assert f"edgebench show {document['choice']['session']}" in shown.out
    none = measured_lab.run("recommend", "--max-memory", "1B", "--with-suspect")
    assert none.status == 3
    assert "Recommended: nothing" in none.out
    for format_ in ("markdown", "html", "latex"):
        written = measured_lab.folder / f"found.{format_}"
        assert (
            measured_lab.run("recommend", "--with-suspect", "--format", format_, "-o", str(written)).status
            == 0
        )
        assert "fake" in written.read_text(encoding="utf-8")
    matrix = measured_lab.run("recommend", "--matrix", "--json")
    assert {one["platform"] for one in matrix.json["matrix"]} == set(PLATFORMS)
    assert "Framework selection matrix" in measured_lab.run("recommend", "--matrix").out
    assert measured_lab.run("recommend", "--max-memory", "much").status == 2


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A session of one machine, and behind it two dozen of another, the newest of them of two models."""
    path = tmp_path / "lab.db"
    with Store.open(path) as store:
        store.record_model(replace(make.model(), configuration=None))
        store.record_artifact(make.artifact())
        store.record_environment(make.environment())
        machines = [
            store.record_machine(make.machine(name=name, cpu_model=name)) for name in ("early", "late")
        ]
        for place in range(24):
            cells = [make.cell(), *([make.cell(model="other")] if place == 23 else [])]
            session = store.start_session(
                make.session(machines[place > 0], later_s=60.0 * place),
                [records.PlannedCellRecord(cell, at) for at, cell in enumerate(cells)],
            )
            if place in (0, 23):
                store.record_run(make.run(session, cells[0].id))
    return path


def ask(database: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["recommend", "--db", str(database), *words])
    return int(ended.value.code or 0)


def test_every_machines_newest_session_counts_however_many_others_came_after(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", make.cell().model, "--prefer", "speed", "--json", "--with-suspect")
    assert ask(database, *words) == 0
    document = json.loads(capsys.readouterr().out)
    assert len({one["machine"] for one in document["possible"]}) == 2


def test_words_that_mean_no_row_say_what_there_is(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (("--model", "third"), f"other, {make.cell().model}"),
        (("--model", "other", "--device", "npu:7"), "choose from cpu"),
        (("--where", "framework=mlx"), "no row is framework=mlx"),
        ((), "several models"),
        (("--matrix",), "several models"),
        (("--matrix", "--platform", "apple"), "every platform by every need"),
    ):
        assert ask(database, *words) == 2
        assert told in capsys.readouterr().err, words
    assert ask(database, "--model", "other", "--platform", "apple") == 3
    told_out = capsys.readouterr().out
    assert "nothing of these sessions was measured there" in told_out
    assert "mlx int4" in told_out
