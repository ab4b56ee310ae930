"""The written table of a session: HTML and Markdown files beside the database.

Owns where they are, what a session's rows are, and which sessions are meant where none is named. Contract: a report is
written whole or not at all, and writing it again from the same database gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.files import write_atomically
from harness.frameworks import frameworks
from harness.names import safe_name
from harness.store import Store, overview
from harness.table import Row, comparison_rows, render
from harness.table.facts import About, SessionFacts
from harness.table.imported import imported_rows
from harness.table.stored import session_facts


@dataclass(frozen=True, slots=True)
class Report:
    """A session's rows, and the file that shows them."""

    rows: list[Row]
    about: About
    path: Path


def shown_facts(store: Store, session_id: str) -> SessionFacts:
    """What tables and plots of a session are made from."""
    return session_facts(store.session_facts(session_id), frameworks(include_hidden=True))


def session_rows(store: Store, session_id: str, *, with_suspect: bool = False) -> tuple[list[Row], About]:
    """The rows of a session, and what stands under them; ``with_suspect`` as in `comparison_rows`."""
    facts = shown_facts(store, session_id)
    if facts.source is not None:
        return imported_rows(facts), facts.about()
    return comparison_rows(facts, with_suspect=with_suspect), facts.about()


def newest_of_machines(store: Store) -> list[str]:
    """The newest measured session of each machine, newest first."""
    with store.reading() as connection:
        machines = overview.machine_ids(connection)
    found = [store.newest_session(machine=machine) for machine in machines]
    # Their ids sort by time.
    return sorted((one for one in found if one is not None), reverse=True)


def write_report(store: Store, session_id: str) -> Report:
    """Write a session's table as HTML and Markdown.

    Reports stand in ``reports/`` beside the database's file; of a server, in ``results/reports/`` of the working
    folder.
    """
    rows, about = session_rows(store, session_id)
    file = store.place.path
    folder = (file.parent if file is not None else Path("results")) / "reports"
    # The id is the database's, which may have come from anywhere.
    stem = safe_name(session_id)
    for suffix, name in ((".md", "markdown"), (".html", "html")):
        write_atomically(folder / f"{stem}{suffix}", render(rows, [about], name))
    return Report(rows, about, folder / f"{stem}.html")
