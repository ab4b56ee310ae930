"""The doctor's report for people.

Owns how it reads on a terminal. Imports rich, so it is imported when a report is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness.cli.common import terminal_width
from harness.table.metrics import as_bytes, significant


def print_report(report: Mapping[str, Any]) -> None:
    """Everything that the doctor saw, and measured."""
    console = Console(width=terminal_width(), highlight=False)

    machine = report["machine"]
    console.print(f"[bold]Machine[/bold] {escape(machine['name'])} ({machine['id']})")
    for title, key in (("Host", "host"), ("Devices", "devices"), ("Energy meters", "meters")):
        console.print(f"[bold]{title}[/bold]")
        for entry in report[key]:
            _line(console, entry)
    _print_harms(console, report["harms"])
    if report["bench"] is not None:
        _print_bench(console, report["bench"])
    _print_frameworks(console, report["frameworks"], report["broken_backends"])


def _print_harms(console: Console, harms: Sequence[Mapping[str, Any]]) -> None:
    console.print("[bold]Measuring here[/bold]")
    for harm in harms:
        mark = {True: "[yellow]![/yellow]", False: "[green]✓[/green]", None: "[dim]–[/dim]"}[harm["harmful"]]
        said = harm["detail"] if harm["harmful"] is not None else f"not known: {harm['reason']}"
        console.print(f"  {mark} {escape(harm['name'])}: {escape(said or '')}")
        if harm["harmful"]:
            console.print(f"      [yellow]{escape(harm['reason'] or '')}[/yellow]")
            console.print(f"      [dim]{escape(harm['next_step'] or '')}[/dim]")


def _print_bench(console: Console, bench: Mapping[str, Any]) -> None:
    def rate(title: str, column: str, text: str) -> None:
        value = bench[column]
        reason = bench["reasons"].get(column)
        console.print(f"  {title}: {text if value is not None else '–'}")
        if reason:
            console.print(f"      [yellow]{escape(reason)}[/yellow]")

    def giga(column: str) -> str:
        return "" if bench[column] is None else significant(bench[column] / 1e9)

    console.print(f"[bold]Measured[/bold] with {bench['threads']} threads, best (median) of many repetitions")
    for title, column, median, unit in (
        ("memory read", "read_bytes_per_s", "read_median_bytes_per_s", "GB/s"),
        ("memory copy (read and written)", "copy_bytes_per_s", "copy_median_bytes_per_s", "GB/s"),
        ("fp32 matrix product", "fp32_flops", "fp32_median_flops", "GFLOP/s"),
        ("int8 matrix product", "int8_ops", "int8_median_ops", "GOP/s"),
    ):
        rate(title, column, f"{giga(column)} ({giga(median)}) {unit}")
    cache = bench["last_level_cache_bytes"]
    rate("last-level cache", "last_level_cache_bytes", "" if cache is None else as_bytes(cache))
    if bench["validity"] == "suspect":
        console.print(f"  [yellow]suspect: {escape('; '.join(bench['flags']))}[/yellow]")
        console.print(
            "      [dim]measure again when the machine is quiet; the newest that is not suspect counts[/dim]"
        )


def _print_frameworks(
    console: Console, frameworks: Sequence[Mapping[str, Any]], broken: Sequence[Mapping[str, Any]]
) -> None:
    console.print("[bold]Frameworks[/bold]")
    for framework in frameworks:
        mark = "[green]✓[/green]" if framework["available"] else "[dim]–[/dim]"
        console.print(f"  {mark} {escape(framework['title'])} ({framework['framework']})")
        if framework["available"]:
            _line(console, framework["environment"], "      ")
        for device in framework["devices"]:
            _line(console, {**device, "next_step": None}, "      ")
    for one in broken:
        console.print(f"  [red]✗[/red] {escape(one['reason'])}\n      {escape(one['next_step'])}")


def _line(console: Console, entry: Mapping[str, Any], indent: str = "  ") -> None:
    if entry["present"]:
        detail = f" {escape(entry['detail'])}" if entry["detail"] else ""
        console.print(f"{indent}[green]✓[/green] {escape(entry['name'])}{detail}")
        for text in (entry["reason"], entry["next_step"]):
            if text:
                console.print(f"{indent}    [yellow]{escape(text)}[/yellow]")
        return
    console.print(f"{indent}[dim]–[/dim] {escape(entry['name'])}: {escape(entry['reason'] or 'not here')}")
    if entry["next_step"]:
        console.print(f"{indent}    [dim]{escape(entry['next_step'])}[/dim]")
