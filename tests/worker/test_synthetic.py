"""`harness.worker.synthetic`: the architecture of a real model with seeded random weights."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest

from harness.model import load_models
from harness.worker.synthetic import POOL_ROWS, SyntheticModel, SyntheticTensor, pool, row_order

SMALL = SyntheticModel(
    architecture="llama", hidden_size=64, intermediate_size=96, layers=2, heads=4, kv_heads=2, head_size=16,
    vocab_size=100, context_tokens=128, rope_theta=10_000.0, norm_epsilon=1e-5, tied_embeddings=False, seed=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "parameters"),
    # As published: Llama 3.2 1B 1,235,814,400; Llama 2 7B 6,738,415,616; Llama 3.1 8B 8,030,261,248.
    [
        ("synthetic-llama-1b", 1_235_814_400),
        ("synthetic-llama-7b", 6_738_415_616),
        ("synthetic-llama-8b", 8_030_261_248),
    ],
)
def test_a_shipped_configuration_has_as_many_weights_as_the_real_model(name: str, parameters: int) -> None:
    synthetic = load_models()[name].synthetic
    assert synthetic is not None
    assert synthetic.parameter_count == parameters


def test_tensors_have_the_names_and_shapes_of_a_llama() -> None:
    tensors = {tensor.name: tensor.shape for tensor in SMALL.tensors()}
    assert len(tensors) == 2 * 9 + 3
    assert tensors["model.layers.1.self_attn.k_proj.weight"] == (32, 64)
    assert tensors["model.layers.0.mlp.down_proj.weight"] == (64, 96)
    assert tensors["lm_head.weight"] == (100, 64)
    tied = dataclasses.replace(SMALL, tied_embeddings=True)
    assert "lm_head.weight" not in {tensor.name for tensor in tied.tensors()}
    assert SMALL.parameter_count == tied.parameter_count + 100 * 64
    assert SMALL.hf_config()["num_key_value_heads"] == 2


def test_the_pool_is_seeded_normal_rows_of_the_wanted_deviation() -> None:
    rows = pool(SMALL, 256, 0.05)
    assert rows.shape == (POOL_ROWS, 256)
    assert rows.dtype == np.float32
    assert float(rows.std()) == pytest.approx(0.05, rel=0.01)
    assert float(rows.mean()) == pytest.approx(0, abs=0.001)
    assert np.array_equal(rows, pool(SMALL, 256, 0.05))
    assert not np.array_equal(rows, pool(dataclasses.replace(SMALL, seed=4), 256, 0.05))


def test_every_tensor_takes_the_rows_of_the_pool_in_its_own_order() -> None:
    one, other = (SyntheticTensor(name, (5000, 64), "linear", 0.1) for name in ("a", "b"))
    order = row_order(SMALL, one)
    assert order.shape == (5000,)
    assert 0 <= order.min() < order.max() < POOL_ROWS
    assert np.array_equal(order, row_order(SMALL, one))
    assert not np.array_equal(order, row_order(SMALL, other))


def test_activations_keep_their_scale_through_any_depth() -> None:
    """The residual stream of a deep stack of random layers, computed in float32 with attention left out."""
    deep = dataclasses.replace(SMALL, layers=48, hidden_size=256, intermediate_size=512)
    generator = np.random.default_rng(0)
    stream = generator.standard_normal((4, 256)).astype(np.float32)
    tensors = {tensor.name: tensor for tensor in deep.tensors()}

    def weights(name: str) -> npt.NDArray[np.float32]:
        tensor = tensors[name]
        return pool(deep, tensor.shape[1], tensor.deviation)[row_order(deep, tensor)]

    for layer in range(deep.layers):
        normed = stream / np.sqrt(np.square(stream).mean(axis=1, keepdims=True))
        gate = normed @ weights(f"model.layers.{layer}.mlp.gate_proj.weight").T
        up = normed @ weights(f"model.layers.{layer}.mlp.up_proj.weight").T
        stream = (
            stream
            + (gate / (1 + np.exp(-gate)) * up) @ weights(f"model.layers.{layer}.mlp.down_proj.weight").T
        )
    scale = float(np.sqrt(np.square(stream).mean()))
    assert math.isfinite(scale)
    assert 0.5 < scale < 4
