"""The pages hang together, and what they say of the code's shape is so."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from command_line import DOCS, ROOT, pages

import harness

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_ROOM = re.compile(r"^\| `harness/([a-z_]+)/` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
_MODULE = re.compile(r"^\| `harness/([a-z_]+)\.py` \|", re.MULTILINE)


def _nav(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    if isinstance(entry, dict):
        entry = list(entry.values())
    assert isinstance(entry, list)
    return [page for one in entry for page in _nav(one)]


NAV = _nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])


def _anchors(page: Path) -> set[str]:
    """Ids of a page's headings, as mkdocs (and GitHub) make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings]
    return {re.sub(r"[\s-]+", "-", heading.strip().lower()) for heading in plain}


@pytest.mark.parametrize("page", NAV)
def test_a_page_of_the_navigation_exists(page: str) -> None:
    assert (DOCS / page).is_file()


def test_every_page_is_in_the_navigation_or_a_decision_in_their_index() -> None:
    assert len(NAV) == len(set(NAV))
    decisions = DOCS / "decisions" / "index.md"
    listed = {f"decisions/{name}" for name in _LINK.findall(decisions.read_text(encoding="utf-8"))}
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert there - set(NAV) == listed


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_architecture_names_exactly_the_packages_and_modules_of_harness() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    found = list(pkgutil.iter_modules(harness.__path__))
    assert sorted(name for name, _ in _ROOM.findall(page)) == sorted(one.name for one in found if one.ispkg)
    modules = sorted(one.name for one in found if not one.ispkg and one.name != "__main__")
    assert sorted(_MODULE.findall(page)) == modules


def test_the_main_names_that_the_architecture_gives_are_in_their_packages() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = _ROOM.findall(page)
    assert rooms
    for room, names in rooms:
        package = importlib.import_module(f"harness.{room}")
        inside = {one.name for one in pkgutil.iter_modules(package.__path__)}
        known = inside | set(vars(package))
        for name in sorted(inside - {"bootstrap"} if room in ("runner", "machine", "store") else ()):
            known |= set(vars(importlib.import_module(f"harness.{room}.{name}")))
        given = set(re.findall(r"`([A-Za-z_]+)`", names))
        assert given <= known, f"harness/{room}: {given - known}"


def _modules() -> list[Path]:
    return sorted((ROOT / "harness").rglob("*.py"))


@pytest.mark.parametrize("module", _modules(), ids=lambda module: str(module.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


def test_the_version_is_the_same_everywhere() -> None:
    assert harness.__version__ == PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", changes, re.MULTILINE)
    assert versions[0] == PROJECT["version"]


@pytest.mark.parametrize("folder", ["suites", "harness", "results", "reports", "tests", "docs", "benchmarks"])
def test_the_readme_names_every_folder(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    assert re.search(rf"^    {folder}/ ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("folder", ["suites", "results", "reports", "benchmarks"])
def test_a_data_folders_readme_names_files_that_exist(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        assert (ROOT / folder / link.partition("#")[0]).exists(), link
    for name in re.findall(r"`([\w./-]+\.(?:yaml|json|sql|py|txt))`", text):
        assert (ROOT / folder / name).exists() or (ROOT / name).exists(), name
