"""``edgebench env``: the frameworks' environments."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.common import json_option, print_json, tell, terminal_width
from harness.errors import EdgebenchError

if TYPE_CHECKING:
    from harness.environment import EnvironmentManager
    from harness.environment.plan import Role
    from harness.environment.tools import Tenant

EPILOG = """\b
Examples:
  edgebench env list
  edgebench env make llamacpp openvino mlx     before a night, with a network
  edgebench env verify
  edgebench env clean                          what no current pin asks for, and half-made ones
"""


@click.group("env", epilog=EPILOG)
def command() -> None:
    """List, make, verify and remove the frameworks' environments."""


def _manager() -> EnvironmentManager:
    from harness.environment import EnvironmentManager
    from harness.paths import cache_dir

    return EnvironmentManager(cache_dir())


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the environments, and what was built for them."""
    manager = _manager()
    environments = manager.list()
    if as_json:
        print_json(
            {
                "environments": [
                    {**asdict(one), "path": str(one.path), "python": str(one.python)} for one in environments
                ]
            }
        )
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("key", "framework", "role", "variant", "python", "packages", "size", "made", "path"):
        table.add_column(column, overflow="fold")
    for one in environments:
        table.add_row(
            one.key,
            one.framework,
            one.role,
            one.variant,
            one.python_version,
            str(len(one.packages)),
            f"{one.size_bytes / 1e6:.0f} MB",
            f"{one.made_at} in {one.made_s:.0f} s",
            str(one.path),
        )
    console = Console(width=terminal_width(), highlight=False)
    console.print(table)
    for one in environments:
        for build in one.builds:
            console.print(f"{one.framework}: {build.requirement} was built here in {build.build_s:.0f} s")
        for note in one.notes:
            console.print(f"{one.framework} {one.role}: {note}")


@command.command("make")
@click.argument("framework_ids", metavar="FRAMEWORK...", nargs=-1, required=True)
@click.option("--with", "overrides", multiple=True, metavar="REQUIREMENT", help="As in `edgebench run`.")
def make(framework_ids: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Make the environments of frameworks now, instead of at their first run."""
    from harness.environment import Override, check_overrides
    from harness.environment.tools import TOOLS
    from harness.frameworks import framework

    backends = [TOOLS[name] if name in TOOLS else framework(name).backend for name in framework_ids]
    parsed = [Override.parse(text) for text in overrides]
    check_overrides(parsed, backends)
    manager = _manager()
    for backend in backends:
        roles: tuple[Role, ...] = ("runtime", "converter") if backend.requirements.converter else ("runtime",)
        for role in roles:
            made = manager.ensure(
                backend,
                overrides=parsed,
                role=role,
                progress=tell,
            )
            click.echo(f"{made.framework} {made.role}: {made.path}")


@command.command("verify")
def verify() -> int:
    """Import every framework in its environment."""
    manager = _manager()
    broken = 0
    for one in manager.list():
        label = f"{one.framework} {one.role} {one.variant} {one.key}"
        try:
            manager.verify(one)
        except EdgebenchError as error:
            broken += 1
            tell(f"{label}: {error.what} ({error.next_step})")
        else:
            click.echo(f"{label}: {one.import_name} imports")
    return 1 if broken else 0


@command.command("remove")
@click.argument("key")
def remove(key: str) -> None:
    """Remove the environment with this KEY (`edgebench env list`)."""
    freed = _manager().remove(key)
    click.echo(f"removed {key}, {freed / 1e6:.0f} MB freed")


@command.command("clean")
@click.option("--all", "everything", is_flag=True, help="Every environment, also those that are current.")
def clean(everything: bool) -> None:
    """Remove what no current pin asks for, and what was left half-made. Built wheels stay."""
    from harness.environment.tools import TOOLS
    from harness.frameworks import frameworks

    manager = _manager()
    keep: list[str] = []
    if not everything:
        for entry in frameworks(include_hidden=True).values():
            if entry.error is not None:
                continue
            keep += _keys(manager, entry.backend)
        for tool in TOOLS.values():
            keep += _keys(manager, tool)
    click.echo(f"{manager.clean(keep) / 1e6:.0f} MB freed")


def _keys(manager: EnvironmentManager, backend: Tenant) -> list[str]:
    """Keys of every environment that this backend's pins ask for."""
    keys: list[str] = []
    roles: tuple[Role, ...] = ("runtime", "converter")
    for variant in backend.requirements.build:
        for role in roles:
            # A framework without packages for this platform has no environment to keep.
            with contextlib.suppress(EdgebenchError):
                keys.append(manager.key(backend, variant, role=role))
    return keys
