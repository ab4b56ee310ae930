"""``edgebench recommend``: which configuration to ship."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.common import db_option, format_option, output_option, terminal_width, write_output
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store
    from harness.table import Row

EPILOG = """\b
Examples:
  edgebench recommend --max-memory 2GB --min-decode-tps 20 --max-kld 0.05
  edgebench recommend --max-memory 500MB --prefer accuracy,speed
  edgebench recommend --weights speed=1,memory=1,accuracy=5 --device cpu
  edgebench recommend --platform apple --max-joules-per-token 0.5 --weights speed=1,energy=2
  edgebench recommend --matrix                  platform x need, from the newest session of each machine
"""


@click.command("recommend", epilog=EPILOG)
@click.option("--max-memory", metavar="SIZE", help="Most peak memory: 2GB, 500MiB.")
@click.option(
    "--min-decode-tps", type=click.FloatRange(min=0, min_open=True), help="Least tokens per second."
)
@click.option(
    "--min-prefill-tps", type=click.FloatRange(min=0, min_open=True), help="Least prompt tokens per second."
)
@click.option(
    "--max-kld", type=click.FloatRange(min=0), help="Most divergence from the quality reference, in nats."
)
@click.option(
    "--max-joules-per-token",
    type=click.FloatRange(min=0, min_open=True),
    help="Most energy per generated token.",
)
@click.option("--prefer", metavar="ORDER", help="What counts first. Default: speed,accuracy,memory,energy.")
@click.option(
    "--weights", metavar="WEIGHTS", help="Weights instead of an order: speed=1,memory=1,accuracy=5."
)
@click.option("--device", metavar="NAME", help="Only this device: cpu, gpu:0.vulkan ...")
@click.option("--model", metavar="NAME", help="Only this model.")
@click.option(
    "--platform",
    type=click.Choice(["apple", "intel", "qualcomm", "cross-platform"]),
    help="Only what was measured on such machines; cross-platform: frameworks that run on all of them.",
)
@click.option(
    "--where", metavar="CONDITIONS", help="Only rows for which these hold, as of `edgebench table`."
)
@click.option(
    "--session", "sessions", metavar="ID", multiple=True,
    help="Among the rows of this session; may be repeated. Default: the newest measured one of each machine.",
)  # fmt: skip
@click.option("--with-suspect", is_flag=True, help="Rows of which all runs are suspect may be chosen too.")
@click.option("--matrix", is_flag=True, help="Print the framework selection matrix instead: platform x need.")
@format_option("table", "markdown", "html", "latex", "json")
@output_option
@db_option
def command(
    max_memory: str | None,
    min_decode_tps: float | None,
    min_prefill_tps: float | None,
    max_kld: float | None,
    max_joules_per_token: float | None,
    prefer: str | None,
    weights: str | None,
    device: str | None,
    model: str | None,
    platform: str | None,
    where: str | None,
    sessions: tuple[str, ...],
    with_suspect: bool,
    matrix: bool,
    format_: str,
    as_json: bool,
    output: str | None,
    db: str,
) -> None:
    """Recommend a configuration from what was measured: within limits, by preference, with its evidence.

    Exit status 3: nothing measured keeps the limits.
    """
    from harness.recommend import Limits, recommend
    from harness.recommend.matrix import of_platform, selection_matrix
    from harness.recommend.showing import json_of, matrix_json, matrix_view, view_of
    from harness.recommend.wishes import preference
    from harness.store import Store
    from harness.table.render import render_view
    from harness.table.where import parse_where

    limits = Limits(_size(max_memory), min_decode_tps, min_prefill_tps, max_kld, max_joules_per_token)
    wish = preference(prefer, weights)
    meets = parse_where(where or "")
    name = "json" if as_json else format_
    color = output is None and sys.stdout is not None and sys.stdout.isatty()
    if matrix and (platform, prefer, weights) != (None, None, None):
        raise UsageError(
            "--matrix shows every platform by every need",
            next_step="leave --platform, --prefer and --weights out beside it",
        )
    with Store.open(db, read_only=True) as store, store.computing():
        rows = _rows(store, sessions, with_suspect=with_suspect)
        about = {machine: store.describe("machine", machine) for machine in {row["machine"] for row in rows}}
    processors = {machine: each["cpu_model"] for machine, each in about.items()}
    kept = [row for row in rows if meets(row.values)]
    if rows and not kept:
        raise UsageError(f"no row is {where}", next_step="`edgebench table` shows what there is")
    rows = _named(_named(kept, "model", model), "device", device)
    # Nobody ships a synthetic model: it is no other model to choose beside.
    models = sorted({str(row["model"]) for row in rows if not row["synthetic"]})
    if len(models) > 1:
        raise UsageError(
            f"the rows are of several models: {', '.join(models)}",
            next_step="choose one with --model: a divergence compares within one model only",
        )
    if matrix:
        cells = selection_matrix(rows, processors, limits, with_suspect=with_suspect)
        view = matrix_view(cells, sorted({str(row["workload"]) for row in rows if row["runs"]}))
        document, status = matrix_json(cells), 0
    else:
        if platform is not None:
            rows = of_platform(rows, processors, platform)
        nowhere = None if rows else platform
        found = recommend(rows, limits, wish, with_suspect=with_suspect)
        names = {machine: each["name"] for machine, each in about.items()}
        view = view_of(found, machines=names, nowhere=nowhere)
        document, status = json_of(found, nowhere=nowhere), 3 if found.choice is None else 0
    text = f"{document}\n" if name == "json" else render_view(view, name, terminal_width(), color)
    write_output(text, output)
    sys.exit(status)


def _size(text: str | None) -> int | None:
    from harness.model.quantities import size_bytes

    if text is None:
        return None
    try:
        return size_bytes(text)
    except ValueError as error:
        raise UsageError(f"--max-memory: {error}", next_step="write 2GB or 500MiB") from None


def _named(rows: list[Row], key: str, value: str | None) -> list[Row]:
    """The rows of one model or device; all where none is named."""
    if value is None:
        return rows
    kept = [row for row in rows if row[key] == value]
    if not kept:
        known = sorted({str(row[key]) for row in rows})
        raise UsageError(
            f"no row is of the {key} {value!r}",
            next_step=f"choose from {', '.join(known)}" if known else "`edgebench table` shows what there is",
        )
    return kept


def _rows(store: Store, prefixes: tuple[str, ...], *, with_suspect: bool) -> list[Row]:
    """The rows of the sessions named, or of the newest one of each machine."""
    from harness.cli.lookup import session_id_of
    from harness.report import newest_of_machines, session_rows

    if prefixes:
        ids = list(dict.fromkeys(session_id_of(store, prefix) for prefix in prefixes))
    else:
        ids = newest_of_machines(store) or [session_id_of(store, None)]
    rows = []
    for session in ids:
        found, about = session_rows(store, session, with_suspect=with_suspect)
        if about.source is not None:
            raise UsageError(
                f"{session} was imported: its figures have definitions of their own",
                next_step="name sessions that edgebench measured",
            )
        rows += found
    return rows
