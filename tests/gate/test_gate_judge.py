"""What both sides have of a cell or a metric, and what one of them lacks: the verdicts, without a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.gate.accuracy import RATE, level, of_cells
from harness.gate.confirming import Second
from harness.gate.design import Design
from harness.gate.exact import ALPHA, divergence, tasks, weights
from harness.gate.judge import ALONE, Judged, _of_cell, _of_process, _of_whole_cell, of_absent, unreliable
from harness.gate.metrics import DEFAULTS
from harness.gate.paired import PairedCell, PairedRunner, Pairing
from harness.gate.sides import CellPair, Name, Paired, Side, pair_cells
from harness.gate.verdict import Verdict, Word, exit_status
from harness.store.evaluations import EvaluationFacts, TaskFacts
from harness.store.facts import ArtifactFacts, CellFacts, ScoreFacts
from harness.store.records import WindowRecord
from harness.suite import Cell, PlannedCell
from harness.suite.cell import RunSettings, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.runner.catalogue import Ready
    from harness.runner.front import Plan
    from harness.runner.progress import SessionProgress
    from harness.runner.session import SessionRunner
    from harness.store import Store

SIDES: dict[Name, Side] = {"base": Side.parse("base", ()), "head": Side.parse("head", ("x==2",))}
METRIC = DEFAULTS["decode_tps"]


def cell(device: str) -> Cell:
    return Cell("fake", "tiny", "fp16", "FP16", device, "cpu", Workload(8, 4))


def paired(base: dict[str, str | None], head: dict[str, str | None]) -> Paired:
    """Plans from devices to the reason why they cannot run here, None where they can."""
    plans = {
        name: cast(
            "Plan",
            SimpleNamespace(
                cells=[
                    PlannedCell(cell(device), reason, None, cast("RunSettings", None))
                    for device, reason in devices.items()
                ]
            ),
        )
        for name, devices in cast("dict[Name, dict[str, str | None]]", {"base": base, "head": head}).items()
    }
    return pair_cells(plans, SIDES)


def test_what_only_base_can_run_here_is_missing_and_what_only_head_can_is_a_note() -> None:
    found = paired(
        {"cpu": None, "gpu:0": None, "gpu:1": None, "npu:0": "no driver", "npu:1": "no driver"},
        {"cpu": None, "gpu:0": "built without Vulkan", "npu:0": None, "npu:1": "no driver"},
    )
    assert [one.base.device for one in found.pairs] == ["cpu"]
    assert [(one.base.device, one.reason) for one in found.absent] == [
        ("gpu:0", "built without Vulkan"),
        ("gpu:1", "head's plan does not have it"),
    ]
    assert len(found.added) == 1
    judged = [of_absent(one) for one in found.absent]
    assert [one.verdict.word for one in judged] == ["missing", "missing"]
    assert "built without Vulkan" in judged[0].verdict.reason
    assert judged[0].head_cell_id == cell("gpu:0").id
    assert judged[1].head_cell_id is None
    verdicts = [one.verdict for one in judged]
    assert (exit_status(verdicts), exit_status(verdicts, allow_missing=True)) == (1, 0)


@pytest.mark.parametrize(
    ("base", "head", "word", "told"),
    [
        (True, False, "missing", "base has a figure"),
        (False, True, "unmeasured", "base has none"),
        (False, False, "unmeasured", "neither side"),
        # Both have one, and a ratio to or of 0 says nothing.
        (True, True, "unmeasured", "above 0"),
    ],
)
def test_a_figure_that_a_side_lacks_is_told_as_what_it_is(
    base: bool, head: bool, word: str, told: str
) -> None:
    """One pair was left out as well: that says nothing about a figure that the other pairs do not have."""
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")), discarded=1, flags={"a hog": 1})
    one.metrics["base"][METRIC.name] = ALONE * base
    one.metrics["head"][METRIC.name] = ALONE * head
    design = Design({"a": {METRIC.name: METRIC.limits}})
    design.add("a", {})
    verdict = _of_process(Pairing({}, {"a": one}, design), "a", one, METRIC)
    assert verdict.word == word
    assert told in verdict.reason


def test_a_figure_that_head_lacks_in_few_pairs_may_be_chance() -> None:
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")))
    one.metrics["base"][METRIC.name] = ALONE - 1
    pairing = Pairing({}, {"a": one}, Design({"a": {METRIC.name: METRIC.limits}}))
    verdict = _of_process(pairing, "a", one, METRIC)
    assert (verdict.word, verdict.reason) == (
        "inconclusive",
        "base has a figure in 4 pairs and head in none",
    )


def test_two_settings_of_one_cell_are_refused_where_a_side_names_the_setting() -> None:
    """Else one of base's two cells would be compared, whichever comes last, and the other left out unseen."""
    plans = {
        name: cast(
            "Plan",
            SimpleNamespace(
                cells=[
                    PlannedCell(
                        replace(cell("cpu"), options={"compute": one}), None, None, cast("RunSettings", None)
                    )
                    for one in settings
                ]
            ),
        )
        for name, settings in cast(
            "dict[Name, list[str]]", {"base": ["bf16", "f16"], "head": ["f32"]}
        ).items()
    }
    sides: dict[Name, Side] = {
        "base": Side.parse("base", ()),
        "head": Side.parse("head", ("option=fake.compute=f32",)),
    }
    with pytest.raises(UsageError, match="several settings of one cell"):
        pair_cells(plans, sides)


