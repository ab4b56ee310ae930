"""What the llama.cpp backend needs of ggml and of llama.cpp's log, over ctypes.

Owns: the devices that ggml enumerates, the tensor table of a GGUF file, thread pools, and the log callback with what
llama.cpp says only there. Imports the standard library; the shared libraries are those inside the installed
``llama_cpp`` package and are opened by `Ggml`, never at import. Contract: every signature here is that of the headers
vendored in the pinned llama-cpp-python; no pointer leaves this module except as the opaque handles that llama.cpp
itself takes.
"""

from __future__ import annotations

import collections
import ctypes
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.worker.api import Device

# enum ggml_log_level; the bindings' own table is one off for this version.
_LOG_DEBUG, _LOG_INFO, _LOG_WARN, _LOG_ERROR, _LOG_CONT = 1, 2, 3, 4, 5

# enum ggml_backend_dev_type
_DEV_CPU, _DEV_GPU, _DEV_IGPU = 0, 1, 2

_MAX_THREADS = 512  # GGML_MAX_N_THREADS

#: ggml's registry names, where they differ from the API's usual name.
_APIS = {"mtl": "metal", "rocm": "hip"}


class _GgufInitParams(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]


class _ThreadpoolParams(ctypes.Structure):
    _fields_ = [
        ("cpumask", ctypes.c_bool * _MAX_THREADS),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    ]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One row of a GGUF file's tensor table."""

    name: str
    type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EnumeratedDevice:
    """A device, ggml's own name for it (``CUDA0``), and the handle that llama.cpp takes."""

    device: Device
    ggml_name: str
    handle: int


class Ggml:
    """ggml's C functions.

    Args:
        load: opens a library of the package by its base name, ``ggml`` or ``ggml-base``.
        type_count: GGML_TYPE_COUNT; ggml itself does not check the number of a type.
    """

    def __init__(self, load: Callable[[str], ctypes.CDLL], type_count: int) -> None:
        self._type_count = type_count
        registry, base = load("ggml"), load("ggml-base")
        pointer, size, text, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int
        self._device_count = _function(registry, "ggml_backend_dev_count", size)
        self._device_get = _function(registry, "ggml_backend_dev_get", pointer, size)
        self._device_name = _function(base, "ggml_backend_dev_name", text, pointer)
        self._device_description = _function(base, "ggml_backend_dev_description", text, pointer)
        self._device_type = _function(base, "ggml_backend_dev_type", number, pointer)
        self._device_memory = _function(
            base, "ggml_backend_dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size)
        )
        self._device_registry = _function(base, "ggml_backend_dev_backend_reg", pointer, pointer)
        self._registry_name = _function(base, "ggml_backend_reg_name", text, pointer)
        self._registry_address = _function(base, "ggml_backend_reg_get_proc_address", pointer, pointer, text)
        self._type_name = _function(base, "ggml_type_name", text, number)
        self._gguf_open = _function(base, "gguf_init_from_file", pointer, text, _GgufInitParams)
        self._gguf_free = _function(base, "gguf_free", None, pointer)
        self._gguf_count = _function(base, "gguf_get_n_tensors", ctypes.c_int64, pointer)
        self._gguf_name = _function(base, "gguf_get_tensor_name", text, pointer, ctypes.c_int64)
        self._gguf_type = _function(base, "gguf_get_tensor_type", number, pointer, ctypes.c_int64)
        self._gguf_size = _function(base, "gguf_get_tensor_size", size, pointer, ctypes.c_int64)
        self._gguf_offset = _function(base, "gguf_get_tensor_offset", size, pointer, ctypes.c_int64)
        self._gguf_data = _function(base, "gguf_get_data_offset", size, pointer)
        self._pool_params = _function(base, "ggml_threadpool_params_default", _ThreadpoolParams, number)
        self.version: str = _function(base, "ggml_version", text)().decode()
        self.commit: str = _function(base, "ggml_commit", text)().decode()

    # -- devices ----------------------------------------------------------------------------------------------------

    def devices(self) -> list[EnumeratedDevice]:
        """CPU and GPUs as ggml enumerates them now, GPUs numbered per API.

        Accelerators that ggml uses only inside the CPU's own graph (BLAS, AMX) are no devices of their own.
        """
        found: list[EnumeratedDevice] = []
        numbers: collections.Counter[str] = collections.Counter()
        for index in range(self._device_count()):
            handle = self._device_get(index)
            kind = self._device_type(handle)
            if kind not in (_DEV_CPU, _DEV_GPU, _DEV_IGPU):
                continue
            api = self._registry_name(self._device_registry(handle)).decode().lower()
            api = _APIS.get(api, api)
            number = numbers[api]
            numbers[api] += 1
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            self._device_memory(handle, ctypes.byref(free), ctypes.byref(total))
            device = Device(
                id="cpu" if kind == _DEV_CPU else f"gpu:{number}",
                api=api,
                name=self._device_description(handle).decode(errors="replace").strip(),
                memory_bytes=total.value or None,
            )
            found.append(EnumeratedDevice(device, self._device_name(handle).decode(), handle))
        return found

    # -- thread pools -----------------------------------------------------------------------------------------------

    def new_threadpool(self, threads: int, poll: int) -> Threadpool:
        """A pool of ``threads`` that spins at level ``poll`` (0..100) before it sleeps, as llama-bench's does.

        A build with OpenMP takes only the number of threads from it. Without OpenMP and without a pool, ggml would
        start its threads anew for every graph.
        """
        for found in self.devices():
            if found.device.id == "cpu":
                registry = self._device_registry(found.handle)
                break
        else:
            raise RuntimeError("ggml enumerates no CPU")
        new = self._registry_address(registry, b"ggml_threadpool_new")
        free = self._registry_address(registry, b"ggml_threadpool_free")
        if not new or not free:
            raise RuntimeError("this build of ggml exposes no thread pools")
        params = self._pool_params(threads)
        params.poll = poll
        make = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_ThreadpoolParams))(new)
        handle = make(ctypes.byref(params))
        if not handle:
            raise RuntimeError(f"ggml could not start {threads} threads")
        return Threadpool(handle, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(free))

    # -- types and files --------------------------------------------------------------------------------------------

    def type_number(self, name: str) -> int | None:
        """The number of the type of that name (``f16``, ``q8_0``); None where ggml has none."""
        for number in range(self._type_count):
            known = self._type_name(number)
            if known is not None and known.decode() == name:
                return number
        return None

    def tensors(self, path: Path) -> list[Tensor]:
        """The tensor table of a GGUF file.

        Raises:
            ValueError: no GGUF file, or one that ends before its last tensor.
        """
        handle = self._gguf_open(os.fsencode(path), _GgufInitParams(no_alloc=True, ctx=None))
        if not handle:
            raise ValueError(f"{path.name} is no GGUF file, or its header is damaged")
        try:
            return list(self._read_tensors(handle, path))
        finally:
            self._gguf_free(handle)

    def _read_tensors(self, handle: int, path: Path) -> Iterator[Tensor]:
        data, length = self._gguf_data(handle), path.stat().st_size
        for index in range(self._gguf_count(handle)):
            name = self._gguf_name(handle, index).decode()
            size = self._gguf_size(handle, index)
            end = data + self._gguf_offset(handle, index) + size
            if end > length:
                raise ValueError(f"{path.name} is truncated: {name} ends at byte {end} of {length}")
            yield Tensor(name, self._type_name(self._gguf_type(handle, index)).decode(), size)


