"""How a device and its API are named together, in suites, tables and databases alike.

Owns this one label. Imports nothing.
"""

from __future__ import annotations


def device_label(device: str, api: str) -> str:
    """``gpu:0.vulkan``; ``cpu`` where the API is the device's own."""
    return device if api == device.partition(":")[0] else f"{device}.{api}"
