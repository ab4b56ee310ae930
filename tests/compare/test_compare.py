"""Two sides, the cells that both have, and the ratios of their figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from fake_lab import Lab
from hypothesis import given
from hypothesis import strategies as st

from harness.compare import compare, find_side
from harness.compare.ratios import Ratio, free_axes, geometric_mean, of_silicon
from harness.compare.showing import json_of, view_of
from harness.compare.sides import Side, figures, is_default_recipe, narrowed
from harness.errors import UsageError
from harness.store import Store, records
from harness.table.estimates import mover
from harness.table.facts import About
from harness.table.metrics import METRICS, ROW_KEYS
from harness.table.rows import Row

pytestmark = pytest.mark.stocked

COMMON = {"model": "tiny", "framework": "llamacpp", "precision": "int4", "recipe": "Q4_K_M", "device": "cpu",
          "workload": "pp8+tg4", "options": "defaults", "emulated": False, "quality_reference": "F32",
          "validity": "ok", "framework_version": "1"}  # fmt: skip


def row(
    decode_tps: float | None = 100.0, interval: tuple[float, float] | None = (95.0, 106.0), **more: object
) -> Row:
    values: dict[str, object] = {**dict.fromkeys(ROW_KEYS), **COMMON, "decode_tps": decode_tps, **more}
    values["intervals"] = {"decode_tps": list(interval)} if interval else {}
    return Row(values)


def side(*rows: Row, keys: tuple[str, ...] = (), words: str = "x") -> Side:
    return Side(words, rows, About("s", "m", "lab"), frozenset(keys))


def never(framework: str, recipe: str) -> bool:
    del framework, recipe
    return False


def test_a_ratio_is_b_over_a_with_the_interval_of_both() -> None:
    found = compare(side(row()), side(row(150.0, (140.0, 160.0))), never, ["decode_tps"])
    (pair,) = found.pairs
    one = pair.ratios["decode_tps"]
    assert (one.a, one.b, one.ratio, one.better) == (100.0, 150.0, 1.5, True)
    down = math.hypot(math.log(150 / 140), math.log(106 / 100))
    up = math.hypot(math.log(160 / 150), math.log(100 / 95))
    assert one.low == pytest.approx(1.5 * math.exp(-down))
    assert one.high == pytest.approx(1.5 * math.exp(up))


def test_less_memory_is_better_and_one_inside_the_interval_is_neither() -> None:
    def peak(value: float) -> Row:
        made = row(peak_rss_bytes=value)
        made.values["intervals"]["peak_rss_bytes"] = [value * 0.99, value * 1.01]
        return made

    found = compare(side(row(), peak(1e9)), side(row(), peak(0.5e9)), never, ["peak_rss_bytes"])
    assert found.pairs == ()  # two rows of one key on each side: nobody says which is meant
    assert {reason for _, _, reason in found.left_out} == {
        "several cells of this side differ only in what may differ"
    }
    (pair,) = compare(side(peak(1e9)), side(peak(0.5e9)), never, ["peak_rss_bytes"]).pairs
    assert pair.ratios["peak_rss_bytes"].better is True
    (pair,) = compare(side(peak(1e9)), side(peak(1.005e9)), never, ["peak_rss_bytes"]).pairs
    assert pair.ratios["peak_rss_bytes"].better is None


def test_frameworks_are_compared_at_a_precision_by_their_default_recipes() -> None:
    def default(framework: str, recipe: str) -> bool:
        return (framework, recipe) in {("llamacpp", "Q4_K_M"), ("openvino", "INT4")}

    a = side(row(), row(120.0, recipe="Q4_0"), row(recipe="Q8_0", precision="int8"), keys=("framework",))
    b = side(row(50.0, framework="openvino", recipe="INT4"), keys=("framework",))
    found = compare(a, b, default, ["decode_tps"])
    (pair,) = found.pairs
    assert (pair.a["recipe"], pair.b["recipe"], pair.ratios["decode_tps"].ratio) == ("Q4_K_M", "INT4", 0.5)
    assert found.axes == ("framework", "recipe", "options")
    assert [(name, one["recipe"], reason) for name, one, reason in found.left_out] == [
        ("A", "Q4_0", "the default of its precision stands for it"),
        ("A", "Q8_0", "B has no such cell"),
    ]


def test_what_cannot_be_compared_says_why() -> None:
    def reason(a: Row, b: Row, metric: str = "decode_tps") -> str | None:
        (pair,) = compare(side(a), side(b), never, [metric]).pairs
        return pair.ratios[metric].reason

    def having(metric: str, emulated: bool = False) -> Row:
        return Row({**row(emulated=emulated).values, metric: 2.0})

    assert "emulated" in str(reason(row(emulated=True), row()))
    for metric in ("pss_bytes", "uss_bytes", "device_bytes", "residual_bytes", "import_bytes", "itl_s_p99"):
        told = reason(having(metric, emulated=True), having(metric), metric)
        assert "emulated" in str(told), metric
    for metric in ("weight_bytes", "analytic_kv_bytes", "bits_per_weight", "prepare_s"):
        assert reason(having(metric, emulated=True), having(metric), metric) is None, metric
    missing = Row({**row(None, None).values}, {"decode_tps": "the workload generates no token"})
    assert reason(row(), missing) == "B: the workload generates no token"
    assert "quality references" in str(
        reason(row(kld_mean=0.1), row(kld_mean=0.1, quality_reference="F16"), "kld_mean")
    )
    scored: dict[str, Any] = {
        "kld_mean": 0.1,
        "bits_per_byte": 0.9,
        "scored_positions": 1016,
        "score_window": 512,
    }
    changes: tuple[dict[str, Any], ...] = ({"scored_positions": 127}, {"score_window": 256})
    for change in changes:
        for metric in ("kld_mean", "bits_per_byte"):
            assert "different positions" in str(reason(row(**scored), row(**scored | change), metric))
        assert reason(row(**scored), row(**scored | change)) is None
    first, second = (replace(row(**scored), corpus_sha256=letter * 64) for letter in "ab")
    assert "different texts" in str(reason(first, second, "kld_mean"))
    assert reason(first, replace(second, corpus_sha256="a" * 64), "kld_mean") is None
    assert "not resolved" in str(reason(row(kld_mean=1e-15), row(kld_mean=0.1), "kld_mean"))
    assert reason(row(kld_mean=0.05), row(kld_mean=0.1), "kld_mean") is None


def test_every_metric_is_of_silicon_or_of_files_by_its_unit() -> None:
    told = {name for name, one in METRICS.items() if one.kind == "metric" and of_silicon(name)}
    rest = {name for name, one in METRICS.items() if one.kind == "metric"} - told
    quality = {"perplexity", "kld", "same", "delta", "bits"}
    files = {"weight_bytes", "touched_weight_bytes", "analytic_kv_bytes", "prepare_s", "prepare_peak_bytes"}
    assert {name for name in rest if name.partition("_")[0] not in quality} == {*files, "intervals", "tasks"}


def test_a_cell_that_neither_side_measured_is_left_out_with_its_reason() -> None:
    hole = row(None, None, status="skipped", reason="no such device")
    found = compare(side(hole), side(hole), never)
    assert found.pairs == ()
    assert [(name, reason) for name, _, reason in found.left_out] == [("A and B", "no such device")]


def test_a_geometric_mean_is_over_cells_with_both_figures() -> None:
    mean = geometric_mean(
        [Ratio(1, 2, 2.0, 1.5, 2.5), Ratio(1, 8, 8.0, 6.0, 10.0), Ratio(1, None, reason="none")]
    )
    assert mean.cells == 2
    assert mean.ratio == pytest.approx(4.0)
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < 4 < mean.high
    assert geometric_mean([Ratio(1, 2, 2.0)]).low is None
    assert geometric_mean([]).ratio is None


def test_a_geometric_mean_says_over_which_cells_it_is_where_it_is_not_over_all() -> None:
    both, hole = row(recipe="Q4_0"), row(None, None, recipe="Q8_0", peak_rss_bytes=2e8)
    a, b = (
        side(both, row(peak_rss_bytes=2e8, recipe="Q8_0")),
        side(row(150.0, (140.0, 160.0), recipe="Q4_0"), hole),
    )
    found = compare(a, b, never, ["decode_tps", "peak_rss_bytes"])
    sections = {one.title: one.lines for one in view_of(found).sections}
    decode, memory = sections["Geometric mean over common cells"]
    assert decode.endswith("over 1 of 2 common cells: llamacpp int4 Q4_0 cpu pp8+tg4")
    assert memory.endswith("over 1 of 2 common cells: llamacpp int4 Q8_0 cpu pp8+tg4")
    means = json.loads(json_of(found))["geometric_means"]
    assert means["decode_tps"]["over"] == ["llamacpp int4 Q4_0 cpu pp8+tg4"]
    every = compare(side(both), side(both), never, ["decode_tps"])
    (line,) = {one.title: one.lines for one in view_of(every).sections}["Geometric mean over common cells"]
    assert line.endswith("over 1 of 1 common cells")


def test_sides_without_a_common_cell_say_that_nothing_is_compared() -> None:
    found = compare(side(row(device="cpu")), side(row(device="gpu:0")), never)
    sections = {one.title: one.lines for one in view_of(found).sections}
    assert sections["Reading"] == ("Nothing is compared: the two sides have no measured cell in common.",)
    assert "Geometric mean over common cells" not in sections
    assert len(sections["Not compared"]) == 2


def test_recipes_of_two_precisions_are_compared_by_their_names() -> None:
    a = side(row(recipe="Q4_K_M"), keys=("recipe",))
    b = side(row(150.0, (140.0, 160.0), recipe="Q5_K_M", precision="int5"), keys=("recipe",))
    found = compare(a, b, never, ["decode_tps"])
    assert found.axes == ("precision", "recipe")
    assert [pair.ratios["decode_tps"].ratio for pair in found.pairs] == [1.5]


positive = st.floats(1e-3, 1e6)


@given(positive, positive, st.floats(1.001, 2), st.floats(1.001, 2))
def test_turned_round_an_interval_is_the_reciprocal(a: float, b: float, wide_a: float, wide_b: float) -> None:
    of_a, of_b = (a / wide_a, a * wide_a), (b / wide_b, b * wide_b)
    one, other = mover(a, of_a, b, of_b), mover(b, of_b, a, of_a)
    assert one is not None
    assert other is not None
    assert one[0] == pytest.approx(1 / other[1])
    assert one[0] < b / a < one[1]


def test_no_interval_follows_from_one_that_reaches_zero_or_is_missing() -> None:
    assert mover(1, (0, 2), 1, (0.5, 2)) is None
    assert mover(1, None, 1, (0.5, 2)) is None


def test_axes_follow_from_what_conditions_name() -> None:
    assert free_axes(["precision", "decode_tps"]) == ("precision", "recipe")
    assert free_axes(["session"]) == ()


def test_only_figures_are_compared() -> None:
    assert figures("decode_tps,kld_mean") == ("decode_tps", "kld_mean")
    with pytest.raises(UsageError, match="recipe has no ratio"):
        figures("recipe")


def test_default_recipes_are_those_of_the_registry() -> None:
    assert is_default_recipe("llamacpp", "Q4_K_M")
    assert not is_default_recipe("llamacpp", "Q4_0")
    assert not is_default_recipe("nothing", "Q4_0")


# -- words -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two nights on one machine, one on another."""
    store = Store.open(tmp_path / "lab.db")
    store.record_model(replace(make.model(), configuration=None))
    store.record_artifact(make.artifact())
    store.record_environment(make.environment())
    for place, name in enumerate(("lab-1", "lab-1", "lab-2")):
        machine = replace(make.machine(), id="", name=name, cpu_model=f"cpu of {name}")
        session = store.start_session(
            make.session(store.record_machine(machine), later_s=3600.0 * place),
            [records.PlannedCellRecord(make.cell(), 0)],
        )
        store.record_run(make.run(session, make.cell().id))
        store.end_session(session, "ok")
    return store


