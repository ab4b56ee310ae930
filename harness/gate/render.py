"""The outputs of a gate: terminal, Markdown, GitHub, GitLab, JUnit, JSON.

Owns which formats there are; each is a function of the document alone. Contract: names from the outside are escaped for
the format they are put in; where the document has links to a published site, each format has them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from harness.gate import words
from harness.gate.verdict import FAILING, failing
from harness.safe_text import finite, printable
from harness.table.render_markdown import escape

Document = Mapping[str, Any]

#: GitHub takes comments of at most 65,536 characters; some are left for heads and tags.
_COMMENT_CHARS = 63_000
#: Notes of one comment: cells that only head has may be many.
_COMMENT_NOTES = 40

#: Colours of verdicts on a terminal.
_STYLES = {
    **dict.fromkeys(FAILING, "red"),
    "inconclusive": "yellow",
    "improvement": "green",
}


def terminal(document: Document, width: int = 120, *, color: bool = False) -> str:
    """A table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in words.titles(document):
        table.add_column(title, overflow="fold")
    for row in document["verdicts"]:
        # Text, not markup: a cell's name may hold square brackets.
        cells = [Text(text) for text in words.cells(document, row)]
        table.add_row(*cells, style=_STYLES.get(row["verdict"]))
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, force_terminal=color, no_color=not color)
    console.print(table)
    for line, page in _notes(document):
        console.print(Text(line if page is None else f"{line} {page}"))
    console.print(Text(document["summary"]))
    return out.getvalue()


def _notes(document: Document) -> list[tuple[str, str | None]]:
    """What stands below the table, each with the page of the site that it is about."""
    sides = []
    for name, side in document["sides"].items():
        shown = [f"edgebench show {side['session']}"] if side["session"] else []
        if side.get("again"):
            shown.append(f"measured again: edgebench show {side['again']}")
        where = f" ({'; '.join(shown)})" if shown else ""
        sides.append((f"{name}: {side['text']}{where}", side.get("url")))
    notes = []
    if "gate" in document:
        notes.append(f"kept: edgebench show {document['gate']}")
    discarded = sum(one["discarded"] for one in document["cells"])
    if discarded:
        told = "1 pair was" if discarded == 1 else f"{discarded} pairs were"
        notes.append(f"{told} left out because something could have spoiled a run of them")
    notes += [f"not compared: {one}" for one in document["lonely"]]
    notes += [f"this machine: {one}" for one in document["advice"]]
    notes += document.get("notes", ())
    return [(printable(note), page) for note, page in [*sides, *((one, None) for one in notes)]]


def markdown(document: Document) -> str:
    """A comment for a pull request: the verdict and what changed; the rest folded."""
    rows = list(document["verdicts"])
    shown = words.changed(rows)
    head = [f"### edgebench gate: {_md(document['summary'])}", ""]
    notes = _notes(document)
    tail = [
        f"- {_md(note)}" + ("" if page is None else f", [samples]({page})")
        for note, page in notes[:_COMMENT_NOTES]
    ]
    if len(notes) > _COMMENT_NOTES:
        tail.append(f"- and {len(notes) - _COMMENT_NOTES} more")
    tail += [f"- machine: {_md(document['machine'])}", ""]
    room = _COMMENT_CHARS - len("\n".join([*head, *tail]))
    ruled = document.get("kind") == "deployment"
    nothing = "Every rule holds." if ruled else "Nothing changed beyond the margins."
    table = _md_table(document, shown, room, linked=True) if shown else [nothing, ""]
    rest = [row for row in rows if row not in shown]
    if rest:
        room -= len("\n".join(table))
        # What did not change is told without links where there is no room for both.
        linked = sum(len(line) + 1 for line in _md_rows(document, rest, linked=True)[1]) < room
        table += [
            f"<details><summary>{len(rest)} {'that hold' if ruled else 'without a change'}</summary>",
            "",
            *_md_table(document, rest, room, linked=linked),
            "</details>",
            "",
        ]
    return "\n".join([*head, *table, *tail])


def _md_table(document: Document, rows: list[Mapping[str, Any]], room: int, *, linked: bool) -> list[str]:
    """A table of the first rows, as many as there is room for, and how many there are besides."""
    heads, lines = _md_rows(document, rows, linked=linked)
    told = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        told += 1
    left = len(rows) - told
    more = []
    if left:
        where = f"`edgebench show {document['gate']}`" if "gate" in document else "the JSON output"
        more = ["", f"and {left} more that a comment has no room for: {where} has all"]
    return [*heads, *lines[:told], *more, ""]


