"""Which type each layer of a compressed IR really got.

Owns: finding the constant behind each projection and table, and counting what is neither what the recipe asked for nor
what NNCF does by design. Works on the objects of openvino that it is given. Contract: a layer counts once, however
often its constant is used.

By design the embedding and the last layer get NNCF's backup mode, and with a ratio below 1 so do the most sensitive
others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

#: What stands between a layer and the constant of its weights; the weights come in by the first input.
_DECOMPRESSION = frozenset({"Convert", "Reshape", "Multiply", "Subtract", "FakeQuantize", "Transpose"})

#: Element type that each mode of NNCF stores.
_STORED: Mapping[str, str] = {
    "int8_asym": "u8",
    "int8_sym": "i8",
    "int4_asym": "u4",
    "int4_sym": "i4",
    "int3_sym": "u3",
    "int2_sym": "u2",
    "nf4": "nf4",
    "fp4": "f4e2m1",
    "mxfp4": "f4e2m1",
    "nvfp4": "f4e2m1",
    "fp8_e4m3": "f8e4m3",
    "mxfp8_e4m3": "f8e4m3",
}


def layer_types(model: Any) -> dict[str, tuple[str, bool]]:
    """Element type of each layer's weights, and whether it is the embedding or the last one, by the constant's name."""
    found: dict[str, tuple[str, bool]] = {}
    matmuls = [node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    for node in matmuls:
        _note(found, node.input_value(1), outer=node is matmuls[-1])
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gather":
            _note(found, node.input_value(0), outer=True)
    return found


def fallbacks(model: Any, mode: str, *, mixed: bool) -> dict[str, int]:
    """``"int4_sym to int8_asym": layers`` of those that NNCF could not give the mode that was asked for.

    Args:
        model: the compressed IR.
        mode: what was asked for.
        mixed: whether a share of the layers is in 8 bits by design.
    """
    names = {stored: name for name, stored in reversed(list(_STORED.items()))}
    wanted = _STORED[mode]
    taken = Counter(
        kind
        for kind, outer in layer_types(model).values()
        if kind != wanted and not outer and not (mixed and kind in ("u8", "i8"))
    )
    return {f"{mode} to {names.get(kind, kind)}": count for kind, count in sorted(taken.items())}


def _note(found: dict[str, tuple[str, bool]], source: Any, *, outer: bool) -> None:
    node = source.get_node()
    while node.get_type_name() in _DECOMPRESSION:
        node = node.input_value(0).get_node()
    # Shapes, axes and rotary frequencies are constants too; a layer's weights have rows and columns.
    if node.get_type_name() == "Constant" and len(node.get_output_shape(0)) >= 2:
        name = node.get_friendly_name()
        _, before = found.get(name, ("", False))
        found[name] = (node.get_element_type().to_string(), outer or before)
