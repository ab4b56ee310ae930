"""Options, selection and fixtures that every test may use.

``--framework NAME`` (several times) selects the tests that run a real framework, ``--quickstart`` those of the main
job; without these they are deselected.
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

from harness.runner.launch import Launch

# A shell's background job ignores Ctrl-C, and so would every process that is tested for what it does then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong. The same examples each time, so that a test fails because of a change and never by
# chance; `--hypothesis-profile random` looks for new ones.
_PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("random", _PATIENT)
hypothesis.settings.register_profile("edgebench", _PATIENT, derandomize=True, database=None)
hypothesis.settings.load_profile("edgebench")

# Not a test module, but what its assertions compare belongs into the report too.
pytest.register_assert_rewrite("contract")

pytest_plugins = [
    "pytester",
    "fake_lab",
    "forks",
    "quick_store",
    "store_servers",
    "taking_turns",
    "windows_python",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edgebench's own tests")
    group.addoption(
        "--framework",
        action="append",
        default=[],
        metavar="NAME",
        help="also run the tests of this real framework (several times; it must be installable here)",
    )
    group.addoption(
        "--quickstart",
        action="store_true",
        help="also run the main job on the real frameworks (some minutes; makes their environments)",
    )
    group.addoption(
        "--framework-python",
        metavar="PATH",
        help="interpreter that has the framework, instead of an environment that edgebench makes",
    )
    group.addoption(
        "--framework-artifact",
        metavar="PATH",
        help="artifact to load (as LoadSpec.artifact), instead of one that edgebench makes",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = set(config.getoption("--framework"))
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        named = {str(mark.args[0]) for mark in item.iter_markers("framework")}
        unasked = item.get_closest_marker("quickstart") and not config.getoption("--quickstart")
        (dropped if unasked or (named and not named & wanted) else kept).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish() -> None:
    _keep_what_is_alive()


def _keep_what_is_alive() -> None:
    """What is alive now is not looked through for garbage again: with all that tests import, that takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def small_heap() -> None:
    """For tests of what collects garbage itself, as the passes of a worker do."""
    _keep_what_is_alive()


@pytest.fixture
def fake_launch(monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A worker with the scripted backend, in this interpreter."""
    monkeypatch.setenv("EDGEBENCH_FAKE", "1")
    return Launch(python=Path(sys.executable), backend="harness.backends.fake:Fake")
