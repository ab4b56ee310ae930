"""How many int8 operations a second OpenVINO's matrix products reach: a program of its own, for OpenVINO's Python.

Owns the graph and its timing. Imports the standard library, numpy and openvino only; `bench` starts it by its path with
the Python of OpenVINO's environment. Speaks as `bench_numpy` does. Contract: the plug-in is asked which type each
product really ran in; where that is not int8 there is no figure but the reason.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np

_SIZE = 2048
#: Products after one another, so that quantising the input and writing the output are small beside them.
_LAYERS = 4
_AT_LEAST = 5


def build() -> Any:
    """``float32[size, size]`` through quantised products: u8 activations, i8 weights."""
    import openvino as ov
    from openvino import opset13 as ops

    parameter = ops.parameter([_SIZE, _SIZE], np.float32)
    generator = np.random.default_rng(0)
    node = parameter
    for _ in range(_LAYERS):
        edges = [np.float32(value) for value in (0.0, 2.55, 0.0, 2.55)]
        quantised = ops.fake_quantize(node, *edges, levels=256)
        integers = generator.integers(-127, 128, (_SIZE, _SIZE)).astype(np.int8)
        weights = ops.multiply(ops.convert(ops.constant(integers), np.float32), np.float32(1e-3))
        node = ops.matmul(quantised, weights, False, True)
    return ov.Model([ops.result(node)], [parameter], "int8")


def product_types(compiled: Any) -> list[str]:
    """The types in which the plug-in computes the products."""
    found: list[str] = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        kind = info["layerType"].astype(str) if "layerType" in info else ""
        if kind in ("FullyConnected", "MatMul", "Gemm"):
            found.append(info["runtimePrecision"].astype(str))
    return found


def measure(threads: int, seconds: float) -> dict[str, Any]:
    """Operations per second; a multiply-add is two. ``reason`` instead where the products do not run in int8."""
    import openvino as ov

    compiled = ov.Core().compile_model(
        build(), "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    )
    types = product_types(compiled)
    if len(types) != _LAYERS or not set(types) <= {"i8", "u8"}:
        return {
            "reason": f"OpenVINO computes the quantised products in {', '.join(sorted(set(types))) or 'no known type'}"
        }
    request = compiled.create_infer_request()
    data = np.random.default_rng(1).random((_SIZE, _SIZE), dtype=np.float32)
    request.infer([data])
    print(json.dumps({"event": "ready"}), flush=True)
    sys.stdin.readline()
    rates: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(rates) < _AT_LEAST or time.perf_counter() < deadline:
        begin = time.perf_counter()
        request.infer([data], share_inputs=True)
        rates.append(2.0 * _LAYERS * _SIZE**3 / (time.perf_counter() - begin))
    figures = {
        "best": max(rates),
        "median": statistics.median(rates),
        "lowest": min(rates),
        "repetitions": len(rates),
    }
    return {"kernels": {f"{_LAYERS} int8 products {_SIZE}": figures}}


def main() -> None:
    """``bench_openvino.py int8 '{"threads": 2, "seconds": 2}'``."""
    import openvino as ov

    found = measure(**json.loads(sys.argv[2]))
    print(json.dumps({"event": "done", "openvino": ov.__version__, **found}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
