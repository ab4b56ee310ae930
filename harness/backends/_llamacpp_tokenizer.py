"""llama.cpp's tokenizer: the vocabulary inside a GGUF file, reached through ctypes.

Owns the two calls and their buffers. Never imports the lab half; llama_cpp is handed in. Contract:
`harness.worker.api.Tokenizer`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.worker.api import Tokenizer

#: Bytes of text that a token stands for at most, where the first try was too small: llama.cpp then tells the need.
_BYTES_OF_TOKEN = 8


class VocabularyTokenizer(Tokenizer):
    """The tokenizer of a vocabulary.

    Args:
        llama: the module llama_cpp.
        vocab: ``llama_vocab *`` of a model that stays loaded.
    """

    def __init__(self, llama: Any, vocab: Any) -> None:
        self._llama = llama
        self._vocab = vocab
        self.bos = int(llama.llama_vocab_bos(vocab)) if llama.llama_vocab_get_add_bos(vocab) else None

    def tokenize(self, text: str) -> list[int]:
        """Ids without BOS; special tokens in the text are read as plain text."""
        return self._ids(text, special=False)

    def tokenize_special(self, text: str) -> list[int]:
        """Ids without BOS; words for special tokens are read as these tokens."""
        return self._ids(text, special=True)

    def _ids(self, text: str, *, special: bool) -> list[int]:
        raw = text.encode()
        # No token is shorter than a byte, but a tokenizer may put a space before the text.
        room = len(raw) + 8
        ids = np.empty(room, dtype=np.int32)
        count = self._llama.llama_tokenize(self._vocab, raw, len(raw), _pointer(ids), room, False, special)
        if count < 0:
            raise RuntimeError(f"llama.cpp cannot tokenize {len(raw)} bytes of text ({count})")
        found: list[int] = ids[:count].tolist()
        return found

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text, special tokens written out."""
        ids = np.asarray(tokens, dtype=np.int32)
        room = _BYTES_OF_TOKEN * len(ids) + 8
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            count = int(
                self._llama.llama_detokenize(self._vocab, _pointer(ids), len(ids), buffer, room, False, True)
            )
            if count >= 0:
                return buffer.raw[:count].decode("utf-8", errors="replace")
            room = -count
        raise RuntimeError(f"llama.cpp cannot detokenize {len(ids)} tokens")


def _pointer(ids: Any) -> Any:
    return ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
