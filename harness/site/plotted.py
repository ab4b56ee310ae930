"""Pages of plots, which share one script that draws them.

Owns how many plots a page holds. Imports the plots' embedding. Contract: no page is larger than any other may be; a
plot that would be is named with the way to draw it elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from harness.plot.drawn import Drawn
from harness.site.names import slug
from harness.site.paging import chunks, page_names
from harness.site.shell import MOST_BYTES, Folder, Shell

#: What a page of plots has beside the plots and their script.
_FRAME_BYTES = 50_000


def write_plots(
    shell: Shell,
    folder: Folder,
    drawn: Sequence[tuple[Drawn, str]],
    links: Mapping[str, str] | None = None,
    *,
    home: str,
    stem: str,
    heading: str,
    trail: Sequence[tuple[str, str]],
    current: str = "",
) -> tuple[str, dict[str, str]]:
    """Write pages of plots; gives the first one's name, and where each plot stands, by its name.

    Args:
        shell: makes pages.
        folder: takes them.
        drawn: the plots, each with the command that draws it alone.
        links: where the samples of a cell are, by its name, seen from the page.
        home: the pages' folder, from the site's root.
        stem: the first page's name without its ending.
        heading: what the plots are about.
        trail: pages above, as of `Shell.page`.
        current: the page's name in the menu.
    """
    # It brings altair and vl-convert along, which take seconds to import.
    from harness.plot.embedding import PLOT_STYLE, plot_block, vega_script

    blocks = []
    places: dict[str, str] = {}
    room = MOST_BYTES - len(vega_script().encode()) - _FRAME_BYTES
    for one, command in drawn:
        anchor = f"plot-{slug(one.name)}"
        block = plot_block(one, anchor, links)
        if len(block.encode()) > room:
            why = f"it has too many marks for a page; {command} draws it"
            block = plot_block(replace(one, chart=None, why_not=why), anchor)
        # Escaped where it is made.
        blocks.append(((anchor, one, Markup(block)), len(block.encode())))
    parts = chunks(blocks, room)
    for page, part in zip(page_names(stem, len(parts)), parts, strict=True):
        shown = any('type="application/json"' in block for _, _, block in part)
        places |= {one.name: f"{page.name}#{anchor}" for anchor, one, _ in part}
        text = shell.page(
            "plots",
            root="../" * (home.count("/") + 1),
            heading=heading + (f", page {page.number}" if page.number > 1 else ""),
            current=current,
            trail=trail,
            scripts=[vega_script()] if shown else [],
            styles=[PLOT_STYLE],
            blocks=[(anchor, one.title, block) for anchor, one, block in part],
            page=page,
        )
        folder.write(f"{home}/{page.name}", text)
    return f"{stem}.html", places
