"""The shipped evaluation tasks as the tests read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from harness.paths import data_dir

TASKS = data_dir("suites") / "tasks"


def items(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TASKS / name).read_text(encoding="ascii").splitlines()]


def task_file(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((TASKS / name).read_text(encoding="ascii"))
    assert isinstance(loaded, dict)
    return loaded


def examples(name: str) -> list[dict[str, Any]]:
    """What a task shows before an item, where it shows anything."""
    found: list[dict[str, Any]] = task_file(name)["fewshot_config"]["samples"]
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def likeness(left: str, right: str) -> float:
    """Shared words of all words, 0 to 1."""
    one, other = set(words(left)), set(words(right))
    return len(one & other) / len(one | other)


def scoring_and_calibration_text() -> str:
    texts: list[Path] = sorted((data_dir("suites") / "text").glob("*.txt"))
    assert len(texts) >= 2
    return " ".join(" ".join(words(text.read_text(encoding="utf-8"))) for text in texts)
