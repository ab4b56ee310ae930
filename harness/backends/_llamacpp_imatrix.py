"""The importance matrix: how strongly each column of each weight is used, from a calibration text.

Owns collecting (through llama.cpp's evaluation callback, as its tool ``llama-imatrix`` does) and the file, in
llama.cpp's own GGUF form. Imports the standard library and numpy; the bindings are passed in. Contract: for every
matrix of a block, the sum over all tokens of the squares of what it multiplies, and the number of tokens.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends._llamacpp_ggml import Ggml, c_function
from harness.backends._llamacpp_gguf import GgufWriter, NewTensor, Value
from harness.backends._llamacpp_log import Log
from harness.worker.api import Unsupported

_MAX_DIMS, _MAX_SOURCES, _MAX_NAME, _OP_PARAMS = 4, 10, 64, 16
#: GGML_OBJECT_SIZE: what ggml adds to a tensor's own size.
_OBJECT_BYTES = 32
_SUMS, _COUNTS = ".in_sum2", ".counts"


class _Tensor(ctypes.Structure):
    """``struct ggml_tensor``."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * _MAX_DIMS),
        ("nb", ctypes.c_size_t * _MAX_DIMS),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * _OP_PARAMS),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * _MAX_SOURCES),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * _MAX_NAME),
        ("extra", ctypes.c_void_p),
        ("padding", ctypes.c_char * 8),
    ]


@dataclass(slots=True)
class Importance:
    """Of one weight: ``sums: float64[columns]`` of squares over ``rows`` tokens."""

    sums: npt.NDArray[np.float64]
    rows: int


class Collector:
    """Watches llama.cpp compute and adds up squares.

    Args:
        library: ggml, opened.

    Raises:
        RuntimeError: this ggml's tensors have another layout.
    """

    def __init__(self, library: Ggml) -> None:
        base = library.base
        size = c_function(base, "ggml_tensor_overhead", ctypes.c_size_t)()
        if size != ctypes.sizeof(_Tensor) + _OBJECT_BYTES:
            raise RuntimeError(f"tensors of this ggml take {size} bytes: their layout is not the known one")
        self._op_name = c_function(base, "ggml_op_name", ctypes.c_char_p, ctypes.c_int)
        self._bytes = c_function(base, "ggml_nbytes", ctypes.c_size_t, ctypes.c_void_p)
        self._get = c_function(
            base,
            "ggml_backend_tensor_get",
            *(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t),
        )
        self._f32 = library.type_number("f32")
        self.found: dict[str, Importance] = {}
        #: What went wrong inside the callback, which cannot raise through C.
        self.error: Exception | None = None

    def __call__(self, address: int, ask: bool, _user_data: object) -> bool:
        """llama.cpp's callback: asks whether a tensor is wanted, then shows it."""
        try:
            return self._wanted(address) if ask else self._add(address)
        except Exception as error:  # noqa: BLE001 - it goes on where C is left: `_compute` raises it
            self.error = error
            return False

    def _wanted(self, address: int) -> bool:
        tensor = _Tensor.from_address(address)
        operation = self._op_name(tensor.op)
        if operation == b"MUL_MAT_ID":
            raise Unsupported("importance matrices of mixtures of experts are not collected")
        if operation != b"MUL_MAT":
            return False
        weights, inputs = (_Tensor.from_address(tensor.src[index]) for index in (0, 1))
        # Keys and values are multiplied too: only what the quantiser will ask for is kept.
        return bool(weights.name.startswith(b"blk.")) and inputs.type == self._f32

    def _add(self, address: int) -> bool:
        tensor = _Tensor.from_address(address)
        weights, inputs = (_Tensor.from_address(tensor.src[index]) for index in (0, 1))
        raw = np.empty(self._bytes(tensor.src[1]), dtype=np.uint8)
        self._get(tensor.src[1], raw.ctypes.data, 0, raw.nbytes)
        values = np.ndarray(tuple(inputs.ne)[::-1], np.float32, raw, strides=tuple(inputs.nb)[::-1])
        rows = values.reshape(-1, inputs.ne[0])
        sums = np.square(rows).sum(axis=0, dtype=np.float64)
        if not np.isfinite(sums).all():
            raise RuntimeError(f"activations that enter {weights.name.decode()} are not finite")
        entry = self.found.setdefault(weights.name.decode(), Importance(np.zeros_like(sums), 0))
        entry.sums += sums
        entry.rows += len(rows)
        return True


