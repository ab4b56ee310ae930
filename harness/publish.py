"""A report for a repository: Markdown with tables, plots as pictures, and the words of whoever publishes it.

Owns which files there are and what stands in them. Imports the table, the plots and, when it is called, what draws
them. Contract: the same database and the same ``text.md`` give the same bytes; texts of a database are shown, not
obeyed; ``text.md`` is read and never written, and no other file is touched but those of an earlier report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EdgebenchError
from harness.files import write_atomically
from harness.report import shown_facts
from harness.safe_text import printable
from harness.store import Store
from harness.table import Row, comparison_rows, render
from harness.table.claims import stands_for_claim
from harness.table.facts import About, SessionFacts
from harness.table.imported import imported_rows
from harness.table.render_markdown import escape
from harness.table.view import label, some_of

#: What the README of a report begins with: another one is not overwritten.
MARK = "<!-- Written by edgebench report --publish; text.md is where to write. -->"
#: Words of whoever publishes, put before the figures as they are.
TEXT = "text.md"
#: The table of claims beside measurements alone, to be shown elsewhere; not there where no claim was measured.
HEADLINE = "headline.md"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was written.

    Attributes:
        path: the README.
        files: names of all files, in order.
        text: whether there is a ``text.md``.
    """

    path: Path
    files: tuple[str, ...]
    text: bool


def publish(store: Store, sessions: Sequence[str], folder: Path, *, title: str) -> Publication:
    """Write the report of some sessions, each with a part of its own.

    Args:
        store: the database.
        sessions: their ids, at least one.
        folder: where; made where it is missing.
        title: of the report, unless ``text.md`` begins with one.

    Raises:
        EdgebenchError: a README stands there that is no report's, or the folder cannot be written.
    """
    readme = folder / "README.md"
    try:
        if readme.exists() and not readme.read_text(encoding="utf-8").startswith(MARK):
            raise EdgebenchError(
                f"{readme} was not written by edgebench report --publish", next_step="name another folder"
            )
        text = folder / TEXT
        words = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
        parts, headlines, pictures = [], [], set()
        for place, session_id in enumerate(sessions):
            facts = shown_facts(store, session_id)
            rows = comparison_rows(facts) if facts.source is None else imported_rows(facts)
            headline = _headline(facts, rows, facts.about())
            drawn = _pictures(facts, rows, folder, place)
            pictures |= {name for name, _ in drawn}
            parts.append(_part(facts, rows, headline, drawn))
            headlines.append(headline)
        heading = [] if words.startswith("# ") else [f"# {escape(printable(title))}\n"]
        whole = "\n".join([MARK, "", *heading, *([words, ""] if words else []), *parts])
        write_atomically(readme, whole)
        claimed = "\n".join(one for one in headlines if one)
        if claimed:
            write_atomically(folder / HEADLINE, claimed)
        else:
            (folder / HEADLINE).unlink(missing_ok=True)
        for path in folder.glob("*.svg"):
            if path.name not in pictures and _is_ours(path.name):
                path.unlink()
    except OSError as error:
        raise EdgebenchError(
            f"{folder} cannot be written: {error.strerror or error}", next_step="name another folder"
        ) from error
    files = {readme.name, *pictures, *([HEADLINE] if claimed else [])}
    return Publication(readme, tuple(sorted(files)), bool(words))


def _is_ours(name: str) -> bool:
    from harness.plot.registry import PLOTS

    return re.fullmatch(rf"(?:{'|'.join(map(re.escape, PLOTS))})(?:-\d+)?\.svg", name) is not None


def _pictures(facts: SessionFacts, rows: Sequence[Row], folder: Path, place: int) -> list[tuple[str, str]]:
    """Every plot that can be drawn, as a file: its name and its title."""
    from harness.plot.registry import session_plots
    from harness.plot.save import save_chart

    if facts.source is not None:
        return []
    made = []
    for one in session_plots(facts, rows):
        if one.chart is not None:
            name = f"{one.name}.svg" if place == 0 else f"{one.name}-{place + 1}.svg"
            save_chart(one.chart, folder / name)
            made.append((name, printable(one.title)))
    return made


def _headline(facts: SessionFacts, rows: Sequence[Row], about: About) -> str:
    """The table of what is claimed, without the notes, which stand below the whole table; empty where nothing is."""
    if facts.source is not None:
        return ""
    chosen = [
        row
        for row, cell in zip(rows, facts.cells, strict=True)
        if row["status"] == "ok" and stands_for_claim(row.values, default_recipe=cell.default_recipe)
    ]
    if not chosen:
        return ""
    lines = render(chosen, [about], "markdown").splitlines()
    return "\n".join(line for line in lines if line.startswith("|")) + "\n"


def _part(facts: SessionFacts, rows: Sequence[Row], headline: str, drawn: Sequence[tuple[str, str]]) -> str:
    about = facts.about()
    told = [
        f"machine: {about.machine_name}",
        f"session: {about.session}, {about.started or 'no time told'}",
        *(f"{name}: {value}" for name, value in about.details.items()),
    ]
    lines = [f"## {escape(printable(facts.machine_name))}", ""]
    lines += [f"- {escape(printable(one))}" for one in told]
    if headline:
        lines += ["", "### Claims beside measurements", "", headline.rstrip("\n")]
    if drawn:
        lines += ["", "### Plots"]
        for name, title in drawn:
            lines += ["", f"![{escape(title)}]({name})"]
    kept = [row for row in rows if row["status"] != "skipped"]
    if kept:
        lines += ["", render(kept, [about], "markdown").rstrip("\n")]
    skipped: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "skipped":
            skipped.setdefault(str(row["reason"] or "no reason was stored"), []).append(label(row))
    if skipped:
        lines += ["", "### What was not measured", ""]
        lines += [
            f"- {escape(printable(f'{reason}: {some_of(list(dict.fromkeys(names)))}'))}"
            for reason, names in skipped.items()
        ]
    return "\n".join(lines) + "\n"
