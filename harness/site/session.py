"""The pages of one session: its table, its cells' samples, and where its runs come from.

Owns what is published of a session and what of it the other pages need. Imports the store, the table, the explanations.
Contract: facts of one session are in memory at a time; what stays is its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.explain.explanation import Explained, explained_columns, explained_rows
from harness.explain.pages import origin_lines
from harness.files import readable_bytes
from harness.frameworks import FrameworkEntry
from harness.plot.drawn import Drawn
from harness.safe_text import without_passwords
from harness.site import samples
from harness.site.grid import Grid, Shown, has_figures, make_grid
from harness.site.names import slug
from harness.site.paging import Page, grid_pages, page_names, text_pages
from harness.site.places import cell_page, session_home, session_page
from harness.site.plotted import write_plots
from harness.site.samples import FigureText, MissingText, RunText, Text
from harness.site.shell import MOST_BYTES, Folder, Shell, asset
from harness.store import Store, overview
from harness.store import facts as stored
from harness.table import ROW_KEYS, comparison_rows
from harness.table.facts import About
from harness.table.facts import SessionFacts as ShownFacts
from harness.table.imported import imported_rows
from harness.table.rows import Row
from harness.table.stored import session_facts
from harness.table.view import MISSING, Section, build_view, label, model_text

#: Notes below a table that stand in its page; more of them get pages of their own.
_NOTES_BYTES = 200_000
#: The plot that stands for a session.
HEADLINE = "quality-speed"


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not end as ok, or one that is suspect."""

    session_id: str
    cell: str
    page: str | None
    kind: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Published:
    """What of a session the other pages need.

    Attributes:
        id, about: the session.
        machine: as stored.
        system: its state when the session began.
        page: its first page, from the site's root.
        shown: its rows; none of an imported one, whose figures stand in no comparison.
        pages: the page of each row that has one.
        failures: runs that did not end as ok, or are suspect.
        environments: ids of those that its runs used.
        counts: runs by how they ended.
        headline: the plot that stands for the session, and where the samples of its cells are, from the site's root;
            None where it could not be drawn.
    """

    id: str
    about: About
    machine_id: str
    system: Mapping[str, object]
    page: str
    shown: tuple[Shown, ...]
    failures: tuple[Failure, ...]
    environments: tuple[str, ...]
    counts: Mapping[str, int]
    headline: tuple[Drawn, Mapping[str, str]] | None


