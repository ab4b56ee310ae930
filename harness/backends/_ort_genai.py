"""Running ONNX models of the generative-AI kind: shared by the Olive and the DirectML backend.

Owns the calls into onnxruntime-genai (timed passes) and plain ONNX Runtime (scoring), the names of their devices and
the options that are passed on. Imports both inside functions, never the lab half. Contract:
`harness.worker.api.Backend`; an artifact is a folder with ``genai_config.json`` and the graph that it names.

What is timed is onnxruntime-genai's own `Generator`, because that is what applications run: it owns the KV cache (one
buffer of the length that was asked for, shared by past and present) and binds inputs and outputs to the device.
Scoring runs the same graph in a session of plain ONNX Runtime, so that a mistake in either would show.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _onnx_graph
from harness.worker.api import Device, LoadSpec, Logits, Tokenizer, Tokens, Unsupported

CONFIG = "genai_config.json"

#: Tokens of one forward pass of `Scorer.logits`.
SCORE_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    Attributes:
        api: our name of it.
        ort: ONNX Runtime's name.
        genai: onnxruntime-genai's name, None for the CPU, which is what is left without any.
        kind: the kind of processor.
        continuous: whether genai can append tokens behind a cache that holds some.
    """

    api: str
    ort: str
    genai: str | None
    kind: str
    continuous: bool


PROVIDERS: tuple[Provider, ...] = (
    Provider("cpu", "CPUExecutionProvider", None, "cpu", continuous=True),
    Provider("cuda", "CUDAExecutionProvider", "cuda", "gpu", continuous=True),
    Provider("webgpu", "WebGpuExecutionProvider", "WebGPU", "gpu", continuous=True),
    Provider("directml", "DmlExecutionProvider", "dml", "gpu", continuous=False),
)
_BY_API = {provider.api: provider for provider in PROVIDERS}
_BY_ORT = {provider.ort: provider for provider in PROVIDERS}

#: Options of a session that genai and plain ONNX Runtime both take, and the values of those that are no number.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "graph_optimization_level": (
        "ORT_DISABLE_ALL",
        "ORT_ENABLE_BASIC",
        "ORT_ENABLE_EXTENDED",
        "ORT_ENABLE_ALL",
    ),
    "session.intra_op.allow_spinning": ("0", "1"),
    "session.disable_prepacking": ("0", "1"),
    "session.set_denormal_as_zero": ("0", "1"),
    "mlas.enable_gemm_fastmath_arm64_bfloat16": ("0", "1"),
}

#: Operators that hold the model's arithmetic: on an accelerator, none of them may run elsewhere.
COMPUTE = frozenset(
    {
        "Conv", "FusedMatMul", "Gemm", "GroupQueryAttention", "MatMul", "MatMulInteger", "MatMulIntegerToFloat",
        "MatMulNBits", "DynamicQuantizeMatMul", "MultiHeadAttention", "QLinearMatMul", "SimplifiedLayerNormalization",
        "SkipSimplifiedLayerNormalization",
    }
)  # fmt: skip


def provider_for(spec: LoadSpec) -> Provider:
    """The provider that reaches the device asked for.

    Raises:
        Unsupported: there is none.
    """
    provider = _BY_API.get(spec.api)
    kind, _, index = spec.device.partition(":")
    # genai takes the device number from the provider's own options, which differ: the first one is what is offered.
    if provider is None or provider.kind != kind or index not in ("", "0"):
        known = ", ".join(f"{p.kind} by {p.api}" for p in PROVIDERS)
        raise Unsupported(f"ONNX Runtime reaches {known}, not {spec.device} by {spec.api}")
    return provider


def devices(ort: Any) -> list[Device]:
    """What ``onnxruntime.get_ep_devices()`` lists, and CUDA or DirectML where the wheel has them built in."""
    found: dict[tuple[str, str], Device] = {}
    counts: Counter[str] = Counter()
    for listed in ort.get_ep_devices():
        provider = _BY_ORT.get(listed.ep_name)
        api = provider.api if provider else listed.ep_name.removesuffix("ExecutionProvider").lower()
        kind = str(listed.device.type).rpartition(".")[2].partition(":")[0].lower()
        kind = kind if kind in ("cpu", "gpu", "npu") else "cpu"
        number = counts[api]
        counts[api] += 1
        id_ = "cpu" if kind == "cpu" else f"{kind}:{number}"
        name = listed.device.metadata.get("Description") or f"{listed.device.vendor} {kind.upper()}".strip()
        driver = listed.ep_metadata.get("version")
        found.setdefault((id_, api), Device(id_, api, name, driver=driver))
    for name in ort.get_available_providers():
        provider = _BY_ORT.get(name)
        if provider is not None and provider.kind == "gpu":
            found.setdefault(("gpu:0", provider.api), Device("gpu:0", provider.api, name))
    return list(found.values())


