"""``edgebench import``: what other tools measured, into the results database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import check_kept, db_option, json_option, print_json, tell, terminate_like_interrupt
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store
    from harness.store.imports import ImportRecord
    from harness.store.records import MachineRecord

EPILOG = """\b
Examples:
  edgebench import bench.json --machine lab-3        llama-bench -o json > bench.json
  edgebench import results/*.json --dry-run          what would be stored
  edgebench import trials.txt --model smollm2-135m   what mlx_lm.benchmark printed
  edgebench import lab.jsonl part.db tables.zip      what `edgebench export` wrote, as it was measured
  edgebench table --session imported-3fa9            the figures, by the tool's own definitions
"""


@click.command("import", epilog=EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    metavar="TOOL",
    help="The tool that wrote the files. Default: told by their content.",
)
@click.option(
    "--machine",
    metavar="NAME",
    help="What measured: a stored machine's name or id, or a new name. Default: what the file tells.",
)
@click.option("--model", metavar="NAME", help="The model, where a file does not tell.")
@click.option("--dry-run", is_flag=True, help="Say what would be stored; open no database.")
@db_option
@json_option
def command(
    files: tuple[Path, ...],
    format_: str | None,
    machine: str | None,
    model: str | None,
    dry_run: bool,
    db: str,
    as_json: bool,
) -> None:
    """Import what other tools measured, one session a file, under the tool's own names and definitions.

    What `edgebench export` wrote is taken in as it was measured.
    """
    from contextlib import nullcontext

    terminate_like_interrupt()
    if not dry_run:
        check_kept(db)
    own = [file for file in files if format_ is None and _is_own(file)]
    merged = _take_in_own(own, (machine, model), db, dry_run=dry_run, quiet=as_json)
    files = tuple(file for file in files if file not in own)
    if not files:
        if as_json:
            print_json({"imports": [], "merged": merged})
        return
    from dataclasses import replace

    from harness.importing.reading import read_file
    from harness.store import Store

    model = _checked("--model", model)
    name = _checked("--machine", machine)
    # The first file is understood before a database is made.
    first = read_file(files[0], format_name=format_, model=model)
    done: list[dict[str, Any]] = []
    with nullcontext(None) if dry_run else Store.open(db) as store:
        if store is not None and store.upgraded:
            tell(store.upgraded)
        found = None if name is None else _machine_of(store, name)
        for file in files:
            record = first if file == files[0] else read_file(file, format_name=format_, model=model)
            if found is not None:
                record = replace(record, machine=found)
            done.append(_stored(store, file, record))
            if not as_json:
                click.echo(_line(done[-1], dry_run))
    if as_json:
        print_json({"imports": done, "merged": merged})


def _is_own(file: Path) -> bool:
    """Whether `edgebench export` wrote it; what cannot be read is told by its reader."""
    from harness.exchange.own_import import is_own_export

    try:
        return is_own_export(file)
    except OSError:
        return False


def _take_in_own(
    files: list[Path], told: tuple[str | None, str | None], db: str, *, dry_run: bool, quiet: bool
) -> list[dict[str, Any]]:
    """Merge our own exports, which tell their machines and models themselves."""
    if files and (dry_run or any(told)):
        raise UsageError(
            f"{files[0]} is an export of edgebench: it says itself what measured, and is only ever taken in whole",
            next_step="leave out --machine, --model and --dry-run for it",
        )
    if not files:
        return []
    from harness.exchange import merging
    from harness.exchange.own_import import import_own
    from harness.store import Store

    merged = []
    with Store.open(db) as store:
        if store.upgraded:
            tell(store.upgraded)
        for file in files:
            outcome = import_own(store, file, progress=tell)
            merged.append({"file": str(file), **outcome.as_json()})
            for line in [] if quiet else merging.told(outcome):
                click.echo(line)
    return merged


def _checked(option: str, name: str | None) -> str | None:
    if name is not None and (not name.strip() or not name.isprintable()):
        raise UsageError(f"{option} {name!r} is no name", next_step="give a word, such as lab-3")
    return None if name is None else name.strip()


def _machine_of(store: Store | None, name: str) -> MachineRecord:
    """The stored machine of that name or id, or a new one of which only the name is known."""
    from harness.importing.records import named_machine

    known = [] if store is None else store.machines_named(name)
    if len(known) > 1:
        raise UsageError(
            f"{len(known)} stored machines are called {name!r}",
            next_step=f"give an id instead: {', '.join(one.id for one in known)}",
        )
    return known[0] if known else named_machine(name)


def _stored(store: Store | None, file: Path, record: ImportRecord) -> dict[str, Any]:
    """What became of one file, ready for JSON."""
    added: bool | None = None
    session = record.session_id
    if store is not None:
        others = [one for one in store.sessions_of_file(record.source.file_sha256) if one[0] != session]
        if others:
            other, machine = others[0]
            what = (
                "under another name of its model or with other files beside it"
                if machine == record.machine.name
                else f"of the machine {machine!r}"
            )
            raise UsageError(
                f"{file} was imported before as {other}, {what}",
                next_step=f"leave it as it is; it is shown by `edgebench table --session {other}`",
            )
        added = store.record_import(record)
    source = record.source
    return {
        "file": str(file),
        "sha256": source.file_sha256,
        "tool": source.tool,
        "tool_version": source.tool_version,
        "format": source.format,
        "session": session,
        "added": added,
        "machine": {"id": record.machine.id, "name": record.machine.name},
        "results": [
            {
                "framework": one.cell.framework,
                "model": one.cell.model,
                "recipe": one.cell.recipe,
                "precision": one.cell.precision,
                "device": one.cell.device,
                "workload": one.cell.workload,
                "metrics": sorted({name for sample in one.run.samples for name in sample.values}),
                "repetitions": len(one.run.samples),
                "statistics": len(one.run.statistics),
                "tasks": len(one.run.evaluation.tasks) if one.run.evaluation else 0,
            }
            for one in record.runs
        ],
    }


def _line(done: dict[str, Any], dry_run: bool) -> str:
    what = "would be" if dry_run else "is" if done["added"] else "was before"
    version = f" {done['tool_version']}" if done["tool_version"] else ""
    count = len(done["results"])
    return (
        f"{done['file']}: {count} result{'s' if count != 1 else ''} of {done['tool']}{version}, {what}"
        f" {done['session']} on {done['machine']['name']}"
    )