class SessionPages:
    """Writes the pages of sessions.

    Args:
        store: where they are.
        shell: makes pages.
        folder: takes them.
        entries: the frameworks of this installation.
    """

    def __init__(
        self, store: Store, shell: Shell, folder: Folder, entries: Mapping[str, FrameworkEntry]
    ) -> None:
        self._store = store
        self._shell = shell
        self._folder = folder
        self._entries = entries

    def write(self, session_id: str, *, with_plots: bool = True) -> Published:
        """All pages of one session; its plots take a megabyte, which is not for every old one."""
        facts = self._store.session_facts(session_id)
        made = session_facts(facts, self._entries)
        rows = comparison_rows(made) if made.source is None else []
        home = session_home(session_id)
        with self._store.reading() as connection:
            texts = overview.failure_texts(connection, session_id)
        pages = [cell_page(session_id, cell) for cell in facts.cells]
        shown = tuple(
            Shown(
                row,
                rows,
                place,
                pages[place],
                made.cells[place].default_recipe,
                facts.cells[place].cell.id,
                made.machine_name,
            )
            for place, row in enumerate(rows)
        )
        self._cells(facts, made, rows, home, pages, texts)
        others = self._others(facts, home, texts)
        links, headline = (
            self._plots(made, rows, pages, home) if with_plots and made.source is None else ([], None)
        )
        links.append((self._origins(facts, home), "Where the runs come from"))
        if others is not None:
            links.append((others, "Runs outside the plan, such as the quality reference's"))
        if made.source is None:
            self._measured(facts, made, shown, home, links)
        else:
            self._imported(facts, made, pages, home, links)
        runs = [run for cell in facts.cells for run in cell.runs] + list(facts.others)
        counts: dict[str, int] = {}
        for run in runs:
            name = "suspect" if run.status == "ok" and run.validity == "suspect" else run.status
            counts[name] = counts.get(name, 0) + 1
        return Published(
            session_id,
            made.about(),
            made.machine_id,
            facts.system,
            session_page(session_id),
            shown,
            tuple(_failures(facts, pages, f"{home}/others.html")),
            tuple(sorted({run.environment_id for run in runs if run.environment_id is not None})),
            dict(sorted(counts.items())),
            headline,
        )

    # -- the session itself ---------------------------------------------------------------------------------------

    def _measured(
        self,
        facts: stored.SessionFacts,
        made: ShownFacts,
        shown: Sequence[Shown],
        home: str,
        links: Sequence[tuple[str, str]],
    ) -> None:
        grid = make_grid(
            shown,
            caption=f"Configurations measured in session {facts.id}",
            anchor="rows",
            link=lambda path: path.removeprefix(f"{home}/"),
            telling=("model", "device", "workload", "options"),
        )
        view = build_view([one.row for one in shown if has_figures(one.row)], [made.about()])
        empty = [
            (
                Text(label(one.row), None, None if one.page is None else one.page.removeprefix(f"{home}/")),
                Text(model_text(one.row)),
                Text(str(one.row["status"])),
                Text(str(one.row["reason"] or "no figure was measured")),
            )
            for one in shown
            if not has_figures(one.row)
        ]
        self._write_session(facts, made, grid_pages(grid), None, view.sections, empty, home, links)

    def _imported(
        self,
        facts: stored.SessionFacts,
        made: ShownFacts,
        pages: Sequence[str | None],
        home: str,
        links: Sequence[tuple[str, str]],
    ) -> None:
        rows = imported_rows(made)

        def way(page: str | None, at: int, text: str) -> str | None:
            # What a row is called and every figure of it.
            leads = page is not None and (at == 0 or (view.columns[at].figures and text != MISSING))
            return page.removeprefix(f"{home}/") if leads and page is not None else None

        # A row is a record of the file: those of cells with runs first, as `imported_rows` has them.
        of_row = [pages[at] for at, cell in enumerate(made.cells) for _ in cell.runs]
        of_row += [pages[at] for at, cell in enumerate(made.cells) if not cell.runs]
        view = build_view(rows, [made.about()])
        table = [
            [Text(text, None, way(page, at, text)) for at, text in enumerate(line)]
            for line, page in zip(view.body, of_row, strict=True)
        ]
        heads = tuple(column.title for column in view.columns)
        self._write_session(facts, made, [], (heads, table), view.sections, [], home, links)

    def _write_session(
        self,
        facts: stored.SessionFacts,
        made: ShownFacts,
        grids: Sequence[Grid],
        table: tuple[tuple[str, ...], Sequence[Sequence[Text]]] | None,
        sections: Sequence[Section],
        empty: Sequence[Sequence[Text]],
        home: str,
        links: Sequence[tuple[str, str]],
    ) -> None:
        notes = [("notes.html", "Notes")] if self._notes(facts.id, sections, home) else []
        inline = () if notes else sections
        lists = text_pages(empty)
        heads = () if table is None else table[0]
        tables = [] if table is None else text_pages(table[1])
        count = max(len(grids), len(lists), len(tables))
        for page in page_names("index", count):
            at = page.number - 1
            self._folder.write(
                f"{home}/{page.name}",
                self._shell.page(
                    "session",
                    root="../../",
                    heading=f"Session {facts.id}" + (f", page {page.number}" if at else ""),
                    current="Sessions",
                    trail=[("index.html", "Overview"), ("sessions.html", "Sessions")],
                    scripts=[asset("table.js")],
                    facts=_session_facts(facts, made),
                    links=[*notes, *links],
                    grid=grids[at] if at < len(grids) and grids[at].rows() else None,
                    table=(heads, tables[at]) if at < len(tables) else (),
                    sections=inline if at == 0 else (),
                    empty=lists[at] if at < len(lists) else [],
                    page=page,
                ),
            )

    def _plots(
        self, made: ShownFacts, rows: Sequence[Row], pages: Sequence[str | None], home: str
    ) -> tuple[list[tuple[str, str]], tuple[Drawn, Mapping[str, str]] | None]:
        """The page of a session's plots: its way and name; and the plot that stands for the session, with its ways."""
        # It brings altair along, which takes seconds to import.
        from harness.plot.registry import session_plots
        from harness.plot.subjects import names

        ways = {name: page for name, page in zip(names(rows), pages, strict=True) if page is not None}
        drawn = session_plots(made, rows)
        page, _ = write_plots(
            self._shell,
            self._folder,
            [(one, f"edgebench plot {one.name}") for one in drawn],
            {name: page.removeprefix(f"{home}/") for name, page in ways.items()},
            home=home,
            stem="plots",
            heading=f"Plots of session {made.id}",
            trail=_trail(made.id),
            current="Sessions",
        )
        headline = next(
            ((one, ways) for one in drawn if one.name == HEADLINE and one.chart is not None), None
        )
        return [(page, "Plots")], headline

    def _notes(self, session_id: str, sections: Sequence[Section], home: str) -> bool:
        """Whether the notes below a table got pages of their own, because they are long."""
        lines = [(Text(section.title), Text(line)) for section in sections for line in section.lines]
        if sum(len(line.text.encode()) for _, line in lines) < _NOTES_BYTES:
            return False
        self._lists("notes", f"Notes on session {session_id}", ("About", "What"), lines, home, session_id)
        return True

    def _lists(
        self,
        stem: str,
        heading: str,
        heads: tuple[str, ...],
        rows: Sequence[Sequence[Text]],
        home: str,
        session_id: str,
    ) -> None:
        parts = text_pages(rows)
        for page, part in zip(page_names(stem, len(parts)), parts, strict=True):
            self._folder.write(
                f"{home}/{page.name}",
                self._shell.page(
                    "list",
                    root="../../",
                    heading=heading + (f", page {page.number}" if page.number > 1 else ""),
                    current="Sessions",
                    trail=_trail(session_id),
                    scripts=[asset("table.js")],
                    intro="",
                    tables=[(heading, heads, part)],
                    page=page,
                ),
            )

    def _origins(self, facts: stored.SessionFacts, home: str) -> str:
        """Where the runs come from: machine, environments, artifacts and their ways back to the model."""
        # One run of each environment and artifact stands for all.
        chosen: dict[tuple[str | None, str | None], str] = {}
        for run in [*(run for cell in facts.cells for run in cell.runs), *facts.others]:
            chosen.setdefault((run.environment_id, run.artifact_id), run.id)
        lines = list(origin_lines(self._store.origins(list(chosen.values()))))
        title = ""
        rows = []
        for line in lines:
            if line.level:
                title = line.text
            elif title != "Runs":
                rows.append((Text(title), Text(line.text)))
        self._lists(
            "origins", f"Where the runs of {facts.id} come from", ("About", "What"), rows, home, facts.id
        )
        return "origins.html"

    # -- its cells ------------------------------------------------------------------------------------------------

    def _cells(
        self,
        facts: stored.SessionFacts,
        made: ShownFacts,
        rows: Sequence[Row],
        home: str,
        pages: Sequence[str | None],
        texts: Mapping[str, tuple[str | None, str | None]],
    ) -> None:
        keys = explained_columns(",".join(ROW_KEYS))
        for place, cell in enumerate(facts.cells):
            first = pages[place]
            if first is None:
                continue
            one = explained_rows(facts, made, rows, keys, [rows[place]])[0] if rows else None
            baseline = None if one is None or one.row.baseline is None else pages[one.row.baseline]
            several = [
                cell.runs[at : at + samples.RUNS_OF_A_PAGE]
                for at in range(0, len(cell.runs), samples.RUNS_OF_A_PAGE)
            ] or [()]
            names = page_names(PurePosixPath(first).stem, len(several))
            ways = {
                run.id: (f"{page.name}#{samples.run_anchor(run.id)}", f"{run.kind} run {run.index}")
                for page, runs in zip(names, several, strict=True)
                for run in runs
            }
            for page, runs in zip(names, several, strict=True):
                figures = (
                    samples.figure_texts(one, ways) if one is not None and page.number == 1 else ([], [])
                )
                self._cell_page(facts, cell, one, figures, baseline, home, page, runs, texts)

    def _cell_page(
        self,
        facts: stored.SessionFacts,
        cell: stored.CellFacts,
        one: Explained | None,
        figures: tuple[Sequence[FigureText], Sequence[MissingText]],
        baseline: str | None,
        home: str,
        page: Page,
        runs: Sequence[stored.RunFacts],
        texts: Mapping[str, tuple[str | None, str | None]],
    ) -> None:
        first = page.number == 1
        record = cell.cell
        name = f"{record.framework} {record.precision} ({record.recipe}), {record.model}, {record.device}"
        text = ""
        for length in samples.TRACE_LENGTHS:
            text = self._shell.page(
                "cell",
                root="../../",
                heading=name + ("" if first else f", page {page.number}"),
                current="Sessions",
                trail=_trail(facts.id),
                facts=samples.cell_facts(cell) if first else [],
                status=None if one is None else (one.row["status"], one.row["reason"]),
                figures=figures[0],
                missing=figures[1],
                windows=samples.window_table(cell) if first else None,
                tasks=samples.task_texts(cell, length) if first else [],
                runs=[samples.run_text(run, texts.get(run.id), length) for run in runs],
                baseline=None if baseline is None else baseline.removeprefix(f"{home}/"),
                page=page,
            )
            if len(text.encode()) <= MOST_BYTES:
                break
        self._folder.write(f"{home}/{page.name}", text)

    def _others(
        self,
        facts: stored.SessionFacts,
        home: str,
        texts: Mapping[str, tuple[str | None, str | None]],
    ) -> str | None:
        """Runs of cells outside the plan: mostly the quality reference's."""
        if not facts.others:
            return None
        runs: list[RunText] = [samples.run_text(run, texts.get(run.id), 0) for run in facts.others]
        several = [
            runs[at : at + samples.RUNS_OF_A_PAGE] for at in range(0, len(runs), samples.RUNS_OF_A_PAGE)
        ]
        for page in page_names("others", len(several)):
            self._folder.write(
                f"{home}/{page.name}",
                self._shell.page(
                    "cell",
                    root="../../",
                    heading=f"Runs of {facts.id} outside its plan",
                    current="Sessions",
                    trail=_trail(facts.id),
                    facts=[],
                    status=None,
                    figures=[],
                    missing=[],
                    windows=None,
                    tasks=[],
                    runs=several[page.number - 1],
                    baseline=None,
                    page=page,
                ),
            )
        return "others.html"


