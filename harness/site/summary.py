"""The pages about all featured sessions together: overview, coverage, failures, versions, method, list of sessions.

Owns what they show. Imports the store's overview, the table's registry. Contract: nothing is pooled: a row is always of
one session, and says of which where there are several; every hole has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.precision import precision_rank
from harness.safe_text import without_passwords
from harness.site.grid import has_figures, make_grid
from harness.site.names import slug
from harness.site.paging import page_names, text_pages
from harness.site.samples import Text
from harness.site.session import Published
from harness.site.shell import MOST_BYTES, Folder, Shell, asset
from harness.site.ways import Ways
from harness.store import Store, overview
from harness.store.versions import state_of
from harness.table.claims import load_claims, stands_for_claim
from harness.table.definitions import COMPOUND, DEFINITIONS
from harness.table.metrics import METRICS
from harness.table.view import label, model_text

#: Sessions on a page of their list.
SESSIONS_OF_A_PAGE = 500
_HEADLINE = (
    "peak_rss_bytes", "memory_reduction", "speedup_decode", "decode_tps", "prefill_tps", "kld_mean", "same_top",
    "energy_joules_per_decode_token", "bits_per_weight",
)  # fmt: skip

Rows = Sequence[Sequence[Text]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A page about a model, framework or machine: its path from the site's root, its name, and how many rows it has."""

    path: str
    name: str
    count: int