def no_session(prefix: str) -> str:
    raise AssertionError(prefix)


def test_a_side_is_the_newest_session_that_has_such_rows(store: Store) -> None:
    newest, _, oldest = [str(one["id"]) for one in store.sessions()]
    assert find_side(store, "framework=llamacpp", no_session).about.session == newest
    lab_1 = find_side(store, "machine=lab-1", no_session)
    assert lab_1.about.session not in (newest, oldest)
    assert lab_1.keys == {"machine"}
    both = find_side(store, f"{oldest[:20]}, framework=llamacpp", {oldest[:20]: oldest}.__getitem__)
    assert (both.about.session, len(both.rows)) == (oldest, 1)
    store.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no side"),
        ("a,b", "no side"),
        ("machine=nobody", "no machine 'nobody'"),
        ("framework=nothing", "no row of"),
        ("colour=red", "colour"),
    ],
)
def test_words_that_mean_nothing_are_refused(store: Store, words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_side(store, words, no_session)
    store.close()


def test_conditions_of_both_sides_narrow_them() -> None:
    one = side(row(), row(recipe="Q4_0"))
    assert len(narrowed(one, "recipe=Q4_0").rows) == 1
    assert narrowed(one, None) is one
    with pytest.raises(UsageError, match="no row of x"):
        narrowed(one, "recipe=F16")


# -- the command -----------------------------------------------------------------------------------------------------


def test_two_sessions_and_two_precisions_are_compared_by_the_command(lab: Lab) -> None:
    for _ in range(2):
        assert lab.run("run", "fake.yaml").status == 0
    newer, older = (one["id"] for one in lab.run("db", "sessions", "--json").json["sessions"])
    found = lab.run("compare", older, newer, "--json", "--with-suspect")
    assert found.status == 0, found.err
    document = found.json
    assert document["axes"] == []
    assert {one["session"] for one in document["sides"].values()} == {older, newer}
    assert len(document["cells"]) >= 2
    for cell in document["cells"]:
        decode = cell["ratios"]["decode_tps"]
        assert decode["ratio"] == pytest.approx(decode["b"] / decode["a"])
    assert document["geometric_means"]["decode_tps"]["cells"] == len(document["cells"])
    shown = lab.run("compare", "precision=fp16", "precision=int4", "--columns", "decode_tps,kld_mean")
    assert shown.status == 0, shown.err
    assert "Geometric mean over common cells" in shown.out
    assert "The sides may differ in precision, recipe" in shown.out
    for format_ in ("markdown", "html", "latex", "csv"):
        written = lab.folder / f"compared.{format_}"
        done = lab.run("compare", older, newer, "--format", format_, "-o", str(written))
        assert done.status == 0, done.err
        assert "decode" in written.read_text(encoding="utf-8").lower()
    refused = lab.run("compare", "framework=none", newer)
    assert refused.status == 2
    assert "no row of" in refused.err
    assert (
        json.loads(lab.run("compare", older, older, "--json").out)["geometric_means"]["decode_tps"]["ratio"]
        == 1
    )
