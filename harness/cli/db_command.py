"""``edgebench db``: look after the results database."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import db_option, json_option, print_json, terminal_width
from harness.errors import EdgebenchError

EPILOG = """\b
Examples:
  edgebench db sessions            the newest sessions
  edgebench db info                where it is, its schema, its rows
  edgebench db check               is the file whole
  edgebench db backup copy.db      a copy, also while a session runs
"""


@click.group("db", epilog=EPILOG)
def command() -> None:
    """Look after the results database."""


@command.command("sessions")
@click.option(
    "--limit", type=click.IntRange(1, 2**31), default=20, show_default=True, help="How many, newest first."
)
@db_option
@json_option
def sessions(limit: int, db: str, as_json: bool) -> None:
    """List the newest sessions."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        found = store.sessions(limit)
    if as_json:
        print_json({"sessions": found})
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("session", "suite", "status", "cells", "runs", "started", "trigger", "commit"):
        table.add_column(column)
    for one in found:
        runs = ", ".join(f"{count} {status}" for status, count in sorted(one["runs"].items()))
        table.add_row(
            one["id"],
            one["suite"],
            one["status"],
            str(one["cells"]),
            runs,
            one["started_at"] or "–",
            one["trigger"],
            (one["commit_sha"] or "")[:10],
        )
    Console(width=terminal_width(), highlight=False).print(table)


@command.command("info")
@db_option
@json_option
def info(db: str, as_json: bool) -> None:
    """Say where the database is, its schema, its size and its rows."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        found = store.info()
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['place']}: schema {found['schema']}, {found['size_bytes'] or 0:,} bytes")
    for name, count in found["rows"].items():
        click.echo(f"  {name:<20} {count:>10,}")


@command.command("check")
@db_option
def check(db: str) -> None:
    """Check that the database is whole."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        problems = store.check()
    if problems:
        raise EdgebenchError(
            f"{db} is damaged: {'; '.join(problems[:5])}",
            next_step="restore a copy, or recover what can be read with `sqlite3 FILE .recover`",
        )
    click.echo(f"{db} is whole")


@command.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@db_option
def backup(target: Path, db: str) -> None:
    """Copy the database to TARGET, also while a session runs."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        store.backup(target)
    click.echo(f"{db} is copied to {target}")


@command.command("upgrade")
@db_option
def upgrade(db: str) -> None:
    """Bring an older database to this version's schema, after a backup; also done whenever one is opened to write."""
    from harness.store import Store

    with Store.open(db) as store:
        click.echo(store.upgraded or f"{db} is of the newest schema already")
