"""``edgebench db datasette``: the database in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from harness.cli.common import db_option, terminate_like_interrupt
from harness.errors import EdgebenchError, UsageError

#: How long Datasette may take to end after it was asked to.
_PATIENCE_S = 10.0

EPILOG = """\b
Examples:
  edgebench db datasette                      on http://127.0.0.1:8001, until Ctrl-C
  edgebench db datasette --open --port 0      on any free port, in the browser
  edgebench db datasette --no-serve           the description alone, for a Datasette of your own
"""


@click.command("datasette", epilog=EPILOG)
@db_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the description goes. Default: beside the database, as NAME.datasette.json.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="Port; 0: any free one."
)
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@click.option("--no-serve", is_flag=True, help="Write the description and do no more.")
def command(db: str, output: Path | None, port: int, open_browser: bool, no_serve: bool) -> None:
    """Describe the database for Datasette, and show it where Datasette is installed: on this machine, for reading."""
    from harness.files import write_atomically
    from harness.store import Store
    from harness.store.datasette import metadata
    from harness.store.engine import is_frozen, locate

    place = locate(db)
    path = place.path
    if path is None:
        raise UsageError(
            f"{place} is not a file: Datasette shows SQLite files only", next_step="name a file with --db"
        )
    Store.open(path, read_only=True).close()  # refuses what is none of ours, or of another schema
    described = output or path.with_name(f"{path.stem}.datasette.json")
    try:
        write_atomically(described, json.dumps(metadata(path.stem), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise EdgebenchError(
            f"{described} cannot be written: {error.strerror or error}",
            next_step="name a place for the description with --output",
        ) from error
    click.echo(f"the description is in {described}")
    if no_serve:
        return
    program = _datasette()
    if program is None:
        click.echo(
            "Datasette is not installed here. Next: pip install 'edgebench[datasette]' and run this again,"
            f" or elsewhere: datasette {path} --metadata {described}"
        )
        return
    words = [*program, "serve", *(["--immutable"] if is_frozen(path) else []), str(path)]
    words += ["--metadata", str(described), "--host", "127.0.0.1", "--port", str(port)]
    # A view over a year of nights takes longer than Datasette's second.
    words += ["--setting", "sql_time_limit_ms", "10000"]
    _serve([*words, *(["--open"] if open_browser else [])])


def _datasette() -> list[str] | None:
    """How to start the Datasette of this environment, else the one on the path; None where there is neither."""
    import importlib.util
    import shutil

    if importlib.util.find_spec("datasette") is not None:
        return [sys.executable, "-m", "datasette"]
    found = shutil.which("datasette")
    return None if found is None else [found]


def _serve(words: list[str]) -> None:
    """Runs Datasette until it ends or is ended: Ctrl-C is how one ends it, and no failure."""
    terminate_like_interrupt()
    sys.stdout.flush()
    # Datasette's own settings from the environment would load other people's plug-ins or files into this server.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATASETTE_")}
    process = subprocess.Popen(words, env=environment)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        # A terminal's Ctrl-C reached it too; a SIGTERM to us alone did not.
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return
    if status != 0:
        raise EdgebenchError(
            f"Datasette ended with status {status}",
            next_step="see its words above; where the port is taken, name another one with --port",
        )
