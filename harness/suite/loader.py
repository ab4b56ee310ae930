"""Finding and reading suite files.

Owns the way from a word on the command line to a `Suite`, and the models that a suite brings. Contract: whatever the
file holds, the answer is a valid suite or one `UsageError` with file, line, key and what was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.model.checked_yaml import Document, did_you_mean, read_yaml, validated
from harness.model.models import Model, load_models, models_in
from harness.paths import data_dir
from harness.suite.schema import Suite

_SUFFIXES = (".yaml", ".yml")
_NOT_SUITES = ("models",)


def shipped_suites() -> dict[str, Path]:
    """The suites that come with edgebench, by name."""
    files = sorted(data_dir("suites").glob("*.yaml"))
    return {file.stem: file for file in files if file.stem not in _NOT_SUITES}


def load_suite(name: str | Path) -> Suite:
    """The suite of that name, or in that file.

    A word with a folder or a YAML suffix is a path; any other is a shipped suite's name.

    Raises:
        UsageError: unknown, or wrong, with file and line.
    """
    text = str(name)
    shipped = shipped_suites()
    if isinstance(name, Path) or text.lower().endswith(_SUFFIXES) or "/" in text or "\\" in text:
        return parse_suite(read_yaml(Path(name).expanduser()))
    if text in shipped:
        return parse_suite(read_yaml(shipped[text]))
    raise UsageError(
        f'unknown suite "{text}" (shipped: {", ".join(shipped)})',
        next_step=f"{did_you_mean(text, shipped, noun='suites')}; or give the path of a .yaml file",
    )


def parse_suite(document: Document) -> Suite:
    """The suite of a parsed file.

    Raises:
        UsageError: with file, line and key.
    """
    if not isinstance(document.data, dict):
        raise document.error((), "a suite is a mapping of keys", next_step="see suites/quickstart.yaml")
    suite = validated(document, Suite, document.data)
    suite._document = document
    return suite


def suite_models(suite: Suite, files: Sequence[Path] = ()) -> dict[str, Model]:
    """Every model that a suite can name: the shipped ones, ``files``, its ``models_file`` and its ``models``.

    Raises:
        UsageError: a list is missing or wrong, with file and line.
    """
    own_file = [] if suite.models_file is None else [suite.beside(suite.models_file)]
    raw = suite.document.data.get("models", {}) if isinstance(suite.document.data, dict) else {}
    if not raw and suite.models:
        raw = {
            name: spec.model_dump(by_alias=True, exclude_unset=True) for name, spec in suite.models.items()
        }
    return load_models([*files, *own_file], more=models_in(suite.document, raw, ("models",)))
