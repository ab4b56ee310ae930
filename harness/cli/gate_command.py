"""``edgebench gate``: base and head in interleaved pairs, a preset or a stored baseline, and a verdict."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.cli.common import (
    check_cache,
    complete_suites,
    db_option,
    models_option,
    parse_options,
    tell,
    terminal_width,
    terminate_like_interrupt,
)
from harness.cli.gate_alone import Task, Words, baseline_task, preset_task
from harness.cli.run_command import RunsType
from harness.errors import EdgebenchError, UsageError

if TYPE_CHECKING:
    from harness.gate.metrics import GateMetric
    from harness.runner.front import Request
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench gate quickstart -k llamacpp --head ./dist/llama_cpp_python-0.3.37-py3-none-any.whl
  edgebench gate quickstart --base "openvino==2026.3.1" --head "openvino==2026.4.1"
  edgebench gate quickstart --base recipe=Q4_K_M --head recipe=IQ4_XS
  edgebench gate quickstart -k llamacpp --base artifact=./old.gguf --head artifact=./new.gguf
  edgebench gate nightly.yaml --base git=main --head git=HEAD --write markdown=comment.md --write junit=gate.xml
  edgebench gate quickstart --same                    base against itself: what this machine can see
  edgebench gate --preset edge-ready quickstart -k int4       is it fit for deployment?
  edgebench gate --preset edge-ready --session 20261123T06    the same of what is stored
  edgebench gate nightly.yaml --baseline "openvino==2026.4.0" against stored runs, where base cannot run again
  edgebench gate quickstart --head ./dist/x.whl --write json=gate.json --site-url https://lab.example.org/gates/42

\b
Exit status 0: pass; 1: a confirmed regression, a broken or missing cell, a rule that fails; 2: wrong words or files,
or no verdict because something else failed; 3: inconclusive.
"""


@click.command("gate", epilog=EPILOG)
@click.argument("suite", metavar="[SUITE]", required=False, shell_complete=complete_suites)
@click.option(
    "--base",
    multiple=True,
    metavar="WHAT",
    help="A pip requirement (a range means its newest release), ./FILE.whl, git=REVISION[:FOLDER], recipe=NAME, "
    "artifact=FILE|FOLDER|ID or option=FRAMEWORK.NAME=VALUE; "
    "several make one side. Default: as pinned.",
)
@click.option("--head", multiple=True, metavar="WHAT", help="The same for the side that is judged.")
@click.option("--same", is_flag=True, help="Judge base against itself.")
@click.option(
    "--preset", metavar="NAME", help="Judge configurations by the rules of a preset: edge-ready, steady."
)
@click.option(
    "--presets", type=click.Path(path_type=Path), metavar="FILE", help="A presets file of your own."
)
@click.option(
    "--session", metavar="ID", help="With --preset: judge this stored session; nothing is measured."
)
@click.option(
    "--baseline",
    metavar="ID|CONDITION",
    help="Judge head against a stored session, or the sessions of a version: 'llamacpp==0.3.35'.",
)
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
    help="Pairs of one cell at most, confirmation included. Fewer than 11 confirm nothing: no regression can be told.",
)
@click.option("--runs", type=RunsType(), help="With --preset or --baseline: processes per cell.")
@click.option("--with-suspect", is_flag=True, help="Count runs that something could have spoiled too.")
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
@click.option(
    "--site-url",
    metavar="URL",
    envvar="EDGEBENCH_SITE_URL",
    help="Where the site of `edgebench report --gate` will be: every output links to the samples there. "
    "Also EDGEBENCH_SITE_URL.",
)
@db_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    suite: str | None,
    base: tuple[str, ...],
    head: tuple[str, ...],
    same: bool,
    preset: str | None,
    presets: Path | None,
    session: str | None,
    baseline: str | None,
    expression: str,
    margins: tuple[str, ...],
    max_pairs: int,
    runs: int | Literal["auto"] | None,
    with_suspect: bool,
    allow_missing: bool,
    options: tuple[str, ...],
    model_files: tuple[Path, ...],
    seed: int | None,
    format_: str,
    files: tuple[str, ...],
    site_url: str | None,
    db: str,
    quiet: bool,
) -> int:
    """Measure base and head of SUITE in interleaved pairs on this machine, and judge what changed.

    Speed, memory, energy and accuracy in one verdict; nothing fails before it is confirmed on fresh pairs. With
    --preset it judges configurations for deployment, with --baseline head alone against what is stored.
    """
    from harness.gate.links import site_address
    from harness.gate.render import FORMATS
    from harness.paths import cache_dir
    from harness.runner import front
    from harness.runner.progress import progress_for
    from harness.store import Store

    outputs = _outputs(files, FORMATS)
    address = None if site_url is None else site_address(site_url)
    measuring = bool(options or model_files or seed is not None or runs is not None)
    words = Words(
        suite, base, head, same, preset, presets, session, baseline, runs, margins, with_suspect, allow_missing,
        measuring,
    )  # fmt: skip
    words.check()
    request = front.Request(
        suite=suite or "",
        expression=expression,
        options=parse_options(options) or None,
        model_files=model_files,
        runs=runs,
        seed=seed,
    )
    task = _task(words, request, _metrics(margins), max_pairs)
    with no_verdict():
        if session is not None:
            with Store.open(db, read_only=True) as store:
                document = _complete(task(store, cache_dir(), progress_for(quiet=True)), store, address)
            return _tell(document, outputs, format_)
        terminate_like_interrupt()
        check_cache()
        with Store.open(db) as store:
            if store.upgraded:
                tell(store.upgraded)
            progress = progress_for(quiet=quiet)
            try:
                document = _complete(task(store, cache_dir(), progress), store, address)
            except KeyboardInterrupt:
                tell(
                    "interrupted: no verdict; every finished run is stored in this gate's session or sessions"
                )
                return 130
        return _tell(document, outputs, format_)


