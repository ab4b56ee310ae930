"""Sizes of the CPU's caches.

Owns reading them. Imports the standard library. Contract: bytes over all instances together, or None with the reason.
"""

from __future__ import annotations

from pathlib import Path

from harness.machine import parse
from harness.machine.files import read_int, read_text


def last_level_cache_bytes(root: Path = Path("/")) -> tuple[int | None, str | None]:
    """Bytes of the last level of cache, all instances together, and why it is None.

    In a virtual machine it is what the hypervisor tells, and others may work in the same cache.
    """
    places = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]*"))
    sizes: dict[tuple[int, str], int] = {}
    for place in places:
        level, size = read_int(place / "level"), parse.size_bytes(read_text(place / "size") or "")
        if level is None or size is None or read_text(place / "type") == "Instruction":
            continue
        # The same cache stands below every CPU that shares it.
        sizes[level, read_text(place / "shared_cpu_list") or str(place)] = size
    if not sizes:
        return None, f"no cache is described under {root / 'sys/devices/system/cpu'}"
    last = max(level for level, _ in sizes)
    return sum(size for (level, _), size in sizes.items() if level == last), None
