"""Cells: ids that stay, names that read."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from harness.suite import Cell, Workload

CELL = Cell("openvino", "smollm2-135m-instruct", "int4", "INT4_SYM_g64", "cpu", "cpu", Workload(32, 16))

workloads = st.builds(
    Workload,
    st.integers(1, 10**8 - 1),
    st.integers(0, 10**8 - 1),
    st.integers(0, 10**8 - 1),
    st.none() | st.integers(1, 9999),
    st.integers(1, 9999),
    st.sampled_from(["random", "text"]),
    st.integers(1, 9999),
)


@given(workloads)
def test_a_workload_is_what_its_word_says(workload: Workload) -> None:
    assert Workload.parse(str(workload)) == workload


@pytest.mark.parametrize(
    ("text", "workload"),
    [
        ("pp32+tg16", Workload(32, 16)),
        ("pp512", Workload(512)),
        ("pp512+tg128@d512", Workload(512, 128, 512)),
        (" pp1+tg128@d0@t4 ", Workload(1, 128, 0, 4)),
        ("pp8+tg2@t4@c16", Workload(8, 2, 0, 4, 16)),
        ("pp8@c1", Workload(8)),
        ("pp8+tg2@t4@text", Workload(8, 2, 0, 4, 1, "text")),
        ("pp8+tg2@d4@t4@b16", Workload(8, 2, 4, 4, batch=16)),
        ("pp8@b1", Workload(8)),
    ],
)
def test_workload_words_are_read(text: str, workload: Workload) -> None:
    assert Workload.parse(text) == workload


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tg128",
        "pp0+tg1",
        "pp32 + tg16",
        "pp32tg16",
        "pp32+tg16@t0",
        "pp32@x5",
        "pp٣",
        "pp8@b0",
        "pp8@b2@c2",
    ],
)
def test_what_is_no_workload_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no workload"):
        Workload.parse(text)


def test_the_id_is_the_documented_hash_and_stays() -> None:
    text = (
        '{"api":"cpu","device":"cpu","framework":"openvino","model":"smollm2-135m-instruct",'
        '"recipe":"INT4_SYM_g64","workload":{"decode_tokens":16,"prompt_tokens":32}}'
    )
    assert CELL.id == hashlib.sha256(text.encode()).hexdigest()[:16] == "94bd0ac37973b5af"


@given(workloads)
def test_one_sequence_leaves_ids_as_they_were_before_there_were_batches(workload: Workload) -> None:
    one = replace(CELL, workload=replace(workload, batch=1))
    assert "batch" not in one.identity()["workload"]
    assert "@b" not in str(one.workload)
    two = replace(CELL, workload=replace(workload, batch=2))
    assert two.identity()["workload"] == one.identity()["workload"] | {"batch": 2}


def test_everything_that_identifies_a_cell_is_in_its_id() -> None:
    others = [
        replace(CELL, framework="mlx"),
        replace(CELL, model="other"),
        replace(CELL, recipe="INT4_SYM_g32"),
        replace(CELL, device="gpu:0"),
        replace(CELL, api="opencl"),
        replace(CELL, workload=Workload(32, 17)),
        replace(CELL, workload=Workload(32, 16, 1)),
        replace(CELL, workload=Workload(32, 16, concurrency=2)),
        replace(CELL, workload=Workload(32, 16, batch=2)),
        replace(CELL, workload=Workload(32, 16, 0, 2)),
        replace(CELL, workload=Workload(32, 16, prompt="text")),
        replace(CELL, options={"INFERENCE_PRECISION_HINT": "f32"}),
        replace(CELL, options={"INFERENCE_PRECISION_HINT": "bf16"}),
    ]
    assert len({cell.id for cell in [CELL, *others]}) == len(others) + 1
    assert len({cell.name for cell in [CELL, *others]}) == len(others) + 1


def test_the_order_of_options_is_not_in_the_id() -> None:
    one, other = replace(CELL, options={"a": "1", "b": "2"}), replace(CELL, options={"b": "2", "a": "1"})
    assert (one.id, one.name) == (other.id, other.name)
    assert hash(one) == hash(other)


def test_names_are_made_of_parts_that_read() -> None:
    assert CELL.name == "openvino-smollm2_135m_instruct-int4-INT4_SYM_g64-cpu-pp32+tg16"
    other = replace(
        CELL, device="gpu:0", api="vulkan", workload=Workload(512, 128, 512, 4), options={"type_k": "q8_0"}
    )
    assert other.device_label == "gpu:0.vulkan"
    assert other.name.endswith("-gpu:0.vulkan-pp512+tg128+d512+t4-type_k:q8_0")
    assert replace(CELL, device="npu:0", api="npu").device_label == "npu:0"


def test_a_recipe_with_an_importance_matrix_keeps_its_name() -> None:
    cell = replace(CELL, framework="llamacpp", recipe="Q4_K_M+imatrix")
    assert cell.name == "llamacpp-smollm2_135m_instruct-int4-Q4_K_M+imatrix-cpu-pp32+tg16"
    expression = Expression.compile("Q4_K_M+imatrix")
    assert expression.evaluate(lambda word, /, **_: word in cell.name)
    assert not expression.evaluate(lambda word, /, **_: word in replace(cell, recipe="Q4_K_M").name)


@given(st.text(min_size=1), st.text(min_size=1), workloads)
def test_a_name_is_one_word_of_pytests_expressions(recipe: str, value: str, workload: Workload) -> None:
    cell = replace(CELL, recipe=recipe, workload=workload, options={"key": value})
    assert Expression.compile(cell.name).evaluate(lambda word, /, **_: word == cell.name)
