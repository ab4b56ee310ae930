"""What the weights of an artifact take that nobody here made.

Owns the count for each format, by the headers of its files alone. Contract: it counts what the format's own backend
counts of what it makes, so that bits per weight compare; where that cannot be told there is a sentence instead of a
number. A GGUF, safetensors or OpenVINO file that is cut short is an error.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from harness.backends._olive_workflow import NOT_WEIGHTS
from harness.backends._openvino_convert import ENTRY as OPENVINO
from harness.backends._openvino_convert import NOT_WEIGHTS as OPENVINO_NOT_WEIGHTS
from harness.backends._ort_genai import CONFIG as GENAI
from harness.backends._qnn_artifact import FORMAT as QNN_FORMAT
from harness.errors import UsageError
from harness.model import check_gguf
from harness.worker.onnx_file import INDICES, OnnxError, onnx_tensors

#: Weights outside of the initialisers are not counted; beyond this share of the others the count would mislead. Half of
#: the margin of bits per weight.
_ASIDE = 0.01
_QNN = "manifest.json"


def weight_bytes(folder: Path) -> int | str:
    """Bytes of the weights in a framework's folder, or in words why they are unknown.

    Args:
        folder: with GGUF or safetensors files, an OpenVINO graph, a folder of onnxruntime-genai, or one of QNN.

    Raises:
        UsageError: a file is damaged.
    """
    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
    ggufs = [one for one in files if one.suffix == ".gguf"]
    tensors = [one for one in files if one.suffix == ".safetensors"]
    found: int | str
    if ggufs:
        known = [check_gguf(one).weight_bytes for one in ggufs]
        if None in known:
            return "a GGUF file has tensors of a type that is not known here"
        found = sum(size for size in known if size is not None)
    elif tensors:
        found = sum(_safetensors_bytes(one) for one in tensors)
    elif (folder / OPENVINO).is_file():
        # The model alone, none of the tokenizer's graphs that may lie beside it.
        found = _constants_bytes(folder / OPENVINO)
    elif (folder / GENAI).is_file():
        found = _genai_bytes(folder)
    elif (folder / _QNN).is_file():
        found = _qnn_bytes(folder)
    else:
        return "its files are of no format whose weights can be counted here"
    return found or "it holds no weights"


def _safetensors_bytes(path: Path) -> int:
    """Bytes of the tensors in a file: after 8 bytes of length comes a header with each tensor's place."""
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        try:
            header: Any = json.loads(file.read(length)) if 8 + length <= size else None
            places = [one["data_offsets"] for name, one in header.items() if name != "__metadata__"]
            return sum(int(end) - int(begin) for begin, end in places)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{PurePosixPath(path.name)} is no whole safetensors file", next_step="look into the artifact"
            ) from error


def _constants_bytes(path: Path) -> int:
    """Bytes of the constants of an OpenVINO IR that are weights, scales or zero points: as its backend counts them."""
    total = 0
    try:
        for _, layer in ET.iterparse(path):
            if layer.tag != "layer":
                continue
            kind, data = layer.get("type"), layer.find("data")
            layer.clear()  # such a graph has thousands
            if data is None or kind != "Const":
                continue
            if data.get("element_type") not in OPENVINO_NOT_WEIGHTS:
                total += int(data.attrib["size"])
    except (ET.ParseError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path.name} is no whole OpenVINO graph: {error}", next_step="look into the artifact"
        ) from error
    return total


# -- ONNX -------------------------------------------------------------------------------------------------------------


def _genai_bytes(folder: Path) -> int | str:
    """Of the one graph that onnxruntime-genai loads: its initialisers, as Olive's backend counts them."""
    try:
        model = json.loads((folder / GENAI).read_text(encoding="utf-8"))["model"]
        graphs = {
            name: str(part["filename"])
            for name, part in model.items()
            if isinstance(part, dict) and "filename" in part
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{GENAI} names no graph: {type(error).__name__}: {error}"
    if list(graphs) != ["decoder"]:
        return f"{GENAI} names {', '.join(sorted(graphs)) or 'no graph'}, and a decoder alone is understood"
    graph = folder / graphs["decoder"]
    try:
        return _onnx_bytes(graph)
    except OnnxError as error:
        return f"{graph.name} is not understood: {error}"
    except (OSError, ValueError) as error:
        return f"{graph.name} cannot be read: {error}"


def _onnx_bytes(graph: Path) -> int | str:
    """Bytes of the weights among a graph's initialisers.

    Raises:
        OnnxError: it is not understood.
    """
    counted = aside = 0
    for one in onnx_tensors(graph):
        if one.size_bytes is None or one.kind in INDICES or one.name in NOT_WEIGHTS:
            continue
        if one.place == "graph":
            counted += one.size_bytes
        else:
            aside += one.size_bytes
    if aside > _ASIDE * counted:
        return f"{graph.name} has {aside:,} bytes of constants inside its nodes, which are not counted as weights"
    return counted


# -- QNN --------------------------------------------------------------------------------------------------------------


def _qnn_bytes(folder: Path) -> int | str:
    """Of the embedding's table and of the constants that both graphs share, as the backend counts them."""
    try:
        manifest = json.loads((folder / _QNN).read_text(encoding="utf-8"))
        if manifest["format"] != QNN_FORMAT:
            return f"{_QNN} is of format {manifest['format']}, and {QNN_FORMAT} is understood"
        if not manifest["portable"]:
            return "it holds graphs that are compiled for a SoC, and these do not tell their weights"
        with zipfile.ZipFile(folder / "embedding.npz") as arrays:
            kind, rows = _array_bytes(arrays, "rows")
            _, scale = _array_bytes(arrays, "scale")
        if kind == np.float16:
            # The graph keeps four bytes of a weight, of which the NPU computes with two.
            return rows + 2 * sum(
                one.elements for one in onnx_tensors(folder / "block.onnx") if one.place == "graph"
            )
        return rows + scale + (folder / "weights.data").stat().st_size
    except OnnxError as error:
        return f"block.onnx is not understood: {error}"
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        return f"it is no whole folder of QNN: {type(error).__name__}: {error}"


def _array_bytes(archive: zipfile.ZipFile, name: str) -> tuple[np.dtype[Any], int]:
    """Element type and bytes of an array in a file of `numpy.savez`, by its header.

    Raises:
        KeyError: it is not there.
        ValueError: it is no array, or not all of it is there.
    """
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{entry.filename} has a header of another version")
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * kind.itemsize
        if entry.file_size - file.tell() != size:
            raise ValueError(f"{entry.filename} has {entry.file_size - file.tell():,} of {size:,} bytes")
    return kind, size
