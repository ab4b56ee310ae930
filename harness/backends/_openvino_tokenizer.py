"""openvino-genai's tokenizer, made from a GGUF file.

Owns its calls. Never imports the lab half; imports openvino_genai when one is made. Contract:
`harness.worker.api.Tokenizer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.worker.api import Tokenizer


class GenaiTokenizer(Tokenizer):
    """The tokenizer that openvino-genai's own pipeline would use.

    Args:
        model: a GGUF file.
    """

    def __init__(self, model: Path) -> None:
        import openvino
        import openvino_genai

        self._tensor = openvino.Tensor
        self._tokenizer = openvino_genai.Tokenizer(str(model))

    def tokenize(self, text: str) -> list[int]:
        """Ids without BOS."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = encoded.input_ids.data[0].tolist()
        return ids

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text; special tokens are left out."""
        ids = self._tensor(np.asarray([tokens], dtype=np.int64))
        return str(self._tokenizer.decode(ids)[0])
