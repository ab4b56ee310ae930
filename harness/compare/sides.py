"""What ``A`` and ``B`` of ``edgebench compare`` are: the rows of a session that meet conditions.

Owns the words of a side. Contract: a side's rows are of one session and one origin; a word that means nothing, or
nothing in this database, is a UsageError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.frameworks import frameworks
from harness.precision import default_first
from harness.report import session_rows
from harness.store import Store
from harness.table.facts import About
from harness.table.metrics import METRICS
from harness.table.rows import Row
from harness.table.where import columns, parse_where

#: Sessions that are looked through for rows that meet the conditions, newest first.
SEARCHED = 50
_KEY = re.compile(r"\s*([A-Za-z0-9_]+)\s*(?:!=|<=|>=|=|<|>|~)")


@dataclass(frozen=True, slots=True)
class Side:
    """One side.

    Attributes:
        words: as they were given.
        rows: in the order of the session's cells.
        about: the session.
        keys: columns that its conditions name.
    """

    words: str
    rows: tuple[Row, ...]
    about: About
    keys: frozenset[str]


def find_side(
    store: Store, words: str, session_of: Callable[[str], str], *, with_suspect: bool = False
) -> Side:
    """The rows that the words mean.

    Args:
        store: where they are.
        words: a session's id or its beginning, conditions as of ``--where``, or both, joined by commas. Without a
            session: the newest one that has such rows.
        session_of: the session that the beginning of an id means.
        with_suspect: as in `comparison_rows`.

    Raises:
        UsageError: unknown words, or no such rows.
    """
    parts = [part.strip() for part in words.split(",") if part.strip()]
    ids = [part for part in parts if _KEY.match(part) is None]
    if not parts or len(ids) > 1:
        raise UsageError(
            f"{words!r} is no side of a comparison",
            next_step="give a session's id, conditions such as framework=openvino, or both joined by a comma",
        )
    conditions = [_of_machine(store, part) for part in parts if part not in ids]
    keys = frozenset(match[1] for part in conditions if (match := _KEY.match(part)))
    meets = parse_where(",".join(conditions))
    if ids:
        sessions: Sequence[str] = [session_of(ids[0])]
    else:
        sessions = [str(one["id"]) for one in store.sessions(SEARCHED) if one["origin"] == "measured"]
    for session in sessions:
        rows, about = session_rows(store, session, with_suspect=with_suspect)
        found = tuple(row for row in rows if meets(row.values))
        if found:
            if about.source is not None:
                raise UsageError(
                    f"{session} was imported: its figures have definitions of their own",
                    next_step="compare sessions that edgebench measured",
                )
            return Side(words, found, about, keys & METRICS.keys())
    if not sessions:
        raise UsageError(
            f"{store.place} holds no session yet that was measured",
            next_step="measure first: edgebench run quickstart",
        )
    where = ids[0] if ids else f"the newest {len(sessions)} sessions of {store.place}"
    raise UsageError(
        f"no row of {where} is {','.join(conditions) or 'there'}",
        next_step="`edgebench table` shows rows; `edgebench db sessions` lists sessions",
    )


def narrowed(side: Side, where: str | None) -> Side:
    """The side with the rows for which conditions hold.

    Raises:
        UsageError: a malformed condition, or no such row.
    """
    if where is None:
        return side
    meets = parse_where(where)
    rows = tuple(row for row in side.rows if meets(row.values))
    if not rows:
        raise UsageError(
            f"no row of {side.words} is {where}", next_step="`edgebench table` shows what there is"
        )
    return replace(side, rows=rows)


def figures(text: str) -> tuple[str, ...]:
    """Names of columns that are figures.

    Raises:
        UsageError: there is no such column, or it is no figure.
    """
    keys = columns(text)
    for key in keys:
        if METRICS[key].kind != "metric" or METRICS[key].better is None:
            raise UsageError(
                f"{key} has no ratio", next_step="name figures, such as decode_tps or peak_rss_bytes"
            )
    return tuple(keys)


def is_default_recipe(framework: str, recipe: str) -> bool:
    """Whether a recipe is its framework's default of its precision; False of a framework that is not here."""
    entry = frameworks(include_hidden=True).get(framework)
    return entry is not None and any(
        one.name == recipe and one is default_first(entry.backend.recipes, one.precision)[0]
        for one in entry.backend.recipes
        if not one.intermediate
    )


def _of_machine(store: Store, condition: str) -> str:
    """A condition on a machine's name as one on its id, which rows have."""
    key, sign, value = condition.partition("=")
    if key.strip() != "machine" or not sign:
        return condition
    ids = [machine.id for name in value.split("|") for machine in store.machines_named(name.strip())]
    if not ids:
        raise UsageError(
            f"{store.place} knows no machine {value.strip()!r}",
            next_step="`edgebench db sessions` names the machines",
        )
    return f"machine={'|'.join(ids)}"
