"""What is read out of llama.cpp's log. The lines are those of llama-cpp-python 0.3.36."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends._llamacpp_log import (
    Log,
    buffer_bytes,
    cache_types,
    fallbacks,
    flash_attention,
    kv_unified,
    load_mode,
    offloaded_layers,
)

DEBUG, INFO, WARN, ERROR, CONT = 1, 2, 3, 4, 5

CPU_LOAD = """\
load_tensors: loading model tensors, this can take a while... (load_mode = mmap)
load_tensors:   CPU_Mapped model buffer size =    98.87 MiB
load_tensors:   CPU_REPACK model buffer size =     7.59 MiB
llama_context:        CPU  output buffer size =     0.19 MiB
llama_kv_cache:        CPU KV buffer size =    16.88 MiB
llama_kv_cache: size =   16.88 MiB (   768 cells,  30 layers,  1/1 seqs), K (f16):    8.44 MiB, V (f16):    8.44 MiB
resolve_fused_ops: Flash Attention enabled
sched_reserve:        CPU compute buffer size =    98.25 MiB
"""


def plain(function: Callable[..., None]) -> Callable[..., None]:
    """In place of the C callback type."""
    return function


@pytest.fixture
def quiet() -> Iterator[None]:
    """The log writes to descriptor 2, below pytest's capture of sys.stderr."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        yield
        os.dup2(saved, 2)
    os.close(saved)


def test_model_buffers_are_read_by_name() -> None:
    assert buffer_bytes(CPU_LOAD, "model") == {
        "CPU_Mapped": round(98.87 * 2**20),
        "CPU_REPACK": round(7.59 * 2**20),
    }


def test_the_kv_cache_and_compute_buffers_are_their_own_kinds() -> None:
    assert buffer_bytes(CPU_LOAD, "KV") == {"CPU": round(16.88 * 2**20)}
    assert buffer_bytes(CPU_LOAD, "compute") == {"CPU": round(98.25 * 2**20)}


def test_two_caches_on_one_device_add_up() -> None:
    text = "llama_kv_cache: CPU KV buffer size = 1.00 MiB\nllama_kv_cache: CPU KV buffer size = 0.50 MiB\n"
    assert buffer_bytes(text, "KV") == {"CPU": 3 * 2**19}


def test_nothing_reported_is_nothing() -> None:
    assert buffer_bytes("", "model") == {}
    assert load_mode("") is None
    assert flash_attention("") is None
    assert kv_unified("") is None
    assert offloaded_layers("") is None
    assert fallbacks("") == {}
    assert cache_types("") is None


def test_the_automatic_settings_are_read_back() -> None:
    assert load_mode(CPU_LOAD) == "mmap"
    assert flash_attention(CPU_LOAD) == "on"
    assert flash_attention("resolve_fused_ops: Flash Attention not supported, set to disabled") == "off"
    required = "llama_init_from_model: enabling flash_attn since it is required for quantized V cache"
    assert flash_attention(required) == "on"


def test_whether_sequences_share_a_cache_is_read_back() -> None:
    assert kv_unified("llama_context: kv_unified            = false\n") == "0"
    assert kv_unified("llama_context: kv_unified            = true\n") == "1"


def test_the_types_of_the_cache_are_read_back() -> None:
    assert cache_types(CPU_LOAD) == ("f16", "f16")
    other = "llama_kv_cache: size = 1.00 MiB (256 cells), K (q8_0):    0.50 MiB, V (iq4_nl):    0.50 MiB"
    assert cache_types(other) == ("q8_0", "iq4_nl")


def test_offloaded_layers_are_counted() -> None:
    assert offloaded_layers("load_tensors: offloaded 12/31 layers to GPU") == (12, 31)


FALLEN = """\
warning: blk.0.attn_k.weight                  - ncols    576 not divisible by 256 (required for type    q4_K) \
-> falling back to    q5_0
warning: blk.0.attn_q.weight                  - ncols    576 not divisible by 256 (required for type    q4_K) \
-> falling back to    q5_0
warning: blk.0.attn_v.weight                  - ncols     40 not divisible by 256 (required for type    q6_K) \
(WARNING: must use F16 due to unusual shape) -> falling back to     f16
llama_model_quantize_impl: WARNING: 3 of 272 tensor(s) required fallback quantization
"""


def test_tensors_that_fell_back_are_counted_by_their_types() -> None:
    assert fallbacks(FALLEN) == {"q4_K to q5_0": 2, "q6_K to f16": 1}


def test_a_log_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="counts 4 tensors that fell back and names 3"):
        fallbacks(FALLEN.replace("WARNING: 3 of", "WARNING: 4 of"))


@pytest.mark.usefixtures("quiet")
def test_errors_and_warnings_are_the_problem_and_info_is_not() -> None:
    log = Log(plain)
    log.callback(INFO, b"loading\n", None)
    log.callback(WARN, b"odd\n", None)
    log.callback(ERROR, b"broken\n", None)
    assert log.problem("nothing") == "odd; broken"
    assert log.text == "loading\nodd\nbroken"


@pytest.mark.usefixtures("quiet")
def test_a_continued_line_keeps_its_level() -> None:
    log = Log(plain)
    log.callback(ERROR, b"half ", None)
    log.callback(CONT, b"a line\n", None)
    log.callback(DEBUG, b"noise", None)
    log.callback(CONT, b" more noise\n", None)
    assert log.problem("nothing") == "half a line"
    assert log.text == "half a line"


@pytest.mark.usefixtures("quiet")
def test_clear_forgets() -> None:
    log = Log(plain)
    log.callback(ERROR, b"broken\nand an open end", None)
    log.clear()
    log.callback(INFO, b"new\n", None)
    assert log.problem("nothing") == "nothing"
    assert log.text == "new"


@given(
    st.lists(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), min_size=1)
)
def test_however_a_text_is_cut_its_lines_come_out_whole(pieces: list[str]) -> None:
    log = Log(plain)
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            for piece in pieces:
                log.callback(INFO, piece.encode(), None)
            log.callback(INFO, b"\n", None)
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    whole = "".join(pieces).strip()
    assert log.text == whole
