"""The command line as click knows it, and as the documentation writes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli import group

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_HEADING = re.compile(r"^#{2,3} `(edgebench[^`]*)`$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}(?=\S)(.*)$", re.MULTILINE)
_INLINE = re.compile(r"`(edgebench [^`]+)`")


def commands() -> dict[str, click.Command]:
    """Every command by its words, groups included: ``edgebench env list``."""
    found: dict[str, click.Command] = {}

    def walk(words: str, command: click.Command) -> None:
        found[words] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(f"{words} {name}", child)

    walk("edgebench", group)
    return found


def options_of(command: click.Command) -> set[str]:
    """Every spelling of its options; help is of the whole program."""
    return {
        spelling
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }


def arguments_of(command: click.Command) -> str:
    """Its arguments as its usage line writes them."""
    context = click.Context(command)
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    return " ".join(_metavar(one, context) for one in arguments)


def _metavar(argument: click.Argument, context: click.Context) -> str:
    if argument.metavar is not None:
        return argument.metavar
    assert argument.name is not None
    del context
    return argument.name.upper()


@dataclass(frozen=True, slots=True)
class Section:
    """What the documentation says of one command."""

    arguments: str
    options: set[str]


def documented(text: str) -> dict[str, Section]:
    """The sections of the page, by the command's words."""
    sections = {}
    headings = list(_HEADING.finditer(text))
    names = commands()
    for heading in headings:
        following = re.compile(r"^#{2,3} ", re.MULTILINE).search(text, heading.end())
        body = text[heading.end() : following.start() if following else len(text)]
        words = heading[1]
        while words not in names and " " in words:
            words = words.rpartition(" ")[0]
        first_cells = [line.split("|")[1] for line in body.splitlines() if line.startswith("| `-")]
        options = {option for cell in first_cells for option in _OPTION.findall(cell)}
        sections[words] = Section(heading[1].removeprefix(words).strip(), options)
    return sections


def in_blocks(text: str) -> Iterator[list[str]]:
    """The words of every ``edgebench ...`` command in a code block, fenced or indented."""
    for _, block in _FENCE.findall(text):
        yield from _commands(block.replace("\\\n", " ").splitlines())
    yield from _commands(_INDENTED.findall(_FENCE.sub("", text)))


def in_sentences(text: str) -> Iterator[list[str]]:
    """The words of every ``edgebench ...`` between backquotes: often a part of a command."""
    yield from _commands(_INLINE.findall(_FENCE.sub("", text)))


def _commands(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        # What follows a comment, another command's operator or a column of spaces belongs to no command of ours.
        for part in re.split(r"&&|\|\||;|\||\s#|\s{3,}", line.replace("\\|", "/")):
            words = part.strip().removeprefix("$ ")
            if words.startswith("edgebench "):
                # A script's own arguments are any words.
                yield [word for word in shlex.split(words.partition(" > ")[0])[1:] if word != "$@"]


def resolve(words: list[str]) -> tuple[str, list[str]]:
    """The command that the words name, and the words after it."""
    names, name, rest = commands(), "edgebench", list(words)
    while rest and f"{name} {rest[0]}" in names:
        name = f"{name} {rest.pop(0)}"
    return name, rest


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
