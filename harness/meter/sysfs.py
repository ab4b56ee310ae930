"""Numbers in kernel files whose absence voids a measurement.

Owns nothing but the reading. Imports only the standard library. Contract: an integer, or `MeterError` with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.machine.files import read_text
from harness.meter.base import MeterError

_INTEGER = re.compile(r"-?[0-9]{1,20}")


def integer(path: Path, *, signed: bool = False) -> int:
    """The integer in a file.

    Raises:
        MeterError: it cannot be read, or holds none.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except PermissionError as error:
        raise MeterError(f"{path} may be read by root only") from error
    except OSError as error:
        raise MeterError(f"{path} cannot be read: {error.strerror or error}") from error
    if not _INTEGER.fullmatch(text) or (text.startswith("-") and not signed):
        raise MeterError(f"{path} holds no number: {text[:40]!r}")
    return int(text)


def hwmon(sys: Path, names: re.Pattern[str]) -> Iterator[tuple[str, Path]]:
    """(name, folder) of every hardware monitor whose name fits, in order of the device that it belongs to.

    The numbers of hwmon folders change from boot to boot; the devices' own places do not.
    """
    found = []
    for folder in (sys / "class/hwmon").glob("hwmon*"):
        name = read_text(folder / "name") or ""
        if names.fullmatch(name):
            device = folder / "device"
            place = device.resolve().name if device.exists() else folder.name
            found.append((place, name, folder))
    for _, name, folder in sorted(found):
        yield name, folder
