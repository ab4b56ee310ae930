"""What both sides have of a cell or a metric, and what one of them lacks: the verdicts, without a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.gate.design import Design
from harness.gate.judge import _of_process, of_absent
from harness.gate.metrics import DEFAULTS
from harness.gate.paired import PairedCell, Pairing
from harness.gate.sides import CellPair, Name, Paired, Side, pair_cells
from harness.gate.verdict import exit_status
from harness.suite import Cell, PlannedCell
from harness.suite.cell import RunSettings, Workload

if TYPE_CHECKING:
    from harness.runner.front import Plan

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
    ],
)
def test_a_figure_that_a_side_lacks_is_told_as_what_it_is(
    base: bool, head: bool, word: str, told: str
) -> None:
    """One pair was left out as well: that says nothing about a figure that the other pairs do not have."""
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")), discarded=1, flags={"a hog": 1})
    one.metrics["base"] |= {METRIC.name} if base else set()
    one.metrics["head"] |= {METRIC.name} if head else set()
    design = Design({"a": {METRIC.name: METRIC.limits}})
    design.add("a", {})
    verdict = _of_process(Pairing({}, {"a": one}, design), "a", one, METRIC)
    assert verdict.word == word
    assert told in verdict.reason


def test_where_every_pair_was_left_out_nothing_is_known() -> None:
    one = PairedCell(CellPair("a", cell("cpu"), cell("cpu")), discarded=6, flags={"a hog": 6})
    design = Design({"a": {METRIC.name: METRIC.limits}})
    verdict = _of_process(Pairing({}, {"a": one}, design), "a", one, METRIC)
    assert (verdict.word, verdict.reason) == ("inconclusive", "every pair had a suspect run: a hog")