class Threadpool:
    """A ggml thread pool; `free` it after the context that it is attached to."""

    def __init__(self, handle: int, free: Callable[[int], None]) -> None:
        self.handle = handle
        self._free: Callable[[int], None] | None = free

    def free(self) -> None:
        """End the threads. A second call does nothing."""
        if self._free is not None:
            self._free(self.handle)
            self._free = None


class Log:
    """Receives llama.cpp's log: passes it on to stderr, keeps what was said and what went wrong.

    llama.cpp tells some things nowhere else: why a load failed, which buffers hold the weights, what an automatic
    setting became, how many tensors fell back to another type. Debug lines are dropped. llama.cpp writes nothing
    while it decodes, so the callback costs nothing there.
    """

    def __init__(self, make_callback: Callable[[Callable[..., None]], Any]) -> None:
        self._lines: list[str] = []
        self._problems: collections.deque[str] = collections.deque(maxlen=4)
        self._open = ""
        self._level = _LOG_INFO
        #: The C callback; lives as long as this object, which must outlive llama.cpp's use of it.
        self.callback = make_callback(self._receive)

    def clear(self) -> None:
        """Forget everything: what follows belongs to the next call."""
        self._lines.clear()
        self._problems.clear()
        self._open = ""

    @property
    def text(self) -> str:
        """Everything said since `clear`, without debug lines."""
        return "\n".join(self._lines)

    def problem(self, otherwise: str) -> str:
        """llama.cpp's last errors and warnings as one line; ``otherwise`` where it said nothing."""
        return "; ".join(self._problems) or otherwise

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _LOG_CONT:
            self._level = level
        if self._level == _LOG_DEBUG:
            return
        os.write(2, text)
        # A line may come in pieces; it counts once it is whole.
        *whole, self._open = (self._open + text.decode(errors="replace")).split("\n")
        for line in filter(None, (part.strip() for part in whole)):
            self._lines.append(line)
            # Rules of "====" around a message say nothing.
            if self._level in (_LOG_WARN, _LOG_ERROR) and any(map(str.isalnum, line)):
                self._problems.append(line)


def buffer_bytes(log: str, kind: str) -> dict[str, int]:
    """Bytes per ggml buffer that llama.cpp reports, to its own resolution of 0.01 MiB.

    Args:
        log: the log of a load.
        kind: ``model``, ``KV`` or ``compute``.

    Returns:
        For instance ``{"CPU_Mapped": 107520000}``; empty where nothing of that kind was reported.
    """
    sizes: collections.Counter[str] = collections.Counter()
    for name, mib in re.findall(rf"(\S+) +{kind} buffer size = +([\d.]+) MiB", log):
        sizes[name] += round(float(mib) * 2**20)
    return dict(sizes)


def fallback_count(log: str) -> int:
    """How many tensors the quantiser gave another type than the recipe's, because of their shape."""
    found = re.search(r"WARNING: (\d+) of \d+ tensor\(s\) required fallback quantization", log)
    return int(found[1]) if found else 0


def load_mode(log: str) -> str | None:
    """How the weights were read: ``mmap``, ``none`` ...; None where the log does not tell."""
    found = re.search(r"\(load_mode = ([^)]+)\)", log)
    return found[1] if found else None


def flash_attention(log: str) -> str | None:
    """What an automatic flash attention became: ``on`` or ``off``; None where it was not automatic."""
    if "Flash Attention not supported, set to disabled" in log:
        return "off"
    # A quantised V cache needs it, and then nothing is probed.
    taken = ("Flash Attention enabled", "enabling flash_attn since it is required")
    return "on" if any(words in log for words in taken) else None


def offloaded_layers(log: str) -> tuple[int, int] | None:
    """(layers on the GPU, layers of the model); None where nothing was offloaded."""
    found = re.search(r"offloaded (\d+)/(\d+) layers to GPU", log)
    return (int(found[1]), int(found[2])) if found else None


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function