def collect(
    llama: Any,
    library: Ggml,
    log: Log,
    model_file: Path,
    tokens: npt.NDArray[np.int32],
    *,
    bos: int | None,
    chunk: int,
    threads: int,
) -> dict[str, Importance]:
    """Compute a text on the CPU and watch what enters each weight.

    Args:
        llama: the module ``llama_cpp.llama_cpp``.
        library: ggml, opened.
        log: llama.cpp's log.
        model_file: the model, in F32.
        tokens: int32[n * chunk].
        bos: takes the place of each chunk's first token; None: nothing does.
        chunk: tokens computed together, from an empty cache.
        threads: compute threads.

    Raises:
        RuntimeError: llama.cpp could not compute.
        Unsupported: a mixture of experts.
    """
    collector = Collector(library)
    log.clear()
    params = llama.llama_model_default_params()
    no_devices = (ctypes.c_void_p * 1)(None)
    params.devices = ctypes.cast(no_devices, ctypes.c_void_p)
    params.n_gpu_layers = 0
    # Rearranged weights go by other names.
    params.use_extra_bufts = False
    model = llama.llama_model_load_from_file(os.fsencode(model_file), params)
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {model_file.name}: {log.problem('no reason given')}")
    context = None
    try:
        callback = llama.ggml_backend_sched_eval_callback(collector)
        settings = llama.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = chunk
        settings.n_threads = settings.n_threads_batch = threads
        settings.cb_eval = callback
        context = llama.llama_init_from_model(model, settings)
        if not context:
            raise RuntimeError(f"llama.cpp cannot make a context: {log.problem('no reason given')}")
        _compute(llama, context, tokens, bos, chunk, collector, lambda: log.problem("no reason given"))
    finally:
        if context:
            llama.llama_free(context)
        llama.llama_model_free(model)
    return collector.found


def _compute(
    llama: Any,
    context: int,
    tokens: npt.NDArray[np.int32],
    bos: int | None,
    chunk: int,
    collector: Collector,
    reason: Callable[[], str],
) -> None:
    # Logits everywhere: the last block computes only the rows that are asked for.
    wanted = np.ones(chunk, dtype=np.int8)
    for start in range(0, len(tokens), chunk):
        part = tokens[start : start + chunk].copy()
        if bos is not None:
            part[0] = bos
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        batch = llama.llama_batch_get_one(part.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(part))
        batch.logits = wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        status = llama.llama_decode(context, batch)
        llama.llama_synchronize(context)
        if collector.error is not None:
            raise collector.error
        if status != 0:
            raise RuntimeError(f"llama.cpp failed to compute (status {status}): {reason()}")


def write(library: Ggml, path: Path, found: Mapping[str, Importance], chunks: int, chunk: int) -> int:
    """Write llama.cpp's own file of an importance matrix. Returns the bytes of its tensors."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, entry in found.items():
        arrays[name + _SUMS] = entry.sums.astype(np.float32)[np.newaxis]
        arrays[name + _COUNTS] = np.asarray([[entry.rows]], dtype=np.float32)
    metadata: dict[str, Value] = {
        "general.type": "imatrix",
        "imatrix.chunk_count": chunks,
        "imatrix.chunk_size": chunk,
    }
    tensors = [NewTensor(name, "f32", array.shape) for name, array in arrays.items()]
    offsets = GgufWriter(library).header(path, metadata, tensors)
    with path.open("r+b") as file:
        for offset, array in zip(offsets, arrays.values(), strict=True):
            file.seek(offset)
            file.write(array.tobytes())
        # The last tensor is padded as the others are.
        file.truncate(-(-file.tell() // 32) * 32)
    return sum(array.nbytes for array in arrays.values())


def read(library: Ggml, path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Weight name -> mean square of what enters each of its columns: float32[columns].

    Raises:
        ValueError: no such file.
    """
    arrays = {
        tensor.name: np.fromfile(path, dtype="<f4", count=tensor.size_bytes // 4, offset=tensor.offset)
        for tensor in library.tensors(path)
    }
    found = {
        name.removesuffix(_SUMS): sums / arrays[name.removesuffix(_SUMS) + _COUNTS]
        for name, sums in arrays.items()
        if name.endswith(_SUMS)
    }
    if not found:
        raise ValueError(f"{path.name} holds no importance matrix")
    return found
