"""The bytes of text that each token of a model stands for, from the model's own file.

Owns the two spellings of bytes in GGUF vocabularies. Imports the standard library and the GGUF header only. Contract: a
`Vocabulary` gives exactly the bytes, or there is none; whether a text's tokens really add up to the text is asked of
`covers`, because some tokenizers add a space, normalise or drop something.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.gguf_header import GgufTokens, gguf_tokens

#: Token types of the format: control tokens stand for no text, byte tokens are spelled ``<0x0A>``.
_CONTROL, _BYTE = 3, 6
_SPACE = "\u2581"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Bytes by token id."""

    pieces: tuple[bytes, ...]

    def text_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes that the tokens stand for together.

        Raises:
            IndexError: an id is outside the vocabulary.
        """
        return b"".join(self.pieces[each] for each in ids)

    def covers(self, ids: Sequence[int], text: bytes) -> bool:
        """Whether the tokens are the text, byte for byte, but for a space that the tokenizer put first.

        They are not where a tokenizer makes tokens that the file does not list.
        """
        if not all(0 <= each < len(self.pieces) for each in ids):
            return False
        spelled = self.text_bytes(ids)
        return spelled in (text, b" " + text)


def read_vocabulary(path: Path) -> Vocabulary | None:
    """The vocabulary of a GGUF file; None where it has none, or in a spelling that is not known here.

    Raises:
        UsageError: the file is damaged.
    """
    return vocabulary_of(gguf_tokens(path))


def vocabulary_of(tokens: GgufTokens) -> Vocabulary | None:
    """From the tokens as the file has them."""
    spell = {"gpt2": _byte_level, "llama": _sentence_piece}.get(tokens.kind or "")
    if spell is None or not tokens.texts:
        return None
    types = tokens.types if len(tokens.types) == len(tokens.texts) else (1,) * len(tokens.texts)
    pieces = []
    for text, kind in zip(tokens.texts, types, strict=True):
        piece = b"" if kind == _CONTROL else spell(text, kind)
        if piece is None:
            return None
        pieces.append(piece)
    return Vocabulary(tuple(pieces))


def _byte_level(text: str, kind: int) -> bytes | None:
    """Byte-level BPE: each character is a byte; an added token (user-defined) is written as it is."""
    table = _byte_of_character()
    if kind == 1 and all(character in table for character in text):
        return bytes(table[character] for character in text)
    return text.encode() if kind != 1 else None


def _sentence_piece(text: str, kind: int) -> bytes | None:
    if kind == _BYTE:
        try:
            return bytes([int(text[3:-1], 16)]) if text.startswith("<0x") and text.endswith(">") else None
        except ValueError:
            return None
    return text.replace(_SPACE, " ").encode()


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """The published table of byte-level BPE: printable bytes are themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}