def test_where_every_pair_was_left_out_nothing_is_known() -> None:
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")), discarded=6, flags={"a hog": 6})
    design = Design({"a": {METRIC.name: METRIC.limits}})
    verdict = _of_process(Pairing({}, {"a": one}, design), "a", one, METRIC)
    assert (verdict.word, verdict.reason) == ("inconclusive", "every pair had a suspect run: a hog")


@pytest.mark.parametrize(
    ("discarded", "metric", "word", "told"),
    [
        (0, "decode_tps", "pass", False),
        (0, "decode_tps", "inconclusive", True),
        (0, "peak_rss_bytes", "inconclusive", True),
        (0, "kld_mean", "inconclusive", False),
        (0, "arc acc", "inconclusive", False),
        (1, "decode_tps", "pass", True),
    ],
)
def test_the_doctor_is_asked_where_pairs_were_spoiled_or_too_noisy(
    discarded: int, metric: str, word: Word, told: bool
) -> None:
    """Too few windows or items are no fault of the machine's."""
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")), discarded=discarded)
    pairing = Pairing({}, {"a": one}, Design({"a": {METRIC.name: METRIC.limits}}))
    judged = [Judged("a", "b", "c", metric, Verdict(word))]
    assert unreliable(pairing, judged, DEFAULTS) == told


def score(scoring_key: str, nll: float, reference: ScoreFacts | None, kld: float | None) -> ScoreFacts:
    windows = tuple(WindowRecord(at, 64, nll, kld, 60) for at in range(12))
    return ScoreFacts(
        "run", scoring_key, "reference" if reference is None else "own", {}, "text", "sha", 128, 128, 64, None, 768,
        None, None, None, None, None, True, 256, windows, None, {}, reference,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("nll", "word"),
    [(180.0, "regression"), (180.001, "regression"), (180.5, "inconclusive")],
)
def test_two_versions_of_the_references_framework_compare_where_they_compute_the_same(
    nll: float, word: str
) -> None:
    """Else what both of head's computations get wrong alike would look like nothing."""
    metric = DEFAULTS["kld_mean"]
    base = score("a", 190.0, score("reference of base", 180.0, None, None), 1.0)
    head = score("b", 190.0, score("reference of head", nll, None, None), 2.0)
    verdict = divergence(base, head, metric)
    assert verdict.word == word
    assert ("references differ" in verdict.reason) == (word == "inconclusive")


@pytest.mark.parametrize(
    ("base", "head", "word", "ratio"),
    [
        (4.5, 4.5, "pass", 1.0),
        (4.0, 5.0, "regression", 1.25),
        (5.0, 4.0, "improvement", 0.8),
        (None, 4.0, "unmeasured", None),
        (4.0, None, "unmeasured", None),
        (0.0, 4.0, "unmeasured", None),
        (4.0, 0.0, "unmeasured", None),
    ],
)
def test_bits_per_weight_are_a_fact_beyond_or_within_the_margin(
    base: float | None, head: float | None, word: str, ratio: float | None
) -> None:
    made = [None if bits is None else ArtifactFacts("a", 100, 100, bits) for bits in (base, head)]
    verdict = weights(made[0], made[1], DEFAULTS["bits_per_weight"])
    assert (verdict.word, verdict.ratio, verdict.pairs) == (word, ratio, 0)


