"""Releases asked of the index, and an exact word in place of one that leaves a choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from harness.environment import releases
from harness.environment.releases import newest_release, settled
from harness.errors import EdgebenchError


@pytest.mark.parametrize(
    ("lines", "status", "newest"),
    [
        (["one (2.0)", "Available versions: 2.0rc1, 1.10, 1.9, broken!"], 0, "1.10"),
        (["ERROR: No matching distribution found for one"], 1, None),
        (["Available versions: 3.0"], 1, None),
        (["Available versions: 3.0a1"], 0, None),
    ],
)
def test_the_newest_final_release_is_read_from_pips_answer(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], status: int, newest: str | None
) -> None:
    def pip(*words: str, log: Path, on_line: Callable[[str], None]) -> int:
        assert words == ("index", "versions", "one")
        assert log.parent.is_dir()
        for line in lines:
            on_line(line)
        return status

    monkeypatch.setattr(releases, "pip", pip)
    if newest is not None:
        assert newest_release("one") == newest
        return
    with pytest.raises(EdgebenchError, match="no newest release of one"):
        newest_release("one")


def test_pip_itself_understands_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index in a folder, which needs no network."""
    (tmp_path / "one_thing-1.0-py3-none-any.whl").write_bytes(b"")
    (tmp_path / "one_thing-1.2-py3-none-any.whl").write_bytes(b"")
    (tmp_path / "one_thing-1.3b1-py3-none-any.whl").write_bytes(b"")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert newest_release("one-thing") == "1.2"
    with pytest.raises(EdgebenchError, match="ERROR"):
        newest_release("another-thing")
    assert newest_release("one-thing", SpecifierSet("<1.2")) == "1.0"
    assert newest_release("one-thing", SpecifierSet(">=1.2.dev0")) == "1.3b1"
    with pytest.raises(EdgebenchError, match="no release of one-thing is >=2"):
        newest_release("one-thing", SpecifierSet(">=2"))


@pytest.mark.parametrize(
    ("word", "exact"),
    [
        ("one", "one==1.2"),
        ("one[fast]>=1,<2", "one[fast]==1.2"),
        ("openvino=one~=1.0", "openvino=one==1.2"),
        ("one @ file:///opt/one-1.0-py3-none-any.whl", "/opt/one-1.0-py3-none-any.whl"),
        # Exact already, or for others to judge.
        ("one==1.0", "one==1.0"),
        ("openvino=one==1.0", "openvino=one==1.0"),
        ("openvino=2026.4", "openvino=2026.4"),
        ("./dist/one-1.0-py3-none-any.whl", "./dist/one-1.0-py3-none-any.whl"),
        ("one.whl", "one.whl"),
        ("one @ https://example.org/one.whl", "one @ https://example.org/one.whl"),
        ("one; python_version > '3'", "one; python_version > '3'"),
    ],
)
def test_a_word_that_leaves_a_choice_becomes_exact(word: str, exact: str) -> None:
    asked: list[tuple[str, str]] = []

    def ask(name: str, within: SpecifierSet | None) -> str:
        asked.append((name, str(within)))
        return "1.2"

    assert settled(word, ask=ask).replace("\\", "/").removeprefix("C:") == exact
    assert len(asked) == exact.endswith("==1.2")
