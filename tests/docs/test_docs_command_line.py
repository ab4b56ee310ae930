"""The command line's page has every command and option, and no page names one that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from command_line import (
    DOCS,
    ROOT,
    arguments_of,
    commands,
    documented,
    in_blocks,
    in_sentences,
    options_of,
    pages,
    resolve,
)

PAGE = (DOCS / "cli.md").read_text(encoding="utf-8")
#: Understood everywhere: click's own, and what the program takes out of the line first.
EVERYWHERE = {"--help", "-h", "--version", "--traceback"}


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    assert sorted(documented(PAGE)) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_section_has_exactly_the_arguments_and_options_of_its_command(name: str) -> None:
    command, section = commands()[name], documented(PAGE)[name]
    assert section.arguments == arguments_of(command)
    assert section.options == options_of(command) | (EVERYWHERE if name == "edgebench" else set())


def test_commands_are_found_wherever_a_page_writes_them() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ["run", "quickstart"] in list(in_blocks(readme))
    assert ["show", "ID"] in list(in_sentences(readme))
    assert list(in_blocks("```console\n$ edgebench table > t.txt && edgebench db check\n```\n")) == [
        ["table"],
        ["db", "check"],
    ]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_code_blocks_are_ones_that_the_program_accepts(page: Path) -> None:
    for words in in_blocks(page.read_text(encoding="utf-8")):
        name, rest = resolve([word for word in words if word != "--traceback"])
        command = commands()[name]
        if {"--help", "-h", "--version"} & set(rest):
            continue
        try:
            command.make_context(name, rest).close()
        except click.ClickException as error:
            pytest.fail(f"edgebench {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_name_what_exists(page: Path) -> None:
    for words in in_sentences(page.read_text(encoding="utf-8")):
        name, rest = resolve(words)
        command = commands()[name]
        text = f"edgebench {' '.join(words)}"
        assert not (isinstance(command, click.Group) and rest and rest[0][0].islower()), text
        named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert named <= options_of(command) | EVERYWHERE, text


def test_every_environment_variable_of_the_command_line_is_documented() -> None:
    named = {
        variable
        for command in commands().values()
        for parameter in command.params
        for variable in ([parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or ())
    }
    named.add("EDGEBENCH_CACHE_DIR")
    assert named >= {"EDGEBENCH_DB"}
    assert [name for name in sorted(named) if f"`{name}`" not in PAGE] == []


def test_the_plan_shown_as_json_has_the_keys_that_the_program_prints() -> None:
    import json

    from harness.cli.run_command import _planned_json
    from harness.runner import front

    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    plan = front.make_plan(front.Request(suite="quickstart"))
    assert set(shown) == {"suite", "runs", "cells"}
    assert list(shown["cells"][0]) == list(_planned_json(plan, 0))
