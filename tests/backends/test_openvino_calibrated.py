"""What NNCF is fed, and which layers count as fallen back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends import _openvino_calibrated as calibrated
from harness.backends import _openvino_layers as layers
from harness.worker.api import Calibration


def calibration(path: Path, count: int, bos: int | None = None) -> Calibration:
    np.arange(count, dtype="<i4").tofile(path / "ids")
    return Calibration(path / "text", path / "ids", bos)


def test_samples_are_spread_over_the_whole_text(tmp_path: Path) -> None:
    found = calibrated.samples(calibration(tmp_path, 100), count=4, length=10)
    assert [int(sample["input_ids"][0, 0]) for sample in found] == [0, 30, 60, 90]
    assert found[1]["input_ids"].tolist() == [list(range(30, 40))]
    assert found[1]["position_ids"].tolist() == [list(range(10))]
    assert found[1]["attention_mask"].tolist() == [[1] * 10]
    assert found[1]["beam_idx"].dtype == np.int32


def test_each_sample_begins_as_the_model_wants_it(tmp_path: Path) -> None:
    found = calibrated.samples(calibration(tmp_path, 100, bos=7), count=2, length=10)
    assert [sample["input_ids"][0, :2].tolist() for sample in found] == [[7, 0], [7, 91]]
    assert found[0]["input_ids"].shape == (1, 10)


def test_a_short_text_gives_fewer_samples_and_none_is_an_error(tmp_path: Path) -> None:
    assert len(calibrated.samples(calibration(tmp_path, 25), count=4, length=10)) == 2
    with pytest.raises(ValueError, match="fewer than one sample"):
        calibrated.samples(calibration(tmp_path, 9), count=4, length=10)


class Node:
    """As much of openvino's node as counting layers reads."""

    def __init__(
        self, kind: str, *inputs: Node, name: str = "", element: str = "f32", shape: Any = (4, 4)
    ) -> None:
        self.kind, self.inputs, self.name, self.element, self.shape = kind, inputs, name, element, shape

    def get_type_name(self) -> str:
        return self.kind

    def get_node(self) -> Node:
        return self

    def input_value(self, index: int) -> Node:
        return self.inputs[index]

    def get_friendly_name(self) -> str:
        return self.name

    def get_output_shape(self, _: int) -> Any:
        return self.shape

    def get_element_type(self) -> Node:
        return self

    def to_string(self) -> str:
        return self.element


class Model:
    """A table, two layers and a last one that shares the table."""

    def __init__(self, first: str, second: str) -> None:
        table = Node("Convert", Node("Constant", name="table", element="u8"))
        hidden = Node("Gather", table)
        self.nodes = [hidden]
        for name, kind in (("first", first), ("second", second)):
            weight = Node("Constant", name=name, element=kind)
            hidden = Node("MatMul", hidden, Node("Multiply", Node("Convert", weight)))
            self.nodes.append(hidden)
        self.nodes.append(Node("MatMul", hidden, table))

    def get_ordered_ops(self) -> list[Node]:
        return self.nodes


def test_embedding_and_last_layer_in_the_backup_mode_are_no_fall_back() -> None:
    assert layers.fallbacks(Model("u4", "u4"), "int4_asym", mixed=False) == {}


def test_a_layer_that_was_refused_its_mode_is_a_fall_back() -> None:
    assert layers.fallbacks(Model("i4", "u8"), "int4_sym", mixed=False) == {"int4_sym to int8_asym": 1}
    assert layers.fallbacks(Model("i4", "f16"), "int4_sym", mixed=False) == {"int4_sym to f16": 1}


def test_a_ratio_puts_layers_into_8_bits_by_design() -> None:
    assert layers.fallbacks(Model("u4", "u8"), "int4_asym", mixed=True) == {}
