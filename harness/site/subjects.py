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
from harness.site.changes import UNRESOLVED, drawn_changes, point_name, series_name
from harness.site.grid import Shown, make_grid
from harness.site.names import slug
from harness.site.paging import chunks, grid_pages, page_names
from harness.site.plotted import write_plots
from harness.site.samples import Text
from harness.site.session import Published
from harness.site.shell import Folder, Shell, asset
from harness.site.sparkline import Sparkline, sparkline
from harness.site.summary import Subject
from harness.site.ways import Ways
from harness.store import Store, overview
from harness.store.alerts import AlertRecord
from harness.table.metrics import METRICS
from harness.table.view import label

#: Sessions of a series that a machine's page draws.
_DRAWN = 60
#: Sessions of a machine in which they are looked for: not every session measures every cell.
_LOOKED_AT = 200
#: Bytes of the histories of one page, beside its table.
_ROOM_OF_HISTORIES = 250_000
#: Alerts on a machine's page, the newest first.
_MOST_ALERTS = 100


class SubjectPages:
    """Writes these pages.

    Args:
        store: the database.
        shell: makes pages.
        folder: takes them.
        featured: the sessions that the site is about, newest first.
        entries: the frameworks of this installation.
        ways: where sessions and samples are shown.
    """

    def __init__(
        self,
        store: Store,
        shell: Shell,
        folder: Folder,
        featured: Sequence[Published],
        entries: Mapping[str, FrameworkEntry],
        ways: Ways,
    ) -> None:
        self._store = store
        self._shell = shell
        self._folder = folder
        self._featured = featured
        self._entries = entries
        self._ways = ways
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
                     Text(f"{one.runs:,} timed runs, sessions {one.first_session} to {one.last_session}", None,
                          _above(self._ways.sessions.get(one.last_session))))
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
                    **self._raised(machine_id, of.about.machine_name),
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
        drawn = chunks([(one, _weight(one)) for one in histories], _ROOM_OF_HISTORIES)
        stem = slug(value)
        for page in page_names(stem, max(len(parts), len(drawn))):
            first, at = page.number == 1, page.number - 1
            self._folder.write(
                f"{folder}/{page.name}",
                self._shell.page(
                    "subject",
                    root="../",
                    heading=heading + ("" if first else f", page {page.number}"),
                    trail=[("index.html", "Overview")],
                    scripts=[asset("table.js")],
                    facts=facts if first else [],
                    grid=parts[at] if at < len(parts) and parts[at].rows() else None,
                    planned=len(rows) if first else None,
                    histories=drawn[at] if at < len(drawn) else (),
                    alerts=alerts[:_MOST_ALERTS] if first else (),
                    more_alerts=max(0, len(alerts) - _MOST_ALERTS),
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

    def _raised(self, machine_id: str, name: str) -> dict[str, Any]:
        """The alerts of a machine that are not resolved, and the page of their series' plots."""
        listed = self._store.alerts(machine_id=machine_id, states=UNRESOLVED)
        changes, places = self._changes(listed, machine_id, name)
        return {"alerts": self._alerts(listed, places), "changes": changes}

    def _changes(
        self, listed: Sequence[AlertRecord], machine_id: str, name: str
    ) -> tuple[str | None, dict[str, str]]:
        """The plots of the series that have alerts: their page, and where each stands; seen from the machine's."""
        drawn = drawn_changes(self._store, listed, name)
        if not drawn:
            return None, {}
        stem = slug(machine_id)
        links = {
            point_name(session_id, cell_id): f"../{way}"
            for cell_id in {one.cell_id for one in listed}
            for session_id in self._ways.sessions
            if (way := self._ways.samples(session_id, cell_id)) is not None
        }
        return write_plots(
            self._shell,
            self._folder,
            drawn,
            links,
            home="machines",
            stem=f"{stem}-changes",
            heading=f"Changes on machine {name}",
            trail=[("index.html", "Overview"), (f"machines/{stem}.html", f"Machine {name}")],
        )

    def _alerts(self, listed: Sequence[AlertRecord], places: Mapping[str, str]) -> list[Sequence[Text]]:
        """A line for each: its series' plot, how far it moved, and the samples on both sides."""
        cells = self._store.cells({one.cell_id for one in listed})
        return [
            [
                Text(
                    f"{cells[one.cell_id].framework} {cells[one.cell_id].recipe} {cells[one.cell_id].model}",
                    None,
                    places.get(series_name(one.cell_id, one.metric)),
                ),
                Text(METRICS[one.metric].title if one.metric in METRICS else one.metric),
                Text(_factor(one), one.ratio, places.get(series_name(one.cell_id, one.metric))),
                *(
                    Text(session_id, None, _above(self._ways.samples(session_id, one.cell_id)))
                    for session_id in (one.session_before_id, one.session_after_id)
                ),
                Text(one.state + (f": {one.note}" if one.note else "")),
            ]
            for one in sorted(listed, key=lambda one: (one.session_after_id, one.id), reverse=True)
        ]


def _weight(history: tuple[Text, Sparkline]) -> int:
    """Bytes of a history in its page, roughly."""
    name, drawn = history
    shown = sum(map(len, drawn.points)) + 60 * len(drawn.changes) + len(drawn.words)
    return 400 + 5 * len(name.text.encode("utf-8", "surrogatepass")) + shown


def _above(path: str | None) -> str | None:
    """A path from the site's root as a page one folder below it says it."""
    return None if path is None else f"../{path}"


def _factor(one: AlertRecord) -> str:
    if one.ratio is None:
        return "–"
    text = f"{one.ratio:.3f}×"
    if one.ratio_low is None or one.ratio_high is None:
        return text
    return f"{text} ({one.ratio_low:.3f} to {one.ratio_high:.3f})"


def _facts(row: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, Text]]:
    return [
        (name.replace("_", " "), Text(without_passwords(str(row[name]))))
        for name in names
        if row[name] not in (None, [], "")
    ]
