"""Llama in numpy, twice: without any cache, as it is defined, and with the interface of the static graph.

Run as a script in an environment with onnx and onnxruntime, it writes the static graph of a small random model and
prints how far ONNX Runtime's logits are from the definition's (`tests/backends/test_qnn_real.py`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

from harness.backends._qnn_graph import Shape
from harness.backends._qnn_host import Arrays, Embedding, Run, StaticModel

Floats = npt.NDArray[np.float32]
Weights = dict[str, Floats]

SHAPE = Shape(hidden=48, layers=2, heads=6, kv_heads=2, head_dim=8, vocab=40, eps=1e-5, rope_theta=500.0)
CONTEXT = 24
BLOCK = 5
TOKENS = np.random.default_rng(5).integers(0, SHAPE.vocab, 23).astype(np.int32)


def random_weights(shape: Shape, seed: int = 3) -> Weights:
    """Seeded weights by Hugging Face's names, with a separate output layer."""
    random = np.random.default_rng(seed)

    def normal(*size: int) -> Floats:
        return random.normal(0, size[-1] ** -0.5, size).astype(np.float32)

    inner = 64
    found = {
        "model.embed_tokens.weight": normal(shape.vocab, shape.hidden),
        "lm_head.weight": normal(shape.vocab, shape.hidden),
        "model.norm.weight": 1 + normal(shape.hidden),
    }
    for layer in range(shape.layers):
        at = f"model.layers.{layer}"
        found |= {
            f"{at}.input_layernorm.weight": 1 + normal(shape.hidden),
            f"{at}.post_attention_layernorm.weight": 1 + normal(shape.hidden),
            f"{at}.self_attn.q_proj.weight": normal(shape.heads * shape.head_dim, shape.hidden),
            f"{at}.self_attn.k_proj.weight": normal(shape.kv_heads * shape.head_dim, shape.hidden),
            f"{at}.self_attn.v_proj.weight": normal(shape.kv_heads * shape.head_dim, shape.hidden),
            f"{at}.self_attn.o_proj.weight": normal(shape.hidden, shape.heads * shape.head_dim),
            f"{at}.mlp.gate_proj.weight": normal(inner, shape.hidden),
            f"{at}.mlp.up_proj.weight": normal(inner, shape.hidden),
            f"{at}.mlp.down_proj.weight": normal(shape.hidden, inner),
        }
    return found


def _norm(x: Floats, weight: Floats, eps: float) -> Floats:
    scaled: Floats = x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight
    return scaled


def _softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def _turned(x: Floats, cosine: Floats, sine: Floats) -> Floats:
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def reference(shape: Shape, weights: Weights, tokens: npt.NDArray[np.int32]) -> Floats:
    """Logits float32[n, vocab] of every position, all at once: nothing of the static graph's arrangement."""
    count, half = len(tokens), shape.head_dim // 2
    angle = np.arange(count)[:, None] * shape.rope_theta ** (-np.arange(half) / half)
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    causal = np.where(np.tri(count, dtype=bool), 0, -np.inf).astype(np.float32)
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(shape.layers):
        at = f"model.layers.{layer}"
        normed = _norm(x, weights[f"{at}.input_layernorm.weight"], shape.eps)

        def projected(name: str, at: str = at, normed: Floats = normed) -> Floats:
            flat = normed @ weights[f"{at}.self_attn.{name}_proj.weight"].T
            return flat.reshape(count, -1, shape.head_dim).swapaxes(0, 1)

        group = shape.heads // shape.kv_heads
        query = _turned(projected("q"), cosine, sine)
        key = np.repeat(_turned(projected("k"), cosine, sine), group, axis=0)
        value = np.repeat(projected("v"), group, axis=0)
        scores = query @ key.swapaxes(1, 2) / np.float32(shape.head_dim**0.5)
        share = _softmax(scores + causal)
        mixed = (share @ value).swapaxes(0, 1).reshape(count, -1)
        x = np.asarray(x + mixed @ weights[f"{at}.self_attn.o_proj.weight"].T, np.float32)
        x = x + _mlp(shape, weights, at, x)
    logits: Floats = _norm(x, weights["model.norm.weight"], shape.eps) @ weights["lm_head.weight"].T
    return logits.astype(np.float32)


