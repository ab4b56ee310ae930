"""A chart as a file: SVG, PNG, HTML, or its Vega-Lite JSON.

Owns the formats. Imports altair and vl-convert when it is called. Contract: looking at the file needs no network, and
texts in it are shown, not obeyed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import EdgebenchError, UsageError
from harness.files import write_atomically
from harness.plot.embedding import page_of, spec_of, svg_of

if TYPE_CHECKING:
    import altair as alt

#: By the end of the file's name.
FORMATS = (".svg", ".png", ".html", ".json")
#: Pixels of a PNG for each of the chart's: sharp in print.
_SCALE = 2.0


def check_format(path: Path) -> None:
    """Raise UsageError where the end of the name is no format."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path} is of no known format", next_step=f"let its name end in {', '.join(FORMATS)}"
        )


def save_chart(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a chart in the format that its name ends in.

    Raises:
        UsageError: no such format.
        EdgebenchError: the file cannot be written.
    """
    check_format(path)
    kind = path.suffix.lower()
    spec = spec_of(chart)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".png":
            import vl_convert

            path.write_bytes(vl_convert.vegalite_to_png(json.dumps(spec), scale=_SCALE))
        elif kind == ".svg":
            write_atomically(path, svg_of(spec))
        elif kind == ".html":
            # Not altair's own page, in which a text of the chart can end the script.
            write_atomically(path, page_of(spec, path.stem))
        else:
            write_atomically(path, json.dumps(spec, indent=2) + "\n")
    except OSError as error:
        raise EdgebenchError(
            f"{path} cannot be written: {error.strerror}", next_step="name another file with --out"
        ) from error
