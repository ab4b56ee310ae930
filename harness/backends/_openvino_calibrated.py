"""Recipes of NNCF that read calibration text: data-aware compression, and static quantisation of activations.

Owns: what NNCF is fed. Imports nncf inside the functions that use it. Contract: samples are consecutive pieces of the
calibration tokens, spread over the whole text, in a fixed order; each starts from an empty KV cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.worker.api import Calibration, Recipe


def samples(calibration: Calibration, count: int, length: int) -> list[dict[str, npt.NDArray[Any]]]:
    """``count`` inputs of the graph, ``length`` tokens each; fewer where the text is shorter.

    NNCF resets the state of a stateful graph before each sample, so each is a prompt of its own.

    Raises:
        ValueError: the text is shorter than one sample.
    """
    ids = np.fromfile(calibration.tokens, dtype="<i4").astype(np.int64)
    first = [] if calibration.bos is None else [calibration.bos]
    taken = length - len(first)
    if len(ids) < taken:
        raise ValueError(f"{len(ids)} tokens of calibration text are fewer than one sample of {length}")
    count = min(count, len(ids) // taken)
    starts = [index * (len(ids) - taken) // max(count - 1, 1) for index in range(count)]
    return [_inputs(np.concatenate([first, ids[start : start + taken]])) for start in starts]


def compressed(model: Any, recipe: Recipe, calibration: Calibration) -> Any:
    """The model with its weights compressed as data-aware as the recipe's parameters say."""
    import nncf
    from nncf.quantization import advanced_parameters as advanced

    parameters = dict(recipe.parameters)
    mode = nncf.CompressWeightsMode(parameters.pop("mode"))
    inputs = samples(calibration, parameters.pop("samples"), parameters.pop("sample_tokens"))
    if "awq_steps" in parameters:
        steps = advanced.AdvancedAWQParameters(steps=parameters.pop("awq_steps"))
        parameters["advanced_parameters"] = advanced.AdvancedCompressionParameters(awq_params=steps)
    return nncf.compress_weights(
        model, mode=mode, dataset=nncf.Dataset(inputs), subset_size=len(inputs), **parameters
    )


def quantized(model: Any, recipe: Recipe, calibration: Calibration) -> Any:
    """The model with weights and activations in 8 bits, ranges from the calibration text, SmoothQuant before."""
    import nncf
    from nncf.quantization import advanced_parameters as advanced

    parameters = recipe.parameters
    _ones_for_zeros(model)
    inputs = samples(calibration, parameters["samples"], parameters["sample_tokens"])
    smooth = advanced.AdvancedSmoothQuantParameters(matmul=parameters["smooth_quant_alpha"])
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset(parameters["preset"]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
        fast_bias_correction=True,
        advanced_parameters=advanced.AdvancedQuantizationParameters(smooth_quant_alphas=smooth),
    )


def _ones_for_zeros(model: Any) -> None:
    """Let the repetition of key and value heads broadcast from 1 to n, not from "0".

    The GGUF reader repeats heads by a bidirectional broadcast to ``[batch, heads, groups, 0, size]``: a pattern that
    the CPU plug-in replaces as a whole, and that fails by its zero as soon as quantisers stand in it.
    """
    from openvino import opset13 as ops

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Broadcast" or node.get_attributes().get("mode") != "bidirectional":
            continue
        shape = node.input_value(1).get_node()
        for port in shape.inputs() if shape.get_type_name() == "Concat" else ():
            size = port.get_source_output().get_node()
            if size.get_type_name() == "Constant" and size.get_data().tolist() == [0]:
                port.replace_source_output(ops.constant(np.ones(1), np.int64).output(0))
    model.validate_nodes_and_infer_types()


def _inputs(ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """Inputs of one prompt ``int64[n]`` at the beginning of a text."""
    row = ids.astype(np.int64).reshape(1, -1)
    return {
        "input_ids": row,
        "attention_mask": np.ones_like(row),
        "position_ids": np.arange(row.shape[1], dtype=np.int64).reshape(1, -1),
        "beam_idx": np.zeros(1, np.int32),
    }
