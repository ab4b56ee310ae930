"""Runs in OpenVINO's environment: ``probe.py WHAT ARGUMENTS``, prints one line of JSON.

What cannot be asked through a worker: the constants of an IR, and a graph built from another one's weights.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _openvino_gguf as gguf
from harness.backends import _openvino_synthetic as synthetic
from harness.backends._openvino_packing import Format, Part
from harness.backends.openvino import OpenVINO
from harness.worker.api import MakeRequest
from harness.worker.synthetic import SyntheticModel, SyntheticTensor

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
FUSED = ("FullyConnected", "RMS", "RoPE", "ScaledDotProductAttention", "MemoryInput", "MemoryOutput")
BLOCKS = (20, 40, 41, 64)
SMALL = SyntheticModel("llama", 256, 512, 3, 4, 2, 64, 2000, 512, 10_000.0, 1e-5, tied_embeddings=False)


def weights(xml: str, source: str) -> dict[str, Any]:
    """Whether the embedding and each layer of an FP32 IR are those of the GGUF file."""
    table = gguf.read(Path(source)).tensors
    nodes = _constants(_started()._core.read_model(xml))
    down = [f"blk.{i}.ffn_down.weight" for i in range(sum(n.endswith("ffn_down.weight") for n in table))]
    pairs = {f"model.layers[{i}].mlp.down_proj.weight": name for i, name in enumerate(down)}
    pairs["model.embed_tokens.weight"] = "token_embd.weight"
    return {
        "compared": len(pairs),
        "equal": sum(bool(np.array_equal(nodes[own].get_data(), table[name])) for own, name in pairs.items()),
        "rounded": sum(
            bool(np.array_equal(np.asarray(t).astype(np.float16).astype(np.float32), t))
            for t in table.values()
        ),
        "half_elements": max(
            node.get_byte_size() // 2
            for node in nodes.values()
            if node.get_element_type().to_string() == "f16"
        ),
    }


def same_graph(xml: str, source: str, out: str) -> dict[str, Any]:
    """The reader's IR against the builder's graph with the same weights: logits, and what the plug-in fused."""
    backend = _started()
    file = gguf.read(Path(source))
    nodes = _constants(backend._core.read_model(xml))
    hidden, heads = int(file.hyper("embedding_length")), int(file.hyper("attention.head_count"))
    config = SyntheticModel(
        architecture="llama",
        hidden_size=hidden,
        intermediate_size=int(file.hyper("feed_forward_length")),
        layers=int(file.hyper("block_count")),
        heads=heads,
        kv_heads=int(file.hyper("attention.head_count_kv")),
        head_size=hidden // heads,
        vocab_size=file.tensors["token_embd.weight"].shape[0],
        context_tokens=2048,
        rope_theta=float(file.hyper("rope.freq_base")),
        norm_epsilon=float(file.hyper("attention.layer_norm_rms_epsilon")),
        tied_embeddings="output.weight" not in file.tensors,
    )

    class Readers:
        def chunks(self, tensor: SyntheticTensor, form: Format, part: Part) -> Iterator[bytes]:
            del form, part
            if tensor.kind == "norm":
                yield (
                    np.asarray(file.tensors[_ggml(tensor.name)])
                    .astype(np.float16)
                    .astype(np.float32)
                    .tobytes()
                )
            else:
                yield nodes[_readers(tensor.name)].get_data().tobytes()

    entry = Path(out) / "openvino_model.xml"
    synthetic.write_ir(
        backend._ov, entry, config, lambda t: Format("f32" if t.kind == "norm" else "f16"), Readers()
    )
    theirs, fused = _logits(backend, xml)
    ours, same = _logits(backend, str(entry))
    p, q = _log_softmax(theirs), _log_softmax(ours)
    return {"kld": float((np.exp(p) * (p - q)).sum(-1).mean()), "theirs": fused, "ours": same}


def write(recipe: str, out: str) -> dict[str, Any]:
    """A small synthetic model."""
    chosen = next(r for r in OpenVINO.recipes if r.name == recipe)
    made = _started().synthesize(MakeRequest(chosen, Path(out), Path(out), 1, synthetic=SMALL))
    return {"entry": made.entry, "weight_bytes": made.weight_bytes, "notes": made.notes}


def _started() -> OpenVINO:
    backend = OpenVINO()
    backend.start()
    return backend


def _constants(model: Any) -> dict[str, Any]:
    return {n.get_friendly_name(): n for n in model.get_ordered_ops() if n.get_type_name() == "Constant"}


def _ggml(name: str) -> str:
    for ours, theirs in (
        ("model.layers.", "blk."),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("model.norm", "output_norm"),
    ):
        name = name.replace(ours, theirs)
    return name


def _readers(name: str) -> str:
    parts = name.split(".")
    return f"model.layers[{parts[2]}].{'.'.join(parts[3:])}" if parts[1] == "layers" else name


def _logits(backend: OpenVINO, xml: str) -> tuple[np.ndarray[Any, Any], dict[str, int]]:
    """Logits of a fixed prompt in blocks behind the cache, and how many of each fused operation there are."""
    core, ov = backend._core, backend._ov
    compiled = core.compile_model(core.read_model(xml), "CPU", EXACT)
    request = compiled.create_infer_request()
    ids = np.random.default_rng(3).integers(10, 5000, BLOCKS[-1])
    rows, begin = [], 0
    for end in BLOCKS:
        request.infer(
            {
                "input_ids": ids[None, begin:end],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(begin, end, dtype=np.int64)[None],
                "beam_idx": ov.Tensor(np.zeros(1, np.int32)),
            }
        )
        rows.append(request.get_output_tensor(0).data[0].astype(np.float64))
        begin = end
    ran = Counter(op.get_rt_info()["layerType"].astype(str) for op in compiled.get_runtime_model().get_ops())
    return np.concatenate(rows), {name: ran[name] for name in FUSED}


def _log_softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


if __name__ == "__main__":
    checks: dict[str, Callable[..., dict[str, Any]]] = {
        "weights": weights,
        "same_graph": same_graph,
        "write": write,
    }
    print(json.dumps(checks[sys.argv[1]](*sys.argv[2:])))
