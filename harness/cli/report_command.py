"""``edgebench report``: the published site."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import db_option, json_option, print_json, tell
from harness.errors import EdgebenchError, UsageError

if TYPE_CHECKING:
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench report                                       the newest session of each machine, beside the database
  edgebench report --db lab.db --out public              into this folder
  edgebench report --session 20261123T06 --open          about one session, and show it
  edgebench report --gate gate.json --out public         what a gate judged, as `gate --write json=gate.json` tells
  edgebench report --session 20261123T06 --publish reports/x86 --keep-results
  edgebench report --publish reports/x86                 again, from the results that were kept there
  edgebench report --title "Night of the lab" --all-sessions
"""


@click.command("report", epilog=EPILOG)
@click.option(
    "--session", "sessions", metavar="ID", multiple=True,
    help="About this session; may be repeated. Default: the newest measured one of each machine.",
)  # fmt: skip
@click.option(
    "--gate",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="About the sessions of a gate: the file of `edgebench gate --write json=FILE`. Its links lead into this site.",
)
@click.option(
    "--all-sessions", is_flag=True, help="Pages for every other session too, not only a line in the list."
)
@click.option(
    "--title", metavar="TEXT", default="edgebench report", show_default=True, help="Title of the site."
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write; an earlier site in it is replaced. Default: reports/site beside the database's file.",
)
@click.option(
    "--publish",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Instead of the site a folder for a repository: README.md with tables and text.md, and plots as SVG.",
)
@click.option(
    "--keep-results", is_flag=True,
    help="With --publish: results.zip beside the report, from which --publish makes it again when no --db is given.",
)  # fmt: skip
@click.option("--open", "open_", is_flag=True, help="Show it in the browser.")
@db_option
@json_option
def command(
    sessions: tuple[str, ...],
    gate: Path | None,
    all_sessions: bool,
    title: str,
    out: Path | None,
    publish: Path | None,
    keep_results: bool,
    open_: bool,
    db: str,
    as_json: bool,
) -> None:
    """Write a static site from the database: tables, samples, holes, failures, versions, method.

    It needs no network and no server: open its index.html from the folder, or publish the folder as it is. The same
    database gives the same bytes.
    """
    from harness.site.build import build_site
    from harness.store import Store

    judged, compared = ((), ()) if gate is None else _of_gate(gate)
    sessions += judged
    if publish is not None:
        if out is not None or all_sessions or open_:
            raise UsageError(
                "--publish writes Markdown and pictures, no site",
                next_step="leave --out, --all-sessions and --open out beside it",
            )
        _publish(publish, sessions, title, db, keep_results, as_json)
        return
    if keep_results:
        raise UsageError("--keep-results is for --publish", next_step="name a folder with --publish")
    with Store.open(db, read_only=True) as store, store.computing():
        file = store.place.path
        folder = out or (file.parent if file is not None else Path("results")) / "reports" / "site"
        try:
            built = build_site(
                store,
                folder,
                _chosen(store, sessions),
                title=title,
                also=_chosen(store, compared) if compared else (),
                all_sessions=all_sessions,
                progress=_tell,
            )
        except OSError as error:
            raise EdgebenchError(
                f"{folder} cannot be written: {error.strerror or error}",
                next_step="name another folder with --out",
            ) from error
    if as_json:
        name, size = built.largest
        print_json(
            {"path": str(built.path), "pages": built.pages, "bytes": built.bytes,
             "largest": {"page": name, "bytes": size}}
        )  # fmt: skip
    else:
        click.echo(str(built.path))
    if open_:
        click.launch(built.path.resolve().as_uri())


def _of_gate(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sessions that a gate judged, and those that it compared with besides."""
    from harness.gate.links import sessions_of

    try:
        judged, compared = sessions_of(json.loads(file.read_bytes()))
    except OSError as error:
        raise UsageError(
            f"--gate {file} cannot be read: {error.strerror or error}",
            next_step="name the file that `edgebench gate --write json=FILE` wrote",
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--gate {file} is no gate: {error}",
            next_step="name the file that `edgebench gate --write json=FILE` wrote",
        ) from error
    return tuple(judged), tuple(compared)


def _publish(folder: Path, sessions: tuple[str, ...], title: str, db: str, keep: bool, as_json: bool) -> None:
    from click.core import ParameterSource

    from harness.kept_results import RESULTS, keep_results, kept_results
    from harness.publish import publish
    from harness.store import Store

    told = click.get_current_context().get_parameter_source("db") is not ParameterSource.DEFAULT
    from_kept = not told and not keep and (folder / RESULTS).is_file()
    if from_kept:
        tell(f"from {folder / RESULTS}; name a database with --db to make it from another")
        with kept_results(folder) as (store, kept), store.computing():
            chosen = kept if not sessions else _chosen(store, sessions)
            written = publish(store, chosen, folder, title=title)
    else:
        with Store.open(db, read_only=True) as store, store.computing():
            chosen = _chosen(store, sessions)
            written = publish(store, chosen, folder, title=title)
    if keep:
        keep_results(db, chosen, folder)
    if as_json:
        print_json({"path": str(written.path), "files": list(written.files), "text": written.text})
    else:
        click.echo(str(written.path))
    if not written.text:
        tell(
            f"no {folder / 'text.md'}: what stands there comes first, reports/text.template.md has its headings"
        )


def _chosen(store: Store, prefixes: tuple[str, ...]) -> list[str]:
    from harness.cli.lookup import session_id_of
    from harness.report import newest_of_machines

    if prefixes:
        return list(dict.fromkeys(session_id_of(store, prefix) for prefix in prefixes))
    return newest_of_machines(store) or [session_id_of(store, None)]


def _tell(what: str, done: int, of: int) -> None:
    """A line on a terminal for each session; in a log one for each kind of page."""
    if done == 0 or (sys.stderr is not None and sys.stderr.isatty()):
        tell(f"writing {what}" + (f" ({done + 1} of {of})" if of > 1 else ""))
