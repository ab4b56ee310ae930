"""Tables of rows as the site shows them: what a cell says, by what it is sorted, and where it leads.

Owns `Grid`, which the templates set and `table.js` sorts and filters. Imports the table. Contract: every figure leads
to its samples; what is not ranked stands apart; a row without any figure is in no grid (the coverage page has it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.precision import class_rank
from harness.site.figures import best_figures, why_unranked
from harness.site.names import slug
from harness.site.places import figure_place, session_page
from harness.table.claims import claim_for
from harness.table.metrics import METRICS
from harness.table.rows import Row
from harness.table.uncertainty import uncertain_text
from harness.table.view import (
    DEFAULT_COLUMNS,
    MISSING,
    device_text,
    figure_marks,
    model_text,
    precision_text,
)

#: Figures of a table unless others are asked for; those that no row has are left out.
FIGURES: tuple[str, ...] = DEFAULT_COLUMNS
#: What a client sees of a server.
_STREAMED = ("ttft_s", "stream_tps", "throughput_tps")
#: Every figure that there is.
_MEASURED = tuple(key for key, metric in METRICS.items() if metric.kind == "metric" and key != "intervals")
#: Shown where the rows differ in them.
_TELLING = ("model", "device", "workload", "options", "machine", "session")
#: Names of a class of precision for a person.
CLASSES: Mapping[str | None, str] = {
    "full": "full precision", "half": "half precision", "medium": "medium, 5 to 8 bit", "low": "low, 3 to 4 bit",
    "ultra-low": "ultra-low, 1 to 2 bit", None: "of no known class",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column; ``figures``: its cells are numbers, raw in the ``unit``, which may be none."""

    key: str
    title: str
    figures: bool
    tip: str = ""
    unit: str = ""


#: Claims, by the attribute that a column shows: its title, and the figure that it stands before.
_CLAIMS: Mapping[str, tuple[str, str | None]] = {
    "memory": ("Memory (claim)", "peak_rss_bytes"),
    "speed_up": ("Speed-up (claim)", "speedup_decode"),
    "use": ("For (claim)", None),
}


@dataclass(frozen=True, slots=True)
class GridCell:
    """One cell: text, the number it is sorted by (None: by its text; a hole comes last), and where it leads."""

    text: str
    value: float | None = None
    href: str | None = None
    best: bool = False


