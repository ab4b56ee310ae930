"""``edgebench alerts``: change points that were raised, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import db_option, json_option, print_json, terminal_width
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store
    from harness.store.alerts import AlertRecord, AlertState

EPILOG = """\b
Examples:
  edgebench alerts                               those that are not resolved
  edgebench alerts find                          look at all series of this machine now
  edgebench alerts ack 3fa9 --note "new compiler, asked upstream"
  edgebench alerts resolve 3fa9 --note "fixed in 0.3.38"
"""


@click.group("alerts", epilog=EPILOG, invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="Resolved ones too.")
@click.option("--machine", metavar="NAME", help="Only of the machine of this name or id. Default: of all.")
@db_option
@json_option
@click.pass_context
def command(context: click.Context, every: bool, machine: str | None, db: str, as_json: bool) -> None:
    """List the alerts: changes of a series that are worth a look, and what became of them.

    `edgebench nightly` raises them; each once.
    """
    if context.invoked_subcommand is not None:
        if every or machine is not None or as_json:
            raise UsageError(
                "--all, --machine and --json are of the list", next_step="write them behind the command"
            )
        context.obj = {**(context.obj or {}), "db": db}
        return
    from harness.cli.series import named_machine
    from harness.store import Store

    with Store.open(db, read_only=True) as store, store.computing():
        machine_id = None if machine is None else named_machine(store, machine)
        found = store.alerts(machine_id, None if every else ("open", "acknowledged"))
        lines = _described(store, found)
    if as_json:
        print_json({"alerts": lines})
        return
    if not found:
        click.echo("no alert" if every else "no alert is open or acknowledged; --all shows resolved ones")
        return
    _print(lines)


def _described(store: Store, alerts: Sequence[AlertRecord]) -> list[dict[str, Any]]:
    """Alerts ready for JSON, with the names of their cells."""
    from harness.cli.series import cell_named

    cells = store.cells({one.cell_id for one in alerts})
    return [
        {
            "id": one.id,
            "cell": cell_named(cells[one.cell_id]),
            **{
                key: value.isoformat() if isinstance(value, datetime) else value
                for key, value in asdict(one).items()
            },
        }
        for one in alerts
    ]


def _print(lines: Sequence[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.history.words import moved, sureness
    from harness.safe_text import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "state", "cell", "metric", "moved", "since", "confidence", "note"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for one in lines:
        since = (one["time_after"] or "no time told")[:16].replace("T", " ")
        told = (
            one["id"], one["state"], one["cell"], one["metric"],
            moved(one["metric"], one["value_before"], one["value_after"], one["ratio"]),
            since, sureness(one["confidence"]), one["note"] or "",
        )  # fmt: skip
        table.add_row(*(Text(printable(str(text))) for text in told))
    Console(width=terminal_width(), highlight=False).print(table)


@command.command("find", epilog=EPILOG)
@db_option
@json_option
@click.pass_context
def find(context: click.Context, db: str, as_json: bool) -> None:
    """Look at all series of this machine, and raise what is new."""
    from harness.history.alerts import look
    from harness.machine import describe_machine
    from harness.store import Store

    with Store.open(_database(context, db)) as store:
        with store.computing():
            found = look(store, describe_machine().id, datetime.now(UTC))
        lines = _described(store, [one.alert for one in found.raised])
    if as_json:
        print_json(
            {"raised": lines, "waiting": len(found.waiting), "series": found.series, "short": found.short}
        )
        return
    click.echo(
        f"looked at {found.series} series, {found.short} more are too short; "
        f"{len(found.raised)} raised, {len(found.waiting)} not sure enough among so many"
    )
    if lines:
        _print(lines)


@command.command("ack", epilog=EPILOG)
@click.argument("alert_id", metavar="ID")
@click.option("--note", metavar="TEXT", required=True, help="What is known of it, or who looks after it.")
@db_option
@click.pass_context
def ack(context: click.Context, alert_id: str, note: str, db: str) -> None:
    """Acknowledge an alert: somebody knows of it."""
    _change(_database(context, db), alert_id, "acknowledged", note)


@command.command("resolve", epilog=EPILOG)
@click.argument("alert_id", metavar="ID")
@click.option("--note", metavar="TEXT", required=True, help="How it ended: fixed, wanted, no real change.")
@db_option
@click.pass_context
def resolve(context: click.Context, alert_id: str, note: str, db: str) -> None:
    """Resolve an alert: it is over, and stays so."""
    _change(_database(context, db), alert_id, "resolved", note)


def _database(context: click.Context, db: str) -> str:
    """The database named behind the command, else the one before it."""
    named = context.get_parameter_source("db")
    if named in (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.ENVIRONMENT):
        before: str = context.obj["db"]
        return before
    return db


def _change(db: str, prefix: str, state: AlertState, note: str) -> None:
    from harness.cli.lookup import only
    from harness.store import Store

    if not note.strip():
        raise UsageError("the note is empty", next_step="write why: --note TEXT")
    with Store.open(db) as store:
        _, alert_id = only(store, prefix, ("alert",))
        changed = store.change_alert(alert_id, state, note, datetime.now(UTC))
        if changed is None:
            raise UsageError(
                f"alert {alert_id} is resolved already, and stays so",
                next_step=f"`edgebench show {alert_id}` has its note; a new change raises a new alert",
            )
    click.echo(f"{changed.id} is {state}")
