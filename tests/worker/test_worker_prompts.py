"""Prompts: random ids or text, the same everywhere, fresh for every repetition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker.prompts import pass_tokens, random_tokens, text_tokens
from harness.worker.protocol import TimedSpec

SPEC = TimedSpec(8, 2, 0, repetitions=3, warmups=1, seed=7)
TEXT = np.arange(100, 160, dtype=np.int32)


def _file(folder: Path, ids: list[int]) -> str:
    path = folder / f"{len(ids)}.i32"
    np.asarray(ids, dtype="<i4").tofile(path)
    return str(path)


@given(st.integers(0, 2**31), st.integers(1, 200))
def test_text_is_cut_in_its_own_order_and_begins_again_at_its_end(seed: int, count: int) -> None:
    ids = text_tokens(seed, 0, count, TEXT)
    assert ids.dtype == np.int32
    assert len(ids) == count
    steps = np.diff(ids)
    assert set(steps.tolist()) <= {1, 1 - len(TEXT)}


@given(st.integers(0, 2**31))
def test_no_two_repetitions_begin_at_the_same_place(seed: int) -> None:
    begins = {int(text_tokens(seed, repetition, 1, TEXT)[0]) for repetition in range(len(TEXT))}
    assert len(begins) == len(TEXT)


def test_a_pass_gets_the_text_where_there_is_one_and_random_ids_elsewhere(tmp_path: Path) -> None:
    path = _file(tmp_path, TEXT.tolist())
    text = pass_tokens(replace(SPEC, prompt_file=path), 2, 9, 256)
    assert text.tolist() == text_tokens(7, 2, 9, TEXT).tolist()
    assert pass_tokens(SPEC, 2, 9, 256).tolist() == random_tokens(7, 2, 9, 256).tolist()


@pytest.mark.parametrize(
    ("ids", "said"), [([], "has no tokens"), ([1, 256], "outside"), ([-1, 2, 3], "outside")]
)
def test_a_text_that_is_not_this_models_is_refused(tmp_path: Path, ids: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pass_tokens(replace(SPEC, prompt_file=_file(tmp_path, ids)), 0, 4, 256)
