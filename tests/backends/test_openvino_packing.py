"""Packed weights decode to what was rounded, in exactly the bytes that the format says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from harness.backends import _openvino_synthetic as synthetic
from harness.backends._openvino_packing import Format, Part, RandomRows
from harness.backends.openvino import OpenVINO
from harness.worker.api import Recipe
from harness.worker.synthetic import SyntheticModel, SyntheticTensor, pool, row_order

MODEL = SyntheticModel("llama", 128, 256, 2, 4, 2, 32, 500, 512, 10_000.0, 1e-5, tied_embeddings=False)
TENSORS = {tensor.name: tensor for tensor in MODEL.tensors()}
LAYER = TENSORS["model.layers.1.mlp.down_proj.weight"]


def recipe(name: str) -> Recipe:
    return next(r for r in OpenVINO.recipes if r.name == name)


def data(tensor: SyntheticTensor, form: Format, part: Part) -> bytes:
    return b"".join(RandomRows(MODEL).chunks(tensor, form, part))


def unpacked(raw: bytes, form: Format) -> npt.NDArray[np.float32]:
    """What OpenVINO reads: the first of two values of 4 bits from the low half of a byte."""
    values = np.frombuffer(raw, np.uint8)
    if form.bits == 4:
        values = np.stack([values & 0xF, values >> 4], -1).ravel()
        signed = values.astype(np.int16)
        return (signed if form.asymmetric else np.where(signed > 7, signed - 16, signed)).astype(np.float32)
    return values.view(np.uint8 if form.asymmetric else np.int8).astype(np.float32)


@pytest.mark.parametrize(
    "form", [Format("u4", 64), Format("i4", 32), Format("u8"), Format("i8"), Format("u4", 128)]
)
def test_weights_decode_to_the_seeded_rows_within_half_a_step(form: Format) -> None:
    rows, columns = LAYER.shape
    original = pool(MODEL, columns, LAYER.deviation)[row_order(MODEL, LAYER)]
    groups = original.reshape(rows, -1, form.group or columns)
    scale = (
        np.frombuffer(data(LAYER, form, "scale"), np.float16).astype(np.float32).reshape(*groups.shape[:2], 1)
    )
    q = unpacked(data(LAYER, form, "weight"), form).reshape(groups.shape)
    zero = (
        unpacked(data(LAYER, form, "zero_point"), form).reshape(scale.shape)
        if form.asymmetric
        else np.float32(0)
    )
    # Half a step, and half a step of the zero point; a symmetric mode may cut its last step off.
    limit = np.abs(scale) * 1.01
    assert np.all(np.abs((q - zero) * scale - groups) <= limit)
    assert np.abs((q - zero) * scale - groups).mean() < np.abs(scale).mean() * 0.3


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        (Format("u4", 64), 4 + 20 / 64),
        (Format("i4", 64), 4 + 16 / 64),
        (Format("u8"), 8 + 24 / 256),
        (Format("i8"), 8 + 16 / 256),
        (Format("f16"), 16),
    ],
)
def test_a_layer_has_exactly_the_bits_of_its_format(form: Format, bits: float) -> None:
    size = sum(len(data(LAYER, form, part)) for part in form.parts(LAYER.shape))
    assert size * 8 / (LAYER.shape[0] * LAYER.shape[1]) == bits


def test_zero_points_of_an_odd_number_of_groups_share_bytes_across_rows() -> None:
    form = Format("u4", 64)
    model = SyntheticModel("llama", 192, 192, 1, 3, 3, 64, 100, 512, 1e4, 1e-5, tied_embeddings=True)
    tensor = next(t for t in model.tensors() if t.kind == "linear")
    raw = b"".join(RandomRows(model).chunks(tensor, form, "zero_point"))
    assert len(raw) == 192 * 3 // 2


def test_embedding_and_last_layer_stay_at_8_bits_in_modes_of_4() -> None:
    form_of = synthetic.formats(recipe("INT4_ASYM_g64"))
    assert form_of(TENSORS["model.embed_tokens.weight"]) == Format("u8")
    assert form_of(TENSORS["lm_head.weight"]) == Format("u8")
    assert form_of(LAYER) == Format("u4", 64)
    assert form_of(TENSORS["model.norm.weight"]) == Format("f32")
    assert synthetic.formats(recipe("INT8_SYM"))(TENSORS["lm_head.weight"]) == Format("i8")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("INT4_ASYM_g64", None),
        ("INT4_SYM_g128", None),
        ("INT8_ASYM", None),
        ("FP16", None),
        ("NF4_g64", "not as NF4_g64"),
        ("FP32", "not as FP32"),
        ("INT4_ASYM_g64_AWQ", "means nothing to random weights"),
    ],
)
def test_recipes_that_cannot_be_written_say_why(name: str, reason: str | None) -> None:
    found = synthetic.unsupported(recipe(name), MODEL)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_groups_must_divide_every_row_of_a_synthetic_model() -> None:
    narrow = SyntheticModel("llama", 192, 256, 1, 3, 3, 64, 100, 512, 1e4, 1e-5, tied_embeddings=True)
    assert "rows of 192" in str(synthetic.unsupported(recipe("INT4_SYM_g128"), narrow))
