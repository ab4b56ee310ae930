"""File operations of a cache that several sessions share."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from harness import files


def test_an_atomic_write_replaces_the_old_text_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "below" / "a.json"
    files.write_atomically(path, "one")
    files.write_atomically(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_an_atomic_write_that_fails_keeps_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_atomically(path, "one")
    with pytest.raises(UnicodeEncodeError):
        files.write_atomically(path, "\udc80")
    assert path.read_text(encoding="utf-8") == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_held_lock_is_seen_and_a_released_one_is_free(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    with files.exclusive(path), files.exclusive_now(path) as ours:
        assert not ours
    with files.exclusive_now(path) as ours:
        assert ours


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    files.remove_tree(tmp_path / "none")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    files.remove_tree(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_removing_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    files.remove_tree(tmp_path / "link")
    assert (tmp_path / "folder" / "kept").exists()
    assert not (tmp_path / "link").exists()


def test_bytes_of_a_tree_are_those_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    assert files.tree_bytes(tmp_path / "a") == 15
    assert files.tree_bytes(tmp_path / "none") == 0


def test_a_full_disk_is_known_by_its_number_its_cause_or_its_words() -> None:
    full = OSError(errno.ENOSPC, "whatever")
    assert files.disk_was_full(full)
    outer = RuntimeError("the worker failed")
    outer.__cause__ = full
    assert files.disk_was_full(outer)
    assert files.disk_was_full(RuntimeError("OSError: [Errno 28] No space left on device: 'x'"))
    assert not files.disk_was_full(OSError(errno.EACCES, "no"))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_360_000, "98.4 MB"), (7e12, "7.0 TB")],
)
def test_sizes_are_told_in_powers_of_a_thousand(count: int, text: str) -> None:
    assert files.readable_bytes(count) == text


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_a_tree_is_forced_to_disk_by_one_call_or_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for path in (tmp_path / "a" / "one", tmp_path / "a" / "b" / "two"):
        path.write_text("x", encoding="utf-8")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "elsewhere")
    synced: list[str] = []
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("os.sync", lambda: synced.append("all"), raising=False)
    monkeypatch.setattr(files, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(files, "sync_folder", lambda path: synced.append(path.name))
    files.sync_tree(tmp_path / "a")
    assert sorted(synced) == (["all"] if system == "Linux" else ["a", "b", "one", "two"])
