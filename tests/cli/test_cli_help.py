"""The command line's help: at once, with nothing heavy imported, and with examples everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import harness
import harness.cli
from harness.cli import COMMANDS, LazyGroup, group

#: What costs tenths of a second to import.
HEAVY = {
    "alembic",
    "altair",
    "numpy",
    "pandas",
    "psutil",
    "pydantic",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "jinja2",
    "yaml",
}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["run", "--help"], ["table", "--help"], ["plot", "roofline", "--help"]],
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as ended:\n    assert ended.code == 0, ended.code\n"
        "print('MODULES', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        encoding="utf-8",
        cwd=Path(harness.__file__).parents[1],
    )
    modules = set(answer.stderr.split("MODULES", 1)[1].split())
    assert "click" in modules
    assert not modules & HEAVY


def test_every_command_has_its_module_and_every_module_its_command() -> None:
    folder = Path(harness.cli.__file__).parent
    assert {path.stem.removesuffix("_command") for path in folder.glob("*_command.py")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_shows_examples(name: str) -> None:
    assert isinstance(group, LazyGroup)
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert "Examples:" in (command.epilog or "")
    assert f"edgebench {name}" in (command.epilog or "")
    for sub in getattr(command, "commands", {}).values():
        assert sub.help, sub.name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_completion_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        harness.cli.main(["completion", shell])
    assert ended.value.code == 0
    assert "_EDGEBENCH_COMPLETE" in capsys.readouterr().out