def versions(*distributions: str) -> dict[str, str]:
    """Versions of those distributions that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def checked_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options, each known and with a value that it can have.

    Raises:
        ValueError: unknown name or value.
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise ValueError(f"unknown option {name!r}: ONNX Runtime's are {', '.join(OPTIONS)}")
        if value not in OPTIONS[name]:
            raise ValueError(f"{name} is one of {', '.join(OPTIONS[name])}, not {value!r}")
    return dict(options)


def read_config(artifact: Path) -> dict[str, Any]:
    """``genai_config.json`` of an artifact.

    Raises:
        ValueError: the folder is no artifact, or its graph is missing.
    """
    try:
        config = json.loads((artifact / CONFIG).read_text(encoding="utf-8"))
        graph = artifact / config["model"]["decoder"]["filename"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{artifact} is no artifact of onnxruntime-genai: {error}") from error
    if not graph.is_file():
        raise ValueError(f"{artifact} is no artifact of onnxruntime-genai: it has no {graph.name}")
    return dict(config)


def unread_weight_bytes(artifact: Path, ignored: Collection[str]) -> int | None:
    """Bytes of the decoder's weights that no token reads whole; None where the folder is no artifact of this kind.

    ``ignored``: names of initialisers that are no weights.
    """
    try:
        decoder = read_config(artifact)["model"]["decoder"]
        return _onnx_graph.read_weights(artifact / decoder["filename"], ignored).unread_bytes
    except ValueError:  # what is wrong with it is told when it is loaded
        return None


def overlay(spec: LoadSpec, options: Mapping[str, str], **more: Any) -> str:
    """What is laid over ``genai_config.json``: threads, options, and an end-of-text id that no token has.

    A benchmark decodes as many tokens as it was told; genai's search would stop at the model's own end of text.
    """
    session: dict[str, Any] = {"intra_op_num_threads": spec.threads, "inter_op_num_threads": 1}
    session |= dict(options) | more
    return json.dumps({"model": {"eos_token_id": -1, "decoder": {"session_options": session}}})


class Runner:
    """The timed passes: one `Generator` of onnxruntime-genai on one device.

    Args:
        og: the module onnxruntime_genai.
        spec: what to load.
        provider: the execution provider; no other one may compute.
        continuous: as `Provider.continuous`; where it is false, tokens behind a filled cache are forced through
            genai's own choice of the next token: logits that leave but one choice, then the next forward pass.
    """

    def __init__(self, og: Any, spec: LoadSpec, provider: Provider, *, continuous: bool) -> None:
        options = checked_options(spec.options)
        self._folder = spec.artifact
        self._config = read_config(spec.artifact)
        self._og = og
        self._continuous = continuous
        self._synchronise = provider.genai is not None
        if provider.genai is not None:
            self.placement = _placement(og, spec, provider, options)
        else:
            # A wheel's CPU session has no other provider to place nodes on.
            self.placement = {}
        self._model = _open(og, spec, provider, overlay(spec, options))
        self.device_type = str(self._model.device_type)
        expected = (provider.genai or "cpu").lower()
        if self.device_type.lower() not in (expected, {"dml": "directml"}.get(expected, expected)):
            raise RuntimeError(f"asked for {provider.ort}, onnxruntime-genai computes on {self.device_type}")
        self._params = og.GeneratorParams(self._model)
        # One more than is needed: a search that has reached its length would refuse the last token.
        self._params.set_search_options(
            max_length=spec.context_tokens + 1, batch_size=spec.batch, do_sample=False
        )
        self._generator: Any = None
        self._one = np.zeros(1, np.int32)
        self._batch = np.arange(spec.batch)
        self._forced = np.zeros((spec.batch, 0), np.float32)
        self.vocab_size = int(self._config["model"]["vocab_size"])
        self.reset()

    def hints(self) -> dict[str, str]:
        """Settings in force, read back from genai."""
        search = self._params.get_search_options()
        found = {
            "provider": self.device_type,
            "model_type": str(self._model.type),
            "past_present_share_buffer": str(search["past_present_share_buffer"]).lower(),
            "max_length": str(int(search["max_length"])),
            "batch_size": str(int(search["batch_size"])),
        }
        cache = self._cache()
        if cache is not None:
            found["kv_cache_dtype"] = str(cache.dtype)
        return found | {f"nodes_{name}": str(count) for name, count in sorted(self.placement.items())}

    def kv_cache_bytes(self) -> int | None:
        """Bytes of the KV cache's buffers as genai allocated them; None where the graph has none of that name."""
        cache = self._cache()
        return (
            None
            if cache is None
            else 2 * int(self._config["model"]["decoder"]["num_hidden_layers"]) * int(cache.nbytes)
        )

    def _cache(self) -> Any:
        inputs = self._config["model"]["decoder"]["inputs"]
        name = inputs.get("past_key_names")
        if name is None or self._synchronise:  # reading back from a device copies the whole buffer
            return None
        return self._generator.get_input(name % 0)

    def reset(self) -> None:
        """Empty the cache."""
        if self._generator is not None and self._continuous:
            self._generator.rewind_to(0)
            return
        self._generator = None
        self._generator = self._og.Generator(self._model, self._params)

    def prefill(self, tokens: Tokens) -> None:
        """One forward pass over ``tokens``; behind a filled cache without continuous decoding, one pass each."""
        if self._continuous or self._generator.token_count() == 0:
            self._generator.append_tokens(np.ascontiguousarray(tokens, np.int32))
            self._wait()
            return
        for token in tokens:
            self.decode(int(token))

    def decode(self, token: int) -> None:
        """One forward pass over one token."""
        if self._continuous:
            self._one[0] = token
            self._generator.append_tokens(self._one)
            self._wait()
            return
        self.decode_batch(np.array([token], np.int32))

    def prefill_batch(self, tokens: Tokens) -> None:
        """One forward pass over ``tokens``, a row for each sequence.

        Raises:
            Unsupported: the cache holds tokens: genai appends to one sequence only.
        """
        if self._generator.token_count() > 0:
            raise Unsupported(
                "onnxruntime-genai takes the prompts of a batch into an empty cache only: it has no depth"
            )
        self._generator.append_tokens(np.ascontiguousarray(tokens, np.int32))
        self._wait()

    def decode_batch(self, tokens: Tokens) -> None:
        """One forward pass over one token of each sequence, which genai is left no other choice than."""
        if self._forced.shape[1] == 0:
            self._forced = np.full((len(self._batch), self.vocab_size), -1e30, np.float32)
        self._forced[self._batch, tokens] = 0
        self._generator.set_logits(self._forced)
        self._generator.generate_next_token()
        self._forced[self._batch, tokens] = -1e30
        # The forward pass happens when its logits are asked for.
        self._generator.get_logits()

    def _wait(self) -> None:
        """An accelerator may still compute; its logits on the host are the proof that it is done."""
        if self._synchronise:
            self._generator.get_logits()

    def sample(self) -> int:
        """Arg-max of the newest logits."""
        return int(np.argmax(self._generator.get_logits()[0, -1]))

    def tokenizer(self) -> Tokenizer:
        """Genai's own, from the artifact's folder.

        Raises:
            Unsupported: the artifact holds none.
        """
        if not any((self._folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
            raise Unsupported("this artifact holds no tokenizer")
        return GenaiTokenizer(self._og.Tokenizer(self._model))

    def sample_batch(self) -> Tokens:
        """Arg-max of the newest logits of each sequence."""
        chosen: Tokens = self._generator.get_logits()[:, -1].argmax(axis=-1).astype(np.int32)
        return chosen

    def close(self) -> None:
        """Free the model and its cache."""
        self._generator = self._params = self._model = None
        gc.collect()


class GenaiTokenizer(Tokenizer):
    """onnxruntime-genai's tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, text: str) -> list[int]:
        """Ids, with whatever the tokenizer's own configuration puts before them."""
        ids: list[int] = np.asarray(self._tokenizer.encode(text)).tolist()
        return ids

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text."""
        return str(self._tokenizer.decode(np.asarray(tokens, dtype=np.int32)))


def _open(og: Any, spec: LoadSpec, provider: Provider, settings: str) -> Any:
    config = og.Config(str(spec.artifact))
    config.clear_providers()
    if provider.genai is not None:
        config.append_provider(provider.genai)
    config.overlay(settings)
    return og.Model(config)


def _placement(og: Any, spec: LoadSpec, provider: Provider, options: Mapping[str, str]) -> dict[str, int]:
    """Nodes by provider, from ONNX Runtime's profile of one token in a model that is loaded for this alone.

    Raises:
        RuntimeError: an operator of `COMPUTE` did not run on ``provider``.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prefix = str(Path(folder) / "profile")
        model = _open(og, spec, provider, overlay(spec, options, enable_profiling=prefix))
        params = og.GeneratorParams(model)
        params.set_search_options(max_length=8, do_sample=False)
        generator = og.Generator(model, params)
        generator.append_tokens(np.ones(1, np.int32))
        generator.get_logits()
        del generator, params, model
        gc.collect()
        events: list[dict[str, Any]] = []
        for file in Path(folder).iterdir():
            events += json.loads(file.read_text(encoding="utf-8"))
    placed, elsewhere = nodes_by_provider(events, provider.ort)
    if elsewhere:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(elsewhere.items()))
        raise RuntimeError(f"asked for {provider.ort}, but other providers compute {kinds}")
    if not placed.get(provider.ort):
        raise RuntimeError(f"asked for {provider.ort}, but no node ran on it")
    return placed


def nodes_by_provider(events: list[dict[str, Any]], wanted: str) -> tuple[dict[str, int], dict[str, int]]:
    """Nodes by provider in a profile, and the kinds of `COMPUTE` operators that ran on another one than ``wanted``."""
    nodes: dict[str, tuple[str, str]] = {}
    for event in events:
        details = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in details:
            nodes[event["name"]] = (details["provider"], details.get("op_name", "?"))
    placed = Counter(provider for provider, _ in nodes.values())
    elsewhere = Counter(kind for provider, kind in nodes.values() if provider != wanted and kind in COMPUTE)
    return dict(placed), dict(elsewhere)


class Scorer:
    """Logits at every position, by a session of plain ONNX Runtime.

    Args:
        ort: the module onnxruntime.
        spec: what to load.
        provider: the execution provider.
    """

    def __init__(self, ort: Any, spec: LoadSpec, provider: Provider) -> None:
        config = read_config(spec.artifact)["model"]["decoder"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = spec.threads
        for name, value in checked_options(spec.options).items():
            if name == "graph_optimization_level":
                options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, value)
            else:
                options.add_session_config_entry(name, value)
        names = [provider.ort] if provider.kind == "cpu" else [provider.ort, "CPUExecutionProvider"]
        self._ort = ort
        self._session = ort.InferenceSession(
            str(spec.artifact / config["filename"]), options, providers=names
        )
        if self._session.get_providers()[0] != provider.ort:
            used = ", ".join(self._session.get_providers())
            raise RuntimeError(f"asked for {provider.ort}, ONNX Runtime would compute on {used}")
        self._layers = int(config["num_hidden_layers"])
        self._past = [config["inputs"]["past_key_names"], config["inputs"]["past_value_names"]]
        self._present = [config["outputs"]["present_key_names"], config["outputs"]["present_value_names"]]
        self._logits = config["outputs"]["logits"]
        self._heads, self._head_size = int(config["num_key_value_heads"]), int(config["head_size"])
        kinds = {node.name: node.type for node in self._session.get_inputs()}
        self._inputs = set(kinds)
        self._cache: list[Any] = []
        self._cache_type = np.float16 if "float16" in kinds[self._past[0] % 0] else np.float32

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """As `harness.worker.api.Backend.logits`, in blocks of `SCORE_BLOCK` tokens behind a growing cache."""
        empty = np.zeros((1, self._heads, 0, self._head_size), self._cache_type)
        self._cache = [self._ort.OrtValue.ortvalue_from_numpy(empty) for _ in range(2 * self._layers)]
        return self._rows(tokens, 0, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]]:
        """The same, with the first ``kept`` tokens of the cache left in it."""
        self._cache = [
            self._ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value.numpy()[:, :, :kept]))
            for value in self._cache
        ]
        return self._rows(tokens, kept, first)

    def _rows(self, tokens: Tokens, start: int, first: int) -> Iterator[tuple[int, Logits]]:
        """From ``start`` on, behind what the cache holds."""
        ids = np.ascontiguousarray(tokens, np.int64).reshape(1, -1)
        count = ids.shape[1]
        pairs = [
            (past % layer, present % layer)
            for layer in range(self._layers)
            for past, present in zip(self._past, self._present, strict=True)
        ]
        wanted = [self._logits, *(present for _, present in pairs)]
        for begin in range(start, count, SCORE_BLOCK):
            end = min(begin + SCORE_BLOCK, count)
            feed: dict[str, Any] = {
                "input_ids": ids[:, begin:end],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(begin, end, dtype=np.int64).reshape(1, -1),
            }
            values = {
                name: self._ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value))
                for name, value in feed.items()
                if name in self._inputs
            }
            values |= {past: value for (past, _), value in zip(pairs, self._cache, strict=True)}
            rows, *self._cache = self._session.run_with_ort_values(wanted, values)
            if end > first:
                skip = max(first - begin, 0)
                yield begin + skip, rows.numpy()[0, skip:].astype(np.float32, copy=False)

    def close(self) -> None:
        """Free the session."""
        self._session = None
        gc.collect()
