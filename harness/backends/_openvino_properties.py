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

#: Plug-ins that compute nothing themselves but hand the graph to a real device.
VIRTUAL = ("auto", "hetero")

#: Settings such as CACHE_DIR and CONFIG_FILE: what is written or loaded there is no suite's business.
_PLACE = re.compile(r"(?:^|_)(?:DIR|FILE|PATH|LIBRARY)(?:_|$)")

#: What an artifact that is to be computed in 32 bits is compiled with, unless the user's options say otherwise.
EXACT: Mapping[str, str] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}

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


def plugin_name(device: str, api: str = "") -> str:
    """``cpu`` -> ``CPU``, ``gpu:1`` -> ``GPU.1``, ``npu:0`` -> ``NPU``; by ``auto``, ``cpu`` -> ``AUTO:CPU``."""
    kind, _, number = device.partition(":")
    name = f"GPU.{number or 0}" if kind == "gpu" else kind.upper()  # the NPU has no numbers
    return f"{api.upper()}:{name}" if api in VIRTUAL else name


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


def config(core: Any, spec: LoadSpec, *, exact: bool = False) -> dict[str, Any]:
    """What `Core.compile_model` gets: one stream for latency, the threads asked for, and the user's options.

    A virtual plug-in is given the same for the device that computes.

    Args:
        core: of openvino.
        spec: what is loaded, and how.
        exact: whether the artifact is to be computed in 32 bits.

    Raises:
        ValueError: an option that the device's plug-in does not list as writable.
        RuntimeError: the device's plug-in cannot be told to compute in 32 bits.
    """
    name = plugin_name(spec.device)
    listed: Mapping[str, str] = core.get_property(name, "SUPPORTED_PROPERTIES")
    writable = sorted(key for key, access in listed.items() if "W" in str(access))
    for key in spec.options:
        if _PLACE.search(key):
            raise ValueError(f"{key} names a place on this machine, which a suite cannot choose")
        if key not in writable:
            close = difflib.get_close_matches(key.upper(), writable, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(writable)}"
            raise ValueError(f"OpenVINO's {name} plug-in has no setting {key}: {hint}")
    wanted = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(spec.threads)}
    if exact:
        if "INFERENCE_PRECISION_HINT" not in writable:
            raise RuntimeError(f"OpenVINO's {name} plug-in cannot be told to compute in 32 bits")
        wanted |= EXACT
    own = {key: value for key, value in wanted.items() if key in writable} | dict(spec.options)
    return {"DEVICE_PROPERTIES": {name: own}} if spec.api in VIRTUAL else own


def check_exact(compiled: Any, spec: LoadSpec) -> None:
    """Refuse a graph that would not compute in 32 bits although nobody asked for less.

    Raises:
        RuntimeError: a property of `EXACT` has another value in force.
    """
    found = in_force(compiled, spec)
    wrong = {
        key: found[key]
        for key, value in EXACT.items()
        if key in found and key not in spec.options and found[key] != value
    }
    if wrong or "INFERENCE_PRECISION_HINT" not in found:
        raise RuntimeError(
            f"the artifact is to be computed in 32 bits, in force is {wrong or 'nothing of it'}"
        )


def in_force(compiled: Any, spec: LoadSpec) -> dict[str, str]:
    """`HINTS` and the options given, as the compiled graph reports them; what it does not report is left out.

    A virtual plug-in's graph reports its own, and those of the device that computes below ``DEVICE_PROPERTIES``.
    """
    listed = compiled.get_property("SUPPORTED_PROPERTIES")
    inner: Mapping[str, Any] = {}
    if spec.api in VIRTUAL:
        inner = compiled.get_property("DEVICE_PROPERTIES").get(plugin_name(spec.device), {})
    found = {}
    for name in dict.fromkeys((*HINTS, *spec.options)):
        if name in inner:
            found[name] = text(inner[name])
        elif name in listed:
            found[name] = text(compiled.get_property(name))
    return found


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
