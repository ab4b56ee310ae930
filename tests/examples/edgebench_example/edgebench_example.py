"""A whole backend in one file: a bigram language model over bytes, computed with numpy.

The model file is a GGUF of architecture ``bigram`` with one tensor, float32[256, 256]: row `t` holds the logits of
the byte that follows byte `t`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harness.worker.api import (
    Backend,
    Device,
    Loaded,
    LoadSpec,
    Logits,
    Made,
    MakeRequest,
    ModelFacts,
    Recipe,
    Requirements,
    Tokenizer,
    Tokens,
)

VOCAB_SIZE = 256
CPU = Device("cpu", "cpu", "numpy")
ENTRY = "weights.npz"


class Bytes(Tokenizer):
    """A token is a byte."""

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def detokenize(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")


class Bigram(Backend):
    """Bigrams of bytes."""

    # -- declarations: what the lab reads without the framework ------------------------------------------------------

    framework: ClassVar[str] = "bigram"
    title: ClassVar[str] = "Bigram"
    requirements: ClassVar[Requirements] = Requirements(packages=("numpy>=1.26",), import_name="numpy")
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe("F32", "fp32", made_from="model", tool="numpy", default=True),
        Recipe("F16", "fp16", made_from="bigram:F32", tool="numpy", default=True),
        Recipe("INT8_ROW", "int8", "bigram:F32", "numpy", {"scale": "row"}, default=True),
    )
    capabilities = frozenset({"prefill", "decode", "score", "tokenize", "make"})

    def __init__(self) -> None:
        self._values: npt.NDArray[np.generic] | None = None
        self._scale: npt.NDArray[np.float32] | None = None
        self._newest: Logits | None = None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        del recipe  # every recipe can be made of every bigram model
        if model.architecture != "bigram":
            return f"Bigram runs models of architecture bigram, not {model.architecture}"
        return None

    # -- in the framework's environment ------------------------------------------------------------------------------

    def start(self) -> None:
        """Numpy is imported above, because the worker needs it anyway; a framework is imported here."""

    def versions(self) -> Mapping[str, str]:
        return {"framework": "1.0", "numpy": np.__version__}

    def devices(self) -> list[Device]:
        return [CPU]

    def make(self, request: MakeRequest) -> Made:
        if request.recipe.made_from == "model":
            table = _table_of(request.source)
        else:
            with np.load(request.source) as source:
                table = source["values"]
        values, scale = _converted(table, request.recipe.precision)
        np.savez(request.out / ENTRY, values=values, scale=scale)
        return Made(values.nbytes + scale.nbytes, ENTRY, tool_version=np.__version__)

    def load(self, spec: LoadSpec) -> Loaded:
        if (spec.device, spec.api) != (CPU.id, CPU.api):
            raise ValueError(f"no device {spec.device} ({spec.api}): Bigram has cpu (cpu)")
        if spec.options:
            raise ValueError(f"unknown option {min(spec.options)!r}: Bigram has none")
        if not zipfile.is_zipfile(spec.artifact):
            raise ValueError(f"{spec.artifact} is no artifact of Bigram")
        with np.load(spec.artifact) as arrays:
            self._values = arrays["values"]
            self._scale = arrays["scale"]
        self.reset()
        hints = {"weights": str(self._values.dtype), "compute": "float32"}
        # One thread whatever was asked for, so none is reported; and there is no cache to have a size.
        return Loaded(CPU, VOCAB_SIZE, threads=None, hints=hints, kv_cache_bytes=None)

    def reset(self) -> None:
        self._newest = None

    def prefill(self, tokens: Tokens) -> None:
        self._newest = self._rows(tokens)[-1]

    def decode(self, token: int) -> None:
        self._newest = self._rows(np.asarray([token], dtype=np.int32))[0]

    def sample(self) -> int:
        assert self._newest is not None, "prefill or decode comes first"
        return int(self._newest.argmax())

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        yield first, self._rows(tokens[first:])

    def tokenizer(self, model: Path | None) -> Tokenizer:
        return Bytes()

    def unload(self) -> None:
        self._values = self._scale = self._newest = None

    def _rows(self, tokens: Tokens) -> Logits:
        """Logits float32[n, 256] after each of ``tokens: int32[n]``."""
        assert self._values is not None, "nothing is loaded"
        assert self._scale is not None
        rows = self._values[tokens].astype(np.float32)
        return rows * self._scale[tokens, np.newaxis] if self._scale.size else rows


def _table_of(model: Path) -> npt.NDArray[np.float32]:
    """The model's one tensor: what a GGUF with a single tensor ends with. A real framework reads its own format."""
    size = VOCAB_SIZE * VOCAB_SIZE * 4
    table = np.fromfile(model, dtype="<f4", offset=model.stat().st_size - size)
    return table.reshape(VOCAB_SIZE, VOCAB_SIZE)


def _converted(
    table: npt.NDArray[np.float32], precision: str
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float32]]:
    """Weights and, for integers, the scale of each row; an empty scale for floats."""
    if precision == "int8":
        scale = np.abs(table).max(axis=1) / np.float32(127)
        return np.rint(table / scale[:, np.newaxis]).astype(np.int8), scale
    half = precision == "fp16"
    return table.astype(np.float16 if half else np.float32), np.zeros(0, dtype=np.float32)
