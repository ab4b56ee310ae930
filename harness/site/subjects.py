"""The pages about one model, one framework, one machine.

Owns what they show. Imports the store. Contract: rows are of the featured sessions; histories come from the database by
one query a series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.files import readable_bytes
from harness.frameworks import FrameworkEntry
from harness.safe_text import without_passwords
from harness.site.changes import drawn_changes
from harness.site.grid import Shown, make_grid
from harness.site.names import slug
from harness.site.paging import grid_pages, page_names
from harness.site.plotted import write_plots
from harness.site.samples import Text
from harness.site.session import Published
from harness.site.shell import Folder, Shell, asset
from harness.site.sparkline import Sparkline, sparkline
from harness.site.summary import Subject
from harness.store import Store, overview
from harness.store.alerts import AlertState
from harness.table.metrics import METRICS, as_factor
from harness.table.view import label

#: Sessions of a series that a machine's page draws.
_DRAWN = 60
#: Sessions of a machine in which they are looked for: not every session measures every cell.
_LOOKED_AT = 200
_UNRESOLVED: tuple[AlertState, ...] = ("open", "acknowledged")


class SubjectPages:
    """Writes these pages.

    Args:
        store: the database.
        shell: makes pages.
        folder: takes them.
        featured: the sessions that the site is about, newest first.
        entries: the frameworks of this installation.
    """

    def __init__(
        self,
        store: Store,
        shell: Shell,
        folder: Folder,
        featured: Sequence[Published],
        entries: Mapping[str, FrameworkEntry],
    ) -> None:
        self._store = store
        self._shell = shell
        self._folder = folder
        self._featured = featured
        self._entries = entries
        self._shown = [one for session in featured for one in session.shown]

    def models(self) -> list[Subject]:
        """A page for each model that a featured session planned."""
        with self._store.reading() as connection:
            stored = overview.model_rows(connection)
        made = []
        for name in sorted({str(one.row["model"]) for one in self._shown}):
            facts: list[tuple[str, Text]] = []
            for row in stored:
                if row["name"] == name:
                    facts += _facts(row, ("id", "architecture", "parameters", "sha256", "licence", "source"))
            made.append(self._page("models", name, "model", f"Model {name}", facts))
        return made

    def frameworks(self, spans: Sequence[overview.VersionSpan]) -> list[Subject]:
        """A page for each framework that a featured session planned; ``spans``: of all frameworks' versions."""
        made = []
        for name in sorted({str(one.row["framework"]) for one in self._shown}):
            entry = self._entries.get(name)
            facts = [
                ("Adapter", Text("this installation has none" if entry is None else "this installation has it")),
                *(
                    (f"Version {one.version}",
                     Text(f"{one.runs:,} timed runs, sessions {one.first_session} to {one.last_session}"))
                    for one in spans
                    if one.framework == name
                ),
            ]  # fmt: skip
            made.append(self._page("frameworks", name, "framework", f"Framework {name}", facts))
        return made

    def machines(self) -> list[Subject]:
        """A page for each machine of a featured session."""
        made = []
        for machine_id in sorted({one.machine_id for one in self._featured}):
            told = self._store.describe("machine", machine_id)
            of = next(one for one in self._featured if one.machine_id == machine_id)
            facts = _facts(
                told,
                ("id", "cpu_model", "arch", "sockets", "physical_cores", "logical_cores", "accelerators"),
            )
            if told["memory_bytes"] is not None:
                facts.append(("memory", Text(readable_bytes(told["memory_bytes"]))))
            bench = self._store.machine_bench(machine_id)
            if bench is None:
                facts.append(("bench", Text("never benched: edgebench doctor --bench")))
            else:
                facts += [
                    ("memory read", Text(f"{bench.read_bytes_per_s / 1e9:.3g} GB/s")),
                    ("benched", Text(f"{bench.measured_at:%Y-%m-%d}")),
                    ("fp32", Text(f"{bench.fp32_flops / 1e9:.4g} GFLOP/s")),
                ]  # fmt: skip
            facts += [
                ("session", Text(one.id, None, f"../{one.page}"))
                for one in self._featured
                if one.machine_id == machine_id
            ]
            made.append(
                self._page(
                    "machines", machine_id, "machine", f"Machine {of.about.machine_name}", facts,
                    name=of.about.machine_name, histories=self._histories(machine_id, of),
                    alerts=self._alerts(machine_id), changes=self._changes(machine_id, of.about.machine_name),
                )
            )  # fmt: skip
        return made

    def _page(
        self,
        folder: str,
        value: str,
        key: str,
        heading: str,
        facts: Sequence[tuple[str, Text]],
        *,
        name: str | None = None,
        histories: Sequence[tuple[Text, Sparkline]] = (),
        alerts: Sequence[Sequence[Text]] = (),
        changes: str | None = None,
    ) -> Subject:
        rows: list[Shown] = [one for one in self._shown if str(one.row[key]) == value]
        grid = make_grid(
            rows,
            caption=f"{heading}: what was measured",
            anchor="rows",
            link=lambda path: f"../{path}",
            telling=tuple(
                each
                for each in ("model", "device", "workload", "options", "machine", "session")
                if each != key
            ),
        )
        parts = grid_pages(grid)
        stem = slug(value)
        for page in page_names(stem, len(parts)):
            first = page.number == 1
            self._folder.write(
                f"{folder}/{page.name}",
                self._shell.page(
                    "subject",
                    root="../",
                    heading=heading + ("" if first else f", page {page.number}"),
                    trail=[("index.html", "Overview")],
                    scripts=[asset("table.js")],
                    facts=facts if first else [],
                    grid=parts[page.number - 1] if parts[page.number - 1].rows() else None,
                    planned=len(rows),
                    histories=histories if first else (),
                    alerts=alerts if first else (),
                    changes=changes,
                    page=page,
                ),
            )
        return Subject(f"{folder}/{stem}.html", name or value, grid.rows())

    def _histories(self, machine_id: str, session: Published) -> list[tuple[Text, Sparkline]]:
        """Decode speed of the newest session's cells over the sessions before."""
        found = []
        with self._store.reading() as connection:
            since = overview.began_before(connection, machine_id, _LOOKED_AT)
        for one in session.shown:
            if one.row["decode_tps"] is None or one.cell_id is None:
                continue
            points = self._store.history(one.cell_id, machine_id, ["decode_tps"], since=since, tried=False)
            points = points[-_DRAWN:]
            values = [point.values["decode_tps"] for point in points]
            if sum(value is not None for value in values) > 1:
                href = None if one.page is None else f"../{one.page}"
                name = f"{label(one.row)} {one.row['model']} {one.row['workload']}"
                found.append(
                    (Text(name, None, href), sparkline(values, [point.framework_version for point in points]))
                )
        return found

    def _changes(self, machine_id: str, name: str) -> str | None:
        """The plots of the series that have alerts: their page, seen from the machine's; None where there is none."""
        listed = self._store.alerts(machine_id=machine_id, states=_UNRESOLVED)
        drawn = drawn_changes(self._store, listed, name)
        if not drawn:
            return None
        stem = slug(machine_id)
        return write_plots(
            self._shell,
            self._folder,
            drawn,
            home="machines",
            stem=f"{stem}-changes",
            heading=f"Changes on machine {name}",
            trail=[("index.html", "Overview"), (f"machines/{stem}.html", f"Machine {name}")],
        )

    def _alerts(self, machine_id: str) -> list[Sequence[Text]]:
        listed = self._store.alerts(machine_id=machine_id, states=_UNRESOLVED)
        cells = self._store.cells({one.cell_id for one in listed})
        return [
            [
                Text(
                    f"{cells[one.cell_id].framework} {cells[one.cell_id].recipe} {cells[one.cell_id].model}"
                ),
                Text(METRICS[one.metric].title if one.metric in METRICS else one.metric),
                Text("–" if one.ratio is None else as_factor(one.ratio), one.ratio),
                Text(one.session_after_id),
                Text(one.state + (f": {one.note}" if one.note else "")),
            ]
            for one in listed
        ]


def _facts(row: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, Text]]:
    return [
        (name.replace("_", " "), Text(without_passwords(str(row[name]))))
        for name in names
        if row[name] not in (None, [], "")
    ]
