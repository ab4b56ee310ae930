"""DirectML, ONNX Runtime's provider for any DirectX 12 GPU under Windows: declared, not run yet.

Owns: what DirectML needs and its recipes. Never imports the lab half or a framework. Contract: see `_planned`.
"""

from __future__ import annotations

from typing import ClassVar

from harness.backends._planned import PlannedBackend
from harness.worker.api import Host, Recipe, Requirements


class DirectML(PlannedBackend):
    """onnxruntime-genai models on a DirectX 12 GPU."""

    framework: ClassVar[str] = "directml"
    title: ClassVar[str] = "DirectML"
    requirements: ClassVar[Requirements] = Requirements(
        packages=(
            "onnxruntime-directml==1.24.4; sys_platform == 'win32'",
            "onnxruntime-genai-directml==0.13.1; sys_platform == 'win32'",
        ),
        import_name="onnxruntime_genai",
    )
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe(
            name="FP16",
            precision="fp16",
            made_from="model",
            tool="onnxruntime-genai-directml",
            parameters={"precision": "fp16"},
            default=True,
        ),
        Recipe(
            name="INT4_RTN_g32",
            precision="int4",
            made_from="model",
            tool="onnxruntime-genai-directml",
            parameters={"precision": "int4", "algorithm": "rtn", "block_size": 32},
            default=True,
        ),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("gpu:0", "directml"),)

    @classmethod
    def platform_reason(cls, host: Host, device: str, api: str) -> str | None:
        """The only wheels are for Windows x64."""
        del device, api
        if (host.system, host.arch.lower()) not in {("win32", "amd64"), ("win32", "x86_64")}:
            return f"onnxruntime-directml has wheels for Windows x64 only; this is {host.system} {host.arch}"
        return None
