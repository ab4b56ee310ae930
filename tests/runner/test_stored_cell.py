"""A cell that went through the database is the same cell: the one that is run is the one that was planned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.runner.catalogue import cell_record
from harness.runner.front import cell_of
from harness.suite import Cell, Workload

WORKLOADS = st.builds(
    Workload,
    st.integers(1, 9999),
    st.integers(0, 9999),
    st.integers(0, 9999),
    st.none() | st.integers(1, 99),
    st.integers(1, 99),
)


@given(WORKLOADS)
def test_a_stored_cell_is_the_planned_one(workload: Workload) -> None:
    cell = Cell("server", "small", "fp16", "F16", "cpu", "http", workload, {"n_batch": "64"})
    assert cell_of(cell_record(cell)) == cell
    assert cell_of(cell_record(cell)).id == cell.id
