"""llama.cpp itself: importance matrices, fall-backs, KV-cache types, RPC and synthetic models.

Everything through a worker in the framework's own environment, on SmolLM2-135M and on a two-layer synthetic model.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from harness.backends.llamacpp import LlamaCpp
from harness.files import file_sha256
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir, data_dir
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import Calibration, LoadSpec, MakeRequest
from harness.worker.bodies import to_body
from harness.worker.synthetic import SyntheticModel

pytestmark = pytest.mark.framework("llamacpp")

MODEL = "smollm2-135m-instruct"
TIMEOUT_S = 300.0
#: Threads that spin at barriers crawl on a busy machine.
THREADS = 1
RECIPES = {recipe.name: recipe for recipe in LlamaCpp.recipes}
SMALL = SyntheticModel(
    "llama",
    hidden_size=2048,
    intermediate_size=2048,
    layers=2,
    heads=16,
    kv_heads=4,
    head_size=128,
    vocab_size=1000,
    context_tokens=512,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
    tied_embeddings=False,
    seed=7,
)
BITS = {
    "f32": 32,
    "f16": 16,
    "bf16": 16,
    "q8_0": 8.5,
    "q6_K": 6.5625,
    "q5_K": 5.5,
    "q5_1": 6,
    "q5_0": 5.5,
    "q4_K": 4.5,
    "q4_1": 5,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
    "iq4_xs": 4.25,
    "q3_K": 3.4375,
    "q2_K": 2.625,
}


@dataclass
class Bench:
    """A worker, the model in F32, and a folder for what is made."""

    launch: Launch
    worker: WorkerProcess
    source: Path
    folder: Path

    def make(
        self,
        name: str,
        *,
        source: Path | None = None,
        synthetic: SyntheticModel | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Make a recipe in a folder of its own; the answer with ``path``."""
        out = self.folder / f"made-{len(list(self.folder.iterdir()))}"
        out.mkdir()
        request = MakeRequest(
            RECIPES[name], source or self.source, out, THREADS, synthetic=synthetic, **fields
        )
        made = self.worker.call("make", to_body(request), timeout_s=TIMEOUT_S)
        return {**made, "path": out / made["entry"]}

    def load(self, path: Path, *, worker: WorkerProcess | None = None, **changes: Any) -> dict[str, Any]:
        """Load a file instead of what is loaded."""
        spec = replace(LoadSpec(path, "cpu", "cpu", THREADS, 512), **changes)
        worker = worker or self.worker
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
        return worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)

    def tokens(self, text: str) -> Path:
        """Token ids of one of the texts that are part of the suites."""
        out = self.folder / f"{text}.i32"
        if not out.exists():
            body = {"model": str(self.source), "text_file": str(data_dir("suites") / "text" / f"{text}.txt")}
            self.worker.call("tokenize", {**body, "out": str(out)}, timeout_s=TIMEOUT_S)
        return out

    def divergence(self, path: Path) -> float:
        """Mean divergence from F32 over two windows of 512 tokens of the scoring text."""
        reference = self.folder / "reference.npy"
        body: dict[str, Any] = {"tokens_file": str(self.tokens("scoring")), "window": 512, "stride": 512}
        body |= {"score_from": 256, "max_windows": 2, "bos": None}
        if not reference.exists():
            self.load(self.source, options={"type_k": "f32", "type_v": "f32"})
            own = {**body, "reference_in": None, "reference_out": str(reference)}
            self.worker.call("score", own, timeout_s=TIMEOUT_S)
        self.load(path)
        scored = self.worker.call(
            "score", {**body, "reference_in": str(reference), "reference_out": None}, timeout_s=TIMEOUT_S
        )
        self.worker.call("unload", {}, timeout_s=TIMEOUT_S)
        windows = scored["windows"]
        return float(sum(w["kld_sum"] for w in windows) / sum(w["positions"] for w in windows))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    workshop = Workshop(
        models=load_models(),
        entries=frameworks(),
        cache_dir=cache_dir(),
        threads=THREADS,
        progress=QuietProgress(),
    )
    launch = workshop.launch("llamacpp")
    source = workshop.artifact(MODEL, "llamacpp", "F32").entry
    folder = tmp_path_factory.mktemp("llamacpp")
    with WorkerProcess(launch, log=tmp_path_factory.mktemp("log") / "worker.log") as worker:
        yield Bench(launch, worker, source, folder)


@pytest.fixture(scope="module")
def matrix(bench: Bench) -> dict[str, Any]:
    calibration = Calibration(
        data_dir("suites") / "text" / "calibration.txt", bench.tokens("calibration"), bos=None
    )
    return bench.make("imatrix", calibration=calibration)


