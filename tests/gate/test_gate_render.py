"""A gate's outputs, as functions of its document."""

from __future__ import annotations

from typing import Any

import pytest

from harness.gate.render import markdown


def row(at: int, verdict: str) -> dict[str, Any]:
    return {
        "cell": f"llamacpp smollm2-135m-instruct Q4_K_M cpu/cpu pp512+tg128 cell {at}", "metric": "decode_tps",
        "title": "Decode tok/s", "verdict": verdict, "ratio": 0.99, "low": 0.98, "high": 1.01, "pairs": 12, "fresh": 0,
        "detectable": 0.03, "p_value": 0.4, "reason": "a change of 3.1 % would have been seen",
    }  # fmt: skip


def document(rows: list[dict[str, Any]], lonely: int = 0) -> dict[str, Any]:
    side = {"words": [], "text": "as pinned", "session": "20261127T0830"}
    return {
        "kind": "change", "summary": "fail: many", "verdicts": rows, "sides": {"base": side, "head": side},
        "cells": [], "lonely": [f"cell {at} (only in head)" for at in range(lonely)], "advice": [], "machine": "here",
        "gate": "a1b2c3",
    }  # fmt: skip


@pytest.mark.parametrize(("changed", "same"), [(3, 5), (3, 2000), (2000, 5), (2000, 2000)])
def test_a_comment_holds_what_changed_first_and_is_never_longer_than_github_takes(
    changed: int, same: int
) -> None:
    rows = [row(at, "regression") for at in range(changed)] + [row(at, "pass") for at in range(same)]
    text = markdown(document(rows, lonely=500))
    assert len(text) <= 65_536
    told = text.count("| ✗ regression |"), text.count("| ✓ pass |")
    assert text.index("regression |") < text.index("<details>"), "what changed is not folded"
    if changed + same < 100:
        assert told == (changed, same)
        assert "no room" not in text
    else:
        assert told[0] == min(changed, told[0]) > 0
        assert sum(told) > 200
        assert f"and {changed + same - sum(told)} more" in text or (told[0] < changed and told[1] == 0)
        assert "`edgebench show a1b2c3` has all" in text
    assert f"{same} without a change" in text
    assert text.rstrip().endswith("- machine: here")
    assert "- and 4" in text, "of the notes"


def test_every_session_of_a_side_and_what_was_left_out_are_named() -> None:
    made = document([row(0, "pass")])
    made["sides"]["head"] = {**made["sides"]["head"], "again": "20261127T0845"}
    made["cells"] = [{"discarded": 1}]
    text = markdown(made)
    assert "- base: as pinned (edgebench show 20261127T0830)" in text
    assert "(edgebench show 20261127T0830; measured again: edgebench show 20261127T0845)" in text
    assert "- 1 pair was left out" in text
