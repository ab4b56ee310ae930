"""Plots inside a page that needs nothing from elsewhere: one script, and a figure for each plot.

Owns both, and the style that they need. Imports vl-convert when it is called, which has the libraries of Vega in it.
Contract: no text is turned into code at run time, so a page's policy may allow scripts by their hashes alone; whoever
sees no picture reads the same figures in a table; texts of a database are escaped.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.page_policy import page_policy
from harness.plot.drawn import Drawn, Figures
from harness.plot.palette import DARK_CONFIG, ON_DARK
from harness.safe_text import printable, printable_values
from harness.table.view import some_of

if TYPE_CHECKING:
    import altair as alt

#: What a script or a style would end at, and what begins a comment in either.
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_GRADIENT = re.compile(r'<linearGradient id="gradient_(\d+)"')
_GRADIENT_USED = re.compile(r'"url\(#gradient_(\d+)\)"')

#: Of the figures and of the tooltips, which Vega would otherwise add to the page by itself.
PLOT_STYLE = """\
figure.plot { margin: 1.5rem 0; }
figure.plot .scroll { overflow-x: auto; max-width: 100%; }
figure.plot svg { max-width: none; }
figure.plot .on-dark { display: none; }
@media screen and (prefers-color-scheme: dark) {
  figure.plot .on-light { display: none; } figure.plot .on-dark { display: block; }
}
figure.plot figcaption { font-weight: 600; }
figure.plot table { border-collapse: collapse; font-size: 0.85em; }
figure.plot th, figure.plot td { padding: 0.15rem 0.5rem; text-align: left; border-bottom: 1px solid #8884; }
figure.plot .figures { overflow-x: auto; }
#vg-tooltip-element { visibility: hidden; position: fixed; z-index: 1000; padding: 6px 8px; max-width: 30rem;
  font: 12px sans-serif; color: #111; background: #fffffff2; border: 1px solid #999; border-radius: 3px; }
#vg-tooltip-element.visible { visibility: visible; }
#vg-tooltip-element td.key { color: #555; text-align: right; padding-right: 4px; vertical-align: top; }
#vg-tooltip-element td.value { overflow-wrap: anywhere; }
@media print { figure.plot { break-inside: avoid; } }
"""


@functools.cache
def vega_script() -> str:
    """One script: Vega, Vega-Lite, Vega-Embed with its interpreter of expressions, and what draws the page's plots.

    It takes some seconds to make and is the same for every page.
    """
    import vl_convert

    start = (Path(__file__).parent / "start.js").read_text(encoding="utf-8")
    start = start.replace("__ON_DARK__", json.dumps(ON_DARK)).replace("__NIGHT__", json.dumps(DARK_CONFIG))
    bundle: str = vl_convert.javascript_bundle(start)
    # A page ends a script at this text, wherever in it that stands.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def plot_block(
    drawn: Drawn,
    id: str,  # noqa: A002  # the HTML attribute's name
    links: Mapping[str, str] | None = None,
) -> str:
    """A figure: the plot, its caption, and its figures as a table; or why there is none.

    Args:
        drawn: the plot.
        id: of the figure; no other element of the page has it, nor it with ``-plot`` or ``-data`` behind.
        links: where the samples of a cell are, by its name.
    """
    name, title = _text(id), _text(drawn.title)
    if drawn.chart is None or drawn.figures is None:
        why = _text(drawn.why_not or "nothing was measured")
        return (
            f'<figure class="plot" id="{name}">\n<figcaption>{title}</figcaption>\n'
            f'<p class="why-not">No plot: {why}.</p>\n</figure>\n'
        )
    summary = _text(drawn.figures.summary)
    return (
        f'<figure class="plot" id="{name}">\n'
        f"<figcaption>{title}</figcaption>\n"
        # Wider than a phone: it scrolls by itself, by the keyboard too.
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}, picture">'
        f'<div id="{name}-data-plot" role="img" aria-label="{summary}"></div></div>\n'
        f'<script type="application/json" class="plot" id="{name}-data">{json_in_page(_spec(drawn))}</script>\n'
        f"<p>{summary}</p>\n"
        f"{_table(drawn.figures, links or {})}{_missing(drawn)}</figure>\n"
    )


def picture_block(
    drawn: Drawn,
    id: str,  # noqa: A002  # the HTML attribute's name
    links: Mapping[str, str] | None = None,
) -> str:
    """A figure whose picture stands still, in a fifth of the bytes: it needs no script; arguments as of `plot_block`.

    There are two pictures in it, one for a dark ground; the reader's system chooses.

    Raises:
        ValueError: the plot has no chart.
    """
    if drawn.chart is None or drawn.figures is None:
        raise ValueError(f"{drawn.name} has no chart")
    name, title, summary = _text(id), _text(drawn.title), _text(drawn.figures.summary)
    # Texts are escaped in it as XML's are, which HTML's are too.
    spec = _spec(drawn)
    light, dark = svg_of(spec | {"background": "transparent"}), svg_of(_on_dark(spec), "dark_")
    return (
        f'<figure class="plot still" id="{name}">\n<figcaption>{title}</figcaption>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}, picture">'
        f'<div role="img" aria-label="{summary}"><div class="on-light">{light}</div>\n'
        f'<div class="on-dark">{dark}</div></div></div>\n'
        f"<p>{summary}</p>\n{_table(drawn.figures, links or {})}{_missing(drawn)}</figure>\n"
    )


def spec_of(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """A chart's Vega-Lite, whose texts are shown and not obeyed: a control character in one ends the converter."""
    spec: dict[str, Any] = printable_values(json.loads(chart.to_json()))
    return spec


def svg_of(spec: Mapping[str, Any], mark: str = "") -> str:
    """It drawn, the same bytes each time: the converter counts gradients on from one picture to the next.

    Args:
        spec: of Vega-Lite.
        mark: begins the names of its gradients, so that two pictures of one page share none.
    """
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec))
    numbers = {old: f"{mark}{place}" for place, old in enumerate(_GRADIENT.findall(svg))}
    for pattern in (_GRADIENT, _GRADIENT_USED):
        svg = pattern.sub(lambda found: found[0].replace(found[1], numbers.get(found[1], found[1])), svg)
    return svg


