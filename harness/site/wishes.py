"""The page "Which one should I ship?": the recommendation, moved by sliders.

Owns its data, its form and where its script and style are. Imports the recommendation's rules and words, which
`wishes.js` repeats: the margins, directions and reasons are handed to it, so that there is one place for each.
Contract: the page answers from the rows given, as `edgebench recommend` does, and with the same figures; texts of a
database are escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.gate.metrics import DEFAULTS
from harness.plot.subjects import usual
from harness.recommend.choice import CLOSE, DRAWS, NOTHING_KNOWN, NOTHING_LEFT, not_shippable, unmeasured
from harness.recommend.matrix import PLATFORMS, claims_of, of_platform
from harness.recommend.showing import claim_text, nothing_there
from harness.recommend.wishes import OBJECTIVES
from harness.safe_text import printable, printable_values
from harness.table.metrics import METRICS
from harness.table.rows import Row
from harness.table.uncertainty import uncertain_text
from harness.table.view import row_name

_HERE = Path(__file__).parent
#: Of a row's name; its model is the one that is chosen above.
_NAMED = ("framework", "precision", "recipe", "device", "workload", "options")
_CHOICES = ("model", "device", "workload", "machine")

#: What may be limited: the column, the words of its field, the unit of the field, and how many of the column's it is.
LIMITS: tuple[tuple[str, str, str, float], ...] = (
    ("peak_rss_bytes", "Most memory", "MB", 1e6),
    ("decode_tps", "Least decode speed", "tokens/s", 1.0),
    ("prefill_tps", "Least prefill speed", "tokens/s", 1.0),
    ("kld_mean", "Most divergence (KLD)", "nats", 1.0),
    ("energy_joules_per_decode_token", "Most energy", "J/token", 1.0),
)
COLUMNS = tuple(column for column, *_ in LIMITS)

Href = Callable[[Row], str | None]


def wishes_data(
    rows: Sequence[Row],
    processors: Mapping[str, str | None],
    href: Href | None = None,
    machines: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the script chooses from; plain, for JSON.

    Args:
        rows: of sessions that edgebench measured.
        processors: name of the processor by machine id; None where it was not stored.
        href: where a row's samples are shown, seen from the page; None: nowhere.
        machines: names by id; they stand beside the rows where these are of several.
    """
    several = len({row["machine"] for row in rows}) > 1
    # Texts by their numbers, in the order of their hashes: 64 letters a row are too many.
    texts = {one: at for at, one in enumerate(sorted({row.corpus_sha256 or "" for row in rows}))}
    there = {name: {id(row) for row in of_platform(rows, processors, name)} for name in PLATFORMS}
    return {
        "columns": {
            column: {
                "title": METRICS[column].title,
                "better": METRICS[column].better,
                "unit": unit,
                "size": size,
                "margin": DEFAULTS[column].margin,
                "absolute": DEFAULTS[column].absolute,
            }
            for column, _, unit, size in LIMITS
        },
        "objectives": [{"word": word, "column": column} for word, column in OBJECTIVES.items()],
        "nothingKnown": NOTHING_KNOWN,
        "nothingLeft": NOTHING_LEFT,
        "nowhere": {
            name: {"told": nothing_there(name), "claims": [claim_text(one) for one in claims_of(name)]}
            for name in PLATFORMS
            if not there[name]
        },
        "draws": DRAWS,
        "close": CLOSE,
        "rows": [
            _row(
                row,
                [name for name in PLATFORMS if id(row) in there[name]],
                href,
                f" on {(machines or {}).get(row['machine'], row['machine'])}" if several else "",
                texts[row.corpus_sha256 or ""],
            )
            for row in rows
        ],
    }


def _row(row: Row, platforms: list[str], href: Href | None, where: str, text: int) -> dict[str, Any]:
    nobody = unmeasured(row)
    never = not_shippable(row, with_suspect=True)
    suspect = not_shippable(row, with_suspect=False) if never is None else None
    intervals = row["intervals"] or {}
    why_not = row["reason"] or "not measured"
    return {
        "name": row_name(row, _NAMED) + where,
        **{key: printable(str(row[key])) for key in _CHOICES},
        "platforms": platforms,
        "runs": row["runs"],
        "version": row["framework_version"],
        "href": href(row) if href is not None else None,
        "unmeasured": nobody,
        "never": never,
        "suspect": suspect,
        # What its quality rests on: whether that compares depends on the rows beside it, which the reader chooses.
        "scored": None
        if row["scored_positions"] is None
        else [text, row["score_window"], row["scored_positions"]],
        "figures": {column: row[column] for column in COLUMNS if row[column] is not None},
        "texts": {column: uncertain_text(row, column) for column in COLUMNS if row[column] is not None},
        "why": {column: row.notes.get(column) or why_not for column in COLUMNS if row[column] is None}
        if nobody is None
        else {},
        "basis": {
            column: sorted(row.basis[column].values())
            for column in COLUMNS
            if len(row.basis.get(column, {})) > 1 and row[column] is not None
        },
        "intervals": {column: intervals[column] for column in COLUMNS if column in intervals},
    }


def wishes_script() -> str:
    """The page's script: it needs nothing else, and turns no text into code."""
    return (_HERE / "wishes.js").read_text(encoding="utf-8").strip()


def wishes_style() -> str:
    """The page's style, beside the site's own."""
    return (_HERE / "wishes.css").read_text(encoding="utf-8").strip()


def wishes_block(
    rows: Sequence[Row],
    processors: Mapping[str, str | None],
    href: Href | None = None,
    machines: Mapping[str, str] | None = None,
) -> str:
    """The page's content, to stand in a page that has the script and the style; arguments as of `wishes_data`."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = wishes_data(rows, processors, href, machines)
    used: dict[str, list[str]] = {
        key: [printable(str(one)) for one in dict.fromkeys(row[key] for row in rows)] for key in _CHOICES
    }
    most = usual(rows)
    return templates.get_template("wishes.html.j2").render(
        data=Markup(_in_script(data)),
        choices=used,
        machines={
            printable(one): printable((machines or {}).get(one, one))
            for one in dict.fromkeys(str(row["machine"]) for row in rows)
        },
        # Speeds of different workloads do not compare: one of them to begin with.
        chosen={} if most is None else dict(zip(("model", "workload"), map(printable, most), strict=True)),
        platforms={
            name: "" if any(name in row["platforms"] for row in data["rows"]) else ", nothing measured"
            for name in PLATFORMS
        },
        limits=[
            {
                "column": column,
                "words": words,
                "unit": unit,
                "known": any(column in row["figures"] for row in data["rows"]),
            }
            for column, words, unit, _ in LIMITS
        ],
        objectives=[{"word": word, "column": column} for word, column in OBJECTIVES.items()],
    )


def _in_script(data: Any) -> str:
    """JSON that no page ends within, whatever stands in it, and without what reverses the order of letters."""
    text = printable(
        json.dumps(printable_values(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