def _trail(session_id: str) -> list[tuple[str, str]]:
    return [
        ("index.html", "Overview"), ("sessions.html", "Sessions"),
        (session_page(session_id), f"Session {session_id}"),
    ]  # fmt: skip


def _session_facts(facts: stored.SessionFacts, made: ShownFacts) -> list[tuple[str, Text]]:
    told: list[tuple[str, object]] = [
        ("Started", made.started),
        ("Ended", None if facts.ended_at is None else facts.ended_at.isoformat(timespec="seconds")),
        ("Status", facts.status + (f", resumed {facts.resumed} times" if facts.resumed else "")),
        ("Suite", f"{facts.suite} (SHA-256 {facts.suite_sha256})"),
        ("Trigger", facts.trigger),
        ("Commit", facts.commit_sha),
        ("Command line", without_passwords(" ".join(map(str, facts.command_line)))),
        ("edgebench", facts.edgebench_version),
        ("Cells", len(facts.cells)),
    ]
    machine = Text(made.machine_name, None, f"../../machines/{slug(made.machine_id)}.html")
    memory = facts.machine.memory_bytes
    size = "" if memory is None else f" ({readable_bytes(memory)} of memory)"
    return [
        ("Machine", Text(machine.text + size, None, machine.href)),
        *((name, Text(str(value))) for name, value in told if value not in (None, "")),
    ]


def _failures(facts: stored.SessionFacts, pages: Sequence[str | None], others: str) -> list[Failure]:
    found = []
    named = [
        (run, f"{cell.cell.framework} {cell.cell.precision} ({cell.cell.recipe}) {cell.cell.model}", page)
        for cell, page in zip(facts.cells, pages, strict=True)
        for run in cell.runs
    ]
    named += [(run, "outside the plan", others) for run in facts.others]
    for run, cell, page in named:
        kind = f"{run.kind} run {run.index}, attempt {run.attempt}"
        href = None if page is None else f"{page}#{samples.run_anchor(run.id)}"
        if run.status not in ("ok", "skipped"):
            reason = run.reason or "no reason was stored"
            found.append(Failure(facts.id, cell, href, kind, str(run.status), reason))
        elif run.validity == "suspect":
            reason = "; ".join(map(str, run.flags)) or "no flag was stored"
            found.append(Failure(facts.id, cell, href, kind, "suspect", reason))
    return found
