"""Quantising a GGUF file with llama.cpp.

Owns the call of ``llama_model_quantize`` and what is said of its result. Imports the standard library and numpy; the
bindings are passed in. Contract: a file that comes out has every tensor of its source, or the call raised.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends._llamacpp_ggml import Ggml, Tensor
from harness.backends._llamacpp_log import Log, fallbacks
from harness.worker.api import Recipe

#: Rows that are held at once while quantising; llama.cpp's own default is 8 GiB.
_BUFFER_BYTES = 2**30


def quantise(
    llama: Any,
    log: Log,
    recipe: Recipe,
    source: Path,
    target: Path,
    *,
    threads: int,
    imatrix: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> dict[str, Any]:
    """Quantise (or, for F32, dequantise) a GGUF file into ``target``.

    Args:
        llama: the module ``llama_cpp.llama_cpp``.
        log: llama.cpp's log, cleared here.
        recipe: what to make.
        source: a GGUF file.
        target: the file to write.
        threads: compute threads.
        imatrix: tensor name -> mean square of the activations of each of its columns.

    Returns:
        Notes for the lineage: ``llama_ftype`` and ``fallbacks``.

    Raises:
        RuntimeError: llama.cpp made nothing; the message holds its last words.
    """
    params = llama.llama_model_quantize_default_params()
    params.ftype = getattr(llama, f"LLAMA_FTYPE_{recipe.parameters['ftype']}")
    params.allow_requantize = bool(recipe.parameters["allow_requantize"])
    params.nthread = threads
    params.max_buf_size = _BUFFER_BYTES
    entries = None
    if imatrix is not None:
        entries = _entries(llama, imatrix)
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    log.clear()
    status = llama.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    del entries
    if status != 0:
        target.unlink(missing_ok=True)
        raise RuntimeError(f"llama.cpp could not make {recipe.name}: {log.problem(f'status {status}')}")
    return {
        "llama_ftype": llama.llama_ftype_name(params.ftype).decode(),
        "fallbacks": fallbacks(log.text),
    }


def _entries(llama: Any, imatrix: Mapping[str, npt.NDArray[np.float32]]) -> Any:
    """The matrix as llama.cpp takes it: an array that ends with an entry without a name.

    The entries point into the arrays of ``imatrix``, which must stay alive.
    """
    item = llama.llama_model_imatrix_data
    entries = (item * (len(imatrix) + 1))()
    for entry, (name, values) in zip(entries, imatrix.items(), strict=False):
        if values.dtype != np.float32 or not values.flags.c_contiguous:
            raise ValueError(f"the importance of {name} is no contiguous float32 array")
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return entries


def made_of(library: Ggml, source: Path, target: Path, recipe: str) -> tuple[int, dict[str, Any]]:
    """Weight bytes of a quantised file, and its tensors by type.

    Raises:
        RuntimeError: tensors of the source are missing.
    """
    tensors = library.tensors(target)
    wanted = {tensor.name for tensor in library.tensors(source)}
    if missing := wanted - {tensor.name for tensor in tensors}:
        raise RuntimeError(f"llama.cpp left out {len(missing)} tensors of {recipe}, such as {min(missing)}")
    return sum(tensor.size_bytes for tensor in tensors), {"tensor_types": by_type(tensors)}


def by_type(tensors: Iterable[Tensor]) -> dict[str, dict[str, int]]:
    """Count and bytes of the tensors of each type."""
    types: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        entry = types.setdefault(tensor.type, {"tensors": 0, "bytes": 0})
        entry["tensors"] += 1
        entry["bytes"] += tensor.size_bytes
    return types
