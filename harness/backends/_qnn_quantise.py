"""QDQ quantisation of the static graph with ONNX Runtime's own quantiser.

Owns which tensors get which type, and the calibration through the KV cache. Imports onnx and onnxruntime inside
functions (converter environment). Contract: every MatMul with weights is quantised per output channel; what
`FLOAT_NODES` matches stays in float; the cache's inputs have the encodings of the outputs that fill them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends import _qnn_graph
from harness.backends._qnn_host import Arrays, Embedding, Run, StaticModel
from harness.worker.api import Tokens

#: Raised by one whenever the same graph quantises otherwise; part of every artifact's key.
REVISION = 1

#: Nodes that stay in float. The residual stream of a Llama has a few values a thousand times the others (those of the
#: first token): one scale for all, and the norms that divide by their squares, lose everything else.
FLOAT_NODES = r"(.*_residual|.*norm(\.\w+)?)"

#: The output layer is kept at 8 bits where the others have 4: it is also the widest.
_KEPT_AT_8 = ("lm_head.weight",)


class _Recorder:
    """Gives the graph's inputs of a run over the calibration text to ONNX Runtime's calibrator, one at a time."""

    def __init__(self, feeds: Iterator[Arrays]) -> None:
        self._feeds = feeds

    def get_next(self) -> Arrays | None:
        """The next inputs, None at the end."""
        return next(self._feeds, None)


def calibration_feeds(
    graph: Path,
    shape: _qnn_graph.Shape,
    embedding: Embedding,
    tokens: Tokens,
    block: int,
    context: int,
    windows: int,
) -> Iterator[Arrays]:
    """Inputs of every pass over the first windows of the text, with the cache that the float graph really fills.

    Raises:
        ValueError: the text is shorter than one window.
    """
    if len(tokens) < context:
        raise ValueError(f"the calibration text has {len(tokens)} tokens, fewer than one window of {context}")
    run = cpu_run(graph)
    seen: list[Arrays] = []

    def recording(feeds: Arrays) -> Arrays:
        seen.append({name: array.copy() for name, array in feeds.items()})
        return run(feeds)

    model = StaticModel(shape, context, embedding, {block: recording})
    for begin in range(0, min(windows * context, len(tokens) - context + 1), context):
        model.reset()
        for _ in model.feed(tokens[begin : begin + context]):
            yield seen.pop()


def cpu_run(graph: Path) -> Run:
    """Runs a graph on ONNX Runtime's own CPU provider: the float reference, and the quantised graph in exact steps."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, dict(feeds)), strict=True))


def ranges(graph: Path, feeds: Iterator[Arrays], shape: _qnn_graph.Shape, work: Path) -> Any:
    """Smallest and largest value of every tensor, as ONNX Runtime's ``TensorsData``."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, create_calibrator

    calibrator = create_calibrator(
        graph,
        None,
        augmented_model_path=str(work / "augmented.onnx"),
        calibrate_method=CalibrationMethod.MinMax,
        use_external_data_format=True,
    )
    calibrator.collect_data(_Recorder(feeds))
    found = calibrator.compute_data()
    for layer in range(shape.layers):
        for kind, joined in (("key", "keys"), ("value", "values")):
            low, high = found[f"{kind}_{layer}"].range_value
            # A cache that is empty holds zeros.
            low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
            for name in (f"{kind}_{layer}", f"past_{kind}_{layer}", f"layer_{layer}.{joined}"):
                found[name] = TensorData(lowest=low, highest=high)
    return found


def quantise(graph: Path, tensor_ranges: Any, parameters: Mapping[str, Any]) -> Any:
    """The QDQ graph as an ``onnx.ModelProto``.

    Args:
        graph: the float one.
        tensor_ranges: of `ranges`.
        parameters: of the recipe: ``activation_bits`` and ``weight_bits``.
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    activation = {8: QuantType.QUInt8, 16: QuantType.QUInt16}[parameters["activation_bits"]]
    weight = {4: QuantType.QInt4, 8: QuantType.QInt8}[parameters["weight_bits"]]
    model = onnx.load(graph)
    in_float = [node.name for node in model.graph.node if re.fullmatch(FLOAT_NODES, node.name)]
    constants = {initializer.name for initializer in model.graph.initializer}
    overrides = {
        node.input[1]: [
            {
                "quant_type": QuantType.QInt8 if node.input[1] in _KEPT_AT_8 else weight,
                "axis": 1,
                "symmetric": True,
            }
        ]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }
    config = get_qnn_qdq_config(
        model,
        None,
        activation_type=activation,
        weight_type=QuantType.QInt8,
        per_channel=True,
        init_overrides=overrides,
        weight_symmetric=True,
        nodes_to_exclude=in_float,
    )
    quantiser = QDQQuantizer(
        model,
        True,
        False,
        config.weight_type,
        config.activation_type,
        tensor_ranges,
        [],
        in_float,
        config.op_types_to_quantize,
        config.extra_options,
    )
    quantiser.quantize_model()
    return quantiser.model.model


def quantised_rows(table: npt.NDArray[np.float32]) -> Embedding:
    """An embedding in int8 with one scale per row."""
    scale = np.abs(table).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return Embedding(np.rint(table / scale[:, np.newaxis]).astype(np.int8), scale.astype(np.float32))