class SummaryPages:
    """Writes these pages.

    Args:
        store: the database.
        shell: makes pages.
        folder: takes them.
        featured: the sessions that the site is about, newest first.
        ways: where sessions and samples are shown.
    """

    def __init__(
        self, store: Store, shell: Shell, folder: Folder, featured: Sequence[Published], ways: Ways
    ) -> None:
        self._store = store
        self._shell = shell
        self._folder = folder
        self._featured = featured
        self._ways = ways
        self._shown = [one for session in featured for one in session.shown]

    # -- overview -------------------------------------------------------------------------------------------------

    def front(self, subjects: Mapping[str, Sequence[Subject]], more: Sequence[tuple[str, str]]) -> None:
        """The first page: claims beside measurements, the sessions, and the way to everything else."""
        claimed = [
            one
            for one in self._shown
            if stands_for_claim(one.row.values, default_recipe=one.default_recipe) and has_figures(one.row)
        ]
        grid = make_grid(
            claimed,
            caption="What is claimed, beside what was measured",
            anchor="claims",
            link=lambda path: path,
            figures=_HEADLINE,
            claimed=True,
            telling=("model", "device", "workload", "machine", "session"),
        )
        unmeasured = [
            [Text(one.framework), Text(", ".join(one.precisions or one.recipes)), Text(one.memory),
             Text(one.speed_up), Text(one.use), Text(self._why_unmeasured(one.framework))]
            for one in load_claims()
            if not any(one.covers(each.row.values) and has_figures(each.row) for each in self._shown)
        ]  # fmt: skip
        pictured = next((one for one in self._featured if one.headline is not None), None)
        for one in (pictured, None):
            picture, styles = _picture(one)
            text = self._shell.page(
                "overview",
                root="",
                heading=self._shell.title,
                current="Overview",
                scripts=[asset("table.js")],
                styles=styles,
                grid=grid if grid.rows() else None,
                picture=picture,
                plots="" if one is None else f"{one.page.rpartition('/')[0]}/plots.html",
                unmeasured=unmeasured,
                sessions=[self._line(each) for each in self._featured],
                subjects=subjects,
                more=more,
            )
            # Without the picture where the page would be too large.
            if len(text.encode()) <= MOST_BYTES:
                break
        self._folder.write("index.html", text)

    def _why_unmeasured(self, framework: str) -> str:
        reasons = {
            str(one.row["reason"])
            for one in self._shown
            if one.row["framework"] == framework and one.row["reason"]
        }
        return "; ".join(sorted(reasons)) or "no session here planned a cell of it"

    def _line(self, one: Published) -> Sequence[Text]:
        measured = sum(has_figures(each.row) for each in one.shown)
        ended = ", ".join(f"{count} {name}" for name, count in one.counts.items()) or "none"
        return [
            Text(one.id, None, one.page),
            Text(one.about.started or "–"),
            Text(one.about.machine_name, None, f"machines/{slug(one.machine_id)}.html"),
            Text(one.about.details.get("suite", "–")),
            Text(f"{measured} of {len(one.shown)}", float(measured)),
            Text(ended),
        ]

    # -- coverage and failures ------------------------------------------------------------------------------------

    def coverage(self) -> None:
        """Every hole with its reason."""
        cells: dict[tuple[str, str], list[int]] = {}
        for one in self._shown:
            found = cells.setdefault((str(one.row["framework"]), str(one.row["precision"])), [0, 0])
            found[0 if has_figures(one.row) else 1] += 1
        frameworks = sorted({framework for framework, _ in cells})
        precisions = sorted({precision for _, precision in cells}, key=_by_precision)
        matrix = [
            [Text(framework), *(_covered(cells.get((framework, each))) for each in precisions)]
            for framework in frameworks
        ]
        not_run = [
            [
                Text(label(one.row), None, one.page),
                Text(model_text(one.row)),
                Text(str(one.row["workload"])),
                Text(str(one.row["status"])),
                Text(str(one.row["reason"] or "no reason was stored")),
                Text(str(one.row["session"]), None, session.page),
            ]
            for session in self._featured
            for one in session.shown
            if one.row["status"] != "ok" or not has_figures(one.row)
        ]
        self._lists(
            "coverage",
            "Coverage",
            "Every cell that was planned, and every figure that is missing, with the reason. A hole is never 0 and "
            "never an estimate.",
            [
                (
                    "Cells with figures and without, by framework and precision",
                    ("Framework", *precisions),
                    matrix,
                ),
                (
                    "Cells that did not end as ok",
                    ("Cell", "Model", "Workload", "Status", "Reason", "Session"),
                    not_run,
                ),
                (
                    "Figures that are missing in rows that ended as ok",
                    ("Figures", "Rows", "Reason", "Session"),
                    [line for session in self._featured for line in _missing(session)],
                ),
            ],
        )

    def failures(self) -> None:
        """Runs that did not end as ok, suspect runs, and broken artifacts."""
        failed = [
            [Text(one.cell, None, one.page), Text(one.kind), Text(one.status), Text(one.reason),
             Text(one.session_id, None, session.page)]
            for session in self._featured
            for one in session.failures
        ]  # fmt: skip
        broken = [
            [
                Text(label(one.row), None, one.page),
                Text(model_text(one.row)),
                Text(one.row.notes.get("artifact_verdict", "no reason was stored")),
                self._session(str(one.row["session"])),
            ]
            for one in self._shown
            if one.row["artifact_verdict"] == "broken"
        ]
        heads = ("Cell", "Run", "Ended as", "Reason", "Session")
        self._lists(
            "failures",
            "Failures",
            "A run that fails is a result: it is kept with its reason, and its page has the worker's own words.",
            [
                ("Runs that failed", heads, [row for row in failed if row[2].text != "suspect"]),
                ("Broken artifacts: they do not compute the model's function", ("Cell", "Model", "Why", "Session"),
                 broken),
                ("Suspect runs: something could have spoiled them", heads,
                 [row for row in failed if row[2].text == "suspect"]),
            ],
        )  # fmt: skip

    # -- versions and method --------------------------------------------------------------------------------------

    def versions(self, spans: Sequence[overview.VersionSpan]) -> None:
        """What the figures were measured with; ``spans``: of all frameworks' versions."""
        with self._store.reading() as connection:
            environments = overview.environment_rows(
                connection, [each for one in self._featured for each in one.environments]
            )
        states = []
        for one in self._featured:
            told = state_of(one.system, one.about.details.get("edgebench", "?"))
            states += [
                [Text(one.id, None, one.page), Text(kind), Text(name), Text(without_passwords(value))]
                for (kind, name), value in sorted(told.items())
            ]
        packages = [
            [Text(f"{one['framework']} {one['role']} ({one['variant']}), Python {one['python']}"), Text(name),
             Text(version), Text(digest or "the installer told no hash"), Text(one["id"])]
            for one in environments
            for name, version, digest in one["packages"]
        ]  # fmt: skip
        self._lists(
            "versions",
            "Versions",
            "Frameworks, packages with their hashes, drivers and systems behind the figures of this site.",
            [
                (
                    "Versions of frameworks in the whole database",
                    ("Framework", "Version", "First session", "Last session", "Timed runs"),
                    [
                        [Text(one.framework), Text(one.version), self._session(one.first_session),
                         self._session(one.last_session), Text(f"{one.runs:,}", float(one.runs))]
                        for one in spans
                    ],
                ),
                ("The machines' state when the sessions began", ("Session", "Kind", "Name", "Value"), states),
                ("Packages", ("Environment", "Package", "Version", "Hash", "Environment's id"), packages),
            ],
        )  # fmt: skip

    def _session(self, session_id: str) -> Text:
        return Text(session_id, None, self._ways.sessions.get(session_id))

    def method(self) -> None:
        """How every figure is defined, from the registry."""
        rows = []
        for name, metric in METRICS.items():
            if metric.kind != "metric" or name in COMPOUND:
                continue
            found = DEFINITIONS[name]
            rows.append(
                [Text(metric.title), Text(name), Text(metric.unit or "–"), Text(metric.better or "–"),
                 Text(_plain(metric.description)), Text(_plain(found.formula)), Text(_plain(found.source)),
                 Text(_plain(found.differences) or "–")]
            )  # fmt: skip
        self._folder.write(
            "method.html",
            self._shell.page(
                "method",
                root="",
                heading="Method",
                current="Method",
                trail=[("index.html", "Overview")],
                scripts=[asset("table.js")],
                rows=rows,
            ),
        )

    # -- the list of sessions -------------------------------------------------------------------------------------

    def sessions(self, lines: Sequence[overview.SessionLine]) -> None:
        """Every session of the database, newest first; those that have pages lead to them."""
        heads = ("Session", "Started", "Suite", "Trigger", "Status", "Cells", "Runs", "Machine")
        intro = f"{len(lines):,} sessions, newest first. Those that lead nowhere have no pages on this site."
        for page in page_names("sessions", -(-len(lines) // SESSIONS_OF_A_PAGE)):
            first = (page.number - 1) * SESSIONS_OF_A_PAGE
            rows = [
                [
                    self._session(one.id),
                    Text("–" if one.started_at is None else one.started_at.isoformat(timespec="seconds")),
                    Text(one.suite),
                    Text(one.trigger),
                    Text(one.status),
                    Text(str(one.cells), float(one.cells)),
                    Text(", ".join(f"{count} {name}" for name, count in one.runs.items()) or "none"),
                    Text(one.machine_id, None, self._machine(one.machine_id)),
                ]
                for one in lines[first : first + SESSIONS_OF_A_PAGE]
            ]
            self._folder.write(
                page.name,
                self._shell.page(
                    "list",
                    root="",
                    heading="Sessions" + (f", page {page.number}" if page.number > 1 else ""),
                    current="Sessions",
                    trail=[("index.html", "Overview")],
                    scripts=[asset("table.js")],
                    intro=intro,
                    tables=[("Sessions of the database", heads, rows)],
                    page=page,
                ),
            )

    def _machine(self, machine_id: str) -> str | None:
        known = any(one.machine_id == machine_id for one in self._featured)
        return f"machines/{slug(machine_id)}.html" if known else None

    def _lists(
        self, stem: str, heading: str, intro: str, tables: Sequence[tuple[str, tuple[str, ...], Rows]]
    ) -> None:
        """Tables below one another; a long one goes on over pages of its own."""
        pages: list[list[tuple[str, tuple[str, ...], Rows]]] = [[]]
        for caption, heads, rows in tables:
            parts = text_pages(rows)
            for part in parts:
                # Each page holds one long part at most: several short tables share the first.
                if len(parts) > 1 and pages[-1]:
                    pages.append([])
                pages[-1].append((caption, heads, part))
            if len(parts) > 1:
                pages.append([])
        kept = [one for one in pages if one]
        for page, part_tables in zip(page_names(stem, len(kept)), kept, strict=True):
            self._folder.write(
                page.name,
                self._shell.page(
                    "list",
                    root="",
                    heading=heading + (f", page {page.number}" if page.number > 1 else ""),
                    current=heading,
                    trail=[("index.html", "Overview")],
                    scripts=[asset("table.js")],
                    intro=intro,
                    tables=part_tables,
                    page=page,
                ),
            )


def _picture(session: Published | None) -> tuple[Markup, list[str]]:
    """The plot that stands for a session, as it stands still, and its style; of None neither."""
    if session is None or session.headline is None:
        return Markup(), []
    # It brings vl-convert along, which takes a second.
    from harness.plot.embedding import PLOT_STYLE, picture_block

    drawn, ways = session.headline
    # Escaped where it is made.
    return Markup(picture_block(drawn, "headline-picture", ways)), [PLOT_STYLE]


def _by_precision(name: str) -> tuple[int, str]:
    rank = precision_rank(name)
    return (10_000 if rank is None else rank), name


def _covered(counts: Sequence[int] | None) -> Text:
    if counts is None:
        return Text("–")
    measured, holes = counts
    return Text(f"{measured} of {measured + holes}", float(measured))


def _missing(session: Published) -> Iterable[Sequence[Text]]:
    """The missing figures of rows that ended as ok, by reason: which figures, and of which rows."""
    ended = [one for one in session.shown if one.row["status"] == "ok"]
    names: dict[tuple[str, str], list[str]] = {}
    for key, metric in METRICS.items():
        if metric.kind != "metric" or key in COMPOUND:
            continue
        for one in ended:
            if one.row[key] is None:
                reason = one.row.notes.get(key, "no reason was stored")
                names.setdefault((key, reason), []).append(f"{label(one.row)} {model_text(one.row)}")
    figures: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (key, reason), listed in names.items():
        figures.setdefault((reason, tuple(dict.fromkeys(listed))), []).append(METRICS[key].title)
    every = len(ended)
    for (reason, rows), titles in figures.items():
        whole = len(rows) > 1 and len(rows) == every
        yield [
            Text(", ".join(titles)),
            Text("every row" if whole else "; ".join(rows)),
            Text(reason),
            Text(session.id, None, session.page),
        ]


def _plain(text: str) -> str:
    """Words of the registry without their Markdown."""
    return text.replace("`", "")
