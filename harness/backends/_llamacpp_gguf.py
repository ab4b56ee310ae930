"""Writing GGUF files and quantised rows through ggml's own functions.

Owns: the header of a GGUF file (metadata and tensor table), and rows of weights in any of ggml's types. Imports the
standard library and numpy. Contract: every byte of the header and every quantised block is ggml's; nothing larger
than what one call is given is held.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.backends._llamacpp_ggml import Ggml, c_function

Value = str | int | float | bool


class _InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor that is to be written: ``shape`` is (rows, columns), or (width,)."""

    name: str
    type: str
    shape: tuple[int, ...]


class GgufWriter:
    """ggml's functions for writing.

    Args:
        library: ggml, opened.
    """

    def __init__(self, library: Ggml) -> None:
        base = library.base
        pointer, size, text, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int
        self._library = library
        self._overhead = c_function(base, "ggml_tensor_overhead", size)
        self._init = c_function(base, "ggml_init", pointer, _InitParams)
        self._free = c_function(base, "ggml_free", None, pointer)
        self._tensor = c_function(
            base, "ggml_new_tensor_2d", pointer, pointer, number, ctypes.c_int64, ctypes.c_int64
        )
        self._row = c_function(base, "ggml_new_tensor_1d", pointer, pointer, number, ctypes.c_int64)
        self._name = c_function(base, "ggml_set_name", pointer, pointer, text)
        self._row_size = c_function(base, "ggml_row_size", size, number, ctypes.c_int64)
        self._quantize = c_function(
            base,
            "ggml_quantize_chunk",
            *(size, number, pointer, pointer),
            *(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, pointer),
        )
        self._gguf_new = c_function(base, "gguf_init_empty", pointer)
        self._gguf_free = c_function(base, "gguf_free", None, pointer)
        self._gguf_add = c_function(base, "gguf_add_tensor", None, pointer, pointer)
        self._gguf_offset = c_function(base, "gguf_get_tensor_offset", size, pointer, ctypes.c_int64)
        self._gguf_meta_size = c_function(base, "gguf_get_meta_size", size, pointer)
        self._gguf_write = c_function(base, "gguf_write_to_file", ctypes.c_bool, pointer, text, ctypes.c_bool)
        self._set_text = c_function(base, "gguf_set_val_str", None, pointer, text, text)
        self._set_whole = c_function(base, "gguf_set_val_u32", None, pointer, text, ctypes.c_uint32)
        self._set_real = c_function(base, "gguf_set_val_f32", None, pointer, text, ctypes.c_float)
        self._set_bool = c_function(base, "gguf_set_val_bool", None, pointer, text, ctypes.c_bool)

    def header(self, path: Path, metadata: Mapping[str, Value], tensors: Sequence[NewTensor]) -> list[int]:
        """Write a file's header and nothing else.

        Returns:
            Where each tensor's data begins, in bytes from the file's begin; gaps are to be zero.

        Raises:
            OSError: the file cannot be written.
            ValueError: ggml has no such type.
        """
        context = self._init(_InitParams(self._overhead() * (len(tensors) + 1), None, True))
        handle = self._gguf_new()
        try:
            for key, value in metadata.items():
                self._set(handle, key, value)
            for tensor in tensors:
                number = self._library.type_number(tensor.type)
                if number is None:
                    raise ValueError(f"ggml has no type {tensor.type}")
                if len(tensor.shape) == 1:
                    made = self._row(context, number, tensor.shape[0])
                else:
                    made = self._tensor(context, number, tensor.shape[1], tensor.shape[0])
                self._name(made, tensor.name.encode())
                self._gguf_add(handle, made)
            if not self._gguf_write(handle, os.fsencode(path), True):
                raise OSError(f"ggml could not write {path}")
            begin = self._gguf_meta_size(handle)
            return [begin + self._gguf_offset(handle, index) for index in range(len(tensors))]
        finally:
            self._gguf_free(handle)
            self._free(context)

    def _set(self, handle: int, key: str, value: Value) -> None:
        if isinstance(value, bool):
            self._set_bool(handle, key.encode(), value)
        elif isinstance(value, int):
            self._set_whole(handle, key.encode(), value)
        elif isinstance(value, float):
            self._set_real(handle, key.encode(), value)
        else:
            self._set_text(handle, key.encode(), value.encode())

    def quantised(self, type_name: str, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Rows of weights in one of ggml's types, without an importance matrix.

        Args:
            type_name: ``q4_K``, ``f16``, ``f32`` ...
            rows: float32[n, columns].

        Returns:
            uint8[n, bytes of one row].

        Raises:
            ValueError: there is no such type, or ggml wrote another number of bytes.
        """
        number = self._library.type_number(type_name)
        if number is None:
            raise ValueError(f"ggml has no type {type_name}")
        count, columns = rows.shape
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        result = np.zeros((count, self._row_size(number, columns)), dtype=np.uint8)
        written = self._quantize(number, rows.ctypes.data, result.ctypes.data, 0, count, columns, None)
        if written != result.nbytes:
            raise ValueError(f"ggml wrote {written} of {result.nbytes} bytes of {type_name}")
        return result
