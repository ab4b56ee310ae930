"""What the llama.cpp backend needs of ggml, over ctypes.

Owns: the devices that ggml enumerates, those of an RPC server, the tensor table of a GGUF file, and thread pools.
Imports the standard library; the shared libraries are those inside the installed
``llama_cpp`` package and are opened by `Ggml`, never at import. Contract: every signature here is that of the headers
vendored in the pinned llama-cpp-python; no pointer leaves this module except as the opaque handles that llama.cpp
itself takes.
"""

from __future__ import annotations

import collections
import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.worker.api import Device

# enum ggml_backend_dev_type
_DEV_CPU, _DEV_GPU, _DEV_IGPU = 0, 1, 2

_MAX_THREADS = 512  # GGML_MAX_N_THREADS

_RPC_TIMEOUT_S = 5.0

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
    """One row of a GGUF file's tensor table; ``offset`` counts from the file's begin."""

    name: str
    type: str
    size_bytes: int
    offset: int


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
        self._servers: set[int] = set()
        registry, base = load("ggml"), load("ggml-base")
        #: The library of types, tensors and files.
        self.base = base
        pointer, size, text, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int
        self._device_count = c_function(registry, "ggml_backend_dev_count", size)
        self._device_get = c_function(registry, "ggml_backend_dev_get", pointer, size)
        self._device_name = c_function(base, "ggml_backend_dev_name", text, pointer)
        self._device_description = c_function(base, "ggml_backend_dev_description", text, pointer)
        self._device_type = c_function(base, "ggml_backend_dev_type", number, pointer)
        self._device_memory = c_function(
            base, "ggml_backend_dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size)
        )
        self._device_registry = c_function(base, "ggml_backend_dev_backend_reg", pointer, pointer)
        self._registry_name = c_function(base, "ggml_backend_reg_name", text, pointer)
        self._registry_named = c_function(registry, "ggml_backend_reg_by_name", pointer, text)
        self._register = c_function(registry, "ggml_backend_register", None, pointer)
        self._registry_address = c_function(base, "ggml_backend_reg_get_proc_address", pointer, pointer, text)
        self._type_name = c_function(base, "ggml_type_name", text, number)
        self._gguf_open = c_function(base, "gguf_init_from_file", pointer, text, _GgufInitParams)
        self._gguf_free = c_function(base, "gguf_free", None, pointer)
        self._gguf_count = c_function(base, "gguf_get_n_tensors", ctypes.c_int64, pointer)
        self._gguf_name = c_function(base, "gguf_get_tensor_name", text, pointer, ctypes.c_int64)
        self._gguf_type = c_function(base, "gguf_get_tensor_type", number, pointer, ctypes.c_int64)
        self._gguf_size = c_function(base, "gguf_get_tensor_size", size, pointer, ctypes.c_int64)
        self._gguf_offset = c_function(base, "gguf_get_tensor_offset", size, pointer, ctypes.c_int64)
        self._gguf_data = c_function(base, "gguf_get_data_offset", size, pointer)
        self._pool_params = c_function(base, "ggml_threadpool_params_default", _ThreadpoolParams, number)
        self.version: str = c_function(base, "ggml_version", text)().decode()
        self.commit: str = c_function(base, "ggml_commit", text)().decode()

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

    def add_rpc_server(self, endpoint: str) -> None:
        """Let the devices of an RPC server be enumerated with the others.

        Args:
            endpoint: ``host:port``.

        Raises:
            ValueError: not such an endpoint.
            RuntimeError: no server answers there, it has no device, or this build has no RPC.
        """
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{endpoint!r} is no RPC endpoint: expected HOST:PORT")
        registry = self._registry_named(b"RPC")
        if not registry:
            raise RuntimeError("this build of ggml has no RPC")
        try:
            # ggml ends the process where nobody answers.
            socket.create_connection((host, int(port)), timeout=_RPC_TIMEOUT_S).close()
        except OSError as error:
            raise RuntimeError(f"no RPC server answers at {endpoint}: {error}") from error
        address = self._registry_address(registry, b"ggml_backend_rpc_add_server")
        add = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(address)
        server = add(endpoint.encode())
        if not server:
            raise RuntimeError(f"the RPC server at {endpoint} has no device")
        if server not in self._servers:
            self._register(server)
            self._servers.add(server)

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
            offset = data + self._gguf_offset(handle, index)
            end = offset + size
            if end > length:
                raise ValueError(f"{path.name} is truncated: {name} ends at byte {end} of {length}")
            yield Tensor(name, self._type_name(self._gguf_type(handle, index)).decode(), size, offset)


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


def c_function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A function of a C library with its types."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function
