"""The main job is measured only when it is asked for: ``pytest tests/quickstart --quickstart``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quickstart",
        action="store_true",
        help="run the main job on the real frameworks (minutes; makes environments)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quickstart", default=False):
        return
    dropped = [item for item in items if item.path.parent.name == "quickstart"]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
