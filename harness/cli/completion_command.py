"""``edgebench completion``: the shell's completion script, as click writes it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EPILOG = """\b
Examples:
  eval "$(edgebench completion bash)"
  edgebench completion fish > ~/.config/fish/completions/edgebench.fish
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    root = ctx.find_root()
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    click.echo(completion_class(root.command, {}, "edgebench", "_EDGEBENCH_COMPLETE").source())