@pytest.fixture(scope="module")
def q2_k(bench: Bench) -> dict[str, Any]:
    return bench.make("Q2_K")


# -- importance matrices and fall-backs ----------------------------------------------------------------------------


def test_the_importance_matrix_covers_every_matrix_of_every_block(matrix: dict[str, Any]) -> None:
    assert matrix["notes"]["weights"] == 30 * 7
    assert matrix["notes"]["chunks"] >= 4
    # Sums for seven matrices of 30 blocks (six read 576 columns, one 1536), and a count for each.
    assert matrix["weight_bytes"] == 4 * 30 * (6 * 576 + 1536 + 7)


def test_the_importance_of_the_first_block_is_that_of_its_normalised_inputs(
    bench: Bench, matrix: dict[str, Any]
) -> None:
    weights = {tensor.name: tensor.data for tensor in gguf.GGUFReader(bench.source).tensors}
    tokens = np.fromfile(bench.tokens("calibration"), dtype="<i4")[: 512 * matrix["notes"]["chunks"]]
    rows = weights["token_embd.weight"][tokens].astype(np.float64)
    rows /= np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + 1e-5)
    expected = np.square(rows * weights["blk.0.attn_norm.weight"]).sum(axis=0)
    # The tool's own file format, read by another reader.
    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(matrix["path"]).tensors}
    for name in ("attn_q", "attn_k", "attn_v"):
        np.testing.assert_allclose(found[f"blk.0.{name}.weight.in_sum2"].ravel(), expected, rtol=1e-4)
        assert found[f"blk.0.{name}.weight.counts"].ravel().tolist() == [len(tokens)]


def test_quality_rises_with_bits_and_an_importance_matrix_helps_where_bits_are_few(
    bench: Bench, matrix: dict[str, Any], q2_k: dict[str, Any]
) -> None:
    divergences = {
        name: bench.divergence(bench.make(name)["path"]) for name in ("Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M")
    }
    divergences["Q2_K"] = bench.divergence(q2_k["path"])
    ordered = list(divergences.values())
    assert ordered == sorted(ordered), divergences
    assert len(set(ordered)) == len(ordered)
    weighted = bench.make("Q2_K+imatrix", needed={"llamacpp:imatrix": matrix["path"]})
    assert weighted["weight_bytes"] == q2_k["weight_bytes"]
    assert bench.divergence(weighted["path"]) < divergences["Q2_K"]


@pytest.mark.parametrize(
    ("name", "kind", "bits"), [("IQ2_XXS", "iq2_xxs", 2.0625), ("IQ1_S", "iq1_s", 1.5625)]
)
def test_types_of_the_fewest_bits_are_made_with_a_matrix(
    bench: Bench, name: str, kind: str, bits: float
) -> None:
    # Rows of 256 fit every block, and the search for these types takes minutes on a real model. What random weights
    # weigh means nothing; that is refused for a synthetic model and can be asked of its file.
    model = replace(SMALL, hidden_size=256, intermediate_size=256, heads=4, kv_heads=4, head_size=64)
    source = bench.make("F32", synthetic=model)["path"]
    with pytest.raises(WorkerRefused, match="needs an importance matrix"):
        bench.make(name, source=source)
    tokens = bench.folder / "random.i32"
    np.random.default_rng(1).integers(0, model.vocab_size, 1024, dtype="<i4").tofile(tokens)
    matrix = bench.make("imatrix", source=source, calibration=Calibration(tokens, tokens, bos=1))
    made = bench.make(f"{name}+imatrix", source=source, needed={"llamacpp:imatrix": matrix["path"]})
    assert made["notes"]["fallbacks"] == {}
    entry = made["notes"]["tensor_types"][kind]
    assert entry["bytes"] * 8 / bits == entry["tensors"] * 256 * 256


def test_tensors_that_fall_back_are_told_by_their_types(q2_k: dict[str, Any]) -> None:
    # 30 blocks with seven matrices each: only ffn_down's rows (1536) are a multiple of 256.
    assert q2_k["notes"]["fallbacks"] == {"q2_K to q4_0": 120, "q3_K to q4_0": 60}


# -- KV cache ------------------------------------------------------------------------------------------------------


def test_a_quantised_kv_cache_is_smaller_and_read_back(bench: Bench) -> None:
    sizes = {}
    for kind in ("f32", "f16", "q8_0", "q4_0"):
        loaded = bench.load(bench.source, options={"type_k": kind, "type_v": kind})
        hints = loaded["hints"]
        assert (hints["type_k"], hints["type_v"]) == (kind, kind)
        assert hints["flash_attn"] == ("off" if kind == "f32" else "on"), "a quantised V cache needs it"
        answer = bench.worker.call(
            "logits", {"tokens": [11, 25, 39, 52, 17], "first": 0}, timeout_s=TIMEOUT_S
        )
        assert answer["finite"] is True
        sizes[kind] = loaded["kv_cache_bytes"]
    assert sizes["f32"] == 2 * sizes["f16"]
    assert sizes["q8_0"] == pytest.approx(sizes["f16"] * 8.5 / 16, rel=0.01)
    assert sizes["q4_0"] == pytest.approx(sizes["f16"] * 4.5 / 16, rel=0.01)