def _complete(document: dict[str, Any], store: Store, address: str | None) -> dict[str, Any]:
    """With the suite's file as a service finds it in the checkout, and links to the site at the address.

    The file is None where it lies elsewhere, or edgebench brings it.
    """
    from harness.gate.links import with_links

    stored = store.session_state(document["sides"]["head"]["session"])["settings"].get("suite_path")
    here = Path.cwd().resolve()
    inside = stored is not None and Path(stored).is_relative_to(here)
    made = {**document, "suite_file": Path(stored).relative_to(here).as_posix() if inside else None}
    return made if address is None else with_links(made, store, address)


@contextlib.contextmanager
def no_verdict() -> Iterator[None]:
    """Whatever fails here says nothing of head: its exit status is never that of a regression."""
    try:
        yield
    except EdgebenchError as error:
        error.status = UsageError.status
        raise
    except BrokenPipeError:
        raise  # nobody reads on: the outermost frame's matter
    except OSError as error:
        failure = EdgebenchError(
            f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else ""),
            next_step="free what is full, or choose another place with --db and EDGEBENCH_CACHE_DIR; what was measured "
            "before is stored",
        )
        failure.status = UsageError.status
        raise failure from error


def _task(words: Words, run: Request, metrics: dict[str, GateMetric], max_pairs: int) -> Task:
    """What the words ask for."""
    if words.preset is not None:
        return preset_task(words, run)
    if words.baseline is not None:
        return baseline_task(words, run, metrics, max_pairs)
    from harness.gate.gate import GateRequest, run_gate

    request = GateRequest(
        run,
        words.base,
        words.head,
        same=words.same,
        metrics=metrics,
        max_pairs=max_pairs,
        with_suspect=words.with_suspect,
        allow_missing=words.allow_missing,
    )
    return lambda store, cache, progress: run_gate(request, store, cache, progress)


def _tell(document: dict[str, Any], outputs: list[tuple[str, Path]], format_: str) -> int:
    """Print and write the document; gives the exit status."""
    from harness.gate.render import FORMATS, terminal

    if format_ == "table":
        click.echo(terminal(document, terminal_width()), nl=False)
    else:
        click.echo(FORMATS[format_](document), nl=False)
    for name, path in outputs:
        _write(path, FORMATS[name](document))
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
        if found[name].higher_is_better:
            # Nothing can be slower than by all of it: beyond a wide margin half of what is left.
            wanted = min(wanted, (1 + share) / 2)
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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgebenchError(
            f"{path} cannot be written: {error.strerror}", next_step="name another file with --write"
        ) from error
