"""Olive, Microsoft's optimiser for ONNX Runtime: declared, not run yet.

Owns: what Olive needs and what it calls its precisions. Never imports the lab half or a framework. Contract: see
`_planned`. Runtime and converter are apart: Olive pulls torch and transformers, the runtime must not.
"""

from __future__ import annotations

from typing import ClassVar

from harness.backends._planned import PlannedBackend
from harness.worker.api import Host, Recipe, Requirements

#: olive-ai 0.13.0 breaks with a newer onnxruntime-genai.
_RUNTIME = ("onnxruntime==1.32.0", "onnxruntime-genai==0.14.1")


class Olive(PlannedBackend):
    """Models that Olive's passes made, run by ONNX Runtime and onnxruntime-genai."""

    framework: ClassVar[str] = "olive"
    title: ClassVar[str] = "Olive (ONNX Runtime)"
    requirements: ClassVar[Requirements] = Requirements(
        packages=_RUNTIME,
        import_name="onnxruntime_genai",
        converter=Requirements(
            # Olive imports requests and datasets without declaring them.
            packages=("olive-ai==0.13.0", *_RUNTIME, "requests", "datasets"),
            import_name="olive",
        ),
    )
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe(
            name="ModelBuilder_FP32",
            precision="fp32",
            made_from="model",
            tool="olive-ai",
            parameters={"passes": ["ModelBuilder"], "precision": "fp32"},
            default=True,
        ),
        Recipe(
            name="ORT_DYNAMIC_INT8",
            precision="int8",
            made_from="olive:ModelBuilder_FP32",
            tool="olive-ai",
            parameters={"passes": ["OnnxDynamicQuantization"]},
            default=True,
        ),
        Recipe(
            name="RTN_INT4_g32",
            precision="int4",
            made_from="model",
            tool="olive-ai",
            parameters={"passes": ["Rtn", "ModelBuilder"], "bits": 4, "group_size": 32},
            default=True,
        ),
        Recipe(
            name="HQQ_INT4",
            precision="int4",
            made_from="olive:ModelBuilder_FP32",
            tool="olive-ai",
            parameters={"passes": ["OnnxHqqQuantization"]},
        ),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("cpu", "cpu"), ("gpu:0", "cuda"))
    #: The model builder's fp16 graphs fail on ONNX Runtime's CPU provider at the first decode.
    baseline_precision: ClassVar[str | None] = None

    @classmethod
    def platform_reason(cls, host: Host, device: str, api: str) -> str | None:
        """CUDA needs an NVIDIA GPU and its driver."""
        if api == "cuda" and "cuda" not in host.accelerators:
            return f"ONNX Runtime's CUDA provider needs an NVIDIA GPU and its driver for {device}; none was found"
        return None