def _on_dark(spec: Mapping[str, Any]) -> dict[str, Any]:
    """It in the colours for a dark ground, as the page's script has them."""

    def recoloured(value: Any) -> Any:
        if isinstance(value, str):
            return ON_DARK.get(value, value)
        if isinstance(value, list):
            return [recoloured(one) for one in value]
        if isinstance(value, dict):
            # Data keep their texts, whatever they are.
            return {
                key: one if key in ("datasets", "values") else recoloured(one) for key, one in value.items()
            }
        return value

    changed: dict[str, Any] = recoloured(dict(spec))
    config = dict(changed.get("config", {}))
    for name, part in DARK_CONFIG.items():
        config[name] = {**config.get(name, {}), **part}
    return changed | {"config": config, "background": "transparent"}


def json_in_page(spec: Mapping[str, Any]) -> str:
    """It as compact JSON, with everything escaped that could end the element that it stands in."""
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "".join(_IN_SCRIPT.get(character, character) for character in text)


def page_of(spec: Mapping[str, Any], title: str) -> str:
    """A page of one plot, under the same policy as the site's."""
    script = vega_script()
    style = f":root {{ color-scheme: light dark; }}\n{PLOT_STYLE}"
    policy = page_policy([style], [script])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<figure class="plot"><div class="scroll"><div id="plot-plot"></div></div></figure>\n'
        f'<script type="application/json" class="plot" id="plot">{json_in_page(spec)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _spec(drawn: Drawn) -> dict[str, Any]:
    assert drawn.chart is not None
    spec = spec_of(drawn.chart)
    # The caption is the title; below it stand the lines that say where the figures are from.
    lines = spec["title"].pop("subtitle")
    spec["title"] |= {"text": lines, "fontWeight": "normal", "fontSize": 11}
    return spec


def _table(figures: Figures, links: Mapping[str, str]) -> str:
    def leading(text: str, of: tuple[str, ...], place: int) -> str:
        way = links.get(of[place]) if of else None
        return _text(text) if way is None else f'<a href="{_text(way)}">{_text(text)}</a>'

    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in figures.heads)
    lines = "".join(
        f'<tr><th scope="row">{leading(line[0], figures.of, place)}</th>'
        + "".join(f"<td>{leading(cell, figures.second_of, place)}</td>" for cell in line[1:2])
        + "".join(f"<td>{_text(cell)}</td>" for cell in line[2:])
        + "</tr>\n"
        for place, line in enumerate(figures.lines)
    )
    return (
        f'<details><summary>Figures ({len(figures.lines)})</summary>\n<div class="figures" tabindex="0">'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody></table></div></details>\n"
    )


def _missing(drawn: Drawn) -> str:
    """The cells without a mark, by their reasons."""
    if not drawn.missing:
        return ""
    reasons: dict[str, list[str]] = {}
    for name, reason in drawn.missing.items():
        reasons.setdefault(reason, []).append(name)
    items = "".join(
        f"<li>{_text(reason)}: {_text(some_of(names))}</li>\n" for reason, names in reasons.items()
    )
    return (
        f"<details><summary>Not in the plot ({len(drawn.missing)})</summary>\n<ul>\n{items}</ul></details>\n"
    )


def _text(value: str) -> str:
    return html.escape(printable(value))
