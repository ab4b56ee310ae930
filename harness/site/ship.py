"""The page "Which one should I ship?": the recommendation with its sliders, and the selection matrix.

Owns which rows are on it. Imports the recommendation and its block. Contract: rows of the featured sessions, those that
nobody measured too; where not all have room, whole sessions are left out, the oldest first, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.plot.subjects import usual
from harness.recommend.matrix import selection_matrix
from harness.recommend.showing import cell_text, claim_text, of_platforms
from harness.recommend.wishes import OBJECTIVES, Limits
from harness.site.grid import has_figures
from harness.site.places import figure_place
from harness.site.samples import Text
from harness.site.session import Published
from harness.site.shell import MOST_BYTES, Shell, asset
from harness.site.wishes import wishes_block, wishes_script, wishes_style
from harness.store import Store
from harness.table.rows import Row

#: What the page has beside the recommendation: styles, scripts, the matrix.
_FRAME_BYTES = 80_000

Processors = Mapping[str, str | None]
#: Where the samples of a row are, from the site's root, by the identity of its values: a row is made anew where it is
#: told what it does not compare with, and keeps these.
Pages = Mapping[int, str | None]


def ship_page(store: Store, shell: Shell, featured: Sequence[Published]) -> str:
    """The page.

    Args:
        store: the database.
        shell: makes pages.
        featured: the sessions that the site is about, newest first.
    """
    processors: Processors = {
        machine: store.describe("machine", machine)["cpu_model"]
        for machine in sorted({one.machine_id for one in featured})
    }
    shown = [one for session in featured for one in session.shown]
    pages: Pages = {id(one.row.values): one.page for one in shown}
    block, left_out = _block(featured, processors, pages)
    return shell.page(
        "ship",
        root="",
        heading="Which one should I ship?",
        current="Which one to ship",
        trail=[("index.html", "Overview")],
        scripts=[*([wishes_script()] if block else []), asset("table.js")],
        styles=[wishes_style()],
        # Escaped where it is made.
        block=Markup(block),
        left_out=left_out,
        **_matrix([one.row for one in shown], processors, pages),
    )


def _block(featured: Sequence[Published], processors: Processors, pages: Pages) -> tuple[str, int]:
    """The recommendation, and how many sessions have no room in it; empty where no row has a figure."""
    names = {one.machine_id: one.about.machine_name for one in featured}
    rows: list[Row] = []
    block, left_out = "", 0
    for session in featured:
        # What nobody measured is there too, where there is room: it is unknown, and the page says so.
        every = [one.row for one in session.shown]
        for own in (every, [row for row in every if has_figures(row)]):
            more = [*rows, *own]
            made = ""
            if any(map(has_figures, more)):
                made = wishes_block(more, processors, lambda row: pages[id(row.values)], names)
            if len(made.encode()) <= MOST_BYTES - _FRAME_BYTES:
                rows, block = more, made
                break
        else:
            left_out += 1
    return block, left_out


def _matrix(every: Sequence[Row], processors: Processors, pages: Pages) -> dict[str, object]:
    """The selection matrix of the model that most rows are of: heads, rows, and the claims beside it."""
    most = usual(every)
    model = None if most is None else most[0]
    rows = [row for row in every if str(row["model"]) == model]
    matrix = of_platforms(selection_matrix(rows, processors, Limits()))

    def led(measured: Row | None, column: str) -> str | None:
        page = None if measured is None else pages[id(measured.values)]
        return None if page is None else figure_place(page, column)

    table = [
        [
            Text(platform),
            *(Text(cell_text(one), None, led(one.measured, one.column)) for one in cells.values()),
        ]
        for platform, cells in matrix.items()
    ]
    claims = [
        f"{platform}: {claim_text(claim)}"
        for platform, cells in matrix.items()
        for claim in next(iter(cells.values())).claims
    ]
    workloads = sorted({str(row["workload"]) for row in rows if row["runs"]})
    heads = ("Platform", *(need.capitalize() for need in OBJECTIVES))
    return {
        "matrix": table, "matrix_heads": heads, "matrix_claims": claims, "matrix_model": model,
        "matrix_workloads": workloads,
    }  # fmt: skip
