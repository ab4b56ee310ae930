"""`harness.table.verdict`: when an artifact is broken."""

from __future__ import annotations

import pytest

from harness.table.verdict import artifact_broken


@pytest.mark.parametrize(
    ("finite", "kld", "word"),
    [
        (False, None, "finite"),
        (False, 0.0, "finite"),
        (True, 8.12, "8.12 nats (limit for medium precision: 1)"),
        (True, 1.0001, "limit for medium precision: 1"),
    ],
)
def test_artifacts_that_compute_something_else_are_broken(finite: bool, kld: float | None, word: str) -> None:
    assert word in (artifact_broken(finite=finite, kld=kld, max_kld=1.0, precision="w8a8") or "")


@pytest.mark.parametrize(("kld", "limit"), [(1.0, 1.0), (0.56, 1.0), (None, 1.0), (12.0, None)])
def test_artifacts_that_are_merely_bad_or_unknown_are_not(kld: float | None, limit: float | None) -> None:
    assert artifact_broken(finite=True, kld=kld, max_kld=limit) is None
