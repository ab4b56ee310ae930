"""The second look at accuracy: nothing changes a verdict for good before it is seen again."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import psutil
import pytest
from fake_lab import SUITE, Lab, finish, wait_until
from hypothesis import given
from hypothesis import strategies as st

from harness.artifact import Artifact
from harness.errors import EdgebenchError
from harness.gate.accuracy import of_cells
from harness.gate.again import MORE_WINDOWS
from harness.gate.confirming import FEW, Look, Second, broken_again, doubts, verdicts
from harness.gate.metrics import DEFAULTS
from harness.gate.verdict import FAILING
from harness.runner.execute import execute
from harness.runner.setup import Workshop
from harness.store.evaluations import EvaluationFacts, TaskFacts
from harness.store.facts import ArtifactFacts, CellFacts, ScoreFacts
from harness.store.records import VerdictRecord, WindowRecord
from harness.table.rows import NOT_TIMED

POSITIONS = 100
#: Beyond the limit of 10 % and 0.001 nats, and the same as base.
WORSE, SAME = 0.05, 0.01


def score(
    klds: Sequence[float], *, reference: ScoreFacts | None = None, verdict: Literal["ok", "broken"] = "ok"
) -> ScoreFacts:
    """A score with these mean divergences of its windows, in nats a position."""
    windows = tuple(
        WindowRecord(at, POSITIONS, 3.0 * POSITIONS, kld * POSITIONS, 90) for at, kld in enumerate(klds)
    )
    return ScoreFacts(
        f"run {klds}", "key", "artifact", {}, "text", "sha", 128, 128, 28, None, POSITIONS * len(klds), None, None,
        None, None, None, True, 256, windows, VerdictRecord(verdict), {}, reference,
    )  # fmt: skip


def cell(
    klds: Sequence[float] | None = None,
    *,
    bits: float | None = None,
    items: Sequence[float] | None = None,
    verdict: Literal["ok", "broken"] = "ok",
) -> CellFacts:
    """A cell with one score, one artifact and one task, each where it is given."""
    task = None if items is None else evaluation(items)
    made = None if bits is None else ArtifactFacts("id", int(100 * bits), 800, bits)
    scored = None if klds is None else score(klds, verdict=verdict)
    return cast("CellFacts", SimpleNamespace(score=scored, artifact=made, evaluation=task))


def evaluation(items: Sequence[float]) -> EvaluationFacts:
    task = TaskFacts("arc", "acc", "1", len(items), 0.0, None, 0, True, f"sha {len(items)}", tuple(items))
    return EvaluationFacts("run", "key", None, False, None, None, None, None, None, {}, (task,))


def judged(first: tuple[CellFacts, CellFacts], second: Second | None, metric: str = "kld_mean") -> Any:
    return verdicts(*first, DEFAULTS, second)[metric]


def looked(base: CellFacts | None, head: CellFacts | None, look: Look = "score", **more: Any) -> Second:
    return Second(base, head, frozenset({look}), **more)


FIRST = cell([SAME] * 8), cell([WORSE] * 8)


# -- the divergence ---------------------------------------------------------------------------------------------------


def test_a_divergence_fails_only_where_fresh_windows_show_it() -> None:
    assert doubts(*FIRST, DEFAULTS) == {"score"}
    worse = judged(FIRST, looked(cell([SAME] * 24), cell([WORSE] * 24)))
    assert (worse.word, worse.pairs, worse.fresh) == ("regression", 24, 16)
    assert worse.reason.startswith("16 fresh windows")
    # Worse on the windows that raised the doubt, and on no others.
    chance = judged(FIRST, looked(cell([SAME] * 24), cell([WORSE] * 8 + [SAME] * 16)))
    assert (chance.word, chance.fresh) == ("pass", 16)
    assert chance.ratio == 1.0


def test_one_window_decides_nothing_and_sixteen_fresh_ones_do() -> None:
    first = cell([SAME]), cell([SAME * 1.01])
    assert doubts(*first, DEFAULTS) == {"score"}
    assert judged(first, None).word == "inconclusive"
    more = judged(first, looked(cell([SAME] * 17), cell([SAME * 1.01] * 16 + [SAME])))
    assert (more.word, more.pairs, more.fresh) == ("pass", 17, 16)


def test_what_lies_within_the_limits_is_not_looked_at_again() -> None:
    first = cell([SAME, 2 * SAME] * 4), cell([SAME * 1.01, 2 * SAME] * 4)
    assert doubts(*first, DEFAULTS) == frozenset()
    assert judged(first, None).word == "pass"


def test_a_text_without_further_windows_is_scored_again_and_the_reason_says_so() -> None:
    again = judged(FIRST, looked(cell([SAME] * 8), cell([WORSE] * 8)))
    assert (again.word, again.pairs, again.fresh) == ("regression", 16, 8)
    assert "the same windows, scored again" in again.reason
    few = judged(FIRST, looked(cell([SAME] * (7 + FEW)), cell([WORSE] * (7 + FEW))))
    assert "the same windows, scored again" in few.reason, "seven fresh ones can show nothing at 1 %"
    other = judged(FIRST, looked(cell([SAME] * 8), cell([SAME] * 8)))
    assert other.word == "pass", "the second time head computes what base does"


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (None, "no second look"),
        (looked(cell([SAME] * 24), cell()), "failed the second time"),
        (looked(cell(), cell([WORSE] * 24)), "failed the second time"),
        (looked(None, None), "failed the second time"),
    ],
)
def test_what_could_not_be_looked_at_again_fails_nothing(second: Second | None, told: str) -> None:
    verdict = judged(FIRST, second)
    assert verdict.word == "inconclusive"
    assert told in verdict.reason


def test_a_head_that_cannot_be_scored_twice_is_missing() -> None:
    first = cell([SAME] * 8), cell()
    assert doubts(*first, DEFAULTS) == {"score"}
    twice = judged(first, looked(cell([SAME] * 24), cell()))
    assert (twice.word, twice.reason) == ("missing", "head has no score, and again none")
    once = judged(first, looked(cell([SAME] * 24), cell([WORSE] * 24)))
    assert once.word == "inconclusive"
    assert "head could be measured the second time alone" in once.reason
    assert judged(first, looked(cell([SAME] * 24), cell([SAME] * 24))).word == "pass"


def test_a_second_look_that_finds_other_divergences_in_the_same_windows_confirms_nothing() -> None:
    """Given the artifact it is a fact: one of the two scorings was wrong, and nobody knows which."""
    first = cell([SAME]), cell([1.01 * SAME])
    assert doubts(*first, DEFAULTS) == {"score"}
    wrong = judged(first, looked(cell([SAME] * 17), cell([WORSE] * 17)))
    assert wrong.word == "inconclusive"
    assert "scored again, windows of the first look were off by 0.04 nats" in wrong.reason
    right = judged(first, looked(cell([SAME] * 17), cell([SAME, *[WORSE] * 16])))
    assert right.word == "regression"
    base = judged(first, looked(cell([WORSE] * 17), cell([SAME] * 17)))
    assert base.word == "inconclusive"


def test_a_base_that_is_scored_only_the_second_time_confirms_nothing() -> None:
    """A failure of base once leaves no divergence unjudged in silence, and none judged once."""
    first = cell(), cell([WORSE] * 8)
    assert doubts(*first, DEFAULTS) == {"score"}
    assert doubts(*first, DEFAULTS, more=False) == frozenset()
    assert judged(first, None).word == "unmeasured"
    assert judged(first, looked(cell(), cell([WORSE] * 24))).word == "unmeasured"
    worse = judged(first, looked(cell([SAME] * 24), cell([WORSE] * 24)))
    assert (worse.word, worse.pairs, worse.fresh) == ("inconclusive", 24, 24)
    assert worse.reason.startswith("regression, and not confirmed")
    assert judged(first, looked(cell([SAME] * 24), cell([SAME] * 24))).word == "pass"


def test_a_base_that_answers_only_the_second_time_confirms_nothing() -> None:
    first = cell(), cell(items=LOST)
    assert doubts(*first, DEFAULTS) == {"tasks"}
    assert "arc acc" not in verdicts(*first, DEFAULTS, None)
    worse = judged(first, looked(cell(items=RIGHT), cell(items=LOST), "tasks"), "arc acc")
    assert (worse.word, worse.fresh) == ("inconclusive", 100)
    assert judged(first, looked(cell(items=RIGHT), cell(items=RIGHT), "tasks"), "arc acc").word == "pass"


def test_different_text_is_not_looked_at_again() -> None:
    base, head = FIRST
    assert head.score is not None
    other = cast(
        "CellFacts",
        SimpleNamespace(score=replace(head.score, corpus_sha256="x"), artifact=None, evaluation=None),
    )
    assert doubts(base, other, DEFAULTS) == frozenset()


def test_a_base_that_cannot_be_measured_again_leaves_what_is_open_as_it_is() -> None:
    first = cell([SAME]), cell([SAME * 1.01])
    assert doubts(*first, DEFAULTS, more=False) == frozenset()
    assert "too few windows" in judged(first, None).reason
    assert doubts(*FIRST, DEFAULTS, more=False) == {"score"}


def test_an_artifact_is_broken_where_both_scorings_say_so() -> None:
    words: tuple[Literal["ok", "broken"], ...] = ("ok", "broken")
    for word in words:
        found = broken_again(looked(None, cell([SAME], verdict=word)))
        assert found is not None
        assert found.verdict == word
    assert broken_again(looked(None, cell())) is None


# -- weights and tasks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counted", "word"),
    [
        ((400, 500), "regression"),
        ((400, 400), "pass"),
        ((None, None), "regression"),  # the files are those that were counted
        ((None, "one is damaged"), "inconclusive"),
    ],
)
def test_bits_per_weight_fail_where_the_files_say_so_again(
    counted: tuple[int | str | None, int | str | None], word: str
) -> None:
    first = cell(bits=4.0), cell(bits=5.0)
    assert doubts(*first, DEFAULTS) == {"weights"}
    found = judged(first, looked(None, None, "weights", weight_bytes=counted), "bits_per_weight")
    assert found.word == word
    assert judged(first, None, "bits_per_weight").word == "inconclusive"


RIGHT = [1.0] * 100
LOST = [0.0] * 12 + [1.0] * 88


def test_a_task_fails_only_on_items_that_were_not_asked_before() -> None:
    first = cell(items=RIGHT), cell(items=LOST)
    assert doubts(*first, DEFAULTS) == {"tasks"}
    worse = judged(first, looked(cell(items=RIGHT * 2), cell(items=LOST * 2), "tasks"), "arc acc")
    assert (worse.word, worse.pairs, worse.fresh) == ("regression", 200, 100)
    assert worse.reason == "100 fresh items: 12 lost, 0 won"
    chance = judged(first, looked(cell(items=RIGHT * 2), cell(items=LOST + RIGHT), "tasks"), "arc acc")
    assert (chance.word, chance.ratio) == ("pass", 1.0)
    whole = judged(first, looked(*first, "tasks"), "arc acc")
    assert (whole.word, whole.fresh) == ("regression", 100)
    assert "the same asked again" in whole.reason


def test_a_task_that_head_answers_only_once_or_never() -> None:
    first = cell(items=RIGHT), cell()
    assert judged(first, looked(cell(items=RIGHT * 2), cell(), "tasks"), "arc acc").word == "missing"
    both = looked(cell(items=RIGHT * 2), cell(items=RIGHT * 2), "tasks")
    assert judged(first, both, "arc acc").word == "pass"
    lost = cell(items=RIGHT), cell(items=LOST)
    failed = judged(lost, looked(cell(items=RIGHT * 2), cell(), "tasks"), "arc acc")
    assert failed.word == "inconclusive"


def test_a_task_that_is_hardly_moved_is_asked_again_and_one_that_is_not_moved_is_not() -> None:
    moved = [0.0] * 4 + [1.0] * 96
    assert doubts(cell(items=RIGHT), cell(items=moved), DEFAULTS) == {"tasks"}
    assert doubts(cell(items=RIGHT), cell(items=moved), DEFAULTS, more=False) == frozenset()
    assert judged((cell(items=RIGHT), cell(items=moved)), None, "arc acc").word == "pass"
    assert doubts(cell(items=RIGHT), cell(items=[0.0, *RIGHT[1:]]), DEFAULTS) == frozenset()


divergences = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12)


@given(divergences, divergences, st.floats(1, 16), st.floats(1, 16))
def test_without_a_second_look_nothing_fails_and_nothing_is_better(
    before: list[float], after: list[float], bits: float, bits_of_head: float
) -> None:
    count = min(len(before), len(after))
    base = cell(before[:count], bits=bits, items=[float(one > 0.5) for one in before[:count]])
    head = cell(after[:count], bits=bits_of_head, items=[float(one > 0.5) for one in after[:count]])
    found = verdicts(base, head, DEFAULTS, None)
    assert not {one.word for one in found.values()} & (FAILING | {"improvement"})


# -- how often the second look errs -----------------------------------------------------------------------------------

#: The limit of a base of `BEFORE`: exactly there a change is none that anybody asked about.
BEFORE, LIMIT = 0.05, 0.005


def gate(before: Any, after: Any) -> list[str]:
    """The words of a gate of cells with these divergences: ``float[cells, windows]``; the first 8 come first."""
    sides = [(cell(one[:8]), cell(other[:8])) for one, other in zip(before, after, strict=True)]
    seconds = [
        looked(cell(one), cell(other)) if doubts(*side, ONLY_DIVERGENCE) else None
        for side, one, other in zip(sides, before, after, strict=True)
    ]
    return [found["kld_mean"].word for found in of_cells(sides, ONLY_DIVERGENCE, seconds)]


ONLY_DIVERGENCE = {"kld_mean": DEFAULTS["kld_mean"]}


@pytest.mark.parametrize(("cells", "gates", "rate"), [(1, 300, 0.01), (20, 15, 0.05)])
@pytest.mark.parametrize("sign", [1, -1])
def test_heavy_tails_at_the_limit_raise_no_more_false_alarms_than_the_level(
    cells: int, gates: int, rate: float, sign: int
) -> None:
    random = np.random.default_rng(cells)
    false = 0
    for _ in range(gates):
        before = np.full((cells, 18), BEFORE)
        words = gate(before, before + sign * LIMIT + 0.005 * random.standard_t(2, (cells, 18)))
        false += bool({"regression", "improvement"} & {*words})
    assert false <= rate * gates + 2 * math.sqrt(rate * gates)


@pytest.mark.parametrize("cells", [1, 20])
def test_a_doubled_divergence_of_one_cell_is_found(cells: int) -> None:
    random = np.random.default_rng(cells)
    found = 0
    for _ in range(20):
        before = BEFORE * random.lognormal(0, 0.5, (cells, 18))
        after = before + 0.002 * random.standard_t(2, (cells, 18))
        after[0] = 2 * before[0] * random.lognormal(0, 0.2, 18)
        found += gate(before, after)[0] == "regression"
    assert found >= 19


# -- the whole command ------------------------------------------------------------------------------------------------

SMALL = (
    SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0")
    .replace("[fp16, int4]", "fp16")
    .replace("pp8+tg4", "pp8+tg1")
)
WORDS = ("--head", "recipe=INT4", "--max-pairs", "8", "--with-suspect", "--format", "json", "-q")


def test_a_gate_scores_what_is_in_doubt_again_on_more_windows(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(SMALL + "timeout: 100s\n")
    limits: dict[int, set[float]] = {}

    def seen(launch: Any, load: Any, spec: Any, limit: Any, **more: Any) -> Any:
        limits.setdefault(getattr(spec, "max_windows", 0), set()).add(limit.timeout_s)
        return execute(launch, load, spec, limit, **more)

    monkeypatch.setattr("harness.runner.session.execute", seen)
    document = lab.run("gate", "fake.yaml", *WORDS).json
    # Nine times as many windows, of the reference too, may take nine times as long.
    assert limits == {0: {100.0}, 2: {100.0}, 2 + MORE_WINDOWS: {900.0}}
    (row,) = [row for row in document["verdicts"] if row["metric"] == "kld_mean"]
    assert row["verdict"] == "regression"
    assert (row["pairs"], row["fresh"]) == (2 + MORE_WINDOWS, MORE_WINDOWS)
    assert f"{MORE_WINDOWS} fresh windows" in row["reason"]
    (weight,) = [row for row in document["verdicts"] if row["metric"] == "bits_per_weight"]
    assert weight["verdict"] == "improvement"
    for name, other in (("base", "FP16"), ("head", "INT4")):
        again = document["sides"][name]["again"]
        runs = lab.query(
            "SELECT run.kind, cell.recipe, count(score_window.run_key) FROM run JOIN cell ON cell.id = run.cell_id "
            f"LEFT JOIN score_window ON score_window.run_key = run.key WHERE session_id = '{again}' "
            "GROUP BY run.key ORDER BY run.key"
        )
        assert ("score", other, 2 + MORE_WINDOWS) in runs
        assert not [kind for kind, *_ in runs if kind == "timed"]
        # Each leads to the other.
        (gate,) = lab.run("show", again, "--json").json["gates"]
        assert gate["id"] == document["gate"]
        assert lab.run("show", document["gate"], "--json").json["details"]["again"][name] == again
        table = lab.run("table", "--session", again, "--format", "json").json
        assert [row["reason"] for row in table["rows"]] == [NOT_TIMED]
    sessions = lab.query("SELECT suite, status FROM session")
    sides = ("base", "base, again", "head", "head, again")
    assert sorted(sessions) == sorted((f"fake [gate {side}]", "ok") for side in sides)
    newest = lab.run("show", "--json").json["id"]
    assert newest == document["sides"]["head"]["session"], "a second look is a part of its gate"
    # A second gate measures anew what the database holds.
    second = lab.run("gate", "fake.yaml", *WORDS).json
    scored = lab.query(
        f"SELECT count(*) FROM run WHERE kind = 'score' AND session_id = '{second['sides']['head']['again']}'"
    )
    assert scored == [(1,)]


def test_weights_of_a_cell_that_nothing_scores_are_counted_again(lab: Lab) -> None:
    """No run names its artifact before the first pair, as of synthetic weights."""
    lab.suite(SMALL.replace("scoring: {", "check: null\nscoring: null\nx-scoring: {"))
    words = ("--base", "recipe=INT4", "--head", "recipe=INT8", *WORDS[2:])
    result = lab.run("gate", "fake.yaml", *words)
    (row,) = [row for row in result.json["verdicts"] if row["metric"] == "bits_per_weight"]
    assert (result.status, row["verdict"]) == (1, "regression")
    assert "looked at again" in row["reason"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process could answer")
def test_a_gate_that_is_ended_in_its_second_look_leaves_interrupted_sessions_and_no_process(lab: Lab) -> None:
    lab.suite(SMALL)
    child = lab.folder / "child"
    # The first look has two windows.
    acts = [{"do": "spawn", "pid_file": str(child), "at": 4}, {"do": "hang", "at": 4}]
    base = "option=fake.compute=bf16"
    head = f"option=fake.script={json.dumps({'logits': acts})}"
    gate = lab.start("gate", "fake.yaml", "--base", base, "--head", head, *WORDS[2:])
    wait_until(lambda: child.exists() and child.read_text(encoding="utf-8"), "the second look at head")
    gate.send_signal(signal.SIGTERM)
    result = finish(gate)
    assert result.status == 130, result.err
    assert "interrupted: no verdict" in result.err
    wait_until(
        lambda: not psutil.pid_exists(int(child.read_text(encoding="utf-8"))), "the worker's child's end"
    )
    assert sorted(lab.query("SELECT suite, status FROM session")) == [
        ("fake [gate base, again]", "ok"),
        ("fake [gate base]", "interrupted"),
        ("fake [gate head, again]", "interrupted"),
        ("fake [gate head]", "interrupted"),
    ]
    assert lab.query("SELECT count(*) FROM gate") == [(0,)]
    assert lab.run("db", "check").status == 0
    resumed = lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 2, "none of these is a session to resume"
    assert "holds no session of fake.yaml" in resumed.err


def test_an_artifact_that_is_broken_once_fails_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.suite(SMALL)
    broken = 'option=fake.script={"logits": [{"do": "nan", "positions": [40]}]}'
    words = (
        "gate",
        "fake.yaml",
        "--head",
        broken,
        "--max-pairs",
        "8",
        "--with-suspect",
        "--format",
        "json",
        "-q",
    )
    document = lab.run(*words).json
    assert [row["verdict"] for row in document["verdicts"]] == ["broken"]
    assert document["exit_status"] == 1
    assert document["sides"]["head"]["again"]
    monkeypatch.setattr("harness.gate.confirming.broken_again", lambda _second: VerdictRecord("ok"))
    open_ = lab.run(*words).json
    assert [row["verdict"] for row in open_["verdicts"]] == ["inconclusive"]
    assert "the second time it was not" in open_["verdicts"][0]["reason"]
    assert open_["exit_status"] == 3


@pytest.mark.parametrize("times", [1, 2])
def test_what_could_not_be_set_up_is_tried_once_more(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    lab.suite(SMALL)
    artifact = Workshop.artifact
    failed: list[str] = []

    def falls(self: Workshop, model: str, framework: str, recipe: str) -> Artifact:
        if recipe == "INT8" and len(failed) < times:
            failed.append(recipe)
            raise EdgebenchError("the network is gone", next_step="wait")
        return artifact(self, model, framework, recipe)

    monkeypatch.setattr(Workshop, "artifact", falls)
    words = ("--head", "recipe=INT8", "--max-pairs", "8", "--with-suspect", "--format", "json", "-q")
    document = lab.run("gate", "fake.yaml", *words).json
    assert len(failed) == times
    missing = [row for row in document["verdicts"] if row["verdict"] == "missing"]
    assert len(missing) == times - 1
    assert all("the network is gone" in row["reason"] for row in missing)
