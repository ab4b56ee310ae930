"""``edgebench show``: one thing of the database, down to its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import db_option, json_option, print_json, terminal_width
from harness.errors import UsageError
from harness.safe_text import printable

if TYPE_CHECKING:
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench show                       the newest session
  edgebench show 20261123T0646-1a5c    a session, by the beginning of its id
  edgebench show 4f2a9c01 --json       a run, cell or artifact, with everything below it
  edgebench show b179c952              an artifact: how it was made, back to the model; where it diverges most
  edgebench show 20261123T06 --suite-text > suite.yaml    the suite as it was
"""

#: Lists longer than this are cut on a terminal; --json has all.
_SHOWN = 40

#: Columns to copy from: never broken over lines.
_IDS = ("id", "session_id", "cell_id")

#: Shown whole, however many: the way of an artifact back to its model.
_WHOLE = ("chain",)


@click.command("show", epilog=EPILOG)
@click.argument("id_", metavar="[ID]", required=False)
@click.option(
    "--suite-text", is_flag=True, help="Print the suite file of a session as it was, and nothing else."
)
@db_option
@json_option
def command(id_: str | None, suite_text: bool, db: str, as_json: bool) -> None:
    """Show anything by the beginning of its id: a session, cell, run, artifact, environment, model, machine ...

    Every id that it prints can be given to it again.
    """
    from harness.cli.lookup import only, session_id_of
    from harness.store import Store

    with Store.open(db, read_only=True) as store, store.computing():
        if suite_text:
            _print_suite(store, session_id_of(store, id_))
            return
        kind, row_id = ("session", session_id_of(store, None)) if id_ is None else only(store, id_)
        found = store.describe(kind, row_id)
        if kind == "run":
            found = _with_figures(store, row_id, found)
        if as_json:
            print_json(found)
            return
        from rich.console import Console

        console = Console(width=terminal_width(), highlight=False)
        passages = found.pop("passages", None)
        _print(console, _shortened(found))
        if passages:
            from harness.cli.show_passages import print_passages

            print_passages(console, passages)


def _print_suite(store: Store, session_id: str) -> None:
    text = store.suite_text(session_id)
    if text is None:
        raise UsageError(
            f"{session_id} was imported: it has no suite",
            next_step=f"edgebench show {session_id} says which file it comes from",
        )
    click.echo(text, nl=False)


def _with_figures(store: Store, run_id: str, found: dict[str, Any]) -> dict[str, Any]:
    """A run with what follows from its samples and readings."""
    from dataclasses import asdict

    from harness.table.counters import compare_counters

    if found["kind"] == "timed":
        found["memory_breakdown"] = _breakdown(store, run_id)
    if found["score"] is not None:
        found["quality"] = _quality(store, run_id)
    # Before the samples, which are many: how far the framework's own counters agree with what was measured.
    counters = [asdict(one) for one in compare_counters(found["samples"])]
    at = list(found).index("samples")
    items = list(found.items())
    return dict([*items[:at], ("counters", counters), *items[at:]])


def _breakdown(store: Store, run_id: str) -> dict[str, Any] | None:
    """Where the run's peak goes, from what is stored; None where the session did not plan its cell."""
    from dataclasses import asdict

    from harness.frameworks import frameworks
    from harness.table.memory import breakdown
    from harness.table.stored import run_facts

    cell = store.run_in_cell(run_id)
    if cell is None:
        return None
    return asdict(breakdown(run_facts(cell.runs[0], cell, frameworks(include_hidden=True))))


def _quality(store: Store, run_id: str) -> list[dict[str, Any]] | None:
    """The table's figures of a score; None where its session did not plan the cell."""
    from harness.table.rows import quality_of
    from harness.table.stored import score_facts

    cell = store.run_in_cell(run_id)
    if cell is None or cell.score is None or cell.score.run_id != run_id:
        return None
    return quality_of(score_facts(cell.score))


def _shortened(found: dict[str, Any]) -> dict[str, Any]:
    """For a terminal: the breakdown as lines with units, the timeline without its thousands of figures."""
    from harness.table.metrics import as_bytes

    shown = dict(found)
    if (parts := shown.get("memory_breakdown")) is not None:
        reasons = parts["reasons"]
        shown["memory_breakdown"] = [
            {"part": key, "size": None if value is None else as_bytes(value), "why not": reasons.get(key)}
            for key, value in parts.items()
            if key != "reasons"
        ]
    if (timeline := shown.get("memory_timeline")) is not None:
        series = timeline["series"]
        kept = {key: value for key, value in timeline.items() if key not in ("series", "marks")}
        most = {
            f"most {name}": max(values) for name, values in series.items() if values and name != "time_ns"
        }
        shown["memory_timeline"] = {**kept, "kept": len(series["time_ns"]), **most}
    return shown


def _print(console: Any, found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    console.print(f"[bold]{found.get('what', '')}[/bold] {_text('id', found.get('id', ''))}")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for key, value in found.items():
        if key in ("what", "id") or _is_rows(value):
            continue
        facts.add_row(key, _text(key, value))
    console.print(facts)
    for key, value in found.items():
        if not _is_rows(value):
            continue
        columns = list(
            dict.fromkeys(name for row in value for name, one in row.items() if one not in (None, {}, []))
        )
        table = Table(
            box=box.SIMPLE_HEAD, title=f"{key} ({len(value)})", title_justify="left", pad_edge=False
        )
        for column in columns:
            table.add_column(_text("", column), overflow="fold", no_wrap=column in _IDS)
        shown = value if key in _WHOLE else value[:_SHOWN]
        for row in shown:
            table.add_row(*(_text(column, row.get(column)) for column in columns))
        console.print(table)
        if len(value) > len(shown):
            console.print(f"  and {len(value) - len(shown)} more: see --json", style="dim")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _text(key: str, value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return "–"
    if key == "suite_text":
        return f"{len(str(value).splitlines())} lines (see --suite-text)"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{_text('', name)}={_text(name, one)}" for name, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        shown = ", ".join(_text("", one) for one in value[:12])
        return shown + (f", … {len(value)} in all" if len(value) > 12 else "") or "–"
    return escape(printable(str(value)))
