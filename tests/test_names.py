"""`harness.names`: a name that passes stays in its folder, on every system."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EdgebenchError
from harness.names import safe_name, safe_path, why_no_name

REFUSED = [
    "", ".", "..", "a/b", "../a", "/etc/passwd", "a\\b", "..\\a", "C:", "C:a", "a:stream", "nul", "NUL.gguf", "con",
    "com1", "LPT9.txt", "aux .txt", "a.", "a ", "a\x00b", "a\nb", "a\x1b[31m", "a" * 256, "é" * 128, "a*", "a?", "a|b",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED, ids=repr)
def test_what_leads_out_or_opens_a_device_is_no_name(name: str) -> None:
    assert why_no_name(name)
    with pytest.raises(EdgebenchError, match="cannot be the name of a file"):
        safe_name(name)


@pytest.mark.parametrize(
    "name", ["model.gguf", "20261123T0612-3fa9c01e.lock", "INT4_SYM g128", "console", "com10", "-a", "ä"]
)
def test_honest_names_pass(name: str) -> None:
    assert safe_name(name) == name


@given(st.text(max_size=40))
def test_what_passes_is_one_part_of_a_path_everywhere(name: str) -> None:
    if why_no_name(name) is None:
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind("cache") / name
            assert path.parent == kind("cache")
            assert path.name == name
        assert Path("/cache", name).parent == Path("/cache")


def test_a_path_is_names_with_slashes() -> None:
    assert safe_path("a/b.txt") == "a/b.txt"
    for path in ("/a", "a//b", "a/../b", "a/", "a/nul"):
        with pytest.raises(EdgebenchError):
            safe_path(path)
