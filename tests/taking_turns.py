"""Tests side by side (`pytest -n`), but for those that have to be alone: a plugin of the test suite.

A test marked ``alone`` judges how long something takes, or keeps every core busy: while it runs, no other test does.
Every process holds a lock of its own during a test; who has to be alone takes the locks of all, and keeps them for the
next one that has to be. Everybody takes them through one gate, so that who waits for all locks is not overtaken for
ever. Without `-n` nothing is locked.

`-n auto` is one process more than there are cores.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

_FOLDER = pytest.StashKey[Path]()
#: The locks of this process; whether it keeps them after a test, since the next one has to be alone too.
_HELD = pytest.StashKey[ExitStack]()
_KEPT = pytest.StashKey[bool]()
_POLL_S = 0.01


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than cores: a test that waits for a time-out, a server or its turn leaves its core to another."""
    if config.option.numprocesses != "auto" or "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist's own answer
    return (psutil.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the process that starts the others: tells each where the locks are and what they are called."""
    stash = node.config.stash
    if _FOLDER not in stash:
        stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="edgebench-turns-"))
    node.workerinput["turns"] = str(stash[_FOLDER])
    node.workerinput["turns_own"] = node.gateway.id
    node.workerinput["turns_all"] = [spec.id for spec in node.nodemanager.specs]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FOLDER in config.stash:
        shutil.rmtree(config.stash[_FOLDER])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, who has to be alone comes last, and so one after the other: the others wait once, not each time."""
    if _told(config):
        items.sort(key=_is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    told = _told(item.config)
    if not told:
        return (yield)
    alone = _is_alone(item)
    held = item.config.stash.setdefault(_HELD, ExitStack())
    if not (alone and item.config.stash.get(_KEPT, False)):
        held.close()
        with _lock(told, "gate"):
            for name in told["turns_all"] if alone else [told["turns_own"]]:
                held.enter_context(_lock(told, name))
    try:
        return (yield)
    finally:
        item.config.stash[_KEPT] = keep = alone and nextitem is not None and _is_alone(nextitem)
        if not keep:
            held.close()


def _told(config: pytest.Config) -> dict[str, Any]:
    """What the process that started this one told it; nothing without `-n`."""
    told: dict[str, Any] = getattr(config, "workerinput", {})
    return told if "turns" in told else {}


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _lock(told: dict[str, Any], name: str) -> AbstractContextManager[object]:
    return FileLock(Path(told["turns"]) / name).acquire(poll_interval=_POLL_S)
