"""Which series a person means: a cell, a machine and a metric, by words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store
    from harness.store.records import CellRecord

#: Fewer digits are rather a word of a name.
_LEAST_DIGITS = 4
_LISTED = 8


def cell_named(record: CellRecord) -> str:
    """The name of a stored cell, as plans and `-k` have it."""
    from harness.runner.front import cell_of

    return cell_of(record).name


def chosen_cell(store: Store, words: str, machine_id: str | None) -> CellRecord:
    """The one cell with timed runs that words mean: its id, the beginning of it, its name, or an expression as of `-k`.

    Raises:
        UsageError: none is meant, or several.
    """
    there = {cell.id: cell for cell, _ in store.timed_cells(machine_id)}
    if not there:
        raise UsageError(
            f"{store.place} holds no timed run{'' if machine_id is None else ' of that machine'}",
            next_step="measure first: edgebench run quickstart",
        )
    begin = words.strip().lower()
    if begin in there:
        return there[begin]
    if len(begin) >= _LEAST_DIGITS:
        found = [cell for cell in there.values() if cell.id.startswith(begin)]
        if found:
            return _only(store, words, found)
    return _only(store, words, _by_words(words, list(there.values())))


def _by_words(words: str, cells: Sequence[CellRecord]) -> list[CellRecord]:
    from harness.runner.stored_cells import matching

    # Cells of other tools have names like ours, and are reached by their ids.
    measured = [one for one in cells if one.source is None]
    exact = [one for one in measured if cell_named(one) == words.strip()]
    return exact if exact or not measured else matching(measured, words)


def _only(store: Store, words: str, found: Sequence[CellRecord]) -> CellRecord:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"no cell with timed runs in {store.place} is meant by {words!r}",
            next_step="give its id, the beginning of it, its name, or words as for -k; `edgebench show` lists a "
            "session's cells",
        )
    listed = "; ".join(f"{one.id} {cell_named(one)}" for one in found[:_LISTED])
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise UsageError(
        f"{words!r} means {len(found)} cells: {listed}{more}",
        next_step="give one of these ids, or more words: 'openvino and int4 and pp32'",
    )


def named_machine(store: Store, name: str) -> str:
    """The id of the machine of a name, or the beginning of an id.

    Raises:
        UsageError: there is none, or several.
    """
    found = {one.id for one in store.machines_named(name)}
    if not found:
        found = {row_id for kind, row_id in store.find(name) if kind == "machine"}
    if len(found) == 1:
        return found.pop()
    what = f"{len(found)} machines are" if found else "no machine is"
    raise UsageError(
        f"{what} called {name!r} in {store.place}",
        next_step=f"give one of the ids {', '.join(sorted(found))}"
        if found
        else "`edgebench show` of a session has its machine's id",
    )


def machine_of(store: Store, cell_id: str) -> str:
    """The machine whose series of a cell is meant where none is named: the only one, else this one.

    Raises:
        UsageError: several machines have one, and this one is none of them.
    """
    from harness.machine import describe_machine

    machines = [machine for cell, machine in store.timed_cells() if cell.id == cell_id]
    here = describe_machine().id
    if len(machines) == 1 or here in machines:
        return machines[0] if len(machines) == 1 else here
    raise UsageError(
        f"{len(machines)} machines have run this cell, and this one is none of them",
        next_step=f"name one: --machine {' or '.join(machines[:_LISTED])}",
    )
