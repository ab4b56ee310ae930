"""An artifact whose tokenizer is not its model's is refused before it is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.backends.fake import Fake
from harness.worker.api import Tokenizer, Unsupported
from harness.worker.protocol import ScoreSpec
from harness.worker.same_tokens import CHARACTERS, TokenizersDifferError, check_tokens

Tokens = Callable[[str], list[int]]


class _Own(Tokenizer):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def tokenize(self, text: str) -> list[int]:
        return self._tokens(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode()


class _Backend(Fake):
    tokens: Tokens | None = None

    def tokenizer(self, model: Path | None) -> Tokenizer:
        assert model is None, "the artifact's own is asked for"
        if self.tokens is None:
            raise Unsupported("this artifact holds none")
        return _Own(self.tokens)


def plain(text: str) -> list[int]:
    return list(text.encode())


def spec(folder: Path, text: str) -> ScoreSpec:
    (folder / "text").write_text(text, encoding="utf-8")
    np.array(plain(text), dtype="<i4").tofile(folder / "ids")
    return ScoreSpec(str(folder / "ids"), 8, 8, 4, 1, None, None, None, text_file=str(folder / "text"))


def backend(tokens: Tokens | None) -> _Backend:
    made = _Backend()
    made.tokens = tokens
    return made


def test_the_same_tokens_pass(tmp_path: Path) -> None:
    check_tokens(backend(plain), spec(tmp_path, "some text"))
    check_tokens(backend(plain), spec(tmp_path, "long text " * CHARACTERS))


def test_what_the_cut_changes_is_no_difference(tmp_path: Path) -> None:
    def merging(text: str) -> list[int]:
        return [*plain(text)[:-2], 999]

    check_tokens(backend(merging), spec(tmp_path, "long text " * CHARACTERS))


def test_the_first_token_that_differs_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizersDifferError, match="token 5 of the text is 84 for it and 116 for the model"):
        check_tokens(backend(lambda text: plain(text.replace("t", "T"))), spec(tmp_path, "some text"))


def test_fewer_tokens_of_the_whole_text_are_a_difference(tmp_path: Path) -> None:
    with pytest.raises(TokenizersDifferError, match="makes 10 tokens of the text, the model 9"):
        check_tokens(backend(lambda text: [*plain(text), 7]), spec(tmp_path, "some text"))


def test_without_a_tokenizer_or_a_text_nothing_is_compared(tmp_path: Path) -> None:
    check_tokens(backend(None), spec(tmp_path, "some text"))
    check_tokens(backend(lambda text: [len(text)]), replace(spec(tmp_path, "some text"), text_file=None))
