"""MLX through mlx-lm: Apple's framework, on Metal where there is one, on its CPU back end elsewhere.

Owns the adapter: recipes, devices, conversion from GGUF without torch, and running mlx-lm's own models through its
own cache. Imports mlx and mlx-lm only inside methods, never the lab half, and never torch. Contract: see
`harness.worker.api.Backend`. MLX is lazy; every call here ends with an `mx.eval` of what it promised, which waits.

Prefill does what mlx-lm's ``generate_step`` does: all tokens but the last only fill the cache, in steps of
``prefill_step_size``, and the last one alone gives logits. So the output layer is computed for one position.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _gguf_hf
from harness.backends._mlx_synthetic import ShardWriter
from harness.worker.api import (
    Backend,
    Device,
    Host,
    Loaded,
    LoadSpec,
    Logits,
    Made,
    MakeRequest,
    ModelFacts,
    Recipe,
    Requirements,
    Tokenizer,
    Tokens,
    Unsupported,
)

_DTYPES = {"FP32": "float32", "FP16": "float16", "BF16": "bfloat16"}

#: Positions whose logits are held at once while scoring.
_BLOCK = 64

#: mlx-lm's own settings that a cell may change, with mlx-lm's own defaults. ``kv_bits`` 0 is its None.
_COUNTS = {"prefill_step_size": 2048, "kv_bits": 0, "kv_group_size": 64, "quantized_kv_start": 5000}

#: ``dtype``: what activations, norms and scales are computed in. ``auto`` is ``stored``, see `compute_dtype`.
_COMPUTE_DTYPES = ("auto", "stored", "float32", "float16", "bfloat16")


def _imported(name: str, precision: str, source: str) -> Recipe:
    return Recipe(
        name,
        precision,
        made_from=f"llamacpp:{source}",
        tool="mlx",
        parameters={"dtype": _DTYPES[name], "importer": _gguf_hf.REVISION},
        default=True,
    )


def _quantised(name: str, precision: str, mode: str, bits: int, group: int, *, default: bool) -> Recipe:
    return Recipe(
        name,
        precision,
        made_from="mlx:FP16",
        tool="mlx-lm",
        parameters={"mode": mode, "bits": bits, "group_size": group},
        default=default,
    )


def _recipes() -> tuple[Recipe, ...]:
    plain = (
        _imported("FP32", "fp32", "F32"),
        _imported("FP16", "fp16", "F16"),
        _imported("BF16", "bf16", "F32"),
    )
    affine = tuple(
        # 64 is mlx-lm's own default group.
        _quantised(f"{bits}bit_g{group}", f"int{bits}", "affine", bits, group, default=group == 64)
        for bits, group in itertools.product((8, 6, 5, 4, 3, 2), (32, 64, 128))
    )
    floats = (
        _quantised("mxfp8", "fp8", "mxfp8", 8, 32, default=True),
        _quantised("mxfp4", "fp4", "mxfp4", 4, 32, default=True),
        _quantised("nvfp4", "fp4", "nvfp4", 4, 16, default=False),
    )
    return plain + affine + floats


class MLX(Backend):
    """Apple's MLX with mlx-lm's models."""

    framework = "mlx"
    title = "MLX"
    requirements = Requirements(
        packages=(
            "mlx==0.32.4; sys_platform == 'darwin'",
            "mlx[cpu]==0.32.4; sys_platform == 'linux'",
            "mlx-lm==0.32.2; sys_platform != 'win32'",
        ),
        import_name="mlx.core",
        lock="mlx.txt",
    )
    artifact_mark = "config.json"
    loads_file = False
    recipes = _recipes()
    known_devices = (("cpu", "cpu"), ("gpu:0", "metal"), ("gpu:0", "cuda"))
    takes_threads = False
    capabilities = frozenset(
        {"prefill", "decode", "score", "make", "synthesize", "batch", "batch_depth", "prefix"}
    )

    def __init__(self) -> None:
        self._mx: Any = None
        self._lm: Any = None
        self._quantise_cache: Any = None
        self._model: Any = None
        self._cache: list[Any] = []
        self._logits: Any = None
        self._options = parse_options({})
        self._artifact: Path | None = None
        self._wired_limit_before: int | None = None

    # -- planning ---------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """MLX has wheels for Apple silicon and for Linux; CUDA wheels exist but are not in the pinned set."""
        if (device, api) not in cls.known_devices:
            return f"{cls.title} has no device {device} with the API {api}"
        if host.system not in ("linux", "darwin"):
            return f"{cls.title} has no package for {host.system}"
        if host.system == "darwin" and host.arch != "arm64":
            return f"{cls.title} needs Apple silicon, this Mac is {host.arch}"
        if host.system == "linux" and host.arch not in ("x86_64", "aarch64"):
            return f"{cls.title} has no Linux package for {host.arch}"
        if api == "metal" and host.system != "darwin":
            return "Metal needs a Mac with Apple silicon"
        if api == "cuda":
            # The CPU and CUDA builds of mlx are extras of one distribution: one environment each.
            return f"{cls.title}'s pinned environment is mlx[cpu]; CUDA needs mlx[cuda12] and an NVIDIA GPU"
        return None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """A group must divide the rows; the architecture must be one that `_gguf_hf` translates."""
        if model.architecture not in _gguf_hf.ARCHITECTURES:
            return (
                f"the import from GGUF knows {' and '.join(_gguf_hf.ARCHITECTURES)}, not {model.architecture}"
            )
        group = recipe.parameters.get("group_size")
        if group is not None and model.row_width is not None and model.row_width % group:
            return f"group size {group} does not divide the model's rows of {model.row_width}"
        return None

    # -- in the framework's environment -----------------------------------------------------------------------------

    def start(self) -> None:
        """Import mlx and mlx-lm, which brings transformers' tokenizers (not torch) with it."""
        # Nothing here may reach for a network: models are folders on this disk.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import mlx.core as mx
        import mlx_lm.models.cache
        import mlx_lm.utils

        # mlx_lm.generate is a function once the package is imported: the module is reached by its members.
        from mlx_lm.generate import maybe_quantize_kv_cache

        self._mx = mx
        self._lm = mlx_lm
        self._quantise_cache = maybe_quantize_kv_cache

    def versions(self) -> Mapping[str, str]:
        """Of mlx (``framework``), mlx-lm, and the mlx back-end packages that are installed."""
        found = {"framework": str(self._mx.__version__)}
        for name in ("mlx", "mlx-lm", "mlx-cpu", "mlx-metal", "mlx-cuda-12", "mlx-cuda-13"):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    def devices(self) -> list[Device]:
        """The CPU, and the GPUs of the back end that this build of mlx has."""
        mx = self._mx
        found = [self._describe(mx.Device(mx.cpu, 0), "cpu", "cpu")]
        api = "metal" if mx.metal.is_available() else "cuda" if mx.cuda.is_available() else None
        if api is not None:
            found += [
                self._describe(mx.Device(mx.gpu, index), f"gpu:{index}", api)
                for index in range(mx.device_count(mx.gpu))
            ]
        return found

    def _describe(self, device: Any, device_id: str, api: str) -> Device:
        info = self._mx.device_info(device)
        memory = info.get("memory_size", info.get("total_memory"))
        return Device(
            id=device_id,
            api=api,
            name=str(info.get("device_name", info.get("architecture", device_id))),
            memory_bytes=None if memory is None or api == "cpu" else int(memory),
        )

    # -- conversion -------------------------------------------------------------------------------------------------

    def make(self, request: MakeRequest) -> Made:
        """A folder that `mlx_lm.utils.load_model` loads: ``config.json`` and ``*.safetensors``."""
        # Conversion needs no accelerator, and must give the same bytes with and without one.
        self._mx.set_default_device(self._mx.cpu)
        notes = self._import(request) if "dtype" in request.recipe.parameters else self._quantise(request)
        files = sorted(request.out.glob("model*.safetensors"))
        size = sum(a.nbytes for file in files for a in self._mx.load(str(file)).values())
        return self._made(request, size, notes)

    def synthesize(self, request: MakeRequest) -> Made:
        """The same folder for a model of seeded random weights: one layer at a time, quantised as it is written."""
        self._mx.set_default_device(self._mx.cpu)
        if request.synthetic is None:
            raise ValueError("synthesize wants a synthetic model")
        parameters = dict(request.recipe.parameters)
        plain = "dtype" in parameters
        # What is quantised is made from FP16, whose dtype scales, biases and norms keep.
        dtype = str(parameters["dtype"]) if plain else _DTYPES["FP16"]
        writer = ShardWriter(self._mx, request.synthetic, dtype, None if plain else parameters)
        writer.write(request.out)
        self._lm.utils.save_config(writer.config(), request.out / "config.json")
        notes: dict[str, Any] = {"architecture": request.synthetic.architecture}
        if not plain:
            notes |= _left(request.recipe.name, writer.left_unquantised)
        return self._made(request, writer.weight_bytes, notes)

    def _made(self, request: MakeRequest, weight_bytes: int, notes: dict[str, Any]) -> Made:
        # Lazy and strict: every tensor the model wants is there with its shape, and none is left over.
        self._lm.utils.load_model(request.out, lazy=True, strict=True)
        version = importlib.metadata.version(request.recipe.tool)
        return Made(weight_bytes=weight_bytes, entry=".", tool_version=version, notes=notes)

    def _import(self, request: MakeRequest) -> dict[str, Any]:
        mx = self._mx
        name = str(request.recipe.parameters["dtype"])
        dtype = getattr(mx, name)
        tensors, metadata = mx.load(str(request.source), format="gguf", return_metadata=True)
        arch = _gguf_hf.architecture(metadata)
        embedding = tensors.get("token_embd.weight")
        if embedding is None:
            raise _gguf_hf.NotTranslatableError("the file has no tensor token_embd.weight")
        config = _gguf_hf.configuration(metadata, tensors, int(embedding.shape[0]))
        config["torch_dtype"] = name
        named = _gguf_hf.weights(arch, tensors, config["num_attention_heads"], config["num_key_value_heads"])
        kinds = sorted({str(tensor.dtype).removeprefix("mlx.core.") for tensor in tensors.values()})
        # As mlx_lm.convert does: one dtype for all, norms too, or every activation would be promoted to f32.
        mx.save_safetensors(
            str(request.out / "model.safetensors"),
            {key: value.astype(dtype) for key, value in named.items()},
            metadata={"format": "mlx"},
        )
        self._lm.utils.save_config(config, request.out / "config.json")
        return {"source_dtypes": kinds, "architecture": arch}

    def _quantise(self, request: MakeRequest) -> dict[str, Any]:
        parameters = request.recipe.parameters
        model, config = self._lm.utils.load_model(request.source, lazy=True)
        model, config = self._lm.utils.quantize_model(
            model, config, parameters["group_size"], parameters["bits"], mode=parameters["mode"]
        )
        if not _is_quantised(model):
            raise RuntimeError(f"{request.recipe.name}: mlx-lm quantised no layer of this model")
        self._lm.utils.save_model(request.out, model)
        self._lm.utils.save_config(config, request.out / "config.json")
        left = (name for name, module in model.named_modules() if hasattr(module, "to_quantized"))
        return _left(request.recipe.name, left)

    # -- running ----------------------------------------------------------------------------------------------------

    def load(self, spec: LoadSpec) -> Loaded:
        """Build the model on the device, its weights evaluated."""
        mx = self._mx
        self._options = parse_options(spec.options)
        self._artifact = spec.artifact
        device = next((d for d in self.devices() if (d.id, d.api) == (spec.device, spec.api)), None)
        if device is None:
            raise RuntimeError(f"MLX enumerates no device {spec.device} with the API {spec.api} here")
        kind, _, index = spec.device.partition(":")
        mx.set_default_device(mx.Device(mx.cpu if kind == "cpu" else mx.gpu, int(index or 0)))
        in_force = mx.default_device()
        if (in_force.type == mx.DeviceType.cpu) != (kind == "cpu"):
            raise RuntimeError(f"MLX computes on {in_force}, not on {spec.device}")
        mx.reset_peak_memory()
        if spec.api == "metal":
            # mlx-lm does so around every generation; without it a large model may be paged out.
            self._wired_limit_before = self._lm.utils.maybe_set_recommended_wired_limit()
        self._model, _ = self._lm.utils.load_model(spec.artifact, lazy=True)
        compute = compute_dtype(self._options.dtype, _is_quantised(self._model), kind, platform.machine())
        if compute != "stored":
            self._model.set_dtype(getattr(mx, compute))
        mx.eval(self._model.parameters())
        mx.synchronize()
        vocab_size, kv_cache_bytes, dtypes = self._shapes(spec.batch, spec.context_tokens)
        hints = {"weights": _weights_in_force(self._model), "compile": _compile_in_force(kind), **dtypes}
        hints |= {"dtype": compute} | {name: str(value) for name, value in self._options.counts.items()}
        blas = _blas_in_force() if kind == "cpu" else None
        if blas is not None:
            hints["blas"] = blas
        self.reset()
        return Loaded(device, vocab_size, threads=None, hints=hints, kv_cache_bytes=kv_cache_bytes)

    def _shapes(self, batch: int, context_tokens: int) -> tuple[int, int, dict[str, str]]:
        """Vocabulary, bytes of a cache that holds all contexts, dtypes: of a graph that is never evaluated."""
        self.reset()
        logits = None
        step = self._options.counts["prefill_step_size"]
        for begin in range(0, context_tokens, step):
            count = min(step, context_tokens - begin)
            logits = self._forward(np.zeros((batch, count), np.int32))
        if logits is None:
            raise ValueError("context_tokens must be at least 1")
        bytes_held = sum(layer.nbytes for layer in self._cache)
        keys = self._cache[0].keys
        kept = keys[0] if isinstance(keys, tuple | list) else keys
        dtypes = {"logits_dtype": _dtype(logits), "kv_cache_dtype": _dtype(kept)}
        return int(logits.shape[-1]), int(bytes_held), dtypes

    def reset(self) -> None:
        """A new, empty cache; the old one's memory goes back to the system, as after mlx-lm's prefill."""
        self._logits = None
        self._cache = self._lm.models.cache.make_prompt_cache(self._model)
        self._mx.clear_cache()

    def _forward(self, tokens: Tokens) -> Any:
        """The graph of ``logits: [batch, n, vocab]``; nothing is computed before it is evaluated."""
        logits = self._model(self._mx.array(tokens), cache=self._cache)
        if self._options.counts["kv_bits"]:
            self._quantise_cache(
                self._cache,
                quantized_kv_start=self._options.counts["quantized_kv_start"],
                kv_group_size=self._options.counts["kv_group_size"],
                kv_bits=self._options.counts["kv_bits"],
            )
        return logits

    def _fill(self, tokens: Tokens) -> None:
        """Only the cache: evaluating no logits, MLX computes no output layer."""
        step = self._options.counts["prefill_step_size"]
        for begin in range(0, tokens.shape[1], step):
            self._forward(tokens[:, begin : begin + step])
            self._mx.eval([layer.state for layer in self._cache])
            self._mx.clear_cache()

    def prefill(self, tokens: Tokens) -> None:
        """All but the last token into the cache, then the last one with its logits, as mlx-lm does."""
        self.prefill_batch(tokens[np.newaxis])

    def decode(self, token: int) -> None:
        """One token; both its logits and its cache entries are computed on return."""
        self.decode_batch(np.array([token], np.int32))

    def sample(self) -> int:
        """Greedy, on the device."""
        return int(self._mx.argmax(self._logits[0, -1]).item())

    def prefill_batch(self, tokens: Tokens) -> None:
        """As `prefill`, with a row of the batch for each sequence."""
        self._fill(tokens[:, :-1])
        self._logits = self._forward(tokens[:, -1:])
        self._mx.eval(self._logits, [layer.state for layer in self._cache])

    def decode_batch(self, tokens: Tokens) -> None:
        """One token of each sequence."""
        self._logits = self._forward(np.ascontiguousarray(tokens[:, np.newaxis], np.int32))
        self._mx.eval(self._logits, [layer.state for layer in self._cache])

    def sample_batch(self) -> Tokens:
        """Greedy, on the device."""
        return np.array(self._mx.argmax(self._logits[:, -1], axis=-1)).astype(np.int32)

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Through the cache, so that no more than a block of positions has logits at once."""
        self.reset()
        return self._rows(tokens, 0, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """The same, on what is left of the cache; a rotating one that has turned cannot be cut."""
        caches = self._lm.models.cache
        if not caches.can_trim_prompt_cache(self._cache):
            return None
        caches.trim_prompt_cache(self._cache, self._cache[0].offset - kept)
        return self._rows(tokens, kept, first)

    def _rows(self, tokens: Tokens, start: int, first: int) -> Iterator[tuple[int, Logits]]:
        mx = self._mx
        self._fill(tokens[np.newaxis, start:first])
        for begin in range(first, len(tokens), _BLOCK):
            block = self._forward(tokens[np.newaxis, begin : begin + _BLOCK])[0].astype(mx.float32)
            mx.eval(block, [layer.state for layer in self._cache])
            yield begin, np.array(block, copy=False)

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """mlx-lm's, where the artifact holds a tokenizer: what is made from GGUF weights does not."""
        del model
        if self._artifact is None or not (self._artifact / "tokenizer.json").is_file():
            raise Unsupported(
                "mlx-lm reads a tokenizer.json, and an artifact made from GGUF weights has none"
            )
        return _LmTokenizer(self._lm.utils.load_tokenizer(self._artifact))

    def allocator_peak_bytes(self) -> int | None:
        """MLX's own peak since the load, which is what Apple's users quote; not the process's size."""
        return int(self._mx.get_peak_memory())

    def unload(self) -> None:
        """Free the weights and the allocator's cache."""
        self._logits = None
        self._cache = []
        self._model = None
        self._mx.synchronize()
        self._mx.clear_cache()
        if self._wired_limit_before is not None:
            self._mx.set_wired_limit(self._wired_limit_before)
            self._wired_limit_before = None


