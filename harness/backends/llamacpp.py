"""llama.cpp, through the low-level C functions of llama-cpp-python.

Owns the declarations (what it needs, recipes, devices) and the adapter. Imports ``llama_cpp`` in `start` only, so that
the lab half can read the declarations. Contract: that of `harness.worker.api`; settings that nobody names are those
of llama-bench, so that figures compare: batches of 2048 and 512, f16 KV cache, automatic flash attention and load
mode, a sliding-window cache of the window's size, one thread count for both phases. The high-level ``Llama`` class is
not used: it copies every logit through Python and costs 27 % of prefill.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.backends import _llamacpp_ggml as ggml
from harness.backends import _llamacpp_imatrix as importance
from harness.backends import _llamacpp_log as said
from harness.backends._llamacpp_batch import Sequences
from harness.backends._llamacpp_make import by_type, made_of, quantise
from harness.backends._llamacpp_options import FLASH_ATTENTION, RPC_VARIABLE, parse_options
from harness.backends._llamacpp_recipes import NEEDING_IMATRIX, RECIPES, SUFFIX, refusal
from harness.backends._llamacpp_synthetic import synthesise
from harness.backends._llamacpp_tokenizer import VocabularyTokenizer
from harness.worker.api import (
    Backend,
    Capability,
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

_VERSION = "0.3.36"
_CMAKE = "-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON"

#: Rows of logits computed at once while scoring, and the memory they may take.
_BLOCK_ROWS = 128
_BLOCK_BYTES = 64 * 2**20

#: All layers and the output: llama.cpp takes as many as the model has.
_ALL_LAYERS = 2**15


class LlamaCpp(Backend):
    """llama.cpp on the devices that ggml drives."""

    framework: ClassVar[str] = "llamacpp"
    title: ClassVar[str] = "llama.cpp"
    requirements: ClassVar[Requirements] = Requirements(
        packages=(f"llama-cpp-python=={_VERSION}",),
        import_name="llama_cpp",
        lock="llamacpp.txt",
        # The multimodal library is not used and would be a tenth of the build. GGML_NATIVE is on by default, except
        # where SOURCE_DATE_EPOCH is set; a build that silently lacks the machine's instructions would be measured.
        # RPC is one small library, and lets a CPU build hand its graphs to a server on another machine.
        build={
            "cpu": {"CMAKE_ARGS": f"{_CMAKE} -DGGML_RPC=ON -DGGML_RPC_RDMA=OFF"},
            "cuda": {"CMAKE_ARGS": f"{_CMAKE} -DGGML_CUDA=ON"},
            "vulkan": {"CMAKE_ARGS": f"{_CMAKE} -DGGML_VULKAN=ON"},
            "metal": {"CMAKE_ARGS": f"{_CMAKE} -DGGML_METAL=ON"},
            # llama-cpp-python installs the libraries of named targets beside its own, and OpenCL's is not named.
            "opencl": {"CMAKE_ARGS": f"{_CMAKE} -DGGML_OPENCL=ON -DCMAKE_INSTALL_LIBDIR=llama_cpp/lib"},
            "sycl": {
                "CMAKE_ARGS": f"{_CMAKE} -DGGML_SYCL=ON -DCMAKE_C_COMPILER=icx -DCMAKE_CXX_COMPILER=icpx"
            },
        },
        from_source=("llama-cpp-python",),
    )
    artifact_mark: ClassVar[str | None] = "*.gguf"
    recipes: ClassVar[tuple[Recipe, ...]] = RECIPES
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cpu", "cpu"),
        ("gpu:0", "cuda"),
        ("gpu:0", "metal"),
        ("gpu:0", "vulkan"),
        ("gpu:0", "sycl"),
        ("gpu:0", "opencl"),
        ("gpu:0", "rpc"),
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            "prefill",
            "decode",
            "score",
            "tokenize",
            "make",
            "synthesize",
            "batch",
            "batch_depth",
            "ragged",
            "prefix",
        }
    )
    baseline_precision: ClassVar[str | None] = "fp16"

    def __init__(self) -> None:
        self._llama: Any = None
        self._package: Any = None
        self._ggml: ggml.Ggml | None = None
        self._log: said.Log | None = None
        self._model: int | None = None
        self._context: int | None = None
        self._threadpool: ggml.Threadpool | None = None
        self._vocabulary_of: tuple[Path, int] | None = None
        self._vocab_size = 0
        self._batch_tokens = 0
        self._token = np.zeros(1, dtype=np.int32)
        self._token_batch: Any = None
        self._sequences: Sequences | None = None

    # -- planning ---------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """Why this device cannot be used on this machine; None where it may be tried."""
        if (device, api) == ("cpu", "cpu"):
            return None
        if api == "rpc":
            if api in host.accelerators:
                return None
            return f"no RPC server was named (set {RPC_VARIABLE} to HOST:PORT)"
        if api not in cls.requirements.build:
            return f"this version builds llama.cpp for {', '.join(cls.requirements.build)}, not for {api}"
        if api == "metal" and host.system != "darwin":
            return "Metal exists on macOS only"
        if api not in host.accelerators:
            return f"no {api} device with its driver was found on this machine"
        return None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """Why this recipe cannot be made for this model; None where it may be tried."""
        return refusal(recipe, model)

    # -- the framework ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Import llama_cpp and take over its log."""
        import llama_cpp
        from llama_cpp import _ctypes_extensions
        from llama_cpp import llama_cpp as low

        self._package, self._llama = llama_cpp, low
        set_path = os.environ.get("LLAMA_CPP_LIB_PATH")
        folder = Path(set_path) if set_path else Path(llama_cpp.__file__).parent / "lib"
        self._log = said.Log(low.llama_log_callback)
        low.llama_log_set(self._log.callback, ctypes.c_void_p(0))
        low.llama_backend_init()
        self._ggml = ggml.Ggml(
            lambda name: _ctypes_extensions.load_shared_library(name, folder), low.GGML_TYPE_COUNT
        )

    def versions(self) -> Mapping[str, str]:
        """The bindings' version, and those of the llama.cpp and ggml inside."""
        library, _ = self._started()
        version = str(self._package.__version__)
        return {
            "framework": version,
            "llama-cpp-python": version,
            "llama.cpp": self._llama.llama_version().decode(),
            "ggml": library.version,
            "ggml-commit": library.commit,
            "numpy": np.__version__,
        }

    def devices(self) -> list[Device]:
        """The CPU and the GPUs that ggml enumerates, and those of the RPC server that was named."""
        library, _ = self._started()
        if endpoint := os.environ.get(RPC_VARIABLE):
            library.add_rpc_server(endpoint)
        return [found.device for found in library.devices()]

    # -- artifacts --------------------------------------------------------------------------------------------------

    def make(self, request: MakeRequest) -> Made:
        """Quantise (or, for F32, dequantise) a GGUF file into ``out``, or collect an importance matrix.

        Raises:
            Unsupported: the recipe needs an importance matrix, or none can be collected of this model.
            FileNotFoundError: there is no such source.
            ValueError: the source is no GGUF file, or a truncated one; the calibration text is too short.
            RuntimeError: llama.cpp made nothing usable; the message holds its last words.
        """
        recipe = request.recipe
        if recipe.name in NEEDING_IMATRIX:
            raise Unsupported(f"{recipe.name} needs an importance matrix: name {recipe.name}{SUFFIX}")
        library, log = self._started()
        if not request.source.is_file():
            raise FileNotFoundError(f"there is no file {request.source}")
        library.tensors(request.source)
        target = request.out / f"{recipe.name}.gguf"
        if recipe.intermediate:
            return self._make_imatrix(request, target)
        imatrix = None
        if recipe.needs:
            imatrix = importance.read(library, request.needed[recipe.needs[0]])
        notes = quantise(
            self._llama,
            log,
            recipe,
            request.source,
            target,
            threads=request.threads,
            imatrix=imatrix,
        )
        weight_bytes, types = made_of(library, request.source, target, recipe.name)
        return Made(weight_bytes, target.name, str(self._package.__version__), {**notes, **types})

    def _make_imatrix(self, request: MakeRequest, target: Path) -> Made:
        library, log = self._started()
        if request.calibration is None:
            raise ValueError("an importance matrix is collected from a calibration text, and none was given")
        chunk = int(request.recipe.parameters["chunk_tokens"])
        tokens = np.fromfile(request.calibration.tokens, dtype="<i4").astype(np.int32)
        chunks = min(len(tokens) // chunk, int(request.recipe.parameters["max_chunks"]))
        if chunks < 1:
            raise ValueError(
                f"the calibration text has {len(tokens)} tokens, fewer than one chunk of {chunk}"
            )
        found = importance.collect(
            self._llama,
            library,
            log,
            request.source,
            tokens[: chunks * chunk],
            bos=request.calibration.bos,
            chunk=chunk,
            threads=request.threads,
        )
        weight_bytes = importance.write(library, target, found, chunks, chunk)
        notes = {"chunks": chunks, "chunk_tokens": chunk, "weights": len(found)}
        return Made(weight_bytes, target.name, str(self._package.__version__), notes)

    def synthesize(self, request: MakeRequest) -> Made:
        """Write the recipe's GGUF file of a synthetic model into ``out``.

        Raises:
            Unsupported: the recipe needs a real model's activations.
            RuntimeError: llama.cpp has no mix of types for it; the message holds its last words.
        """
        recipe, model = request.recipe, request.synthetic
        library, log = self._started()
        if model is None:
            raise ValueError("no configuration of a synthetic model was given")
        if reason := refusal(
            recipe, ModelFacts("synthetic", model.architecture, "synthetic", synthetic=model)
        ):
            raise Unsupported(reason)
        target = request.out / f"{recipe.name}.gguf"
        notes = synthesise(self._llama, library, log, recipe, model, target, threads=request.threads)
        tensors = library.tensors(target)
        return Made(
            weight_bytes=sum(tensor.size_bytes for tensor in tensors),
            entry=target.name,
            tool_version=str(self._package.__version__),
            notes={**notes, "tensor_types": by_type(tensors)},
        )

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """By the vocabulary inside the artifact, or inside the model's GGUF file where nothing is loaded."""
        llama = self._llama
        if self._model is not None:
            vocab = llama.llama_model_get_vocab(self._model)
        elif model is not None:
            vocab = self._vocabulary(model)
        else:
            raise Unsupported("a synthetic model has no vocabulary")
        if llama.llama_vocab_type(vocab) == llama.LLAMA_VOCAB_TYPE_NONE:
            raise Unsupported("this artifact has no vocabulary")
        return VocabularyTokenizer(llama, vocab)

    def _vocabulary(self, model: Path) -> Any:
        """The vocabulary of a GGUF file, which is read once and kept; the weights stay where they are."""
        llama = self._llama
        if self._vocabulary_of is not None and self._vocabulary_of[0] == model:
            return llama.llama_model_get_vocab(self._vocabulary_of[1])
        _, log = self._started()
        params = llama.llama_model_default_params()
        params.vocab_only = True
        no_devices = (ctypes.c_void_p * 1)(None)
        params.devices = ctypes.cast(no_devices, ctypes.c_void_p)
        log.clear()
        handle = llama.llama_model_load_from_file(os.fsencode(model), params)
        if not handle:
            raise RuntimeError(
                f"llama.cpp cannot read the vocabulary of {model.name}: {log.problem('no reason given')}"
            )
        if self._vocabulary_of is not None:
            llama.llama_model_free(self._vocabulary_of[1])
        self._vocabulary_of = model, handle
        return llama.llama_model_get_vocab(handle)

    # -- computing --------------------------------------------------------------------------------------------------

    def load(self, spec: LoadSpec) -> Loaded:
        """Load a GGUF file wholly onto one device.

        Raises:
            ValueError: an option is unknown or wrong.
            RuntimeError: no such device, no such file, a damaged file, or another device would compute.
        """
        library, log = self._started()
        options = parse_options(spec.options)
        chosen, others = self._choose(spec)
        self.unload()
        log.clear()
        try:
            self._load_model(spec, options, None if chosen.device.api == "cpu" else chosen.handle)
            self._make_context(spec, options)
            text = log.text
            self._check_device(chosen, others, text)
            self._threadpool = library.new_threadpool(spec.threads, options["poll"])
            self._llama._lib.llama_attach_threadpool(
                ctypes.c_void_p(self._context), ctypes.c_void_p(self._threadpool.handle), None
            )
        except Exception:
            self.unload()
            raise
        llama, context = self._llama, self._context
        vocab = llama.llama_model_get_vocab(self._model)
        self._vocab_size = int(llama.llama_vocab_n_tokens(vocab))
        self._batch_tokens = int(llama.llama_n_batch(context))
        self._token_batch = llama.llama_batch_get_one(_ids(self._token), 1)
        if spec.batch > 1:
            self._sequences = Sequences(llama, self._loaded(), spec.batch, self._vocab_size, self._process)
        self.reset()
        return Loaded(
            device=chosen.device,
            vocab_size=self._vocab_size,
            threads=int(llama.llama_n_threads(context)),
            hints=self._hints(options, text),
            kv_cache_bytes=sum(said.buffer_bytes(text, "KV").values()) or None,
        )

    def reset(self) -> None:
        """Empty the KV cache and llama.cpp's own counters."""
        context, (_, log) = self._loaded(), self._started()
        log.clear()
        self._llama.llama_memory_clear(self._llama.llama_get_memory(context), False)
        self._llama.llama_perf_context_reset(context)
        if self._sequences is not None:
            self._sequences.reset()

    def prefill(self, tokens: Tokens) -> None:
        """Process a prompt in batches of ``n_batch``, with logits for the last token, as llama-bench does."""
        context, llama = self._loaded(), self._llama
        tokens = np.ascontiguousarray(tokens, dtype=np.int32)
        for start in range(0, len(tokens), self._batch_tokens):
            part = tokens[start : start + self._batch_tokens]
            self._check(llama.llama_decode(context, llama.llama_batch_get_one(_ids(part), len(part))))
        llama.llama_synchronize(context)

    def decode(self, token: int) -> None:
        """Process one token."""
        context, llama = self._loaded(), self._llama
        self._token[0] = token
        status = llama.llama_decode(context, self._token_batch)
        llama.llama_synchronize(context)
        if status != 0:
            self._check(status)

    def sample(self) -> int:
        """The token with the largest logit; the logits stay where they are."""
        row = self._llama.llama_get_logits_ith(self._loaded(), -1)
        if not row:
            raise RuntimeError(
                "llama.cpp has no logits yet: nothing was processed since the cache was emptied"
            )
        return int(np.ctypeslib.as_array(row, shape=(self._vocab_size,)).argmax())

    def prefill_batch(self, tokens: Tokens) -> None:
        """Process a prompt of each sequence, as many tokens of all of them at once as fit into ``n_batch``."""
        self._together().prefill(tokens)

    def decode_batch(self, tokens: Tokens) -> None:
        """Process one token of each sequence."""
        self._together().decode(tokens)

    def prefill_ragged(self, prompts: Sequence[Tokens]) -> None:
        """Process prompts of any lengths, each into its own sequence's part of the cache."""
        self._together().prefill_ragged(prompts)

    def decode_ragged(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """Process one token of each of these sequences."""
        self._together().decode_ragged(sequences, tokens)

    def sample_batch(self) -> Tokens:
        """The token with the largest logit of each sequence of the newest pass."""
        return self._together().sample()

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Logits at ``first .. n-1``, in views of llama.cpp's own buffer of at most 128 rows and 64 MiB."""
        self.reset()
        return self._rows(tokens, 0, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """The same, on what is left of the cache; a recurrent model's cannot be cut."""
        llama = self._llama
        memory = llama.llama_get_memory(self._loaded())
        # Of a sliding window the cells before the cut may be gone: then llama.cpp would compute from holes.
        if llama.llama_memory_seq_pos_min(memory, 0) != 0 or not llama.llama_memory_seq_rm(
            memory, 0, kept, -1
        ):
            return None
        return self._rows(tokens, kept, first)

    def _rows(self, tokens: Tokens, start: int, first: int) -> Iterator[tuple[int, Logits]]:
        """Processes from ``start`` on, with logits from ``first`` on."""
        context, llama = self._loaded(), self._llama
        tokens = np.ascontiguousarray(tokens, dtype=np.int32)
        if first > start:
            self.prefill(tokens[start:first])
        rows = max(1, min(_BLOCK_ROWS, self._batch_tokens, _BLOCK_BYTES // (4 * self._vocab_size)))
        wanted = np.ones(rows, dtype=np.int8)
        flags = wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        for begin in range(first, len(tokens), rows):
            part = tokens[begin : begin + rows]
            batch = llama.llama_batch_get_one(_ids(part), len(part))
            batch.logits = flags
            self._check(llama.llama_decode(context, batch))
            llama.llama_synchronize(context)
            yield (
                begin,
                np.ctypeslib.as_array(llama.llama_get_logits(context), shape=(len(part), self._vocab_size)),
            )

    def counters(self) -> Mapping[str, float]:
        """llama.cpp's own times since `reset`; a prompt of a single token counts as decoding there."""
        if self._sequences is not None:
            return self._sequences.counters()
        data = self._llama.llama_perf_context(self._loaded())
        return {"prefill_s": data.t_p_eval_ms / 1e3, "decode_s": data.t_eval_ms / 1e3}

    def unload(self) -> None:
        """Free the context, the threads and the model; does nothing where nothing is loaded."""
        self._sequences = None
        if self._context is not None:
            self._llama.llama_free(self._context)
            self._context = None
        if self._threadpool is not None:
            self._threadpool.free()
            self._threadpool = None
        if self._model is not None:
            self._llama.llama_model_free(self._model)
            self._model = None

    # -- parts of load ----------------------------------------------------------------------------------------------

    def _choose(self, spec: LoadSpec) -> tuple[ggml.EnumeratedDevice, list[ggml.EnumeratedDevice]]:
        """The device that the spec names, and the GPUs that it does not."""
        library, _ = self._started()
        if spec.api == "rpc":
            endpoint = os.environ.get(RPC_VARIABLE)
            if not endpoint:
                raise RuntimeError(f"no RPC server was named (set {RPC_VARIABLE} to HOST:PORT)")
            library.add_rpc_server(endpoint)
        found = library.devices()
        for candidate in found:
            if (candidate.device.id, candidate.device.api) == (spec.device, spec.api):
                return candidate, [
                    other for other in found if other.device.id != "cpu" and other is not candidate
                ]
        names = ", ".join(f"{each.device.id} ({each.device.api})" for each in found)
        raise RuntimeError(f"llama.cpp sees no {spec.device} through {spec.api} here, only: {names}")

    def _load_model(self, spec: LoadSpec, options: Mapping[str, Any], gpu: int | None) -> None:
        llama, (_, log) = self._llama, self._started()
        params = llama.llama_model_default_params()
        # An explicit list: left to itself llama.cpp takes every GPU it finds, or silently none.
        devices = (ctypes.c_void_p * 2)(gpu, None)
        params.devices = ctypes.cast(devices, ctypes.c_void_p)
        params.n_gpu_layers = 0 if gpu is None else _ALL_LAYERS
        params.split_mode = llama.LLAMA_SPLIT_MODE_LAYER
        params.load_mode = llama.llama_load_mode_from_str(options["load_mode"].encode())
        params.use_extra_bufts = options["repack"]
        self._model = llama.llama_model_load_from_file(os.fsencode(spec.artifact), params)
        if not self._model:
            self._model = None
            raise RuntimeError(
                f"llama.cpp cannot load {spec.artifact.name}: {log.problem('no reason given')}"
            )

    def _make_context(self, spec: LoadSpec, options: Mapping[str, Any]) -> None:
        llama, (library, log) = self._llama, self._started()
        params = llama.llama_context_default_params()
        params.n_ctx = spec.context_tokens * spec.batch
        params.n_seq_max = spec.batch
        # A part of the cache for each sequence, llama.cpp's own default: the prompts have no common beginning.
        params.kv_unified = False
        if spec.batch > options["n_batch"]:  # llama.cpp would abort
            raise ValueError(
                f"one token of each of {spec.batch} sequences does not fit into n_batch={options['n_batch']}"
            )
        params.n_batch = options["n_batch"]
        params.n_ubatch = options["n_ubatch"]
        params.n_threads = params.n_threads_batch = spec.threads
        for name in ("type_k", "type_v"):
            number = library.type_number(options[name])
            if number is None:
                raise ValueError(
                    f"option {name}={options[name]!r}: ggml has no such type (f16, f32, q8_0 ...)"
                )
            setattr(params, name, number)
        params.flash_attn_type = FLASH_ATTENTION[options["flash_attn"]]
        params.swa_full = options["swa_full"]
        params.no_perf = False
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            self._context = None
            raise RuntimeError(f"llama.cpp cannot make a context: {log.problem('no reason given')}")

    def _check_device(
        self, chosen: ggml.EnumeratedDevice, others: list[ggml.EnumeratedDevice], log: str
    ) -> None:
        """Refuse a load that left work to another device, by the buffers that llama.cpp reports."""
        buffers = {kind: said.buffer_bytes(log, kind) for kind in ("model", "KV", "compute")}
        for kind, sizes in buffers.items():
            for other in others:
                if any(name.startswith(other.ggml_name) for name in sizes):
                    raise RuntimeError(
                        f"llama.cpp put its {kind} buffer on {other.ggml_name}, which was not asked for"
                    )
        if chosen.device.api == "cpu":
            return
        layers = said.offloaded_layers(log)
        if layers is None or layers[0] < layers[1]:
            raise RuntimeError(
                f"llama.cpp fell back to the CPU: {'no' if layers is None else f'{layers[0]} of {layers[1]}'} layers "
                f"are on {chosen.device.id} ({chosen.device.api})"
            )
        for kind, sizes in buffers.items():
            if not any(name.startswith(chosen.ggml_name) for name in sizes):
                raise RuntimeError(
                    f"llama.cpp fell back to the CPU: it has no {kind} buffer on {chosen.ggml_name}"
                )

    def _hints(self, options: Mapping[str, Any], log: str) -> dict[str, str]:
        """The settings in force, read back where llama.cpp tells them."""
        llama, context = self._llama, self._context
        model_buffers = said.buffer_bytes(log, "model").items()
        type_k, type_v = said.cache_types(log) or (options["type_k"], options["type_v"])
        return {
            "n_ctx": str(llama.llama_n_ctx(context)),
            "n_seq_max": str(llama.llama_n_seq_max(context)),
            "kv_unified": said.kv_unified(log) or "0",
            "n_batch": str(llama.llama_n_batch(context)),
            "n_ubatch": str(llama.llama_n_ubatch(context)),
            "n_threads": str(llama.llama_n_threads(context)),
            "n_threads_batch": str(llama.llama_n_threads_batch(context)),
            "type_k": type_k,
            "type_v": type_v,
            "flash_attn": said.flash_attention(log) or options["flash_attn"],
            "load_mode": said.load_mode(log) or options["load_mode"],
            "repack": str(int(options["repack"])),
            "swa_full": str(int(options["swa_full"])),
            "poll": str(options["poll"]),
            "model_buffers": " ".join(f"{name}={size / 2**20:.2f}MiB" for name, size in model_buffers),
            "system_info": llama.llama_print_system_info().decode().strip(" |\n"),
        }

    # -- small things -----------------------------------------------------------------------------------------------

    def _started(self) -> tuple[ggml.Ggml, said.Log]:
        if self._ggml is None or self._log is None:
            raise RuntimeError("start() comes first")
        return self._ggml, self._log

    def _loaded(self) -> int:
        if self._context is None:
            raise RuntimeError("load() comes first")
        return self._context

    def _together(self) -> Sequences:
        if self._sequences is None:
            raise RuntimeError("load() for a batch comes first")
        return self._sequences

    def _process(self, batch: Any) -> None:
        self._check(self._llama.llama_decode(self._loaded(), batch))

    def _check(self, status: int) -> None:
        """Raise for a status of llama_decode other than success."""
        if status == 0:
            return
        _, log = self._started()
        if status == 1:
            room = self._llama.llama_n_ctx(self._context)
            raise RuntimeError(f"llama.cpp's KV cache is full: it has room for {room} tokens")
        raise RuntimeError(f"llama.cpp failed to compute (status {status}): {log.problem('no reason given')}")


def _ids(tokens: Tokens) -> Any:
    """A C pointer to token ids, which must stay alive while it is used."""
    return tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
