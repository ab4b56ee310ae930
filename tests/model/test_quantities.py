"""Durations and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.quantities import duration_s, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120s", 120),
        ("10m", 600),
        ("10 min", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_durations_are_read(text: str | float, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("2GiB", 2**31), ("512 MiB", 2**29), ("1.5kB", 1500), ("100B", 100), (4096, 4096)],
)
def test_sizes_are_read(text: str | int, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "-5s", "0s", "5s later", 0, -1, True, float("inf"), "1d"]
)
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_s(text)


@pytest.mark.parametrize("text", ["", "4", "4G", "4 gigabytes", "-1GB", "0GB", "3iB", 0, True])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="size"):
        size_bytes(text)


@given(st.text() | st.from_regex(r"[0-9.]{1,40}\s?[a-zA-Z]{0,4}"))
def test_any_text_gives_a_number_or_a_value_error(text: str) -> None:
    for read in (duration_s, size_bytes):
        try:
            number = read(text)
        except ValueError:
            continue
        assert number > 0