class _LmTokenizer(Tokenizer):
    """mlx-lm's tokenizer, which is transformers'."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, text: str) -> list[int]:
        """Ids without BOS."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text."""
        return str(self._tokenizer.decode(list(tokens)))


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one load: mlx-lm's whole numbers by mlx-lm's names, and the dtype to compute in."""

    dtype: str
    counts: Mapping[str, int]


def parse_options(options: Mapping[str, str]) -> Options:
    """mlx-lm's defaults with the settings of a cell put in.

    Raises:
        ValueError: an unknown name, or a value that the setting cannot have.
    """
    dtype = options.get("dtype", "auto")
    if dtype not in _COMPUTE_DTYPES:
        raise ValueError(f"MLX option dtype is {dtype!r}, not one of {', '.join(_COMPUTE_DTYPES)}")
    counts = dict(_COUNTS)
    for name, text in options.items():
        if name == "dtype":
            continue
        if name not in counts:
            raise ValueError(f"unknown MLX option {name!r}; known: {', '.join(['dtype', *sorted(counts)])}")
        if not text.isascii() or not text.isdecimal():
            raise ValueError(f"MLX option {name} is {text!r}, not a whole number")
        counts[name] = int(text)
    if counts["prefill_step_size"] < 1:
        raise ValueError("MLX option prefill_step_size must be at least 1")
    return Options(dtype, counts)


def compute_dtype(wanted: str, quantised: bool, device_kind: str, arch: str) -> str:
    """The dtype that activations, norms and scales are converted to, or ``stored``.

    MLX's x86 CPU back end has no half-precision quantised kernels: it emulates them an element at a time, some
    forty times slower than float32 (docs/frameworks/mlx.md). ``auto`` computes quantised weights in float32
    there, which changes no weight: float16 scales convert exactly. Plain float16 stays float16 everywhere.
    """
    if wanted != "auto":
        return wanted
    emulated = quantised and device_kind == "cpu" and arch in ("x86_64", "AMD64")
    return "float32" if emulated else "stored"


def _left(recipe: str, modules: Iterable[str]) -> dict[str, Any]:
    """Notes on the layers that mlx-lm left as they are, silently: the group does not divide their rows."""
    names = sorted(modules)
    fallbacks = {"fallbacks": {f"{recipe} to {_DTYPES['FP16']}": len(names)}} if names else {}
    return {"left_unquantised": names, **fallbacks}


def _dtype(array: Any) -> str:
    return str(array.dtype).removeprefix("mlx.core.")


def _is_quantised(model: Any) -> bool:
    return any("scales" in module for module in model.modules())


def _weights_in_force(model: Any) -> str:
    """``float16``, or ``affine 4-bit g64``, or what a mixed model holds, joined by ``+``."""
    kinds = set()
    for module in model.modules():
        if "scales" in module:
            kinds.add(f"{module.mode} {module.bits}-bit g{module.group_size}")
        elif hasattr(module, "to_quantized"):
            kinds.add(_dtype(module.weight))
    return " + ".join(sorted(kinds))


def _compile_in_force(kind: str) -> str:
    """Whether mx.compile fuses: on the CPU it calls g++ at run time, and quietly does without where there is none."""
    if "MLX_DISABLE_COMPILE" in os.environ:
        return "disabled"
    if kind == "cpu" and sys.platform == "linux":
        return "g++" if shutil.which("g++") else "no g++: not fused"
    return "enabled"


def _blas_in_force() -> str | None:
    """File name of the BLAS mapped into this process, numpy's own aside; None where the system does not tell.

    The Linux wheel of mlx brings the reference BLAS, whose plain loops are most of its float32 time.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    mapped = {
        Path(line.split(maxsplit=5)[5].strip()) for line in maps.read_text().splitlines() if "/" in line
    }
    names = {path.name for path in mapped if "numpy" not in str(path) and "blas" in path.name.lower()}
    return ", ".join(sorted(names)) or None
