"""Files in a cache that several sessions share: canonical JSON, digests, atomic writing, locks, removal.

Owns the few file operations whose order matters when a process may die at any moment. Never imports another room
of the lab half. Contract: what `write_atomically` or a rename has put in place is whole and on disk; a lock is the
kernel's (flock), so it is free as soon as its holder is dead.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

#: Receives one line of text for a person, without a newline.
Progress = Callable[[str], None]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")


def silent(line: str) -> None:
    """The `Progress` of those who do not care."""
    del line


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, ASCII; equal values give equal texts.

    Raises:
        TypeError: something that JSON has not, or a mapping key that is no string.
        ValueError: NaN or an infinity.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key must be a string, not {key!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def key_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one, none, or the whole new one, even after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Force a file's content to disk."""
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Force a folder's entries (a new name, a rename) to disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Force everything below a folder to disk, before something says that it is whole.

    On Linux by one call for all file systems: a framework's environment has tens of thousands of files, and waiting
    for each of them would take minutes.
    """
    if platform.system() == "Linux":  # there it returns when all is written
        os.sync()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                sync_file(file)
        sync_folder(Path(folder))


def remove_tree(path: Path) -> None:
    """Remove a file or folder that may not exist.

    A writer that is just being killed may still add a file: tried again for up to five seconds.

    Raises:
        OSError: it cannot be removed.
    """
    deadline = time.monotonic() + 5
    while True:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # another removal of the same tree overtook this one; look again
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def tree_bytes(path: Path) -> int:
    """Bytes of the files below a folder, links not followed; 0 where there is none."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - 10,000 files: Path costs 3x
            except FileNotFoundError:
                continue  # removed meanwhile
    return total


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a path; waits for another holder, after one call of ``waiting``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            waiting()
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def exclusive_now(path: Path) -> Iterator[bool]:
    """Hold the lock of a path if nobody else does; gives whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def disk_is_full(*texts: str | None) -> bool:
    """Whether a process said, in any of these texts, that the disk or the quota is full."""
    return any(words in (text or "") for text in texts for words in _FULL_WORDS)


def disk_was_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is that the disk or the quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        # An error of another process arrives as its text.
        if disk_is_full(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def readable_bytes(count: int) -> str:
    """A size for a person: ``1.4 GB`` (powers of 1000)."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