def test_a_cache_of_32_bits_gives_other_logits_than_one_of_16(bench: Bench) -> None:
    rows = {}
    for kind in ("f32", "f16"):
        bench.load(bench.source, options={"type_k": kind, "type_v": kind})
        body = {"tokens": [11, 25, 39, 52, 17, 80, 9, 45, 8, 90, 13], "first": 0}
        rows[kind] = bench.worker.call("logits", body, timeout_s=TIMEOUT_S)
    assert rows["f32"]["logprob"] != rows["f16"]["logprob"]


def test_a_quantised_v_cache_without_flash_attention_is_refused(bench: Bench) -> None:
    options = {"type_v": "q8_0", "flash_attn": "off"}
    with pytest.raises(WorkerRefused, match=r"(?i)V cache|flash"):
        bench.load(bench.source, options=options)


# -- batches -------------------------------------------------------------------------------------------------------


def test_sequences_of_a_batch_have_caches_of_their_own_whatever_pieces_their_prompts_go_in(
    bench: Bench,
) -> None:
    prompts = [[11, 25, 39, 52, 17] * 4, [61, 7, 33, 80, 9] * 4, [45, 8, 90, 13, 71] * 4]
    one = bench.load(bench.source)
    alone = [
        bench.worker.call("generate", {"tokens": prompt, "count": 6}, timeout_s=TIMEOUT_S)["tokens"]
        for prompt in prompts
    ]
    for n_batch in ("2048", "7"):  # 7: two tokens of each of the three at once
        loaded = bench.load(bench.source, batch=3, options={"n_batch": n_batch, "n_ubatch": "4"})
        hints = loaded["hints"]
        assert (hints["n_seq_max"], hints["kv_unified"]) == ("3", "0")
        assert int(hints["n_ctx"]) == 3 * int(one["hints"]["n_ctx"])
        assert loaded["kv_cache_bytes"] == pytest.approx(3 * one["kv_cache_bytes"], rel=0.01)
        body = {"tokens": prompts, "count": 6}
        assert bench.worker.call("generate_batch", body, timeout_s=TIMEOUT_S)["tokens"] == alone


@pytest.mark.parametrize("n_batch", ["2048", "7"])  # 7: pieces end in the middle of a prompt
def test_texts_of_different_lengths_are_generated_together_as_one_by_one(bench: Bench, n_batch: str) -> None:
    prompts = [[11, 25, 39, 52, 17] * 4, [61, 7, 33, 80], [45], [45, 8, 90, 13, 71] * 3]
    bench.load(bench.source)
    alone = [
        bench.worker.call("generate", {"tokens": prompt, "count": 9}, timeout_s=TIMEOUT_S)["tokens"]
        for prompt in prompts
    ]
    bench.load(bench.source, batch=4, options={"n_batch": n_batch, "n_ubatch": "4"})
    first = bench.worker.call("generate_ragged", {"tokens": prompts, "count": 3}, timeout_s=TIMEOUT_S)[
        "tokens"
    ]
    more = bench.worker.call("more_ragged", {"sequences": [0, 2], "count": 6}, timeout_s=TIMEOUT_S)["tokens"]
    assert first == [row[:3] for row in alone]
    assert more == [alone[0][3:], alone[2][3:]]


def test_a_batch_that_does_not_fit_into_one_pass_is_refused(bench: Bench) -> None:
    with pytest.raises(WorkerRefused, match="one token of each of 3 sequences does not fit into n_batch=2"):
        bench.load(bench.source, batch=3, options={"n_batch": "2"})
    with pytest.raises(WorkerRefused, match="n_seq_max must be <= 256"):
        bench.load(bench.source, batch=257, context_tokens=8)


# -- RPC -----------------------------------------------------------------------------------------------------------

SERVER = """
import ctypes, sys
from pathlib import Path
import llama_cpp
from llama_cpp import llama_cpp as low
from llama_cpp._ctypes_extensions import load_shared_library
folder = Path(llama_cpp.__file__).parent / "lib"
low.llama_backend_init()
registry = load_shared_library("ggml", folder)
registry.ggml_backend_dev_get.restype = ctypes.c_void_p
registry.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
start = load_shared_library("ggml-rpc", folder).ggml_backend_rpc_start_server
start.restype = None
start.argtypes = [
    ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)
]
start(sys.argv[1].encode(), None, 1, 1, (ctypes.c_void_p * 1)(registry.ggml_backend_dev_get(0)))
"""


