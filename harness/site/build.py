"""From a database to a folder of pages.

Owns the course: which sessions are featured, which pages are written, in what order. Imports the store and the pages.
Contract: the same database gives the same bytes; no table is loaded whole, and the facts of one session at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.frameworks import frameworks
from harness.site.changes import UNRESOLVED
from harness.site.session import Published, SessionPages
from harness.site.shell import Folder, Shell
from harness.site.ship import ship_page
from harness.site.subjects import SubjectPages
from harness.site.summary import SummaryPages
from harness.site.ways import Ways
from harness.store import Store, overview

#: Sessions that have pages because an alert is about them; the newest alerts first.
MOST_ALERTED = 12

#: What a progress is told: what is being written, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What was written.

    Attributes:
        path: the first page.
        pages: how many pages.
        bytes: all pages together.
        largest: name and bytes of the largest page.
    """

    path: Path
    pages: int
    bytes: int
    largest: tuple[str, int]


def build_site(
    store: Store,
    out: Path,
    sessions: Sequence[str],
    *,
    title: str = "edgebench report",
    also: Sequence[str] = (),
    all_sessions: bool = False,
    progress: Progress | None = None,
) -> Built:
    """Write the site.

    Args:
        store: the database.
        out: its folder; an earlier site there is replaced.
        sessions: ids of those that the site is about: they fill its tables and have pages of their own.
        title: of the site.
        also: ids of sessions that have pages without being in the tables, such as those that a gate compared with.
        all_sessions: every other session has pages too; they are in none of the tables.
        progress: told how far it is; None: nobody is.

    Raises:
        EdgebenchError: the folder holds something else, or cannot be written.
    """
    tell = progress or _nobody
    folder = Folder(out)
    shell = Shell(title)
    entries = frameworks(include_hidden=True)
    session_pages = SessionPages(store, shell, folder, entries)
    featured: list[Published] = []
    ways = Ways()
    for place, session_id in enumerate(sessions):
        tell("sessions", place, len(sessions))
        featured.append(session_pages.write(session_id))
        ways.add(featured[-1])
    with store.reading() as connection:
        lines = overview.session_lines(connection)
    stored = [one.id for one in lines]
    others = stored
    if not all_sessions:
        others = [*also, *_of_alerts(store, {one.machine_id for one in featured}, stored)]
    for place, session_id in enumerate(others):
        tell("other sessions", place, len(others))
        if session_id not in ways.sessions:
            ways.add(session_pages.write(session_id, with_plots=False))
    tell("overview", 0, 1)
    with store.reading() as connection:
        spans = overview.version_spans(connection)
    subjects = SubjectPages(store, shell, folder, featured, entries, ways)
    named = {
        "Models": subjects.models(), "Frameworks": subjects.frameworks(spans), "Machines": subjects.machines(),
    }  # fmt: skip
    summary = SummaryPages(store, shell, folder, featured, ways)
    folder.write("ship.html", ship_page(store, shell, featured))
    summary.coverage()
    summary.failures()
    summary.versions(spans)
    summary.method()
    summary.sessions(lines)
    summary.front(named, [(path, name) for path, name in shell.menu if path != "index.html"])
    folder.finish()
    largest = max(folder.sizes.items(), key=lambda one: (one[1], one[0]))
    return Built(out / "index.html", len(folder.sizes), sum(folder.sizes.values()), largest)


def _of_alerts(store: Store, machines: Iterable[str], stored: Sequence[str]) -> list[str]:
    """The sessions between which a level changed, of alerts that are not resolved: their figures have samples too."""
    listed = [one for each in sorted(machines) for one in store.alerts(machine_id=each, states=UNRESOLVED)]
    listed.sort(key=lambda one: (one.session_after_id, one.id), reverse=True)
    told = dict.fromkeys(each for one in listed for each in (one.session_after_id, one.session_before_id))
    known = set(stored)
    return [each for each in told if each in known][:MOST_ALERTED]


def _nobody(what: str, done: int, of: int) -> None:
    del what, done, of
