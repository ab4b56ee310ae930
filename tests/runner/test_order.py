"""The order of a session's runs."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.runner.order import plan_round, plan_runs, run_seed

cells = st.lists(st.text("abcdef0123456789", min_size=4, max_size=8), unique=True, max_size=12)


@given(cells, st.integers(1, 6), st.integers(0, 2**31))
def test_every_cell_runs_equally_often_and_positions_count_through(
    ids: list[str], runs: int, seed: int
) -> None:
    planned = plan_runs(dict.fromkeys(ids, runs), seed)
    assert Counter(run.cell_id for run in planned) == dict.fromkeys(ids, runs)
    assert [run.position for run in planned] == list(range(len(ids) * runs))
    for cell in ids:
        assert [run.index for run in planned if run.cell_id == cell] == list(range(runs))


@given(cells, st.integers(1, 6), st.integers(0, 2**31))
def test_no_cell_runs_again_before_every_cell_has_run(ids: list[str], runs: int, seed: int) -> None:
    planned = plan_runs(dict.fromkeys(ids, runs), seed)
    for index in range(runs):
        round_of_cells = planned[index * len(ids) : (index + 1) * len(ids)]
        assert {run.cell_id for run in round_of_cells} == set(ids)


@given(cells, st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_order(ids: list[str], seed: int) -> None:
    assert plan_runs(dict.fromkeys(ids, 3), seed) == plan_runs(dict.fromkeys(ids, 3), seed)


def test_the_order_is_shuffled_and_differs_between_seeds_and_rounds() -> None:
    ids = [f"{n:04x}" for n in range(20)]
    first = [run.cell_id for run in plan_runs(dict.fromkeys(ids, 2), 1)]
    assert first[:20] != ids
    assert first[:20] != first[20:]
    assert first != [run.cell_id for run in plan_runs(dict.fromkeys(ids, 2), 2)]


def test_all_cells_get_the_same_prompts_in_the_same_round_and_fresh_ones_in_the_next() -> None:
    planned = plan_runs({"a": 3, "b": 3}, 42)
    seeds = [{run.seed for run in planned if run.index == index} for index in range(3)]
    assert all(len(each) == 1 for each in seeds)
    assert len(set.union(*seeds)) == 3
    assert run_seed(42, 0) != run_seed(43, 0)


def test_a_cell_may_have_runs_of_its_own_number() -> None:
    planned = plan_runs({"fast": 3, "slow": 1}, 7)
    assert sorted(run.cell_id for run in planned) == ["fast", "fast", "fast", "slow"]
    assert [run.position for run in planned] == [0, 1, 2, 3]
    assert "slow" in {run.cell_id for run in planned[:2]}, "its one run is in the first round"


@given(cells, st.integers(0, 2**31), st.integers(0, 40))
def test_a_later_round_holds_every_cell_that_goes_on_once_whatever_order_they_come_in(
    ids: list[str], seed: int, index: int
) -> None:
    planned = plan_round(dict.fromkeys(ids, index), seed)
    assert sorted(run.cell_id for run in planned) == sorted(ids)
    assert [run.position for run in planned] == list(range(len(ids)))
    assert {run.index for run in planned} <= {index}
    assert {run.seed for run in planned} <= {run_seed(seed, index)}
    assert plan_round(dict.fromkeys(ids[::-1], index), seed) == planned


def test_rounds_are_not_all_in_the_same_order() -> None:
    ids = [f"{number:04x}" for number in range(8)]
    orders = {tuple(run.cell_id for run in plan_round(dict.fromkeys(ids, index), 1)) for index in range(6)}
    assert len(orders) > 1
