"""``edgebench db``: look after the results database."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import report_error
from harness.cli.common import (
    check_kept,
    complete_files,
    database_option,
    db_option,
    json_option,
    print_json,
    tell,
    terminal_width,
    terminate_like_interrupt,
)
from harness.cli.db_datasette import command as datasette_command
from harness.errors import EdgebenchError
from harness.safe_text import printable

EPILOG = """\b
Examples:
  edgebench db sessions            the newest sessions
  edgebench db info                where it is, its schema, its rows
  edgebench db check               is the file whole
  edgebench db backup copy.db      a copy, also while a session runs
  edgebench db merge a.db b.db     take in the databases of other machines
  edgebench db datasette           look through it in a browser
"""


@click.group("db", epilog=EPILOG)
def command() -> None:
    """Look after the results database."""


command.add_command(datasette_command)


@command.command("sessions")
@click.option(
    "--limit", type=click.IntRange(1, 2**31), default=20, show_default=True, help="How many, newest first."
)
@db_option
@json_option
def sessions(limit: int, db: str, as_json: bool) -> None:
    """List the newest sessions."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        found = store.sessions(limit)
    if as_json:
        print_json({"sessions": found})
        return

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("session", "suite", "status", "cells", "runs", "started", "trigger", "commit"):
        table.add_column(column)
    for one in found:
        runs = ", ".join(f"{count} {status}" for status, count in sorted(one["runs"].items()))
        told = (
            one["id"],
            one["suite"],
            one["status"],
            one["cells"],
            runs,
            one["started_at"] or "–",
            one["trigger"],
        )
        # A suite may be called [anything]: no markup.
        table.add_row(*(Text(printable(str(text))) for text in (*told, (one["commit_sha"] or "")[:10])))
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
    """Check that the file is whole: its pages and its references. Of a server, only that it answers, and its schema."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        problems = store.check()
    if problems:
        raise EdgebenchError(
            f"{store.place} is damaged: {'; '.join(problems[:5])}",
            next_step="restore a copy, or recover what can be read with `sqlite3 FILE .recover`",
        )
    if store.place.is_sqlite:
        click.echo(f"{store.place} is whole")
    else:
        click.echo(
            f"{store.place} answers and is of the newest schema; rows were not checked: the server enforces their"
            " references, and its own tools check its files (pg_amcheck)"
        )


@command.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@db_option
def backup(target: Path, db: str) -> None:
    """Copy the database to TARGET, also while a session runs."""
    from harness.store import Store

    with Store.open(db, read_only=True) as store:
        store.backup(target)
    click.echo(f"{store.place} is copied to {target}")


@command.command("upgrade")
@db_option
def upgrade(db: str) -> None:
    """Bring an older database to this version's schema, after a backup; also done whenever one is opened to write."""
    from harness.store import Store

    with Store.open(db) as store:
        click.echo(store.upgraded or f"{store.place} is of the newest schema already")


@command.command("merge")
@click.argument("sources", nargs=-1, required=True, metavar="DATABASE...", shell_complete=complete_files)
@database_option("--into", "The database that takes them in; made where it does not exist.")
@json_option
def merge_databases(sources: tuple[str, ...], into: str, as_json: bool) -> None:
    """Take in everything that each DATABASE holds: files, or SQLAlchemy URLs.

    The order does not matter, and twice is once. The sources are only read; one of an older schema is upgraded in a
    temporary copy. A source that contradicts what is there is refused as a whole, and the others are taken in.

    Exit status 0 when all were taken in, 1 when one was refused or cannot be read.
    """
    from harness.exchange import merging
    from harness.exchange.source import opened
    from harness.store import Store

    terminate_like_interrupt()
    check_kept(into)
    outcomes, problems = [], []
    for source in sources:
        try:
            with opened(source) as read, Store.open(into) as target:
                if target.upgraded:
                    tell(target.upgraded)
                outcome = merging.merge(read, target, progress=tell)
        except EdgebenchError as error:
            if len(sources) == 1:
                raise
            problems.append(error)
            continue
        outcomes.append(outcome)
        for line in [] if as_json else merging.told(outcome):
            click.echo(line)
    if as_json:
        print_json(
            {"merged": [outcome.as_json() for outcome in outcomes], "refused": [one.what for one in problems]}
        )
    if problems:
        for one in problems[:-1]:
            report_error(one)
        raise problems[-1]
