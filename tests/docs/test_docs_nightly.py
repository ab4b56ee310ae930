"""The ready units and cron lines: systemd and click understand them, and the page shows them as they are."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from command_line import DOCS, resolve

from harness.cli import group

FOLDER = DOCS / "nightly"
SERVICES = ("edgebench-nightly.service", "edgebench-nightly-resume.service")
PAGE = (DOCS / "nightly.md").read_text(encoding="utf-8")


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; keys as they are written, nothing twice."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((FOLDER / name).read_text(encoding="utf-8"))
    return parser


def parsed(words: list[str]) -> click.Context:
    """What click makes of the words of an edgebench command."""
    assert Path(words[0]).name == "edgebench"
    name, rest = resolve(words[1:])
    assert name == "edgebench nightly"
    command = group.get_command(click.Context(group), "nightly")
    assert command is not None
    return command.make_context("nightly", rest)


def cron_commands() -> list[str]:
    lines = (FOLDER / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and not re.match(r"\w+=", line)]
    commands = []
    for line in jobs:
        match = re.fullmatch(r"(@reboot|(?:\S+\s+){5})\s*(.*)", line)
        assert match is not None, line
        if not match[1].startswith("@"):
            minute, hour, *days = match[1].split()
            assert 0 <= int(minute) < 60
            assert 0 <= int(hour) < 24
            assert days == ["*"] * 3
        assert "%" not in match[2]  # a line's end to cron
        commands.append(match[2])
    return commands


@pytest.mark.parametrize("name", SERVICES)
def test_a_services_command_is_one_that_edgebench_understands(name: str) -> None:
    service = unit(name)
    assert service["Service"]["Type"] == "oneshot"
    words = shlex.split(service["Service"]["ExecStart"])
    assert Path(words[0]).is_absolute()
    context = parsed(words)
    assert context.params["suite"] == "full"
    assert context.params["budget"].total_seconds() == 6 * 3600
    assert context.params["resume"] == ("resume" in name)
    # The unit is not ended before its own budget is.
    (hours,) = re.fullmatch(r"(\d+)h", service["Service"]["TimeoutStartSec"]).groups()  # type: ignore[union-attr]
    assert int(hours) * 3600 > context.params["budget"].total_seconds()
    # What ends it is what leaves the session resumable.
    assert service["Service"]["KillSignal"] == "SIGTERM"
    assert service["Service"]["KillMode"] == "mixed"


def test_the_timer_starts_the_service() -> None:
    timer = unit("edgebench-nightly.timer")
    assert timer["Timer"]["Unit"] == SERVICES[0]
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_every_cron_line_is_one_that_edgebench_understands() -> None:
    commands = cron_commands()
    resumes = []
    for command in commands:
        change, _, edgebench = command.partition(" && ")
        assert change.startswith("cd /")
        resumes.append(parsed(shlex.split(edgebench)).params["resume"])
    assert resumes == [False, True]


def test_the_page_shows_the_files_as_they_are() -> None:
    for name in ("edgebench-nightly.timer", "crontab", *SERVICES):
        assert (FOLDER / name).read_text(encoding="utf-8") in PAGE, name
        assert f"(nightly/{name})" in PAGE


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = tmp_path / "edgebench"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    names = ("edgebench-nightly.timer", *SERVICES)
    for name in names:
        text = (FOLDER / name).read_text(encoding="utf-8")
        # What a user adapts has to exist to be verified.
        text = text.replace("/home/bench/venv/bin/edgebench", str(program)).replace("User=bench", "User=root")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    told = [line for line in done.stderr.splitlines() if "edgebench" in line]
    assert (done.returncode, told) == (0, []), done.stderr
