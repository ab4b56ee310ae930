"""The bytes behind tokens, in both spellings that GGUF files have."""

from __future__ import annotations

import contextlib
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model.gguf_header import GgufTokens, gguf_tokens
from harness.model.vocabulary import read_vocabulary, vocabulary_of


def write(path: Path, kind: str, tokens: list[str], types: list[int] | None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    if types is not None:
        writer.add_token_types(types)
    writer.add_chat_template("after the tokens")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_byte_level_tokens_are_the_bytes_that_their_characters_stand_for(tmp_path: Path) -> None:
    tokens = ["<|im_start|>", "Hello", "\u0120world", "\u010a", "\u00c3\u00a9", "\u0120", "<tool>"]
    vocabulary = read_vocabulary(write(tmp_path / "a.gguf", "gpt2", tokens, [3, 1, 1, 1, 1, 1, 4]))
    assert vocabulary is not None
    assert vocabulary.pieces == (b"", b"Hello", b" world", b"\n", "\u00e9".encode(), b" ", b"<tool>")
    assert vocabulary.covers([1, 2, 4], "Hello world\u00e9".encode())
    assert not vocabulary.covers([1, 2], b"Hello  world")
    # Some tokenizers make tokens that the file does not list.
    assert not vocabulary.covers([1, 99], b"Hello")
    assert not vocabulary.covers([-1], "\u00e9".encode())


def test_sentence_pieces_have_spaces_and_bytes_of_their_own(tmp_path: Path) -> None:
    tokens = ["<s>", "<0x0A>", "<0xFF>", "\u2581the", "\u00e9"]
    vocabulary = read_vocabulary(write(tmp_path / "a.gguf", "llama", tokens, [3, 6, 6, 1, 1]))
    assert vocabulary is not None
    assert vocabulary.pieces == (b"", b"\n", b"\xff", b" the", "\u00e9".encode())
    assert vocabulary.covers([3, 1], b"the\n"), "the tokenizer put a space first"
    assert vocabulary.covers([3, 1], b" the\n")


def test_a_vocabulary_that_is_not_understood_is_none(tmp_path: Path) -> None:
    assert read_vocabulary(write(tmp_path / "a.gguf", "bert", ["a"], [1])) is None
    assert vocabulary_of(GgufTokens("gpt2", (), ())) is None
    assert vocabulary_of(GgufTokens("gpt2", ("a b",), (1,))) is None, "a space is never spelled as itself"
    assert vocabulary_of(GgufTokens("llama", ("<0xZZ>",), (6,))) is None
    assert vocabulary_of(GgufTokens("llama", ("10",), (6,))) is None


def test_a_file_without_types_has_ordinary_tokens(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write(tmp_path / "a.gguf", "gpt2", ["a", "b"], None))
    assert vocabulary is not None
    assert vocabulary.pieces == (b"a", b"b")


@given(st.binary(min_size=1, max_size=40))
def test_every_byte_has_exactly_one_spelling(data: bytes) -> None:
    spelled = [chr(b) if 0x21 <= b < 0x7F or 0xA1 <= b < 0xAD or b >= 0xAE else None for b in range(256)]
    rest = iter(range(0x100, 0x200))
    table = [each if each is not None else chr(next(rest)) for each in spelled]
    vocabulary = vocabulary_of(GgufTokens("gpt2", tuple(table), (1,) * 256))
    assert vocabulary is not None
    assert vocabulary.text_bytes(list(data)) == data


@given(st.binary(max_size=300))
def test_any_file_gives_tokens_or_a_message(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + data)
    with contextlib.suppress(UsageError):
        assert isinstance(gguf_tokens(path).texts, tuple)
