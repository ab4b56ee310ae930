"""Tables of rows as the site shows them: what a cell says, by what it is sorted, and where it leads.

Owns `Grid`, which the templates set and `table.js` sorts and filters. Imports the table. Contract: every figure leads
to its samples; what is not ranked stands apart; a row without any figure is in no grid (the coverage page has it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.precision import class_rank
from harness.site.figures import best_figures, uncertain_text, why_unranked
from harness.table.claims import claim_for
from harness.table.metrics import METRICS
from harness.table.rows import Row
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
#: Shown where the rows differ in them.
_TELLING = ("model", "device", "workload", "options", "machine", "session")
#: Names of a class of precision for a person.
CLASSES: Mapping[str | None, str] = {
    "full": "full precision", "half": "half precision", "medium": "medium, 5 to 8 bit", "low": "low, 3 to 4 bit",
    "ultra-low": "ultra-low, 1 to 2 bit", None: "of no known class",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column; ``figures``: its cells are numbers."""

    key: str
    title: str
    figures: bool
    tip: str = ""


_SAID = "What others say, not a measurement."
_CLAIMS = (
    GridColumn("claim_memory", "Memory (claim)", False, _SAID),
    GridColumn("claim_speed_up", "Speed-up (claim)", False, _SAID),
    GridColumn("claim_use", "For (claim)", False, _SAID),
)


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
        of_session: all rows of its session: its baseline's place is among them.
        place: among them.
        page: its page of samples, from the site's root; None: it has none.
        default_recipe: its recipe is what the bare precision means.
        cell_id: its cell.
    """

    row: Row
    of_session: Sequence[Row]
    place: int
    page: str | None
    default_recipe: bool = True
    cell_id: str | None = None


def has_figures(row: Row) -> bool:
    """Whether a row has any figure that tables show."""
    return any(row[key] is not None for key in FIGURES)


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
        claimed: with what others claim, before the figures.
        telling: columns of the identity, shown where rows differ in them.
    """
    kept = [one for one in shown if has_figures(one.row)]
    left = [key for key in telling if len({str(one.row[key]) for one in kept}) > 1]
    right = [key for key in figures if any(one.row[key] is not None for one in kept)]
    words = [GridColumn(key, METRICS[key].title, False) for key in left]
    numbers = [GridColumn(key, METRICS[key].title, True, METRICS[key].description) for key in right]
    claims = _CLAIMS if claimed else ()
    columns = (*words, *claims, *numbers)
    best: dict[int, set[tuple[int, str]]] = {}
    for one in kept:
        if id(one.of_session) not in best:
            best[id(one.of_session)] = best_figures(one.of_session, right)

    def row_of(one: Shown) -> GridRow:
        cells = [_word(one.row, key) for key in left]
        cells += _claims(one.row) if claimed else []
        cells += [_figure(one, key, (one.place, key) in best[id(one.of_session)], link) for key in right]
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
    return Grid(caption, anchor, columns, tuple(blocks))


def _by_class(made: tuple[Shown, GridRow]) -> int:
    return class_rank(made[0].row["precision_class"])


def _claims(row: Row) -> list[GridCell]:
    claim = claim_for(row.values)
    if claim is None:
        return [GridCell(MISSING)] * len(_CLAIMS)
    return [GridCell(claim.memory), GridCell(claim.speed_up), GridCell(claim.use)]


def _word(row: Row, key: str) -> GridCell:
    if key == "device":
        return GridCell(device_text(row))
    if key == "model":
        return GridCell(model_text(row))
    return GridCell(str(row[key]))


def _figure(one: Shown, key: str, best: bool, link: Callable[[str], str]) -> GridCell:
    value = one.row[key]
    if value is None:
        return GridCell(MISSING)
    text = uncertain_text(one.of_session, one.row, key) + figure_marks(one.row, key)
    href = None if one.page is None else link(f"{one.page}#{key}")
    return GridCell(text, float(value), href, best)
