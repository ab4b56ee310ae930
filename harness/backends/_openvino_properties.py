"""OpenVINO's devices and properties, under its own names.

Owns: the mapping between the harness's device ids and OpenVINO's, what is set before compiling, and what is read back
after it. Imports nothing of openvino: it works on the objects that it is given. Contract: no property is set that the
plug-in does not list as writable; what is read back is text as OpenVINO spells it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from harness.worker.api import Device, LoadSpec

#: Read back from every compiled graph that lists them: each changes figures or quality.
HINTS = (
    "INFERENCE_PRECISION_HINT",
    "KV_CACHE_PRECISION",
    "KEY_CACHE_PRECISION",
    "VALUE_CACHE_PRECISION",
    "KEY_CACHE_GROUP_SIZE",
    "VALUE_CACHE_GROUP_SIZE",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE",
    "ACTIVATIONS_SCALE_FACTOR",
    "EXECUTION_MODE_HINT",
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "ENABLE_CPU_PINNING",
    "ENABLE_HYPER_THREADING",
    "SCHEDULING_CORE_TYPE",
    "EXECUTION_DEVICES",
)

_APIS = {"cpu": "cpu", "gpu": "opencl", "npu": "npu"}
_DRIVER = ("GPU_DRIVER_VERSION", "NPU_DRIVER_VERSION")
_MEMORY = ("GPU_DEVICE_TOTAL_MEM_SIZE", "NPU_DEVICE_TOTAL_MEM_SIZE")


def device_id(name: str) -> str | None:
    """``CPU`` -> ``cpu``, ``GPU`` and ``GPU.0`` -> ``gpu:0``; None for virtual plug-ins such as ``AUTO:CPU``."""
    match = re.fullmatch(r"(CPU|GPU|NPU)(?:\.(\d+))?", name)
    if match is None:
        return None
    kind = match[1].lower()
    return kind if kind == "cpu" else f"{kind}:{match[2] or 0}"


def plugin_name(device: str) -> str:
    """``cpu`` -> ``CPU``, ``gpu:1`` -> ``GPU.1``, ``npu:0`` -> ``NPU``, which has no numbers."""
    kind, _, number = device.partition(":")
    return f"GPU.{number or 0}" if kind == "gpu" else kind.upper()


def device(core: Any, name: str) -> Device:
    """The device of an entry of ``available_devices`` that `device_id` knows."""
    identity = device_id(name)
    if identity is None:
        raise ValueError(f"{name} is not one device")
    listed = core.get_property(name, "SUPPORTED_PROPERTIES")
    driver = next((text(core.get_property(name, key)) for key in _DRIVER if key in listed), None)
    memory = next((int(core.get_property(name, key)) for key in _MEMORY if key in listed), None)
    return Device(
        id=identity,
        api=_APIS[identity.split(":")[0]],
        name=str(core.get_property(name, "FULL_DEVICE_NAME")).strip(),
        driver=driver,
        memory_bytes=memory,
    )


def config(core: Any, spec: LoadSpec) -> dict[str, str]:
    """What `Core.compile_model` gets: one stream for latency, the threads asked for, and the user's options.

    Raises:
        ValueError: an option that the device's plug-in does not list as writable.
    """
    listed: Mapping[str, str] = core.get_property(plugin_name(spec.device), "SUPPORTED_PROPERTIES")
    writable = sorted(key for key, access in listed.items() if "W" in str(access))
    for key in spec.options:
        if key not in writable:
            close = difflib.get_close_matches(key.upper(), writable, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(writable)}"
            raise ValueError(f"OpenVINO's {plugin_name(spec.device)} plug-in has no setting {key}: {hint}")
    wanted = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(spec.threads)}
    return {key: value for key, value in wanted.items() if key in writable} | dict(spec.options)


def in_force(compiled: Any, options: Mapping[str, str]) -> dict[str, str]:
    """`HINTS` and the options given, as the compiled graph reports them; what it does not report is left out."""
    listed = compiled.get_property("SUPPORTED_PROPERTIES")
    names = dict.fromkeys((*HINTS, *options))
    return {name: text(compiled.get_property(name)) for name in names if name in listed}


def text(value: Any) -> str:
    """A property's value as OpenVINO's own command lines spell it: ``f16``, ``LATENCY``, ``true``, ``CPU``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(sorted(text(item) for item in value))
    if hasattr(value, "to_string"):  # openvino.Type
        return str(value.to_string())
    name = getattr(value, "name", None)  # the enumerations of openvino.properties
    return name if isinstance(name, str) else str(value)
