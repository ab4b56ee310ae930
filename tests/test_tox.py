"""What `tox` runs: no test of a real framework is left out of it."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Of tests that run where they are asked for: on a real framework, or the whole main job.
_MARKED = re.compile(r"pytest\.mark\.(framework|quickstart)\b")


def test_every_file_with_a_test_of_a_real_framework_is_in_an_environment() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    named = {
        ROOT / word
        for section in tox.sections()
        for word in tox.get(section, "commands", fallback="").split()
        if word.startswith("tests")
    }
    marked = [
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and _MARKED.search(path.read_text(encoding="utf-8"))
    ]
    assert marked
    assert [path for path in marked if not named & {path, *path.parents}] == []


def test_the_real_datasette_is_started_somewhere_and_is_the_one_that_users_get() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    with (ROOT / "pyproject.toml").open("rb") as file:
        [wanted] = tomllib.load(file)["project"]["optional-dependencies"]["datasette"]
    starting = [
        section
        for section in tox.sections()
        if "test_store_datasette.py -k real_datasette" in tox.get(section, "commands", fallback="")
    ]
    assert starting
    for section in starting:
        assert wanted in tox.get(section, "deps").split("\n")
