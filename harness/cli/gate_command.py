"""``edgebench gate``: base and head in interleaved pairs, and a verdict."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import (
    check_cache,
    complete_suites,
    db_option,
    models_option,
    parse_options,
    terminal_width,
    terminate_like_interrupt,
)
from harness.errors import EdgebenchError, UsageError

if TYPE_CHECKING:
    from harness.gate.metrics import GateMetric

EPILOG = """\b
Examples:
  edgebench gate quickstart -k llamacpp --head ./dist/llama_cpp_python-0.3.37-py3-none-any.whl
  edgebench gate quickstart --base "openvino==2026.4.0" --head "openvino==2026.5.0"
  edgebench gate quickstart --base recipe=Q4_K_M --head recipe=IQ4_XS
  edgebench gate nightly.yaml --base git=main --head git=HEAD --write markdown=comment.md --write junit=gate.xml
  edgebench gate quickstart --same                    base against itself: what this machine can see

\b
Exit status 0: pass; 1: a confirmed regression, a broken or a missing cell; 2: wrong words or files; 3: inconclusive.
"""


@click.command("gate", epilog=EPILOG)
@click.argument("suite", shell_complete=complete_suites)
@click.option(
    "--base",
    multiple=True,
    metavar="WHAT",
    help="NAME==VERSION, ./FILE.whl, git=REVISION[:FOLDER], recipe=NAME or option=FRAMEWORK.NAME=VALUE; "
    "several make one side. Default: as pinned.",
)
@click.option("--head", multiple=True, metavar="WHAT", help="The same for the side that is judged.")
@click.option("--same", is_flag=True, help="Judge base against itself.")
@click.option(
    "-k", "expression", default="", metavar="EXPR", help="Only cells whose names match, as in pytest."
)
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="METRIC=PERCENT",
    help="Another practical margin: decode_tps=5, peak_rss_bytes=1.",
)
@click.option(
    "--max-pairs",
    type=click.IntRange(8, 1000),
    default=30,
    show_default=True,
    help="Pairs of one cell at most, confirmation included.",
)
@click.option("--with-suspect", is_flag=True, help="Count pairs that something could have spoiled too.")
@click.option("--allow-missing", is_flag=True, help="Cells that head cannot measure fail nothing.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="FRAMEWORK.NAME=VALUE",
    help="A framework's own setting, on both sides.",
)
@models_option
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of prompts and order, instead of the suite's."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "markdown", "github", "gitlab", "junit", "json"]),
    default="table",
    show_default=True,
    help="What is printed.",
)
@click.option(
    "--write",
    "files",
    multiple=True,
    metavar="FORMAT=FILE",
    help="Write a format to a file too; may be given several times.",
)
@db_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    suite: str,
    base: tuple[str, ...],
    head: tuple[str, ...],
    same: bool,
    expression: str,
    margins: tuple[str, ...],
    max_pairs: int,
    with_suspect: bool,
    allow_missing: bool,
    options: tuple[str, ...],
    model_files: tuple[Path, ...],
    seed: int | None,
    format_: str,
    files: tuple[str, ...],
    db: str,
    quiet: bool,
) -> int:
    """Measure base and head of SUITE in interleaved pairs on this machine, and judge what changed.

    Speed, memory, energy and accuracy in one verdict; nothing fails before it is confirmed on fresh pairs.
    """
    from harness.gate.gate import GateRequest, run_gate
    from harness.gate.render import FORMATS, terminal
    from harness.paths import cache_dir
    from harness.runner import front
    from harness.runner.progress import progress_for
    from harness.store import Store

    outputs = _outputs(files, FORMATS)
    request = GateRequest(
        front.Request(
            suite=suite,
            expression=expression,
            options=parse_options(options) or None,
            model_files=model_files,
            seed=seed,
        ),
        base,
        head,
        same=same,
        metrics=_metrics(margins),
        max_pairs=max_pairs,
        with_suspect=with_suspect,
        allow_missing=allow_missing,
    )
    terminate_like_interrupt()
    check_cache()
    with Store.open(db) as store:
        if store.upgraded:
            click.echo(store.upgraded, err=True)
        progress = progress_for(quiet=quiet)
        try:
            document = run_gate(request, store, cache_dir(), progress)
        except KeyboardInterrupt:
            click.echo(
                "interrupted: no verdict; every finished run is stored in the two sessions of this gate",
                err=True,
            )
            return 130
    for name, path in outputs:
        _write(path, FORMATS[name](document))
    if format_ == "table":
        click.echo(terminal(document, terminal_width()), nl=False)
    else:
        click.echo(FORMATS[format_](document), nl=False)
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if step_summary:
        with Path(step_summary).open("a", encoding="utf-8") as file:
            file.write(FORMATS["markdown"](document))
        if format_ != "github":
            click.echo(FORMATS["github"](document), nl=False, err=format_ != "table")
    return int(document["exit_status"])


def _metrics(margins: tuple[str, ...]) -> dict[str, GateMetric]:
    """The judged metrics, with the margins that were given."""
    from dataclasses import replace

    from harness.gate.metrics import DEFAULTS

    found = dict(DEFAULTS)
    for text in margins:
        name, _, value = text.partition("=")
        try:
            percent = float(value.rstrip("% "))
        except ValueError:
            percent = -1.0
        if name not in found or not 0 < percent < 100:
            raise UsageError(
                f"--margin {text!r}: not a metric and a percentage",
                next_step=f"write NAME=PERCENT; the metrics are {', '.join(found)}",
            )
        share = percent / 100
        # What should be seen grows along: a wanted change within the margin could never fail.
        wanted = max(found[name].wanted, share * found[name].wanted / found[name].margin)
        found[name] = replace(found[name], margin=share, wanted=wanted)
    return found


def _outputs(files: tuple[str, ...], formats: Collection[str]) -> list[tuple[str, Path]]:
    found = []
    for text in files:
        name, _, path = text.partition("=")
        if name not in formats or not path:
            raise UsageError(
                f"--write {text!r}: not a format and a file",
                next_step="write for instance --write markdown=comment.md --write junit=gate.xml",
            )
        found.append((name, Path(path)))
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgebenchError(
            f"{path} cannot be written: {error.strerror}", next_step="name another file with --write"
        ) from error
