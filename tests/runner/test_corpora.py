"""Texts out of data sets: kept once, joined as they are, and what goes wrong in words."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.environment import Environment
from harness.errors import EdgebenchError
from harness.evaluation.dataset_text import joined
from harness.runner.corpora import dataset_corpus
from harness.suite import DatasetCorpus


def here() -> Environment:
    """An environment whose Python has no `datasets`."""
    return cast("Environment", SimpleNamespace(python=Path(sys.executable)))


def never() -> Environment:
    raise AssertionError("the text is in the cache")


def test_rows_are_joined_by_empty_lines_and_empty_rows_left_out() -> None:
    assert joined(["One.\n", "", "  ", "\nTwo.\nThree."], "text") == "One.\n\nTwo.\nThree."


@pytest.mark.parametrize(
    ("rows", "message"), [([], "holds no text"), (["", " "], "holds no text"), (["a", 3], "row 1")]
)
def test_what_is_no_text_is_an_error(rows: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        joined(rows, "text")


def test_a_data_set_that_cannot_be_read_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    corpus = DatasetCorpus(dataset="nobody/nothing", config="plain")
    with pytest.raises(EdgebenchError, match="nobody/nothing cannot be read: ModuleNotFoundError") as caught:
        dataset_corpus(corpus, tmp_path, here, lambda _: None)
    assert "HF_ENDPOINT" in caught.value.next_step
    assert not list(tmp_path.rglob("*.txt*"))


def test_a_text_that_is_kept_is_not_read_again(tmp_path: Path) -> None:
    corpus = DatasetCorpus(dataset="../some where/wiki", config="a b")
    with pytest.raises(EdgebenchError):
        dataset_corpus(corpus, tmp_path, here, lambda _: None)
    (folder,) = (tmp_path / "corpora").iterdir()
    (folder / "wiki-a-b-test.txt").write_text("text", encoding="utf-8")
    assert dataset_corpus(corpus, tmp_path, never, lambda _: None).read_text(encoding="utf-8") == "text"
