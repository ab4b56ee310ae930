"""``edgebench model``: models and the artifacts made of them."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import json_option, models_option, print_json, tell, terminal_width
from harness.cli.list_command import models_rows
from harness.cli.model_prepare import command as prepare_command

EPILOG = """\b
Examples:
  edgebench model list
  edgebench model fetch smollm2-135m-instruct
  edgebench model prepare quickstart   what a suite needs, made ahead
  edgebench model artifacts            what was made of the models, with bits per weight
  edgebench model clean                files that nothing leads to, and half-made ones
"""


@click.group("model", epilog=EPILOG)
def command() -> None:
    """List, fetch and verify models; make, list and remove the artifacts made of them."""


command.add_command(prepare_command)


@command.command("list")
@models_option
@json_option
def list_(model_files: tuple[Path, ...], as_json: bool) -> None:
    """List the models, and which are here."""
    from harness.model import cached_path, load_models
    from harness.paths import cache_dir

    models = load_models(model_files)
    rows = models_rows(model_files)
    for row in rows:
        path = cached_path(models[row["model"]], cache_dir())
        row["file"] = None if path is None else str(path)
    if as_json:
        print_json({"models": rows})
        return
    for row in rows:
        click.echo(f"{row['model']}: {row['title']}, {row['architecture']}, {row['licence']}")
        click.echo(f"  from {row['source']}; quality reference {row['quality_reference']}")
        click.echo(f"  {row['file'] or 'not fetched yet'}")
        if row["note"]:
            click.echo(f"  {row['note']}")


@command.command("fetch")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@models_option
def fetch_(names: tuple[str, ...], model_files: tuple[Path, ...]) -> None:
    """Fetch models now, instead of at their first run, and verify them."""
    from harness.model import fetch, find_model, load_models
    from harness.paths import cache_dir

    models = load_models(model_files)
    for name in names:
        file = fetch(find_model(models, name), cache_dir(), progress=tell)
        click.echo(f"{name}: {file.path} ({file.size_bytes:,} bytes, sha256 {file.sha256})")


@command.command("artifacts")
@json_option
def artifacts(as_json: bool) -> None:
    """List the artifacts in the cache with how they were made."""
    from harness.artifact import ArtifactStore
    from harness.paths import cache_dir

    found = ArtifactStore(cache_dir()).list()
    rows = [
        {
            "artifact": one.id[:16],
            "model": one.model,
            "framework": one.framework,
            "recipe": one.recipe,
            "bits_per_weight": one.bits_per_weight,
            "size_bytes": one.size_bytes,
            "tool": f"{one.tool} {one.tool_version}",
            "made_s": one.made_s,
            "made_peak_bytes": one.made_peak_bytes,
            "fallbacks": one.notes.get("fallbacks") or {},
            "source": one.source[:16],
            "path": str(one.entry),
        }
        for one in found
    ]
    if as_json:
        print_json({"artifacts": rows})
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("artifact", "model", "framework", "recipe", "bits/weight", "size", "tool", "made in"):
        table.add_column(column)
    for one in found:
        bits = one.bits_per_weight
        table.add_row(
            one.id[:16],
            one.model or "",
            one.framework,
            one.recipe,
            "–" if bits is None else f"{bits:.2f}",
            f"{one.size_bytes / 1e6:.1f} MB",
            f"{one.tool} {one.tool_version}",
            f"{one.made_s:.1f} s",
        )
    Console(width=terminal_width(), highlight=False).print(table)


@command.command("remove")
@click.argument("artifact")
def remove(artifact: str) -> None:
    """Remove the ARTIFACT whose id begins so; it is made again when it is needed."""
    from harness.artifact import ArtifactStore
    from harness.paths import cache_dir

    click.echo(f"{ArtifactStore(cache_dir()).remove(artifact) / 1e6:.1f} MB freed")


@command.command("clean")
def clean() -> None:
    """Remove half-made artifacts and files that nothing leads to."""
    from harness.artifact import ArtifactStore
    from harness.paths import cache_dir

    click.echo(f"{ArtifactStore(cache_dir()).clean() / 1e6:.1f} MB freed")
