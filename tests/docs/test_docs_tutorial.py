"""The tutorial shows the example that the tests run, and pytest's page the plugin's own options."""

from __future__ import annotations

import re

import pytest
from command_line import DOCS, ROOT

from harness import pytest_plugin

EXAMPLE = ROOT / "tests" / "examples" / "edgebench_example"


@pytest.mark.parametrize(
    ("language", "file"),
    [("toml", "pyproject.toml"), ("python", "edgebench_example.py"), ("yaml", "tutorial.yaml")],
)
def test_the_tutorial_shows_exactly_the_files_of_the_example(language: str, file: str) -> None:
    page = (DOCS / "add-a-framework.md").read_text(encoding="utf-8")
    (shown,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown == (EXAMPLE / file).read_text(encoding="utf-8")


def test_the_example_is_no_more_than_the_tutorial_shows() -> None:
    files = [path.name for path in EXAMPLE.iterdir() if path.is_file()]
    assert sorted(files) == ["edgebench_example.py", "pyproject.toml", "tutorial.yaml"]


def test_the_pytest_page_has_exactly_the_plugins_options() -> None:
    parser = pytest.Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    declared = {name for option in parser.getgroup("edgebench").options for name in option.names()}
    page = (DOCS / "pytest.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--edgebench-[a-z]+", page)) == declared
