"""DirectML, ONNX Runtime's provider for any DirectX 12 GPU under Windows.

Owns: what DirectML needs, its recipes, and the mapping of backend calls. How models run is in `_ort_genai`, shared with
Olive, whose contract test checks it; how they are made is Olive's. Never imports the lab half; imports frameworks
inside methods only. Contract: `harness.worker.api.Backend`.

Microsoft keeps DirectML in sustained engineering; its successor is Windows ML, which brings ONNX Runtime with
execution providers of the GPUs' vendors. Its Python package (onnxruntime-windowsml) lists them as devices, as
`_ort_genai.devices` reads them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

from harness.backends import _olive_workflow as workflow
from harness.backends import _ort_genai as running
from harness.backends.olive import Olive
from harness.worker.api import (
    Capability,
    Host,
    Made,
    MakeRequest,
    ModelFacts,
    Recipe,
    Requirements,
)

_GENAI = "onnxruntime-genai-directml"


def _recipe(name: str, precision: str, source: str) -> Recipe:
    """The artifact of an Olive recipe whose graph was built for DirectML, as it is."""
    return Recipe(
        name=name,
        precision=precision,
        made_from=f"olive:{source}",
        tool=_GENAI,
        parameters={"provider": "dml"},
        default=True,
    )


class DirectML(Olive):
    """Olive's artifacts on a DirectX 12 GPU."""

    framework: ClassVar[str] = "directml"
    title: ClassVar[str] = "DirectML"
    requirements: ClassVar[Requirements] = Requirements(
        packages=(
            "onnxruntime-directml==1.24.4; sys_platform == 'win32'",
            f"{_GENAI}==0.13.1; sys_platform == 'win32'",
            "numpy==2.4.6",
        ),
        import_name="onnxruntime_genai",
    )
    artifact_mark: ClassVar[str | None] = "genai_config.json"
    loads_file: ClassVar[bool] = False
    recipes: ClassVar[tuple[Recipe, ...]] = (
        _recipe("FP16", "fp16", "FP16_DIRECTML"),
        _recipe("RTN_INT4_g32", "int4", "RTN_INT4_g32_DIRECTML"),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("gpu:0", "directml"),)
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"prefill", "decode", "score", "make", "batch"})
    baseline_precision: ClassVar[str | None] = "fp16"

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """The only wheels are for Windows x64."""
        if (device, api) not in cls.known_devices:
            return f"{cls.title} reaches gpu:0 by directml, not {device} by {api}"
        if (host.system, host.arch.lower()) not in {("win32", "amd64"), ("win32", "x86_64")}:
            return f"onnxruntime-directml has wheels for Windows x64 only; this is {host.system} {host.arch}"
        return None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """What Olive could not make either, and synthetic models."""
        if model.synthetic is not None:
            return "synthetic models are written for Olive's CPU recipes, not for DirectML's graphs"
        source = recipe.made_from.removeprefix("olive:")
        return Olive.unsupported(next(r for r in Olive.recipes if r.name == source), model)

    def versions(self) -> Mapping[str, str]:
        """``framework`` is onnxruntime-genai-directml."""
        found = running.versions("onnxruntime-directml", _GENAI, "numpy")
        return found | {"framework": found.get(_GENAI, str(self._og.__version__))}

    def make(self, request: MakeRequest) -> Made:
        """The artifact of Olive under a name of its own: the same files, linked where the file system can."""
        source = request.source
        for file in sorted(source.iterdir()):
            if file.name == running.CONFIG:
                continue
            _link(file, request.out / file.name)
        config = directml_config(running.read_config(source))
        (request.out / running.CONFIG).write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")
        return Made(
            weight_bytes=weight_bytes(source),
            entry=".",
            tool_version=importlib.metadata.version(_GENAI),
            notes={"made_by": "olive-ai"},
        )


def directml_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """``genai_config.json`` with DirectML as the decoder's provider; the rest as it was."""
    model = dict(config["model"])
    decoder = dict(model["decoder"])
    decoder["session_options"] = {**decoder.get("session_options", {}), "provider_options": [{"dml": {}}]}
    return {**config, "model": {**model, "decoder": decoder}}


def weight_bytes(artifact: Any) -> int:
    """The weight bytes that the maker counted; this environment has no onnx package to count them with."""
    facts = json.loads((artifact / workflow.FACTS).read_text(encoding="utf-8"))
    return int(facts["weight_bytes"])


def _link(source: Any, target: Any) -> None:
    """``target`` as the same file where the file system can, else as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