def test_a_gate_that_measured_nothing_does_not_pass() -> None:
    """Such as one whose two sides fail alike: green would say that head is no worse."""
    assert exit_status([Verdict("unmeasured"), Verdict("unmeasured")]) == 3
    assert exit_status([]) == 3
    assert exit_status([Verdict("unmeasured"), Verdict("pass")]) == 0


@pytest.mark.parametrize(
    ("items", "lost", "word"),
    [
        (5, 5, "inconclusive"),
        (7, 7, "inconclusive"),
        (8, 8, "regression"),
        (8, 0, "pass"),
        (7, 0, "inconclusive"),
    ],
)
def test_a_task_passes_only_where_its_items_could_have_failed_it(items: int, lost: int, word: str) -> None:
    """Five of five lost have p = 0.06, seven of seven 0.016: neither is told from chance at 1 %."""

    def asked(right: int) -> EvaluationFacts:
        one = SimpleNamespace(
            task="arc", metric="acc", items=(1.0,) * right + (0.0,) * (items - right), corpus_sha256="sha", version=1,
            higher_is_better=True,
        )  # fmt: skip
        return cast("EvaluationFacts", SimpleNamespace(tasks=(one,)))

    verdict = tasks(asked(items), asked(items - lost))["arc acc"]
    assert verdict.word == word
    assert (verdict.detectable is None) == (items < 8)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_the_level_of_the_tests_of_a_gate_holds_the_rate_of_false_discoveries(p_values: list[float]) -> None:
    """Benjamini and Hochberg's procedure, by its definition, with critical values of at most the level of one test."""
    ordered = sorted(p_values)
    critical = [min(ALPHA, RATE * rank / len(ordered)) for rank in range(1, len(ordered) + 1)]
    rejected = max(
        (rank for rank, (p, c) in enumerate(zip(ordered, critical, strict=True), 1) if p <= c), default=0
    )
    found = level(p_values)
    assert sum(p <= found for p in p_values) == rejected
    assert found == (ALPHA if not p_values else min(ALPHA, RATE * max(rejected, 1) / len(p_values)))


def facts(run: str, right: int, items: int = 100, tasks: int = 1) -> CellFacts:
    """A cell whose evaluation has so many items right of each of its tasks."""
    answered = tuple(
        TaskFacts(
            f"task {at}", "acc", "1", items, right / items, None, 0, True, "sha",
            (1.0,) * right + (0.0,) * (items - right),
        )
        for at in range(tasks)
    )  # fmt: skip
    evaluation = EvaluationFacts(run, "key", None, False, items, None, None, None, None, {}, answered)
    return cast("CellFacts", SimpleNamespace(score=None, artifact=None, evaluation=evaluation))


def twice(base: CellFacts, head: CellFacts) -> Second:
    """A second look at the same items with the same answers."""
    return Second(base, head, frozenset({"tasks"}))


def of_tasks(sides: list[tuple[CellFacts, CellFacts]]) -> list[dict[str, Verdict]]:
    return of_cells(sides, {}, [twice(*one) for one in sides])


def test_a_drop_that_one_task_would_show_is_not_enough_among_many() -> None:
    """Nine of a hundred lost and none won have p = 0.004: less than 1 %, more than 5 % / 20."""
    alone = of_tasks([(facts("b", 90), facts("h", 81))])
    assert [one["task 0 acc"].word for one in alone] == ["regression"]
    others = [(facts(f"b{at}", 90), facts(f"h{at}", 90)) for at in range(19)]
    (found, *rest) = of_tasks([(facts("b", 90), facts("h", 81)), *others])
    assert found["task 0 acc"].word == "pass"
    assert {one["task 0 acc"].word for one in rest} == {"pass"}
    before, after = alone[0]["task 0 acc"].detectable, found["task 0 acc"].detectable
    assert before is not None
    assert after is not None
    assert before < after, "what it would have seen is at the level that judged it"
    # The more there are that moved, the surer each of them is.
    moved = [(facts(f"b{at}", 90), facts(f"h{at}", 81)) for at in range(20)]
    assert {one["task 0 acc"].word for one in of_tasks(moved)} == {"regression"}