def _md_rows(
    document: Document, rows: list[Mapping[str, Any]], *, linked: bool
) -> tuple[list[str], list[str]]:
    """The head of a table, and a line for each row; ``linked``: with its samples, where a site has them."""
    linked = linked and "site" in document
    titles = [*words.titles(document), *(["samples"] if linked else [])]
    lines = []
    for row in rows:
        cells = [_md(text) for text in words.cells(document, row)]
        if linked:
            # Escaped by construction: see `harness.gate.links`.
            cells.append(" ".join(f"[{name}]({page})" for name, page in words.samples(row)))
        lines.append("| " + " | ".join(cells) + " |")
    return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)], lines


def _md(text: str) -> str:
    """Text that Markdown shows as it is, and in which ``@d512`` names nobody."""
    return escape(printable(text)).replace("@", "&#64;")


def github(document: Document) -> str:
    """Workflow commands: an annotation for each verdict that fails or is open."""
    lines = []
    fails = _failing(document)
    for row in words.changed(list(document["verdicts"])):
        other = "notice" if row["verdict"] == "improvement" else "warning"
        kind = "error" if row["verdict"] in fails else other
        lines.append(
            f"::{kind} title={_property('edgebench ' + row['verdict'])}::{_data(words.sentence_with_samples(row))}"
        )
    lines.append(f"::notice title=edgebench gate::{_data(document['summary'])}")
    return "\n".join(lines) + "\n"


def _data(text: str) -> str:
    """As GitHub's runner reads the data of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _failing(document: Document) -> frozenset[str]:
    """The verdicts that fail this gate: missing cells may be allowed."""
    return failing(allow_missing=bool(document.get("allow_missing")))


def gitlab(document: Document) -> str:
    """GitLab's code-quality report: a list of issues with stable fingerprints."""
    issues = []
    fails = _failing(document)
    for row in words.changed(list(document["verdicts"])):
        if row["verdict"] == "improvement":
            continue
        what = f"{row['cell']}\n{row['metric']}\n{row['verdict']}"
        issues.append(
            {
                "description": words.sentence_with_samples(row),
                "check_name": f"edgebench-{row['verdict']}",
                "fingerprint": hashlib.sha256(what.encode()).hexdigest(),
                "severity": "major" if row["verdict"] in fails else "minor",
                "location": {
                    "path": document.get("suite_file") or document["suite"],
                    "lines": {"begin": 1},
                },
            }
        )
    return json.dumps(issues, indent=2) + "\n"


def junit(document: Document) -> str:
    """JUnit XML: a test case for each cell and metric; what is open or cannot be measured is skipped."""
    rows = document["verdicts"]
    fails = _failing(document)
    failed = [row for row in rows if row["verdict"] in fails]
    skipped = [row for row in rows if row not in failed and row["verdict"] not in ("pass", "improvement")]
    suite = ET.Element(
        "testsuite",
        name="edgebench gate",
        tests=str(len(rows)),
        failures=str(len(failed)),
        skipped=str(len(skipped)),
        errors="0",
    )
    for row in rows:
        case = ET.SubElement(suite, "testcase", classname=_xml(row["cell"]), name=_xml(row["metric"]))
        pages = words.samples(row)
        if pages:
            listed = ET.SubElement(case, "properties")
            for name, page in pages:
                ET.SubElement(listed, "property", name=f"samples of {name}", value=page)
        message = _xml(words.sentence(row))
        told = None
        if row in failed:
            told = ET.SubElement(case, "failure", message=message, type=row["verdict"])
        elif row in skipped:
            told = ET.SubElement(case, "skipped", message=message)
        if told is not None and pages:
            # Where there is a text, some services show it alone.
            told.text = "\n".join([message, *(f"samples of {name}: {page}" for name, page in pages)])
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without the control characters that XML has no way to write."""
    return "".join(one if one.isprintable() or one in "\t\n" else "�" for one in text)


def as_json(document: Document) -> str:
    """The document itself."""
    return json.dumps(finite(document), indent=2, allow_nan=False) + "\n"


#: Format -> its function; the terminal's takes a width besides.
FORMATS: dict[str, Callable[[Document], str]] = {
    "table": terminal,
    "markdown": markdown,
    "github": github,
    "gitlab": gitlab,
    "junit": junit,
    "json": as_json,
}
