"""What QNN declares can be planned with where QNN is not installed; the host's half of a graph is right in numpy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import qnn_numpy

from harness.backends import _qnn_artifact, _qnn_graph, _qnn_host, _qnn_quantise, _qnn_session
from harness.backends.qnn import QNN, STATIC, compiled_for, parse_options, shares
from harness.worker.api import PRECISIONS, Host, ModelFacts

RECIPES = {recipe.name: recipe for recipe in QNN.recipes}
SMOL = ModelFacts("smollm2-135m-instruct", "llama", "gguf", 576, 134_515_008)
LINUX = Host("linux", "x86_64")
EMULATOR = ("cpu", "qnn-htp-emulator")


def test_importing_the_adapter_imports_no_framework() -> None:
    script = (
        "import sys, harness.backends.qnn\n"
        "bad = {'onnx', 'onnxruntime', 'onnxruntime_qnn', 'torch', 'gguf'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(bad)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# -- recipes ---------------------------------------------------------------------------------------------------------


def test_recipes_are_canonical_static_and_one_is_the_default_of_each_precision() -> None:
    assert len(RECIPES) == len(QNN.recipes)
    assert {recipe.precision for recipe in QNN.recipes} <= set(PRECISIONS)
    cells = [recipe for recipe in QNN.recipes if not recipe.intermediate]
    assert Counter(r.precision for r in cells if r.default) == Counter({r.precision for r in cells})
    assert all(recipe.static == STATIC and recipe.passes for recipe in QNN.recipes)


def test_what_is_quantised_is_calibrated_and_starts_from_the_float_graph() -> None:
    for name in ("A8W8", "A16W8", "A16W4"):
        assert RECIPES[name].calibrated
        assert RECIPES[name].made_from == "qnn:FP32_STATIC"
    assert RECIPES["FP32_STATIC"].intermediate
    assert RECIPES["FP32_STATIC"].made_from == "llamacpp:F32"
    assert RECIPES["A16W8_SM8750"].made_from == "qnn:A16W8"
    assert {str(r.parameters["soc"]) for r in QNN.recipes if "soc" in r.parameters} <= set(_qnn_session.SOCS)


def test_only_a_real_llama_of_moderate_size_is_supported() -> None:
    recipe = RECIPES["A16W8"]
    assert QNN.unsupported(recipe, SMOL) is None
    assert "not gemma3" in str(QNN.unsupported(recipe, replace(SMOL, architecture="gemma3")))
    assert "infeasible" in str(QNN.unsupported(recipe, replace(SMOL, format="synthetic")))
    assert "2 GB" in str(QNN.unsupported(recipe, replace(SMOL, parameters=1_200_000_000)))


# -- devices ---------------------------------------------------------------------------------------------------------


def test_silicon_is_told_from_its_emulator() -> None:
    assert QNN.unavailable(LINUX, *EMULATOR) is None
    assert "Qualcomm SoC" in str(QNN.unavailable(LINUX, "npu:0", "qnn-htp"))
    assert "Linux x86-64" in str(QNN.unavailable(Host("win32", "AMD64"), *EMULATOR))
    snapdragon = Host("win32", "ARM64", frozenset({"qnn-htp"}))
    assert QNN.unavailable(snapdragon, "npu:0", "qnn-htp") is None
    assert "driver" in str(QNN.unavailable(Host("linux", "aarch64"), "npu:0", "qnn-htp"))


def test_the_other_back_ends_are_refused_with_their_reasons() -> None:
    assert "no QNN CPU library" in str(QNN.unavailable(LINUX, "cpu", "qnn-cpu"))
    assert "Adreno" in str(QNN.unavailable(LINUX, "gpu:0", "qnn-gpu"))
    assert "falls to the CPU" in str(QNN.unavailable(Host("win32", "ARM64"), "gpu:0", "qnn-gpu"))
    assert "reaches" in str(QNN.unavailable(LINUX, "cpu", "cpu"))


# -- settings --------------------------------------------------------------------------------------------------------


def test_options_have_their_own_names_and_the_emulator_profiles_in_detail() -> None:
    assert parse_options({}, emulated=True) == {"profiling_level": "detailed"}
    assert parse_options({}, emulated=False) == {"profiling_level": "off"}
    given = {"htp_performance_mode": "burst", "profiling_level": "basic", "soc": "SM8650"}
    assert parse_options(given, emulated=True) == given
    with pytest.raises(ValueError, match="unknown QNN option 'vtcm'"):
        parse_options({"vtcm": "8"}, emulated=False)
    with pytest.raises(ValueError, match="'fast', not one of default"):
        parse_options({"htp_performance_mode": "fast"}, emulated=False)


MANIFEST = _qnn_artifact.Manifest(
    qnn_numpy.SHAPE, 64, 32, {"SM8650": {"block": {"QNN": 98, "CPU": 2}, "token": {"QNN": 98, "CPU": 2}}}
)


def test_the_emulator_takes_the_compiled_graph_and_silicon_the_portable_one() -> None:
    assert compiled_for(MANIFEST, None, emulated=True) == "SM8650"
    assert compiled_for(MANIFEST, None, emulated=False) is None
    assert compiled_for(MANIFEST, "SM8650", emulated=False) == "SM8650"
    with pytest.raises(ValueError, match="no graph compiled for SM8750"):
        compiled_for(MANIFEST, "SM8750", emulated=True)
    with pytest.raises(ValueError, match="for SM8650 only"):
        compiled_for(replace(MANIFEST, portable=False), None, emulated=False)
    with pytest.raises(ValueError, match="compiled for no SoC"):
        compiled_for(replace(MANIFEST, compiled={}), None, emulated=True)


def test_nodes_off_the_npu_are_reported_as_a_share() -> None:
    executed = Counter({"QNN": 2, "CPU": 4})
    hints = shares(MANIFEST, "SM8650", executed, "QNN")
    assert hints == {
        "executed": "CPU 4, QNN 2",
        "nodes_off_qnn": "4",
        "nodes_on_qnn": "196",
        "share_off_qnn": "0.0200",
    }
    # Compiled at load, nobody knows how many nodes became one.
    assert "share_off_qnn" not in shares(MANIFEST, None, executed, "QNN")


def test_a_manifest_comes_back_and_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        _qnn_artifact.read_manifest(tmp_path)
    MANIFEST.write(tmp_path)
    assert _qnn_artifact.read_manifest(tmp_path) == MANIFEST
    (tmp_path / "manifest.json").write_text('{"format": 0}', encoding="utf-8")
    with pytest.raises(ValueError, match="another format"):
        _qnn_artifact.read_manifest(tmp_path)


# -- profiles --------------------------------------------------------------------------------------------------------


def test_a_profile_counts_each_executed_node_once(tmp_path: Path) -> None:
    events = [
        {"cat": "Session", "name": "model_run", "args": {}},
        {"cat": "Node", "name": "Add_fence_before", "args": {"provider": "CPU"}},
        *({"cat": "Node", "name": "Add_kernel_time", "args": {"provider": "CPU"}} for _ in range(3)),
        {"cat": "Node", "name": "QNN_1_kernel_time", "args": {"provider": "QNN"}},
    ]
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(events), encoding="utf-8")
    assert _qnn_session.executed(profile) == Counter({"CPU": 1, "QNN": 1})


def test_seconds_and_cycles_are_read_pass_by_pass(tmp_path: Path) -> None:
    header = "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier\n"
    rows = [
        "0,INIT,200831,US,BACKEND,ROOT,QNN (load binary) time",
        "0,BACKEND,1551335993,CYCLES,BACKEND,ROOT,Accelerator (execute) time (cycles)",
        "0,NODE,5261,CYCLES,BACKEND,SUB-EVENT,Input OpId_2 (cycles)",
        "0,BACKEND,5103637,US,BACKEND,ROOT,Accelerator (execute) time",
        "0,EXECUTE,5103679,US,BACKEND,ROOT,QNN (execute) time",
        "0,EXECUTE,6804181,US,BACKEND,ROOT,QNN (execute) time",
    ]
    profile = tmp_path / "profile.csv"
    profile.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    assert _qnn_session.read_times(profile) == [
        _qnn_session.PassTimes(5.103679, 1551335993.0),
        _qnn_session.PassTimes(6.804181, None),
    ]


# -- the host's half -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, 5, 8, 23])
def test_blocks_padding_and_cache_change_nothing_of_the_function(step: int) -> None:
    weights = qnn_numpy.random_weights(qnn_numpy.SHAPE)
    run = qnn_numpy.static_run(qnn_numpy.SHAPE, weights)
    expected = qnn_numpy.reference(qnn_numpy.SHAPE, weights, qnn_numpy.TOKENS)
    graphs = {qnn_numpy.BLOCK: run, 1: run}
    found = qnn_numpy.through(graphs, qnn_numpy.SHAPE, weights, qnn_numpy.TOKENS, step)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_single_token_takes_its_own_graph_and_more_take_blocks() -> None:
    shape, taken = qnn_numpy.SHAPE, []

    def counted(block: int) -> _qnn_host.Run:
        run = qnn_numpy.static_run(shape, qnn_numpy.random_weights(shape))

        def counting(feeds: _qnn_host.Arrays) -> _qnn_host.Arrays:
            taken.append(block)
            assert {name: array.shape for name, array in feeds.items()} == _qnn_graph.inputs(shape, block, 24)
            return run(feeds)

        return counting

    weights = qnn_numpy.random_weights(shape)["model.embed_tokens.weight"]
    model = _qnn_host.StaticModel(
        shape, 24, _qnn_host.Embedding(weights, None), {5: counted(5), 1: counted(1)}
    )
    positions = [(begin, len(rows)) for begin, rows in model.feed(qnn_numpy.TOKENS[:11])]
    assert positions == [(0, 5), (5, 5), (10, 1)]
    assert taken == [5, 5, 1]
    assert [len(rows) for _, rows in model.feed(qnn_numpy.TOKENS[:2])] == [2]
    assert taken[-1] == 5
    with pytest.raises(ValueError, match=r"13 \+ 12 tokens do not fit the graph's context of 24"):
        next(model.feed(qnn_numpy.TOKENS[:12]))


def test_a_reset_forgets_what_the_cache_still_holds() -> None:
    shape = qnn_numpy.SHAPE
    weights = qnn_numpy.random_weights(shape)
    embedding = _qnn_host.Embedding(weights["model.embed_tokens.weight"], None)
    run, held = qnn_numpy.static_run(shape, weights), []

    def looking(feeds: _qnn_host.Arrays) -> _qnn_host.Arrays:
        held.append(max(np.abs(array).max() for name, array in feeds.items() if name.startswith("past_")))
        return run(feeds)

    model = _qnn_host.StaticModel(shape, 24, embedding, {5: looking})
    first = [rows.copy() for _, rows in model.feed(qnn_numpy.TOKENS[:4])]
    list(model.feed(qnn_numpy.TOKENS[4:20]))
    model.reset()
    again = [rows.copy() for _, rows in model.feed(qnn_numpy.TOKENS[:4])]
    np.testing.assert_array_equal(again, first)
    # Not only masked: a quantised graph's mask is not quite zero.
    assert held[0] == held[-1] == 0
    assert held[1] > 0


def test_the_mask_hides_the_empty_places_and_the_future() -> None:
    shape = replace(qnn_numpy.SHAPE, heads=2, kv_heads=2)
    hidden = _qnn_host.mask(shape, length=1, block=2, context=3)[0, 0] != 0
    assert hidden.astype(int).tolist() == [[0, 1, 1, 0, 1], [0, 1, 1, 0, 0]]


def test_int8_rows_are_within_half_a_step_and_an_empty_row_stays_empty() -> None:
    table = np.random.default_rng(1).normal(size=(6, 32)).astype(np.float32)
    table[2] = 0
    embedding = _qnn_quantise.quantised_rows(table)
    assert embedding.rows.dtype == np.int8
    found = embedding.look_up(np.arange(6, dtype=np.int32))
    steps = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(found - table) <= steps / 2 + 1e-6).all()
    assert not found[2].any()


# -- the graph -------------------------------------------------------------------------------------------------------

CONFIG = {
    "model_type": "llama",
    "rope_scaling": None,
    "num_hidden_layers": 30,
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e5,
}


def test_the_graphs_shapes_follow_from_the_models() -> None:
    shape = _qnn_graph.shape_of(CONFIG, layers=1)
    assert _qnn_graph.inputs(shape, 32, 64) == {
        "embeddings": (1, 32, 576),
        "cosine": (1, 1, 32, 32),
        "sine": (1, 1, 32, 32),
        "mask": (1, 1, 96, 96),
        "past_key_0": (1, 3, 64, 64),
        "past_value_0": (1, 3, 64, 64),
    }
    assert _qnn_graph.outputs(shape, 32) == {
        "logits": (1, 32, 49152),
        "key_0": (1, 3, 32, 64),
        "value_0": (1, 3, 32, 64),
    }


@pytest.mark.parametrize(
    ("changes", "layers", "words"),
    [
        ({"model_type": "gemma3_text"}, None, "written for llama"),
        ({"rope_scaling": {"factor": 2.0}}, None, "no rotary scaling"),
        ({}, 31, "slice of 31 layers of a model with 30"),
        ({}, 0, "slice of 0 layers"),
    ],
)
def test_what_the_graph_does_not_compute_is_refused(
    changes: dict[str, object], layers: int | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        _qnn_graph.shape_of({**CONFIG, **changes}, layers)


@pytest.mark.parametrize(
    ("node", "in_float"),
    [
        ("layer_3.attention_residual", True),
        ("layer_12.mlp_residual", True),
        ("layer_0.attention_norm", True),
        ("layer_0.mlp_norm.square", True),
        ("final_norm.inverse", True),
        ("layer_0.query", False),
        ("layer_0.masked", False),
        ("layer_0.down", False),
        ("lm_head", False),
    ],
)
def test_the_residual_stream_and_the_norms_stay_in_float(node: str, in_float: bool) -> None:
    import re

    assert bool(re.fullmatch(_qnn_quantise.FLOAT_NODES, node)) is in_float
