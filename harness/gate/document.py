"""A gate's result as one plain document, which every output is written from.

Owns the JSON of a gate, a stable interface. Contract: verdicts that fail come first, then what is open, then what
improved, then the rest, each in the order of the cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.gate.judge import Judged
from harness.gate.paired import Pairing
from harness.gate.sides import NAMES, Name, Side
from harness.gate.verdict import Word, exit_status, summary
from harness.table.metrics import METRICS

#: Every verdict on a change, in the order in which they are told.
ORDER: tuple[Word, ...] = (
    "regression",
    "broken",
    "missing",
    "inconclusive",
    "improvement",
    "pass",
    "unmeasured",
)


def document(
    judged: Sequence[Judged],
    pairing: Pairing,
    sides: Mapping[Name, Side],
    *,
    suite: str,
    machine: str,
    allow_missing: bool,
    lonely: Sequence[str],
    advice: Sequence[str],
) -> dict[str, Any]:
    """The document.

    Args:
        judged: every verdict.
        pairing: the pairs behind them.
        sides: what was compared.
        suite: its title.
        machine: the machine, for people.
        allow_missing: whether missing cells fail the gate.
        lonely: cells that only head has, in words.
        advice: what could make this machine more reliable, in sentences.
    """
    status = exit_status([one.verdict for one in judged], allow_missing=allow_missing)
    rows = [
        {
            "cell": one.cell,
            "metric": one.metric,
            "title": METRICS[one.metric].title if one.metric in METRICS else one.metric,
            **asdict(one.verdict),
            "verdict": one.verdict.word,
            "base_cell": one.base_cell_id,
            "head_cell": one.head_cell_id,
        }
        for one in judged
    ]
    for row in rows:
        del row["word"]
    rows.sort(key=lambda row: ORDER.index(row["verdict"]))
    counts: dict[str, int] = {word: sum(row["verdict"] == word for row in rows) for word in ORDER}
    word, line = summary(counts, status)
    cells = [
        {
            "cell": key,
            "pairs": pairing.design.pairs(key) if key in pairing.design.tracks else 0,
            "discarded": one.discarded,
            "failed": dict(one.failed),
            "flags": dict(one.flags),
        }
        for key, one in pairing.cells.items()
    ]
    return {
        "kind": "change",
        "verdict": word,
        "exit_status": status,
        "summary": line,
        "suite": suite,
        "machine": machine,
        "sides": {
            name: {
                "words": list(sides[name].words),
                "text": sides[name].text,
                "session": pairing.sessions[name],
                "again": pairing.again.get(name),
            }
            for name in NAMES
        },
        "counts": counts,
        "allow_missing": allow_missing,
        "verdicts": rows,
        "cells": cells,
        "lonely": list(lonely),
        "advice": list(advice),
    }