def _mlp(shape: Shape, weights: Weights, at: str, x: Floats) -> Floats:
    normed = _norm(x, weights[f"{at}.post_attention_layernorm.weight"], shape.eps)
    gate = normed @ weights[f"{at}.mlp.gate_proj.weight"].T
    up = normed @ weights[f"{at}.mlp.up_proj.weight"].T
    out: Floats = (gate / (1 + np.exp(-gate)) * up) @ weights[f"{at}.mlp.down_proj.weight"].T
    return out


def static_run(shape: Shape, weights: Weights) -> Run:
    """What the static graph computes of its inputs, as its module says."""

    def run(feeds: Arrays) -> Arrays:
        x = np.asarray(feeds["embeddings"][0], np.float32)
        block = len(x)
        group = shape.heads // shape.kv_heads
        found: dict[str, Floats] = {}
        for layer in range(shape.layers):
            at = f"model.layers.{layer}"
            normed = _norm(x, weights[f"{at}.input_layernorm.weight"], shape.eps)
            heads = {
                name: (normed @ weights[f"{at}.self_attn.{name}_proj.weight"].T)
                .reshape(1, block, -1, shape.head_dim)
                .swapaxes(1, 2)
                for name in ("q", "k", "v")
            }
            query = _turned(heads["q"], feeds["cosine"], feeds["sine"])
            found[f"key_{layer}"] = _turned(heads["k"], feeds["cosine"], feeds["sine"])
            found[f"value_{layer}"] = heads["v"]
            keys = np.concatenate([feeds[f"past_key_{layer}"], found[f"key_{layer}"]], axis=2)
            values = np.concatenate([feeds[f"past_value_{layer}"], heads["v"]], axis=2)
            rows = query.reshape(1, shape.kv_heads, group * block, shape.head_dim)
            scores = rows @ keys.swapaxes(2, 3) / np.float32(shape.head_dim**0.5)
            mixed = _softmax(scores + feeds["mask"]) @ values
            joined = mixed.reshape(shape.heads, block, shape.head_dim).swapaxes(0, 1).reshape(block, -1)
            x = x + joined @ weights[f"{at}.self_attn.o_proj.weight"].T
            x = x + _mlp(shape, weights, at, x)
        final = _norm(x, weights["model.norm.weight"], shape.eps)
        found["logits"] = (final @ weights["lm_head.weight"].T)[np.newaxis]
        return found

    return run


def through(
    graphs: dict[int, Run], shape: Shape, weights: Weights, tokens: npt.NDArray[np.int32], step: int
) -> Floats:
    """Logits of ``tokens``, fed ``step`` at a time."""
    model = StaticModel(shape, CONTEXT, Embedding(weights["model.embed_tokens.weight"], None), graphs)
    rows = [
        rows.copy()
        for begin in range(0, len(tokens), step)
        for _, rows in model.feed(tokens[begin : begin + step])
    ]
    return np.concatenate(rows)


def _main() -> None:
    import onnx

    from harness.backends import _qnn_graph
    from harness.backends._qnn_quantise import cpu_run

    weights = random_weights(SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        model = _qnn_graph.float_graph(SHAPE, weights, BLOCK, CONTEXT)
        onnx.checker.check_model(model, full_check=True)
        graphs = {}
        for block in (BLOCK, 1):
            _qnn_graph.with_block(model, SHAPE, block, CONTEXT)
            path = Path(folder) / f"{block}.onnx"
            onnx.save(model, path)
            graphs[block] = cpu_run(path)
        expected = reference(SHAPE, weights, TOKENS)
        far = {
            str(step): float(np.abs(through(graphs, SHAPE, weights, TOKENS, step) - expected).max())
            for step in (len(TOKENS), 1, 7)
        }
    print(json.dumps(far))


if __name__ == "__main__":
    _main()
