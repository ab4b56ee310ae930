"""What asks Windows for energy meters: opening the devices of an interface class, and DeviceIoControl.

Owns the calls of cfgmgr32 and kernel32, through ctypes. Contract: the module can be imported anywhere; its functions
work on Windows only, and every refusal is an OSError.
"""

from __future__ import annotations

import ctypes
import uuid
from typing import Any

#: GUID_DEVICE_ENERGY_METER of emi.h.
ENERGY_METER = uuid.UUID("45bd8344-7ed6-49cf-a440-c276c933b053")

_PRESENT = 0
_GENERIC_READ = 0x80000000
_SHARE_READ_WRITE = 0x3
_OPEN_EXISTING = 3


def _library(name: str) -> Any:
    loader = getattr(ctypes, "WinDLL", None)
    if loader is None:
        raise OSError("this is not Windows")
    return loader(name, use_last_error=True)


def _last_error(what: str) -> OSError:
    code = getattr(ctypes, "get_last_error", int)()
    return OSError(f"{what} failed with Windows' error {code}")


class WindowsDevice:
    """One device, open for reading; closed when it is no longer referred to.

    Args:
        path: of its interface.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._kernel = _library("kernel32")
        self._kernel.CreateFileW.restype = ctypes.c_void_p
        handle = self._kernel.CreateFileW(
            ctypes.c_wchar_p(path),
            ctypes.c_uint32(_GENERIC_READ),
            ctypes.c_uint32(_SHARE_READ_WRITE),
            None,
            ctypes.c_uint32(_OPEN_EXISTING),
            ctypes.c_uint32(0),
            None,
        )
        self._handle: ctypes.c_void_p | None = None
        if handle is None or handle == ctypes.c_void_p(-1).value:
            raise _last_error(f"opening {path}")
        self._handle = ctypes.c_void_p(handle)

    def ask(self, code: int, size: int) -> bytes:
        """The answer to a control code, of at most ``size`` bytes.

        Raises:
            OSError: Windows refuses.
        """
        answer = ctypes.create_string_buffer(size)
        returned = ctypes.c_uint32(0)
        done = self._kernel.DeviceIoControl(
            self._handle,
            ctypes.c_uint32(code),
            None,
            ctypes.c_uint32(0),
            answer,
            ctypes.c_uint32(size),
            ctypes.byref(returned),
            None,
        )
        if not done:
            raise _last_error(f"the control code {code:#x}")
        return answer.raw[: returned.value]

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._kernel.CloseHandle(self._handle)


def device_paths() -> list[str]:
    """Paths of the energy meters that are there.

    Raises:
        OSError: Windows does not tell.
    """
    manager = _library("cfgmgr32")
    guid = ctypes.create_string_buffer(ENERGY_METER.bytes_le, 16)
    size = ctypes.c_uint32(0)
    status = manager.CM_Get_Device_Interface_List_SizeW(
        ctypes.byref(size), guid, None, ctypes.c_uint32(_PRESENT)
    )
    if status != 0:
        raise OSError(f"listing the energy meters failed with the status {status}")
    buffer = ctypes.create_unicode_buffer(max(size.value, 1))
    status = manager.CM_Get_Device_Interface_ListW(guid, None, buffer, size, ctypes.c_uint32(_PRESENT))
    if status != 0:
        raise OSError(f"listing the energy meters failed with the status {status}")
    # Texts one behind the other, each ended by a zero, the last one empty.
    return [path for path in "".join(buffer[:]).split("\0") if path]


def open_devices() -> list[WindowsDevice]:
    """Every energy meter of this machine, open.

    Raises:
        OSError: one cannot be opened.
    """
    return [WindowsDevice(path) for path in device_paths()]
