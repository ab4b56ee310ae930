"""What the weights of an artifact of one's own take, by the headers of its files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx_bytes as wire
import pytest
from fake_lab import write_gguf

from harness.artifact import ArtifactStore
from harness.artifact.adopting import adopt, files_of
from harness.backends import _qnn_artifact as qnn
from harness.backends._qnn_graph import Shape
from harness.backends._qnn_host import Embedding
from harness.errors import UsageError
from harness.gate.exact import weights
from harness.gate.metrics import DEFAULTS
from harness.gate.own_weights import weight_bytes
from harness.store.facts import ArtifactFacts


def test_the_weights_of_safetensors_are_those_of_their_header(tmp_path: Path) -> None:
    header = json.dumps(
        {"__metadata__": {"a": "b"}, "w": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(16))
    assert weight_bytes(tmp_path) == 16
    path.write_bytes(struct.pack("<Q", 10_000) + header.encode())
    with pytest.raises(UsageError, match="no whole safetensors"):
        weight_bytes(tmp_path)
    path.unlink()
    write_gguf(tmp_path / "model.gguf")
    assert weight_bytes(tmp_path) == 256 * 64 * 4
    (tmp_path / "model.gguf").unlink()
    (tmp_path / "openvino_model.bin").write_bytes(bytes(10))
    assert "no format" in str(weight_bytes(tmp_path))


def test_the_weights_of_an_openvino_graph_are_its_constants_without_shapes(tmp_path: Path) -> None:
    def constant(kind: str, offset: int, size: int) -> str:
        data = f'<data element_type="{kind}" shape="2,2" offset="{offset}" size="{size}"/>'
        return f'<layer id="{offset}" name="c" type="Const" version="opset1">{data}<output/></layer>'

    graph = tmp_path / "openvino_model.xml"
    other = '<layer id="1" name="p" type="Parameter" version="opset1"><data element_type="f32" shape="?,?"/></layer>'
    constants = constant("u4", 0, 64) + constant("f16", 64, 8) + constant("i64", 72, 16)
    graph.write_text(
        f'<net name="a" version="11"><layers>{constants}{other}</layers></net>', encoding="utf-8"
    )
    (tmp_path / "openvino_tokenizer.xml").write_text("<net/>", encoding="utf-8")
    assert weight_bytes(tmp_path) == 64 + 8
    graph.write_text("<net><layers>", encoding="utf-8")
    with pytest.raises(UsageError, match="no whole OpenVINO graph"):
        weight_bytes(tmp_path)


# -- ONNX ---------------------------------------------------------------------------------------------------------


def genai(folder: Path, data: bytes, **parts: Any) -> Path:
    """A folder as onnxruntime-genai loads it, with ``graph.onnx``."""
    folder.mkdir(exist_ok=True)
    model = {"type": "llama", "decoder": {"filename": "graph.onnx"}} | parts
    (folder / "genai_config.json").write_text(json.dumps({"model": model}), encoding="utf-8")
    (folder / "graph.onnx").write_bytes(data)
    return folder


def constant(elements: int) -> bytes:
    return wire.node(wire.message(5, wire.tensor("", wire.FLOAT, [elements], raw=bytes(4 * elements))))


WEIGHTS = [
    wire.tensor("packed", wire.UINT8, [100, 16], external={"location": "graph.onnx.data", "offset": 64}),
    wire.tensor("scales", wire.FLOAT16, [100, 1], raw=bytes(200)),
    wire.tensor("zeros", wire.UINT4, [25], raw=bytes(13)),
]


def test_the_weights_of_an_onnx_graph_are_its_initialisers_without_indices_and_rotary_tables(
    tmp_path: Path,
) -> None:
    others = [
        wire.tensor("shape", wire.INT64, [2], raw=bytes(16)),
        wire.tensor("cos_cache", wire.FLOAT, [512], raw=bytes(2048)),
        wire.tensor("words", wire.STRING, [1], more=wire.message(6, b"a")),
    ]
    folder = genai(tmp_path, wire.model([*WEIGHTS, *others], nodes=[constant(4)]))
    (folder / "graph.onnx.data").write_bytes(bytes(64 + 1600))
    (folder / "edgebench.json").write_text(json.dumps({"weight_bytes": 1}), encoding="utf-8")
    assert weight_bytes(folder) == 1600 + 200 + 13, "what a file says of itself is not believed"


def test_an_onnx_folder_that_is_not_understood_has_a_reason_instead_of_a_number(tmp_path: Path) -> None:
    folder = genai(tmp_path, wire.model(WEIGHTS))
    assert weight_bytes(folder) == (
        "graph.onnx is not understood: graph.onnx.data, which holds its weights, is not there"
    )
    (folder / "graph.onnx.data").write_bytes(bytes(64 + 1600))
    genai(folder, wire.model(WEIGHTS, nodes=[constant(200)]))
    assert "800 bytes of constants inside its nodes" in str(weight_bytes(folder))
    genai(folder, b"no graph at all")
    assert "graph.onnx is not understood" in str(weight_bytes(folder))
    genai(folder, wire.model())
    assert weight_bytes(folder) == "it holds no weights"
    genai(folder, wire.model(WEIGHTS), vision={"filename": "vision.onnx"})
    assert "names decoder, vision, and a decoder alone" in str(weight_bytes(folder))
    genai(folder, wire.model(WEIGHTS), decoder={"pipeline": []})
    assert "names no graph" in str(weight_bytes(folder))
    (folder / "genai_config.json").write_text("[]", encoding="utf-8")
    assert "names no graph: TypeError" in str(weight_bytes(folder))
    genai(folder, wire.model(WEIGHTS), decoder={"filename": "absent.onnx"})
    assert "absent.onnx cannot be read" in str(weight_bytes(folder))


def test_an_onnx_folder_of_ones_own_has_bits_per_weight_or_says_why_not(tmp_path: Path) -> None:
    facts = []
    for name, given in (("whole", bytes(64 + 1600)), ("cut", bytes(64))):
        folder = genai(tmp_path / name, wire.model(WEIGHTS))
        (folder / "graph.onnx.data").write_bytes(given)
        artifact = adopt(
            ArtifactStore(tmp_path / "cache"),
            folder,
            files_of(folder),
            framework="olive",
            model="m",
            entry=".",
            parameter_count=3200,
            weigh=weight_bytes,
        )
        facts.append(
            ArtifactFacts(
                artifact.id, artifact.weight_bytes, 3200, artifact.bits_per_weight, notes=artifact.notes
            )
        )
    whole, cut = facts
    assert whole.bits_per_weight == 1813 * 8 / 3200
    assert cut.bits_per_weight is None
    verdict = weights(whole, cut, DEFAULTS["bits_per_weight"])
    assert verdict.word == "unmeasured"
    assert verdict.reason == (
        "the weights of head's artifact are not known: graph.onnx is not understood: "
        "graph.onnx.data ends before the bytes of its tensor 'packed'"
    )
    unsized = ArtifactFacts("c", 10, None, None)
    assert (
        "how many parameters base's model has" in weights(unsized, whole, DEFAULTS["bits_per_weight"]).reason
    )


# -- QNN ----------------------------------------------------------------------------------------------------------

SHAPE = Shape(hidden=8, layers=1, heads=2, kv_heads=1, head_dim=4, vocab=10, eps=1e-5, rope_theta=1e4)


def npu(folder: Path, embedding: Embedding, *, portable: bool = True) -> Path:
    """A folder as the QNN backend writes it, its graph with two constants in ``weights.data`` and an index."""
    folder.mkdir()
    qnn.write_embedding(folder, embedding)
    qnn.Manifest(SHAPE, 64, 16, portable=portable).write(folder)
    place: dict[str, str | int] = {"location": "weights.data", "offset": 0, "length": 320}
    constants = [
        wire.tensor("w", wire.FLOAT, [8, 10], external=place),
        wire.tensor("norm", wire.FLOAT, [8], external={**place, "offset": 4096, "length": 32}),
        wire.tensor("index", wire.INT64, [], raw=bytes(8)),
    ]
    (folder / "block.onnx").write_bytes(wire.model(constants))
    (folder / "weights.data").write_bytes(bytes(4096 + 32))
    return folder


def test_the_weights_of_a_qnn_folder_are_what_its_backend_counts(tmp_path: Path) -> None:
    whole = npu(tmp_path / "fp32", Embedding(np.zeros((10, 8), np.float32), None))
    assert weight_bytes(whole) == qnn.weight_bytes(whole) == 10 * 8 * 4 + 4096 + 32
    quantised = npu(tmp_path / "int8", Embedding(np.zeros((10, 8), np.int8), np.zeros(10, np.float32)))
    assert weight_bytes(quantised) == qnn.weight_bytes(quantised) == 10 * 8 + 10 * 4 + 4096 + 32
    half = npu(tmp_path / "fp16", Embedding(np.zeros((10, 8), np.float16), None))
    assert weight_bytes(half) == 10 * 8 * 2 + 2 * (80 + 8 + 1), "two bytes of each of the graph's constants"


def test_a_qnn_folder_that_is_not_understood_has_a_reason_instead_of_a_number(tmp_path: Path) -> None:
    rows = Embedding(np.zeros((10, 8), np.float16), None)
    assert "compiled for a SoC" in str(weight_bytes(npu(tmp_path / "compiled", rows, portable=False)))
    folder = npu(tmp_path / "a", rows)
    (folder / "block.onnx").write_bytes(b"no graph")
    assert "block.onnx is not understood" in str(weight_bytes(folder))
    (folder / "embedding.npz").write_bytes(b"no archive")
    assert "no whole folder of QNN: BadZipFile" in str(weight_bytes(folder))
    np.savez(folder / "embedding.npz", rows=rows.rows)
    assert "no whole folder of QNN: KeyError" in str(weight_bytes(folder))
    (folder / "manifest.json").write_text(json.dumps({"format": 2}), encoding="utf-8")
    assert "of format 2" in str(weight_bytes(folder))
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert "no whole folder of QNN: KeyError" in str(weight_bytes(folder))
