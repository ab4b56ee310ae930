"""The command line: one file per command, imported only when that command is called.

Owns the group, the global options and how errors end the program. Imports nothing heavy, so that
``edgebench --help`` answers at once; the one-line helps stand here for the same reason.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from harness import __version__
from harness.errors import EdgebenchError, UsageError
from harness.safe_text import printable, printable_styled, without_passwords

#: command -> what it does, in the order of a newcomer's day.
COMMANDS: dict[str, str] = {
    "run": "Measure a suite: every framework x precision x device in it.",
    "table": "Print the comparison table of a session.",
    "compare": "Compare two sessions, machines, versions, frameworks or precisions over common cells.",
    "recommend": "Recommend a configuration: within limits, by preference, with its evidence.",
    "report": "Write a static site from the database: tables, samples, holes, failures, method.",
    "plot": "Draw stored figures: quality, roofline, memory, latency, energy of a session.",
    "gate": "Measure base and head in interleaved pairs, and judge what changed.",
    "nightly": "Measure a suite unattended within a time budget, and report in the morning what moved.",
    "history": "Find the change points of a series.",
    "alerts": "List the changes that were raised; acknowledge and resolve them.",
    "show": "Show a session, cell, run or artifact, down to its samples.",
    "list": "List suites, frameworks, models, recipes, precisions, devices or metrics.",
    "doctor": "Say what this machine has, and what would bring what it lacks.",
    "env": "List, make, verify and remove the frameworks' environments.",
    "model": "List, fetch and verify models; list and remove artifacts.",
    "import": "Import what other tools measured, under their own names and definitions.",
    "db": "Look after the results database.",
    "export": "Write the results, or a part of them, as Parquet, CSV, JSON lines or SQLite.",
    "completion": "Print the shell completion script.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"harness.cli.{cmd_name}_command").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """\b
Examples:
  edgebench run quickstart            measure nine cells in some minutes
  edgebench run full --dry-run        see what this machine could run
  edgebench table --format markdown   the newest session's table
  edgebench doctor                    what this machine has, and lacks
"""


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="edgebench")
@click.option("--traceback", is_flag=True, help="Show the stack trace of an error.")
@click.pass_context
def group(ctx: click.Context, traceback: bool) -> None:
    """Measure language models on devices: memory, tokens per second, energy and accuracy.

    Every framework x precision x device runs through one common runner; every sample is kept in a database.
    """
    ctx.obj = {"traceback": traceback}


class SafeOutput:
    """Standard output that passes no control character on: what a database or a file says is shown, not obeyed.

    The one place where that is done for whatever a command prints. Colours of a terminal are our own and stay.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        # Click writes round a stream to a Windows console where it finds the bytes below it.
        self.buffer = None
        colours = bool(os.environ.get("FORCE_COLOR")) or bool(stream.isatty())
        self._plain = printable_styled if colours else printable

    def write(self, text: str) -> int:
        """Write the text; control characters are shown by their numbers."""
        self._stream.write(self._plain(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def report_error(error: EdgebenchError) -> None:
    """Two lines on standard error: what happened and what to do next."""
    what, next_step = (printable(without_passwords(text)) for text in (error.what, error.next_step))
    click.echo(f"{click.style('error:', fg='red', bold=True)} {what}", err=True)
    click.echo(f" {click.style('next:', bold=True)} {next_step}", err=True)


def _show(error: click.ClickException) -> None:
    """What click says of wrong words, which it repeats: an address among them has a password."""
    said = io.StringIO()
    error.show(said)
    click.echo(printable(without_passwords(said.getvalue())), err=True, nl=False)


def _print_traceback() -> None:
    click.echo(printable(without_passwords(traceback.format_exc())), err=True, nl=False)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Status 0: done. 1: something failed. 2: wrong words, files or settings. 130: interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign gets a question mark instead of an error after hours of measuring.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Accepted anywhere, because one adds it after having seen an error.
    wants_traceback = "--traceback" in arguments
    arguments = [word for word in arguments if word != "--traceback"]
    safe = (
        contextlib.nullcontext() if sys.stdout is None else contextlib.redirect_stdout(SafeOutput(sys.stdout))
    )
    with safe:
        status = _invoke(arguments, wants_traceback)
    sys.exit(status)


def _invoke(arguments: list[str], wants_traceback: bool) -> int:
    try:
        _check_text(arguments)
        result: Any = group.main(args=arguments, prog_name="edgebench", standalone_mode=False)
    except EdgebenchError as error:
        if wants_traceback:
            _print_traceback()
        report_error(error)
        return error.status
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`edgebench table | head`); nothing is left to say to it.
        sys.stderr.close()
        return 0
    except OSError as error:
        if wants_traceback:
            _print_traceback()
        report_error(_from_os_error(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the outermost frame: a defect must not show as a stack trace
        if wants_traceback:
            _print_traceback()
        report_error(
            EdgebenchError(
                f"a defect in edgebench: {type(error).__name__}: {error}",
                next_step="run the same command with --traceback and report what it prints",
            )
        )
        return 70
    return result if isinstance(result, int) else 0


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse words that cannot be stored: bytes that are no text in this system's encoding."""
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{word!r} is not UTF-8 text", next_step="rename the file, or correct the word"
            ) from None


def _from_os_error(error: OSError) -> EdgebenchError:
    import errno

    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgebenchError(
            f"the disk is full{where}; what was measured before stays in the database",
            next_step="free some space (see `edgebench env list`), then `edgebench run ... --resume`",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EdgebenchError(
            f"no permission to write or read{where}: {error.strerror}",
            next_step="choose another place: --db for the database, EDGEBENCH_CACHE_DIR for the cache",
        )
    return EdgebenchError(
        f"{error.strerror or error}{where}",
        next_step="run the same command with --traceback for where it happened",
    )
