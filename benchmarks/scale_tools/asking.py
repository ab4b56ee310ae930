"""Reading: the history of a series, the newest session's table, the check of the whole file.

Owns these measurements. Contract: ours gives what a command would show; plain `sqlite3` reads the rows that it
rests on.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from harness.report import session_rows
from harness.store import Store
from harness.store.facts import SessionFacts
from harness.table import render
from scale_tools import plain
from scale_tools.figure import Figure, in_turn, middle

_SERIES = 6


def _newest(store: Store) -> SessionFacts:
    """The newest session of the laboratory, not of this benchmark."""
    session_id = store.newest_session("nightly")
    if session_id is None:
        raise ValueError(f"{store.place} was not written by make_database.py")
    return store.session_facts(session_id)


def history(path: Path, rounds: int, rng: random.Random) -> list[Figure]:
    """Milliseconds of the decode speed of a cell on one machine over all years; and with the prefill's beside it."""
    with Store.open(path, read_only=True) as store:
        facts = _newest(store)
        cells = [one.cell.id for one in facts.cells if one.reason is None]
        connection = plain.connect(path)
        taken: dict[str, list[float]] = {"ours": [], "plain": [], "both": []}
        points = 0
        for cell_id in rng.sample(cells, min(_SERIES, len(cells))):

            def ours(metrics: Sequence[str] = ("decode_tps",), cell: str = cell_id) -> int:
                return len(store.history(cell, facts.machine.id, metrics))

            def by_hand(cell: str = cell_id) -> None:
                plain.history(connection, cell, facts.machine.id)

            points = ours()  # what comes first reads the disk
            one, other = in_turn(ours, by_hand, rounds, rng)
            taken["ours"] += one
            taken["plain"] += other
            taken["both"] += in_turn(lambda: ours(("prefill_tps", "decode_tps")), by_hand, rounds, rng)[0]
        connection.close()
    name = f"the history of one cell, {points:,} points"
    return [
        Figure(name, "ms", 1e3 * middle(taken["ours"]), 1e3 * middle(taken["plain"]), 50.0,
               note=f"{_SERIES} cells, {rounds} times each in turn, after a first reading"),
        Figure("the same with prefill beside decode", "ms", 1e3 * middle(taken["both"])),
    ]  # fmt: skip


def newest_table(path: Path, rounds: int, rng: random.Random) -> Figure:
    """Seconds from an open store to the text of the newest session's table; plain reads the rows and stops there."""
    with Store.open(path, read_only=True) as store:
        session_id = _newest(store).id
        connection = plain.connect(path)

        def ours() -> None:
            newest = store.newest_session("nightly")
            assert newest == session_id
            rows, about = session_rows(store, newest)
            render(rows, [about], "markdown")

        ours()
        one, other = in_turn(ours, lambda: plain.session(connection, session_id), rounds, rng)
        connection.close()
    return Figure("the newest session's table, in process", "s", middle(one), middle(other), 0.5)


def check(path: Path, *, compare: bool) -> Figure:
    """Minutes of the full check; the comparison does the very same work and takes as long again."""
    with Store.open(path, read_only=True) as store:
        connection = sqlite3.connect(path)

        def ours() -> None:
            if problems := store.check():
                raise ValueError(f"{path} is not whole: {problems[0]}")

        one, other = in_turn(
            ours, (lambda: plain.check(connection)) if compare else (lambda: None), 1, random.Random(0)
        )
        connection.close()
    return Figure(
        "full integrity check", "min", middle(one) / 60, middle(other) / 60 if compare else None, 5.0
    )
