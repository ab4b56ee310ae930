"""The document of a gate that measured no base beside head: its parts that are alike for presets and baselines.

Owns their common keys, those of `harness.gate.document` where they mean the same. Contract: what fails comes first,
then what is open, then the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.gate.document import ORDER as CHANGES
from harness.gate.verdict import status_of, summary

#: Every verdict that such a gate may give, in the order in which they are told.
ORDER: tuple[str, ...] = ("fail", *CHANGES)


def alone(
    kind: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    suite: str,
    machine: str,
    sides: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str] = (),
    allow_missing: bool = False,
    **about: Any,
) -> dict[str, Any]:
    """The document.

    Args:
        kind: ``deployment`` or ``baseline``: which columns the rows have.
        rows: each with ``cell``, ``metric``, ``title``, ``verdict``, ``reason`` and the figures of its kind.
        suite: title of what was measured.
        machine: for people.
        sides: name -> ``{"words", "text", "session"}``.
        notes: sentences for people, below the table.
        allow_missing: whether missing cells fail.
        about: more keys of this kind.
    """
    ordered = sorted((dict(row) for row in rows), key=lambda row: ORDER.index(row["verdict"]))
    counts = {word: sum(row["verdict"] == word for row in ordered) for word in ORDER}
    given = {word for word, count in counts.items() if count}
    status = status_of(given, allow_missing=allow_missing)
    word, line = summary(counts, status)
    return {
        "kind": kind,
        "verdict": word,
        "exit_status": status,
        "summary": line,
        "suite": suite,
        "machine": machine,
        "sides": {name: dict(side) for name, side in sides.items()},
        "counts": counts,
        "allow_missing": allow_missing,
        "verdicts": ordered,
        "cells": [],
        "lonely": [],
        "advice": [],
        "notes": list(notes),
        **about,
    }
