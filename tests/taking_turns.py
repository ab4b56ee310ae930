"""Tests side by side (`pytest -n`), but for those that have to be alone: a plugin of the test suite.

A test marked ``alone`` judges how long something takes, or keeps every core busy: while it runs, no other test does.
Every process holds a lock of its own during a test; who has to be alone takes the locks of all. Everybody takes them
through one gate, so that who waits for all locks is not overtaken for ever. Without `-n` nothing is locked.

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    told: dict[str, Any] = getattr(item.config, "workerinput", {})
    if "turns" not in told:
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    with ExitStack() as held:
        with _lock(told, "gate"):
            for name in told["turns_all"] if alone else [told["turns_own"]]:
                held.enter_context(_lock(told, name))
        return (yield)


def _lock(told: dict[str, Any], name: str) -> AbstractContextManager[object]:
    return FileLock(Path(told["turns"]) / name).acquire(poll_interval=_POLL_S)
