"""What a QNN artifact is made of, and how each kind is made.

Owns the layout of the folder: ``manifest.json``, ``embedding.npz``, the two graphs ``block.onnx`` and ``token.onnx``
with one ``weights.data`` between them, and for each SoC a folder of its name with both graphs compiled
(``block_ctx.onnx``, ``token_ctx.onnx`` and their binaries). Runs in the converter environment. Contract: what is
written loads; a manifest says how every graph came about.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _qnn_gguf, _qnn_graph, _qnn_quantise, _qnn_session
from harness.backends._qnn_host import Embedding
from harness.worker.api import Made, MakeRequest

FORMAT = 1
GRAPHS = ("block", "token")
_MANIFEST = "manifest.json"
_WEIGHTS = "weights.data"
#: Smaller constants stay in the graph's own file.
_EXTERNAL_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the files of an artifact are.

    Attributes:
        shape: of the graphs.
        context: tokens of the cache.
        block: tokens of a pass of ``block``.
        compiled: SoC -> graph -> provider -> nodes that it took; empty before compilation.
        portable: whether the graphs themselves are there, for any NPU.
    """

    shape: _qnn_graph.Shape
    context: int
    block: int
    compiled: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    portable: bool = True

    def write(self, folder: Path) -> None:
        """Into an artifact's folder."""
        body = {"format": FORMAT, **asdict(self)}
        (folder / _MANIFEST).write_text(json.dumps(body, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Of an artifact.

    Raises:
        ValueError: the folder is no artifact of this version.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} is no QNN artifact: it has no {_MANIFEST}")
    body = json.loads(path.read_text(encoding="utf-8"))
    if body.pop("format", None) != FORMAT:
        raise ValueError(f"{folder} is a QNN artifact of another format than {FORMAT}")
    return Manifest(**{**body, "shape": _qnn_graph.Shape(**body["shape"])})


def graph_file(folder: Path, name: str, soc: str | None) -> Path:
    """The graph ``block`` or ``token``, compiled for a SoC or portable."""
    return folder / f"{name}.onnx" if soc is None else folder / soc / f"{name}_ctx.onnx"


def read_embedding(folder: Path) -> Embedding:
    """The artifact's table."""
    with np.load(folder / "embedding.npz") as arrays:
        scale = arrays["scale"]
        return Embedding(arrays["rows"], scale if scale.size else None)


def write_embedding(folder: Path, embedding: Embedding) -> None:
    """Not compressed: what is on disk is what is in memory."""
    scale = np.zeros(0, np.float32) if embedding.scale is None else embedding.scale
    np.savez(folder / "embedding.npz", rows=embedding.rows, scale=scale)


def make_float(request: MakeRequest) -> Made:
    """The static graph in float32, of a float32 GGUF."""
    import onnx

    assert request.recipe.static is not None
    context, block = request.recipe.static.context_tokens, request.recipe.static.block_tokens
    config, weights = _qnn_gguf.read(request.source)
    # A slice, for tests: so many layers, and so many rows of the vocabulary.
    vocab = request.recipe.parameters.get("vocab")
    if vocab is not None:
        config = {**config, "vocab_size": vocab}
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            if name in weights:
                weights[name] = weights[name][:vocab]
    shape = _qnn_graph.shape_of(config, request.recipe.parameters.get("layers"))
    model = _qnn_graph.float_graph(shape, weights, block, context)
    _save(model, request.out, shape, context)
    write_embedding(request.out, Embedding(weights["model.embed_tokens.weight"], None))
    Manifest(shape, context, block).write(request.out)
    return Made(weight_bytes(request.out), ".", onnx.__version__, {"layers": shape.layers})


def make_quantised(request: MakeRequest, plugin: _qnn_session.Plugin) -> Made:
    """QDQ graphs of the float ones, calibrated, and compiled for the recipe's SoC where this machine can."""
    import onnxruntime

    if request.calibration is None:
        raise ValueError(f"{request.recipe.name} is calibrated, and no calibration text was given")
    manifest = read_manifest(request.source)
    shape, context, block = manifest.shape, manifest.context, manifest.block
    whole = read_embedding(request.source)
    tokens = np.fromfile(request.calibration.tokens, "<i4")
    # A slice has fewer words than the text.
    tokens = tokens[tokens < shape.vocab].astype(np.int32)
    source = graph_file(request.source, "block", None)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        feeds = _qnn_quantise.calibration_feeds(
            source, shape, whole, tokens, block, context, int(request.recipe.parameters["windows"])
        )
        ranges = _qnn_quantise.ranges(source, feeds, shape, Path(work))
    model = _qnn_quantise.quantise(source, ranges, request.recipe.parameters)
    _save(model, request.out, shape, context)
    quantised_s = time.perf_counter() - begin
    write_embedding(request.out, _qnn_quantise.quantised_rows(np.asarray(whole.rows, np.float32)))
    manifest.write(request.out)
    notes = {"quantise_s": round(quantised_s, 1), "float_nodes": _qnn_quantise.FLOAT_NODES}
    notes |= compile_for(request.out, request.out, str(request.recipe.parameters["soc"]), plugin)
    return Made(weight_bytes(request.out), ".", onnxruntime.__version__, notes)


def make_half(request: MakeRequest, plugin: _qnn_session.Plugin) -> Made:
    """The float graphs as they are: the NPU computes them in fp16. Weights are written in float16."""
    import onnxruntime

    manifest = read_manifest(request.source)
    for name in GRAPHS:
        shutil.copyfile(graph_file(request.source, name, None), graph_file(request.out, name, None))
    shutil.copyfile(request.source / _WEIGHTS, request.out / _WEIGHTS)
    rows = read_embedding(request.source).rows.astype(np.float16)
    write_embedding(request.out, Embedding(rows, None))
    manifest.write(request.out)
    notes = compile_for(request.out, request.out, str(request.recipe.parameters["soc"]), plugin)
    # On the NPU, and in its binary, every weight has two bytes; the portable graph keeps four.
    in_graph = sum(_weight_elements(graph_file(request.out, "block", None)).values())
    return Made(2 * in_graph + rows.nbytes, ".", onnxruntime.__version__, notes)


def make_compiled(request: MakeRequest, plugin: _qnn_session.Plugin) -> Made:
    """The graphs of another artifact compiled for one more SoC, without the portable ones."""
    import onnxruntime_qnn

    if not _qnn_session.EMULATES:
        raise RuntimeError("graphs for another SoC are prepared on Linux x86-64 only")
    manifest = read_manifest(request.source)
    shutil.copyfile(request.source / "embedding.npz", request.out / "embedding.npz")
    Manifest(manifest.shape, manifest.context, manifest.block, portable=False).write(request.out)
    notes = compile_for(request.source, request.out, str(request.recipe.parameters["soc"]), plugin)
    return Made(weight_bytes(request.source), ".", onnxruntime_qnn.__version__, notes)


def compile_for(source: Path, out: Path, soc: str, plugin: _qnn_session.Plugin) -> dict[str, Any]:
    """Compile both graphs of ``source`` into ``out``; where that cannot be done here, say so.

    Returns:
        For the lineage: seconds, nodes by provider, the size of the binaries.
    """
    if not _qnn_session.EMULATES:
        return {"compiled": f"not here: graphs for {soc} are prepared on Linux x86-64 only"}
    device = next(entry for found, entry in plugin.devices() if found.emulated)
    (out / soc).mkdir()
    begin = time.perf_counter()
    taken = {
        name: plugin.compile(graph_file(source, name, None), graph_file(out, name, soc), device, soc)
        for name in GRAPHS
    }
    seconds = time.perf_counter() - begin
    manifest = read_manifest(out)
    manifest.compiled[soc] = taken
    manifest.write(out)
    binaries = sum(path.stat().st_size for path in (out / soc).glob("*.bin"))
    return {"compile_s": round(seconds, 1), "soc": soc, "nodes": taken, "binary_bytes": binaries}


def weight_bytes(folder: Path) -> int:
    """Bytes of the embedding and of the block graph's constants; the token graph shares them."""
    return embedding_bytes(folder) + (folder / _WEIGHTS).stat().st_size


def embedding_bytes(folder: Path) -> int:
    """Bytes of the embedding, of which a token takes one row."""
    embedding = read_embedding(folder)
    scale = 0 if embedding.scale is None else embedding.scale.nbytes
    return embedding.rows.nbytes + scale


def _weight_elements(graph: Path) -> dict[str, int]:
    import onnx

    model = onnx.load(graph, load_external_data=False)
    return {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}


def _save(model: Any, out: Path, shape: _qnn_graph.Shape, context: int) -> None:
    """Both graphs, with one file of weights."""
    import onnx

    block = graph_file(out, "block", None)
    onnx.save(model, block, save_as_external_data=True, location=_WEIGHTS, size_threshold=_EXTERNAL_BYTES)
    single = onnx.load(block, load_external_data=False)
    _qnn_graph.with_block(single, shape, 1, context)
    onnx.save(single, graph_file(out, "token", None))