@dataclass(frozen=True, slots=True)
class GridRow:
    """One row."""

    name: str
    href: str | None
    framework: str
    group: str
    unranked: str | None
    cells: tuple[GridCell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        caption: what it holds.
        anchor: its id in the page.
        columns: without the first, which names the row.
        blocks: heading, ``ranked`` and rows of each part, in order: classes of precision, then what is not ranked.
    """

    caption: str
    anchor: str
    columns: tuple[GridColumn, ...]
    blocks: tuple[tuple[str, bool, tuple[GridRow, ...]], ...]

    def rows(self) -> int:
        """How many rows there are."""
        return sum(len(rows) for _, _, rows in self.blocks)


@dataclass(frozen=True, slots=True)
class Shown:
    """A row with what the site knows of it.

    Attributes:
        row: as `comparison_rows` gave it.
        of_session: all rows of its session: the best is one among them.
        place: among them.
        page: its page of samples, from the site's root; None: it has none.
        default_recipe: its recipe is what the bare precision means.
        cell_id: its cell.
        machine_name: of the machine that its session is of; None: its id stands for it.
    """

    row: Row
    of_session: Sequence[Row]
    place: int
    page: str | None
    default_recipe: bool = True
    cell_id: str | None = None
    machine_name: str | None = None


def has_figures(row: Row) -> bool:
    """Whether a row has any figure at all."""
    return any(row[key] not in (None, []) for key in _MEASURED)


def make_grid(
    shown: Sequence[Shown],
    *,
    caption: str,
    anchor: str,
    link: Callable[[str], str],
    figures: Sequence[str] = FIGURES,
    claimed: bool = False,
    telling: Sequence[str] = _TELLING,
) -> Grid:
    """A table of these rows; those without figures are left out.

    Args:
        shown: the rows.
        caption: what the table holds.
        anchor: its id in the page.
        link: from a path at the site's root to what stands in ``href``.
        figures: columns; those that no row has are left out.
        claimed: with what others claim, each before the figure that it is about.
        telling: columns of the identity, shown where rows differ in them.
    """
    kept = [one for one in shown if has_figures(one.row)]
    left = [key for key in telling if len({str(one.row[key]) for one in kept}) > 1]
    right = [key for key in _wanted(kept, figures) if any(one.row[key] is not None for one in kept)]
    keys = [*left, *(_with_claims(right) if claimed else right)]
    best: dict[int, set[tuple[int, str]]] = {}
    for one in kept:
        if id(one.of_session) not in best:
            best[id(one.of_session)] = best_figures(one.of_session, right)

    def row_of(one: Shown) -> GridRow:
        marked = best[id(one.of_session)]
        cells = [_cell(one, key, best=(one.place, key) in marked, link=link) for key in keys]
        row = one.row
        return GridRow(
            f"{row['framework']} {precision_text(row)}",
            None if one.page is None else link(one.page),
            str(row["framework"]),
            str(row["precision_class"] or "none"),
            why_unranked(row),
            tuple(cells),
        )

    made = [(one, row_of(one)) for one in kept]
    blocks = []
    for name in sorted({one.row["precision_class"] for one, _ in made}, key=class_rank):
        rows = tuple(row for one, row in made if row.unranked is None and one.row["precision_class"] == name)
        if rows:
            blocks.append((CLASSES.get(name, str(name)), True, rows))
    apart = tuple(row for _, row in sorted(made, key=_by_class) if row.unranked is not None)
    if apart:
        blocks.append(("Not ranked: emulated, suspect, broken or not finished", False, apart))
    return Grid(caption, anchor, tuple(_column(key) for key in keys), tuple(blocks))


def _by_class(made: tuple[Shown, GridRow]) -> int:
    return class_rank(made[0].row["precision_class"])


def _wanted(kept: Sequence[Shown], figures: Sequence[str]) -> list[str]:
    """The figures, and those of streams where some row has no decode speed: a server's client sees nothing else."""
    streams = any(one.row["decode_tps"] is None and one.row["stream_tps"] is not None for one in kept)
    return [*figures, *(key for key in _STREAMED if streams and key not in figures)]


def _with_claims(figures: Sequence[str]) -> list[str]:
    """The claims each before the figure that it is about; those whose figure is not there at the end."""
    keys = list(figures)
    for name, (_, before) in _CLAIMS.items():
        keys.insert(keys.index(before) if before in keys else len(keys), f"claim_{name}")
    return keys


def _column(key: str) -> GridColumn:
    if key.startswith("claim_"):
        title, _ = _CLAIMS[key.removeprefix("claim_")]
        return GridColumn(key, title, False, "What others say, not a measurement.")
    metric = METRICS[key]
    return GridColumn(key, metric.title, metric.kind == "metric", metric.description, metric.unit)


def _cell(one: Shown, key: str, *, best: bool, link: Callable[[str], str]) -> GridCell:
    row = one.row
    if key.startswith("claim_"):
        claim = claim_for(row.values)
        return GridCell(MISSING if claim is None else str(getattr(claim, key.removeprefix("claim_"))))
    if key == "device":
        return GridCell(device_text(row))
    if key == "model":
        return GridCell(model_text(row))
    value = row[key]
    if key == "machine":
        return GridCell(one.machine_name or str(value), None, link(f"machines/{slug(str(value))}.html"))
    if key == "session":
        return GridCell(str(value), None, link(session_page(str(value))))
    if METRICS[key].kind != "metric":
        return GridCell(str(value))
    if value is None:
        return GridCell(MISSING)
    text = uncertain_text(row, key) + figure_marks(row, key)
    return GridCell(text, float(value), None if one.page is None else link(figure_place(one.page, key)), best)
