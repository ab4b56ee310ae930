from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store import traces


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_come_back_as_they_were(numbers: list[int]) -> None:
    dtype, data = traces.pack(numbers)
    assert dtype == "int64"
    assert list(traces.unpack(dtype, data)) == numbers
    assert np.frombuffer(data, "<i8").tolist() == numbers


@given(st.lists(st.floats(), min_size=1))
def test_fractions_come_back_bit_by_bit(numbers: list[float]) -> None:
    dtype, data = traces.pack(numbers)
    assert dtype == "float64"
    assert struct.pack(f"<{len(numbers)}d", *traces.unpack(dtype, data)) == data
    assert np.array_equal(np.frombuffer(data, "<f8"), np.array(numbers), equal_nan=True)


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit int64"):
        traces.pack([2**63])


@given(st.text(), st.binary())
def test_what_somebody_else_wrote_into_the_column_is_refused_or_read(dtype: str, data: bytes) -> None:
    if dtype not in ("int64", "float64") or len(data) % 8:
        with pytest.raises(ValueError, match="no trace"):
            traces.unpack(dtype, data)
    else:
        assert len(traces.unpack(dtype, data)) == len(data) // 8
