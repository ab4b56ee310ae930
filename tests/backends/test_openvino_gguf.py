"""GGUF files written by the gguf package are read back; the rounded constants find their originals by value."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from harness.backends import _openvino_fp32 as fp32
from harness.backends import _openvino_gguf as reader

HEADS, HEAD_SIZE, WIDTH = 2, 4, 8


def write(path: Path, tensors: dict[str, npt.NDArray[np.generic]]) -> reader.GGUF:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_token_list(["a", "b", "c"])
    writer.add_array("some.numbers", [1, 2, 3])
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return reader.read(path)


def floats(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def test_tensors_and_metadata_are_read_as_the_gguf_package_wrote_them(tmp_path: Path) -> None:
    wide, half = floats(3, WIDTH), floats(5, WIDTH).astype(np.float16)
    found = write(tmp_path / "m.gguf", {"a.weight": wide, "b.weight": half})
    np.testing.assert_array_equal(found.tensors["a.weight"], wide)
    np.testing.assert_array_equal(found.tensors["b.weight"], half)
    assert found.hyper("attention.head_count") == HEADS
    assert found.hyper("no.such.key", 7) == 7
    assert "tokenizer.ggml.tokens" not in found.metadata


def test_a_file_that_is_no_gguf_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGML" + bytes(60))
    with pytest.raises(ValueError, match=r"m\.gguf is no GGUF file"):
        reader.read(tmp_path / "m.gguf")


def test_a_quantised_tensor_is_refused_by_name(tmp_path: Path) -> None:
    block = gguf.quants.quantize(floats(2, 32), gguf.GGMLQuantizationType.Q8_0)
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tensor("q.weight", block, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"tensor q\.weight of m\.gguf is of GGML type 8"):
        reader.read(tmp_path / "m.gguf")


def test_a_rounded_constant_finds_its_original_whatever_the_order_of_its_rows(tmp_path: Path) -> None:
    query, table = floats(HEADS * HEAD_SIZE, WIDTH), floats(3, WIDTH) + 2
    source = write(tmp_path / "m.gguf", {"blk.0.attn_q.weight": query, "token_embd.weight": table})
    apart = fp32.rotary_halves_apart(query, HEADS)
    keys = {fp32._key(values.astype(np.float16)) for values in (apart, table)}
    found = fp32._by_rounding(source, keys)
    assert set(found) == keys
    np.testing.assert_array_equal(found[fp32._key(apart.astype(np.float16))], apart)


def test_two_tensors_that_round_alike_but_differ_are_refused(tmp_path: Path) -> None:
    rounded = floats(3, WIDTH).astype(np.float16).astype(np.float32)
    source = write(
        tmp_path / "m.gguf", {"token_embd.weight": rounded, "a.weight": rounded * np.float32(1 + 2**-20)}
    )
    with pytest.raises(RuntimeError, match="round to the same"):
        fp32._by_rounding(source, {fp32._key(rounded.astype(np.float16))})


def test_the_halves_of_a_head_are_taken_apart() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    assert fp32.rotary_halves_apart(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_rotary_frequencies_fall_from_one_by_equal_factors() -> None:
    found = fp32.inverse_frequencies(8, 10_000.0)
    np.testing.assert_allclose(found, [1, 0.1, 0.01, 0.001], rtol=1e-6)
