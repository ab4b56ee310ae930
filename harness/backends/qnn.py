"""QNN, Qualcomm's neural processing SDK as an ONNX Runtime plug-in: declared, not run yet.

Owns: what QNN needs, its recipes, and which machines have its devices. Never imports the lab half or a framework.
Contract: see `_planned`. The wheel for x86-64 carries an emulator of the Hexagon NPU, which computes on the CPU: its
device is ``cpu`` with the API ``qnn-htp-emulator``, so that emulated speed is never taken for silicon's.
"""

from __future__ import annotations

from typing import ClassVar

from harness.backends._planned import PlannedBackend
from harness.worker.api import Host, Recipe, Requirements


def _recipe(name: str, precision: str, activations: int, weights: int) -> Recipe:
    """A recipe of ONNX Runtime's QNN quantiser: bits of activations and weights."""
    return Recipe(
        name=name,
        precision=precision,
        made_from="model",
        tool="onnxruntime",
        parameters={"activation_bits": activations, "weight_bits": weights},
        default=True,
    )


class QNN(PlannedBackend):
    """Quantised ONNX graphs on Qualcomm's Hexagon NPU (HTP), or on its emulator."""

    framework: ClassVar[str] = "qnn"
    title: ClassVar[str] = "QNN"
    requirements: ClassVar[Requirements] = Requirements(
        packages=("onnxruntime-qnn==2.7.0", "onnxruntime==1.32.0"), import_name="onnxruntime_qnn"
    )
    recipes: ClassVar[tuple[Recipe, ...]] = (
        _recipe("A16W8", "w8a16", 16, 8),
        _recipe("A8W8", "w8a8", 8, 8),
        _recipe("A16W4", "w4a16", 16, 4),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("npu:0", "qnn-htp"), ("cpu", "qnn-htp-emulator"))
    #: The HTP recipes are integer only: there is no half-precision graph to compare speeds with.
    baseline_precision: ClassVar[str | None] = None

    @classmethod
    def platform_reason(cls, host: Host, device: str, api: str) -> str | None:
        """The NPU needs a Snapdragon; the emulator needs Linux on x86-64."""
        here = f"this is {host.system} {host.arch}"
        if api == "qnn-htp-emulator":
            if (host.system, host.arch) == ("linux", "x86_64"):
                return None
            return f"the Hexagon emulator is in onnxruntime-qnn's Linux x86-64 wheel only; {here}"
        snapdragon = {("win32", "ARM64"), ("linux", "aarch64")}
        if (host.system, host.arch) not in snapdragon:
            return f"{device} needs a Qualcomm SoC with a Hexagon NPU under Windows or Linux on Arm; {here}"
        if api not in host.accelerators:
            return f"{device} needs the driver of a Hexagon NPU (Linux: /dev/fastrpc-cdsp); none was found"
        return None
