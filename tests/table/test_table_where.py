"""`harness.table.where`: the conditions of ``--where``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.table.metrics import ROW_KEYS
from harness.table.where import columns, parse_where

ROW = {
    "framework": "openvino", "precision": "int4", "recipe": "INT4_SYM_g64", "decode_tps": 125.0, "kld_mean": None,
    "flags": ["late"], "runs": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "framework=openvino",
        "framework=OpenVINO,precision=int4",
        "framework=mlx|openvino",
        "framework!=mlx",
        "recipe~sym",
        "decode_tps>100",
        "decode_tps>=125",
        "decode_tps<=125",
        "decode_tps<1e3",
        "decode_tps=125",
        "kld_mean=null",
        "decode_tps!=null",
        "flags=late",
        " framework = openvino , ",
        "",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert parse_where(text)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "framework=mlx",
        "framework=openvino,precision=int8",
        "framework!=openvino|mlx",
        "recipe~asym",
        "decode_tps>125",
        "kld_mean<1",
        "kld_mean>=0",
        "kld_mean!=null",
        "kld_mean~0",
        "decode_tps=fast",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert not parse_where(text)(ROW)


@pytest.mark.parametrize("text", ["framework", "nothing=1", "decode_tps>fast", "=3", "__class__.x=1"])
def test_malformed_conditions_say_what_to_write(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert caught.value.next_step


@given(st.text(max_size=60))
def test_any_text_is_a_test_or_a_usage_error(text: str) -> None:
    try:
        test = parse_where(text)
    except UsageError:
        return

    assert isinstance(test(dict.fromkeys(ROW_KEYS)), bool)


def test_columns_are_checked_and_named_once() -> None:
    assert columns("runs, status,runs") == ["runs", "status"]
    with pytest.raises(UsageError):
        columns(" , ")
