"""``edgebench doctor``: what this machine has, and what would bring what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import json_option, print_json, terminal_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.frameworks import FrameworkEntry
    from harness.machine.doctor import EnvironmentFacts

EPILOG = """\b
Examples:
  edgebench doctor
  edgebench doctor --json
"""


@click.command("doctor", epilog=EPILOG)
@json_option
def command(as_json: bool) -> None:
    """Say what this machine has: devices, meters, frameworks; for each thing missing, why and what would bring it."""
    from harness.frameworks import frameworks
    from harness.machine.doctor import doctor
    from harness.paths import cache_dir

    entries = frameworks()
    usable = {name: entry for name, entry in entries.items() if entry.error is None}
    report = doctor(
        {name: entry.backend for name, entry in usable.items()}, _environments(usable), cache=cache_dir()
    ).to_dict()
    report["broken_backends"] = [
        {"framework": name, "reason": entry.error.what, "next_step": entry.error.next_step}
        for name, entry in entries.items()
        if entry.error is not None
    ]
    if as_json:
        print_json(report)
    else:
        _print(report)


def _environments(entries: Mapping[str, FrameworkEntry]) -> dict[str, EnvironmentFacts]:
    from harness.environment import EnvironmentManager
    from harness.errors import EdgebenchError
    from harness.machine.doctor import EnvironmentFacts
    from harness.paths import cache_dir

    manager = EnvironmentManager(cache_dir())
    facts = {}
    for name, entry in entries.items():
        try:
            found = manager.find(entry.backend)
        except EdgebenchError as error:
            facts[name] = EnvironmentFacts(False, reason=error.what, next_step=error.next_step)
            continue
        if found is not None:
            wanted = {one.split("=")[0].split("[")[0] for one in entry.backend.requirements.packages}
            versions = {one.name: one.version for one in found.packages if one.name in wanted}
            facts[name] = EnvironmentFacts(True, versions=versions, path=str(found.path))
    return facts


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(width=terminal_width(), highlight=False)

    def line(entry: Mapping[str, Any], indent: str = "  ") -> None:
        if entry["present"]:
            detail = f" {escape(entry['detail'])}" if entry["detail"] else ""
            console.print(f"{indent}[green]✓[/green] {escape(entry['name'])}{detail}")
            for text in (entry["reason"], entry["next_step"]):
                if text:
                    console.print(f"{indent}    [yellow]{escape(text)}[/yellow]")
            return
        console.print(
            f"{indent}[dim]–[/dim] {escape(entry['name'])}: {escape(entry['reason'] or 'not here')}"
        )
        if entry["next_step"]:
            console.print(f"{indent}    [dim]{escape(entry['next_step'])}[/dim]")

    machine = report["machine"]
    console.print(f"[bold]Machine[/bold] {escape(machine['name'])} ({machine['id']})")
    for title, key in (("Host", "host"), ("Devices", "devices"), ("Energy meters", "meters")):
        console.print(f"[bold]{title}[/bold]")
        for entry in report[key]:
            line(entry)
    console.print("[bold]Frameworks[/bold]")
    for framework in report["frameworks"]:
        mark = "[green]✓[/green]" if framework["available"] else "[dim]–[/dim]"
        console.print(f"  {mark} {escape(framework['title'])} ({framework['framework']})")
        if framework["available"]:
            line(framework["environment"], "      ")
        for device in framework["devices"]:
            line({**device, "next_step": None}, "      ")
    for broken in report["broken_backends"]:
        console.print(f"  [red]✗[/red] {escape(broken['reason'])}\n      {escape(broken['next_step'])}")