def test_cells_that_rest_on_one_evaluation_are_one_test() -> None:
    """As of one artifact with twenty workloads."""
    base, head = facts("b", 90), facts("h", 81)
    still = facts("c", 90), facts("d", 90)
    found = of_tasks([(base, head), *[still] * 19])
    assert found[0]["task 0 acc"].word == "regression"


@pytest.mark.parametrize(
    ("base", "head", "missing"),
    [
        ("..", "xx", ["head"]),
        ("xx", "..", ["base"]),
        ("xx", "xx", ["base", "head"]),
        # Once pairs succeed, a machine that fails now and then is as likely to hit head twice as not.
        (".....", ".x.x.", []),
        (".......", "..xxxxxx", []),
        ("........", ".xxxxxxx", ["head"]),
        (".xxxxxxx", "........", ["base"]),
        (".x.x.", ".x.x.", []),
        (".x.......", "..xxxxxxx", []),
        (".x..........", "..xxxxxxxxxx", ["head"]),
    ],
)
def test_a_side_is_missing_where_it_fails_more_often_than_the_other(
    base: str, head: str, missing: list[str]
) -> None:
    """What befalls both alike, such as a machine that runs out of memory, is no fault of head's."""
    runner = scripted(base, head)
    for _ in base:
        if not runner._cells["a"].missing:
            runner._pair("a")
    assert sorted(runner._cells["a"].missing) == missing


@pytest.mark.parametrize(
    ("base", "head", "pairs", "missing", "unsteady"),
    [
        # Two failures of one side in seven pairs: what fresh pairs say of them.
        ("." * 30, ".xx" + "." * 27, 30, [], "failed 2 of 30 times, base's 0"),
        ("." * 30, ".xx" * 10, 11, ["head"], ""),
        ("." * 8 + "x" + "." * 21, ".xx" + "." * 27, 9, [], ""),
        ("." * 30, "." * 30, 6, [], ""),
    ],
)
def test_a_head_that_failed_more_often_gets_fresh_pairs_before_it_is_missing(
    base: str, head: str, pairs: int, missing: list[str], unsteady: str
) -> None:
    runner = scripted(base, head)
    design = Design({"a": {METRIC.name: METRIC.limits}})
    runner._take_pairs(design)
    one = runner._cells["a"]
    assert (runner._next["a"], sorted(one.missing)) == (pairs, missing)
    assert unsteady in one.unsteady
    assert bool(one.unsteady) == bool(unsteady)
    whole = _of_whole_cell(one)
    verdicts = _of_cell(Pairing({}, {"a": one}, design), "a", one, {METRIC.name: METRIC}, whole, {})
    words = {name: verdict.word for name, verdict in verdicts.items()}
    if missing:
        assert words == {"cell": "missing"}
    else:
        assert words == {METRIC.name: "pass", **({"cell": "inconclusive"} if unsteady else {})}


class Runs:
    """A side whose runs fail where its script has an x."""

    def __init__(self, script: str) -> None:
        self.script = script

    def one_more(self, _ready: object, index: int, _seed: int) -> SimpleNamespace:
        failed = self.script[index] == "x"
        return SimpleNamespace(
            id="", status="failed" if failed else "ok", reason="it fell", validity="ok", flags=[]
        )


def scripted(base: str, head: str) -> PairedRunner:
    """What carries out a gate of one cell, whose runs follow scripts and all have one figure."""
    scripts: dict[Name, str] = {"base": base, "head": head}
    pair = CellPair("a", cell("cpu"), cell("cpu"))
    runner = PairedRunner(
        {}, SIDES, [pair], {METRIC.name: METRIC}, store=cast("Store", None), entries={}, cache_dir=Path(),
        progress=cast("SessionProgress", None), seed=1,
    )  # fmt: skip
    runner._runners = cast("dict[Name, SessionRunner]", {name: Runs(text) for name, text in scripts.items()})
    runner._ready = cast("dict[Name, Mapping[str, Ready]]", {name: {pair.base.id: None} for name in scripts})
    setattr(runner, "_figures", lambda _run: {METRIC.name: 1.0})  # noqa: B010 - of one object alone
    return runner
