"""``edgebench export``: the database, or a part of it, for other programs and other places."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from harness.cli.common import db_option, json_option, print_json, tell, terminate_like_interrupt

EPILOG = """\b
Examples:
  edgebench export night.db --session 20261123T06       one session with all that it refers to
  edgebench export all.jsonl                            everything, exactly, in one file
  edgebench export tables --format parquet              a folder with one file per table
  edgebench export tables.zip --format csv --suite quickstart --since 2026-11-01
  edgebench export openvino.db --where "framework=openvino,precision=int4|int8"
"""


@click.command("export", epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "jsonl", "sqlite"]),
    help="Default: by the ending of OUT: .jsonl, .db, .sqlite.",
)
@click.option(
    "--session",
    "sessions",
    metavar="ID",
    multiple=True,
    help="A session, by the beginning of its id; several times.",
)
@click.option("--suite", metavar="NAME", help="Sessions of this suite.")
@click.option(
    "--since",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Sessions that began then or later (UTC).",
)
@click.option(
    "--where", metavar="CONDITIONS", help="Only cells for which these hold: framework=mlx,precision=int4|int8"
)
@db_option
@json_option
def command(
    out: Path,
    format_: str | None,
    sessions: tuple[str, ...],
    suite: str | None,
    since: datetime | None,
    where: str | None,
    db: str,
    as_json: bool,
) -> None:
    """Write the results database, or a part of it, to OUT, which must not exist.

    jsonl is exact and one file. sqlite is a database of its own. csv and parquet are a folder, or a .zip file, with a
    file per table and two wide ones for people, runs and samples. A part brings along all that it refers to.
    """
    from harness.cli.lookup import session_id_of
    from harness.exchange import export
    from harness.exchange.choosing import Wish
    from harness.exchange.source import opened

    terminate_like_interrupt()
    form = export.format_of(out, format_)
    with opened(db) as source:
        wish = Wish(
            sessions=[session_id_of(source.store, one) for one in sessions],
            suite=suite,
            since=None if since is None else since.replace(tzinfo=UTC),
            where=where,
        )
        counts = export.export(source, out, form, wish, progress=tell)
    if as_json:
        print_json({"out": str(out), "format": form, "rows": counts})
        return
    rows = sum(counts.values())
    click.echo(f"{out}: {counts['session']:,} sessions, {counts['run']:,} runs, {rows:,} rows as {form}")