def _free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    host, port = endpoint.split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(endpoint)


def _logits(worker: WorkerProcess) -> dict[str, Any]:
    return worker.call("logits", {"tokens": [11, 25, 39, 52, 17, 11, 25], "first": 0}, timeout_s=TIMEOUT_S)


def test_an_rpc_server_computes_the_same_and_is_read_back(bench: Bench, tmp_path: Path) -> None:
    endpoint = _free_endpoint()
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [bench.launch.python, "-I", "-c", SERVER, endpoint], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(endpoint, server)
        launch = replace(bench.launch, env={**bench.launch.env, "EDGEBENCH_LLAMACPP_RPC": endpoint})
        with WorkerProcess(launch, log=tmp_path / "rpc.log") as worker:
            devices = worker.call("devices", {}, timeout_s=TIMEOUT_S)["devices"]
            assert [(each["id"], each["api"]) for each in devices] == [("cpu", "cpu"), ("gpu:0", "rpc")]
            loaded = bench.load(bench.source, worker=worker, device="gpu:0", api="rpc")
            assert (loaded["device"]["id"], loaded["device"]["api"]) == ("gpu:0", "rpc")
            assert loaded["device"]["name"] == endpoint
            assert "RPC0" in loaded["hints"]["model_buffers"]
            remote = _logits(worker)
        bench.load(bench.source)
        local = _logits(bench.worker)
        assert remote["argmax"] == local["argmax"]
        assert remote["logprob"] == pytest.approx(local["logprob"], abs=1e-3)
    finally:
        server.kill()
        server.wait()


def test_a_server_that_is_not_there_is_a_failed_load_and_never_the_cpu(bench: Bench, tmp_path: Path) -> None:
    endpoint = _free_endpoint()
    launch = replace(bench.launch, env={**bench.launch.env, "EDGEBENCH_LLAMACPP_RPC": endpoint})
    with (
        WorkerProcess(launch, log=tmp_path / "dead.log") as worker,
        pytest.raises(WorkerRefused, match=f"no RPC server answers at {endpoint}"),
    ):
        bench.load(bench.source, worker=worker, device="gpu:0", api="rpc")


# -- synthetic models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1"),
        *("IQ4_XS", "IQ4_NL", "Q3_K_M", "Q2_K", "TQ1_0", "TQ2_0"),
    ],
)
def test_a_synthetic_model_has_exact_bits_per_weight_and_computes(bench: Bench, name: str) -> None:
    made = bench.make(name, synthetic=SMALL)
    types = made["notes"]["tensor_types"]
    assert made["notes"]["fallbacks"] == {}
    assert sum(entry["tensors"] for entry in types.values()) == len(list(SMALL.tensors()))
    assert made["weight_bytes"] == sum(entry["bytes"] for entry in types.values())
    expected = name.lower().removesuffix("_m").removesuffix("_s")
    assert expected in {each.lower() for each in types}
    weights = 0.0
    for type_name, entry in types.items():
        if type_name in BITS:
            weights += entry["bytes"] * 8 / BITS[type_name]
    if set(types) <= set(BITS):
        assert weights == SMALL.parameter_count, types
    loaded = bench.load(made["path"])
    assert loaded["vocab_size"] == SMALL.vocab_size
    answer = _logits(bench.worker)
    bench.worker.call("unload", {}, timeout_s=TIMEOUT_S)
    assert answer["finite"] is True
    made["path"].unlink()


def test_the_mix_of_types_is_the_quantisers_own(bench: Bench) -> None:
    source = bench.make("F32", synthetic=SMALL)["path"]
    direct = bench.make("Q4_K_M", synthetic=SMALL)
    quantised = bench.make("Q4_K_M", source=source)
    assert quantised["notes"]["tensor_types"] == direct["notes"]["tensor_types"]
    assert len(direct["notes"]["tensor_types"]) == 3


def test_the_same_seed_gives_the_same_file_and_another_does_not(bench: Bench) -> None:
    one, same = (bench.make("Q4_0", synthetic=SMALL)["path"] for _ in range(2))
    other = bench.make("Q4_0", synthetic=replace(SMALL, seed=8))["path"]
    assert file_sha256(one) == file_sha256(same) != file_sha256(other)


def test_a_synthetic_model_has_no_importance_matrix(bench: Bench, matrix: dict[str, Any]) -> None:
    with pytest.raises(WorkerRefused, match="random weights"):
        bench.make("Q2_K+imatrix", synthetic=SMALL, needed={"llamacpp:imatrix": matrix["path"]})
