"""The GGUF header check: right facts, and our own error for every file that is not whole."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model.gguf_header import TENSOR_TYPES, check_gguf

F32, Q8_0, Q4_K = 0, 8, 12


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _tokens(words: Sequence[str]) -> bytes:
    return struct.pack("<IQ", 8, len(words)) + b"".join(_string(word) for word in words)


def _build(
    words: Sequence[str] = ("a", "bc", "def"),
    tensors: Sequence[tuple[str, tuple[int, ...], int]] = (
        ("token_embd.weight", (32, 3), Q8_0),
        ("b", (5,), F32),
    ),
    architecture: str | None = "llama",
) -> bytes:
    pairs = [
        _pair("llama.embedding_length", 4, struct.pack("<I", 32)),
        _pair("tokenizer.ggml.tokens", 9, _tokens(words)),
        _pair(
            "nested", 9, struct.pack("<IQ", 9, 2) + struct.pack("<IQI", 4, 1, 7) + struct.pack("<IQ", 4, 0)
        ),
        _pair("some.flag", 7, b"\x01"),
    ]
    if architecture is not None:
        pairs.append(_pair("general.architecture", 8, _string(architecture)))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    offset = 0
    for name, shape, kind in tensors:
        header += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        header += struct.pack("<IQ", kind, offset)
        _, block, size = TENSOR_TYPES[kind]
        offset += -(-int(np.prod(shape)) // block * size // 32) * 32
    header += b"\0" * (-len(header) % 32)
    # The last tensor is not padded, so that every byte of the file is needed.
    _, shape, kind = tensors[-1]
    _, block, size = TENSOR_TYPES[kind]
    last = int(np.prod(shape)) // block * size
    return header + b"\x5a" * (offset - -(-last // 32) * 32 + last)


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return path


def test_facts_of_a_small_file(tmp_path: Path) -> None:
    facts = check_gguf(_written(tmp_path, _build()))
    assert facts.architecture == "llama"
    assert facts.parameter_count == 32 * 3 + 5
    assert facts.row_width == 32
    assert facts.vocab_size == 3
    assert facts.tensor_types == {"Q8_0": 96, "F32": 5}
    assert facts.weight_bytes == 3 * 34 + 20
    assert facts.metadata["some.flag"] is True
    assert facts.arrays == {"tokenizer.ggml.tokens", "nested"}
    assert (facts.embedding_parameters, facts.output_parameters, facts.expert_parameters) == (96, 0, 0)


def test_embeddings_output_and_experts_are_told_apart(tmp_path: Path) -> None:
    tensors = [
        ("token_embd.weight", (32, 3), Q8_0),
        ("blk.0.ffn_gate_exps.weight", (32, 4, 2), Q8_0),
        ("output.weight", (32, 3), Q8_0),
    ]
    facts = check_gguf(_written(tmp_path, _build(tensors=tensors)))
    assert (facts.embedding_parameters, facts.output_parameters, facts.expert_parameters) == (96, 96, 256)


def test_the_facts_agree_with_the_gguf_package(tmp_path: Path) -> None:
    path = tmp_path / "written.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_embedding_length(64)
    writer.add_token_list([f"token{i}" for i in range(500)])
    writer.add_token_merges(["a b"] * 300)
    writer.add_tensor("token_embd.weight", np.zeros((500, 64), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((64, 64), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    facts = check_gguf(path)
    reader = gguf.GGUFReader(path)
    assert facts.architecture == "gemma3"
    assert facts.parameter_count == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert facts.weight_bytes == sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert (facts.row_width, facts.vocab_size, facts.tensors) == (64, 500, 2)


def test_the_table_of_tensor_types_is_the_formats_own() -> None:
    theirs = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    names = {int(kind): kind.name for kind in gguf.GGMLQuantizationType}
    for number, (name, block, size) in TENSOR_TYPES.items():
        if number in theirs:  # an older package knows fewer
            assert (names[number], *theirs[number]) == (name, block, size)


def test_a_tensor_type_that_is_not_known_is_named_and_leaves_the_size_open(tmp_path: Path) -> None:
    data = _build()
    at = data.index(_string("b")) + len(_string("b")) + 4 + 8
    facts = check_gguf(_written(tmp_path, data[:at] + struct.pack("<I", 250) + data[at + 4 :]))
    assert facts.weight_bytes is None
    assert facts.tensor_types["type 250"] == 5


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_gives_our_error(tmp_path: Path, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.text(max_size=20), max_size=20))
    whole = _build(words)
    assert check_gguf(_written(tmp_path, whole)).vocab_size == (len(words) or 3)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UsageError) as raised:
        check_gguf(_written(tmp_path, whole[:cut]))
    if cut >= 4:
        assert "the download was cut" in raised.value.what


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
    )
)
def test_a_damaged_file_gives_facts_or_our_error(tmp_path: Path, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(_build())
    for place, new in changes:
        at = place % len(data)
        data[at : at + len(new)] = new
    try:
        facts = check_gguf(_written(tmp_path, bytes(data)))
    except UsageError:
        return
    assert facts.parameter_count >= 0


@given(junk=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_after_the_magic_give_our_error(tmp_path: Path, junk: bytes) -> None:
    with pytest.raises(UsageError):
        check_gguf(_written(tmp_path, b"GGUF" + junk))


@pytest.mark.parametrize(
    "hostile",
    [
        struct.pack("<IQQ", 3, 2**63, 1),
        struct.pack("<IQQ", 3, 1, 2**63),
        struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**62),
        struct.pack("<IQQ", 3, 1, 1) + _string("k") + struct.pack("<IIQ", 9, 8, 2**61),
        struct.pack("<IQQ", 3, 1, 1) + _string("k") + struct.pack("<IIQ", 9, 9, 2**61),
        struct.pack("<IQQ", 3, 1, 1) + _string("k") + struct.pack("<IIQ", 9, 10, 2**63),
        struct.pack("<IQQ", 3, 1, 1) + _string("k") + struct.pack("<IQ", 8, 2**63),
    ],
)
def test_hostile_counts_take_no_memory(tmp_path: Path, hostile: bytes) -> None:
    path = _written(tmp_path, b"GGUF" + hostile + b"\0" * 5000)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError):
            check_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"PK\x03\x04rest of a wheel", "ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__":{}}', "safetensors"),
        (b"hello, world", "begins with b'hello, w'"),
        (b"GGUF\x01\0\0\0" + b"\0" * 60, "format version 1"),
        (b"GGUF\0\0\0\x03" + b"\0" * 60, "big-endian"),
    ],
)
def test_a_foreign_file_is_called_by_its_name(tmp_path: Path, start: bytes, said: str) -> None:
    with pytest.raises(UsageError, match="not a GGUF file") as raised:
        check_gguf(_written(tmp_path, start))
    assert said in raised.value.what


def test_missing_empty_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        check_gguf(tmp_path / "none.gguf")
    with pytest.raises(UsageError, match="is empty"):
        check_gguf(_written(tmp_path, b""))
    with pytest.raises(UsageError, match="is a folder"):
        check_gguf(tmp_path)


def test_the_message_of_a_cut_file_has_both_sizes(tmp_path: Path) -> None:
    whole = _build()
    with pytest.raises(UsageError, match=f"ends at byte {len(whole) - 7:,}, its tensors need {len(whole):,}"):
        check_gguf(_written(tmp_path, whole[:-7]))


def test_a_file_without_architecture_or_with_impossible_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names no general\.architecture"):
        check_gguf(_written(tmp_path, _build(architecture=None)))
    with pytest.raises(UsageError, match="Q4_K cannot hold"):
        check_gguf(_written(tmp_path, _build(tensors=(("w", (100, 3), Q4_K),))))


def test_a_vocabulary_larger_than_the_window_is_passed_over(tmp_path: Path) -> None:
    words = [f"word number {i}" for i in range(60_000)]
    assert check_gguf(_written(tmp_path, _build(words))).vocab_size == 60_000
    assert check_gguf(_written(tmp_path, _build(["x" * 3_000_000, "y"]))).vocab_size == 2
