"""Options and small helpers that several commands share."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from harness.errors import EdgebenchError, UsageError
from harness.paths import default_database
from harness.safe_text import json_text, printable, without_passwords

F = TypeVar("F", bound=Callable[..., Any])


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own completion of files."""
    del ctx, param
    return [CompletionItem(incomplete, type="file")]


def complete_suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shipped suites, and files."""
    from harness.paths import data_dir

    names = sorted(path.stem for path in data_dir("suites").glob("*.yaml") if path.stem != "models")
    shipped = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return shipped or complete_files(ctx, param, incomplete)


def db_option(function: F) -> F:
    """``--db``."""
    return database_option("--db", "Results database: a file, or an SQLAlchemy URL.")(function)


def database_option(name: str, what: str) -> Callable[[F], F]:
    """The option that names the results database, by this name and with this help."""
    return click.option(
        name,
        metavar="PATH|URL",
        envvar="EDGEBENCH_DB",
        default=str(default_database()),
        show_default=True,
        help=what,
        shell_complete=complete_files,
    )


def json_option(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")(function)


def format_option(*formats: str) -> Callable[[F], F]:
    """``--format``, by default a table for a terminal, and ``--json``, of a command that prints a table.

    Args:
        formats: of `harness.table.FORMATS`, those that the command has.
    """
    programs = [one for one in ("json", "csv") if one in formats]
    people = [one for one in formats if one not in programs]

    def decorate(function: F) -> F:
        function = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")(
            function
        )
        return click.option(
            "--format",
            "format_",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help=f"For people: {', '.join(people)}. For programs: {', '.join(programs)}.",
        )(function)

    return decorate


def output_option(function: F) -> F:
    """``--output``, for `write_output`."""
    return click.option(
        "-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write to this file."
    )(function)


def models_option(function: F) -> F:
    """``--models``."""
    return click.option(
        "--models",
        "model_files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A model list of your own, beside the shipped one. May be given several times.",
    )(function)


def print_json(value: Any) -> None:
    """One JSON document on standard output; numbers that JSON does not have are their names as text."""
    click.echo(json_text(value))


def tell(text: str) -> None:
    """A line on standard error. What a database, a file or a library said in it is shown, not obeyed."""
    click.echo(printable(without_passwords(text)), err=True)


def tell_interrupted(again: str, db: str) -> None:
    """How to go on after Ctrl-C: the command again, with the database where it is not the usual one."""
    if db != str(default_database()):
        # An address may hold a password.
        again += f" --db {shlex.quote(db)}" if "://" not in db else " and the same --db"
    tell(f"interrupted; every finished run is stored. Go on with: {again}")


def write_output(text: str, output: str | None) -> None:
    """To standard output, or to the file of ``--output``.

    Raises:
        EdgebenchError: the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgebenchError(
            f"{output} cannot be written: {error.strerror}", next_step="name another file with --output"
        ) from error


def check_kept(db: str) -> None:
    """Refuse to take results into a database in memory, which is gone at the end of the command.

    Raises:
        UsageError: the address is of one.
    """
    from harness.store.engine import locate

    place = locate(db)
    if place.is_sqlite and place.path is None:
        raise UsageError(
            f"{db} is a database in memory: what is taken into it is gone at the end",
            next_step="name a file, such as lab.db",
        )


def parse_options(words: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """``--option openvino.INFERENCE_PRECISION_HINT=f32`` as framework -> option -> value."""
    from harness.suite.options import options_of

    try:
        return options_of(words)
    except ValueError as error:
        raise UsageError(
            f"--option {str(error)!r} is not FRAMEWORK.NAME=VALUE",
            next_step="write for instance --option openvino.INFERENCE_PRECISION_HINT=f32",
        ) from error


def terminal_width() -> int:
    """Columns of standard output; wide where it is not a terminal, so that nothing is cut in logs."""
    if sys.stdout is None or not sys.stdout.isatty():
        return 160
    import shutil

    return shutil.get_terminal_size((120, 40)).columns


def check_cache() -> None:
    """Refuse a cache that cannot be written, before a session is begun."""
    from harness.paths import cache_dir

    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise EdgebenchError(
            f"the cache folder {folder} cannot be written",
            next_step="make it a writable folder, or name another one with EDGEBENCH_CACHE_DIR",
        )


def terminate_like_interrupt() -> None:
    """A polite end (a service manager's SIGTERM, a closed terminal) is an interruption: workers end, the rest stays."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Ignored by whoever started us (nohup): then it stays so.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
