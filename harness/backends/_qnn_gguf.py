"""A float32 GGUF as the arrays and the configuration that the static graph is written from.

Owns reading with the ``gguf`` package, which the converter environment has. Contract: names and row order are those of
Hugging Face's Llama; a file that holds anything else is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends import _gguf_hf


def read(source: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    """Configuration and weights ``[out, in]``.

    Raises:
        ValueError: a tensor is not float32.
        NotTranslatableError: see `_gguf_hf`.
    """
    import gguf

    reader = gguf.GGUFReader(source)
    metadata = {
        name: field.contents() for name, field in reader.fields.items() if name != "tokenizer.ggml.tokens"
    }
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for tensor in reader.tensors:
        if tensor.data.dtype != np.float32:
            raise ValueError(f"tensor {tensor.name} is {tensor.tensor_type.name}; the source must hold F32")
        tensors[tensor.name] = np.asarray(tensor.data)
    arch = _gguf_hf.architecture(metadata)
    config = _gguf_hf.configuration(metadata, tensors, tensors["token_embd.weight"].shape[0])
    named = _gguf_hf.weights(arch, tensors, config["num_attention_heads"], config["num_key_value_heads"])
    return config, named
