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
from harness.worker.same_tokens import CHARACTERS, OwnTokens, TokenizersDifferError, check_tokens

Tokens = Callable[[str], list[int]]


class _Own(Tokenizer):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def tokenize(self, text: str) -> list[int]:
        return self._tokens(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode()


class _Backend(Fake):
    #: As of most frameworks: no texts of other models are tokenised, which says nothing about the artifact's own.
    capabilities = Fake.capabilities - {"tokenize"}
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
    assert check_tokens(backend(plain), spec(tmp_path, "some text")) == OwnTokens(9)
    long = check_tokens(backend(plain), spec(tmp_path, "long text " * CHARACTERS))
    assert CHARACTERS - 10 < long.compared < CHARACTERS


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


def test_more_tokens_of_the_model_are_a_difference(tmp_path: Path) -> None:
    with pytest.raises(TokenizersDifferError, match="makes 8 tokens of the text, the model 9"):
        check_tokens(backend(lambda text: plain(text)[:-1]), spec(tmp_path, "some text"))


@pytest.mark.parametrize("text", ["some text", "long text " * CHARACTERS])
def test_a_bos_of_the_tokenizers_own_is_no_difference_where_the_model_wants_one(
    tmp_path: Path, text: str
) -> None:
    asked = spec(tmp_path, text)
    own = backend(lambda text: [1, *plain(text)])
    assert check_tokens(own, replace(asked, bos=1)).compared >= 9
    with pytest.raises(TokenizersDifferError, match=f"token 0 of the text is 1 for it and {ord(text[0])}"):
        check_tokens(own, asked)


@pytest.mark.parametrize("special", ["<unk>", "<|im_end|>", "[MASK]"])
def test_special_tokens_are_read_as_each_tokenizer_does(tmp_path: Path, special: str) -> None:
    def reading(text: str) -> list[int]:
        return plain(text.replace(special, "\x03"))

    text = f"Twenty bytes of text {special} and some more of it."
    assert check_tokens(backend(reading), spec(tmp_path, text)) == OwnTokens(21 - 8)
    with pytest.raises(TokenizersDifferError, match="token 1 "):
        check_tokens(backend(lambda text: reading(text.replace("w", "v"))), spec(tmp_path, text))
    nothing = check_tokens(backend(reading), spec(tmp_path, f"{special} text"))
    assert (nothing.compared, nothing.reason) == (0, "the text begins with what could be a special token")


def test_without_a_tokenizer_or_a_text_nothing_is_compared_and_that_is_told(tmp_path: Path) -> None:
    assert check_tokens(backend(None), spec(tmp_path, "some text")) == OwnTokens(
        0, "this artifact holds none"
    )
    asked = replace(spec(tmp_path, "some text"), text_file=None)
    told = check_tokens(backend(lambda text: [len(text)]), asked)
    assert told == OwnTokens(0, "it is not known what text the tokens are of")
