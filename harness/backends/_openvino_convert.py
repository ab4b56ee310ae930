"""How OpenVINO's artifacts are made, and the one change of the graph that timed passes need.

Owns: GGUF to IR through openvino-genai's reader, the 32-bit IR, compression through NNCF, what counts as weight bytes,
and the slice before the last projection. Imports openvino_genai and nncf inside the functions that use them, never the
lab half. Contract: an artifact is ``openvino_model.xml`` with its ``openvino_model.bin``, nothing else.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness.backends import _openvino_calibrated as calibrated
from harness.backends import _openvino_fp32 as fp32
from harness.backends import _openvino_gguf as gguf
from harness.backends import _openvino_layers as layers
from harness.worker.api import Made, MakeRequest, Recipe

ENTRY = "openvino_model.xml"

#: ``general.architecture`` values that the GGUF reader of openvino-genai 2026.4.1 builds a graph for.
GGUF_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})

#: Modes whose format fixes the size of a group.
_FIXED_GROUPS = {"mxfp4": 32, "mxfp8_e4m3": 32, "nvfp4": 16}

#: Constants of these types are shapes, axes and indices, never weights.
NOT_WEIGHTS = frozenset({"i64", "i32", "u64", "u32", "boolean", "string"})


def group_size(recipe: Recipe) -> int | None:
    """Weights that share a scale; None where a whole row does."""
    mode = str(recipe.parameters.get("mode", ""))
    size = recipe.parameters.get("group_size", _FIXED_GROUPS.get(mode))
    return int(size) if size is not None else None


def from_gguf(core: Any, request: MakeRequest) -> Made:
    """The FP16 IR of an F16 GGUF file.

    The pipeline writes its IR beside the file that it reads, so the file is linked into a folder of its own.

    Raises:
        RuntimeError: no IR came out, or openvino-genai refused the file.
    """
    import openvino_genai

    with tempfile.TemporaryDirectory(dir=request.out, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        source = _link(request.source, folder / "model.gguf")
        pipeline = openvino_genai.LLMPipeline(str(source), "CPU", enable_save_ov_model=True)
        # Let go of the files before they are moved: Windows does not move what is open.
        del pipeline
        gc.collect()
        if not (folder / ENTRY).is_file():
            raise RuntimeError("openvino-genai read the GGUF file but saved no IR")
        for file in (ENTRY, "openvino_model.bin"):
            shutil.move(folder / file, request.out / file)
    model = core.read_model(request.out / ENTRY)
    return Made(
        weight_bytes=weight_bytes(model),
        entry=ENTRY,
        tool_version=importlib.metadata.version("openvino-genai"),
        notes={"constants": types(model)},
    )


def exact(ov: Any, core: Any, request: MakeRequest) -> Made:
    """The FP16 IR with every rounded constant replaced by the float32 original, from the F32 GGUF file.

    Raises:
        RuntimeError: a constant has no original in the file.
    """
    model = core.read_model(request.source)
    replaced = fp32.exact_constants(model, gguf.read(request.needed[request.recipe.needs[0]]))
    return _saved(ov, model, request, replaced_constants=replaced)


def compress(ov: Any, core: Any, request: MakeRequest) -> Made:
    """The IR of ``request.source`` compressed or quantised by NNCF, with data where the recipe is calibrated.

    Raises:
        ValueError: a calibrated recipe without calibration text.
    """
    import nncf

    recipe = request.recipe
    parameters = dict(recipe.parameters)
    model = core.read_model(request.source)
    if recipe.calibrated and request.calibration is None:
        raise ValueError(f"{recipe.name} reads calibration text, and none was given")
    if "smooth_quant_alpha" in parameters:
        assert request.calibration is not None
        return _saved(ov, calibrated.quantized(model, recipe, request.calibration), request)
    if request.calibration is not None and recipe.calibrated:
        compressed = calibrated.compressed(model, recipe, request.calibration)
    else:
        mode = nncf.CompressWeightsMode(parameters.pop("mode"))
        compressed = nncf.compress_weights(model, mode=mode, **parameters)
    mode_name, ratio = str(recipe.parameters["mode"]), float(recipe.parameters.get("ratio", 1.0))
    fallen = layers.fallbacks(compressed, mode_name, mixed=ratio < 1)
    return _saved(ov, compressed, request, **({"fallbacks": fallen} if fallen else {}))


def _saved(ov: Any, model: Any, request: MakeRequest, **notes: Any) -> Made:
    """Write the IR as it is: what was left alone stays bit for bit as it was."""
    ov.save_model(model, str(request.out / ENTRY), compress_to_fp16=False)
    counted = Counter(kind for kind, _ in layers.layer_types(model).values())
    return Made(
        weight_bytes=weight_bytes(model),
        entry=ENTRY,
        tool_version=importlib.metadata.version(request.recipe.tool),
        notes={"constants": types(model), "layers": dict(sorted(counted.items())), **notes},
    )


def weight_bytes(model: Any) -> int:
    """Bytes of all constants that are weights, scales or zero points."""
    return sum(types(model).values())


def types(model: Any) -> dict[str, int]:
    """Bytes of weight constants by element type: what a mixed precision really consists of."""
    found: dict[str, int] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().to_string()
            if kind not in NOT_WEIGHTS:
                found[kind] = found.get(kind, 0) + node.get_byte_size()
    return dict(sorted(found.items()))


def _link(source: Path, target: Path) -> Path:
    """``target`` as the same file where the file system can, else as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def keep_last_position(model: Any) -> None:
    """Make the last projection see the last position only; the output becomes ``[batch, 1, vocab]``.

    It is what openvino-genai does to a stateful graph before it compiles it: the other positions' logits of a
    prompt are never used.

    Raises:
        RuntimeError: the graph does not end in one projection, possibly scaled, shifted or soft-capped.
    """
    from openvino import opset13 as ops

    node = model.output(0).get_node().input_value(0).get_node()
    while node.get_type_name() in {"Add", "Convert", "Divide", "Multiply", "Tanh", "Transpose"}:
        node = node.input_value(0).get_node()
    hidden = node.input(0).get_source_output() if node.get_type_name() == "MatMul" else None
    if hidden is None or len(hidden.get_partial_shape()) != 3:
        raise RuntimeError(
            f"the graph ends in {node.get_type_name()}, not in a projection of [batch, tokens, width]"
        )
    # From the last position, one step backwards: exactly one row, of whatever length the prompt is.
    last = ops.slice(hidden, [-1], [-2], [-1], [1])
    node.input(0).replace_source_output(last.output(0))
    model.validate_nodes_and_infer_types()
