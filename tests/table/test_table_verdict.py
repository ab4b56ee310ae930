"""`harness.table.verdict`: when an artifact is broken."""

from __future__ import annotations

import pytest

from harness.table.verdict import artifact_broken


@pytest.mark.parametrize(
    ("finite", "same_top", "ratio", "word"),
    [
        (False, 0.9, 1.0, "finite"),
        (True, 0.049, 1.5, "4.9 %"),
        (True, 0.5, 20.1, "20.1 times"),
        (True, None, 1e7, "1e+07 times"),
    ],
)
def test_artifacts_that_compute_something_else_are_broken(
    finite: bool, same_top: float | None, ratio: float, word: str
) -> None:
    assert word in (artifact_broken(finite=finite, same_top=same_top, perplexity_ratio=ratio) or "")


@pytest.mark.parametrize(("same_top", "ratio"), [(0.05, 20.0), (0.7114, 3.0), (None, None), (1.0, 0.97)])
def test_artifacts_that_are_merely_bad_or_unknown_are_not(
    same_top: float | None, ratio: float | None
) -> None:
    assert artifact_broken(finite=True, same_top=same_top, perplexity_ratio=ratio) is None
