"""OpenVINO: intermediate representations (IR) run by its own runtime, without torch and without openvino-genai.

Owns: what OpenVINO needs, its recipes, its devices, and the forward passes. How artifacts are made is in
`_openvino_convert`, reading and naming of OpenVINO's properties in `_openvino_properties`. Never imports the lab half;
imports openvino inside methods only. Contract: `harness.worker.api.Backend`.

The IR computes logits at every position. Timed passes run a copy of the graph whose last projection sees the last
position only, as openvino-genai's own pipeline does; `logits` runs the graph as it is. At most one of the two is
compiled at a time, so that neither pays the other's memory.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.backends import _openvino_convert as convert
from harness.backends import _openvino_fp32 as fp32
from harness.backends import _openvino_properties as properties
from harness.backends import _openvino_synthetic as synthetic
from harness.backends._openvino_ragged import Ragged
from harness.backends._openvino_tokenizer import GenaiTokenizer
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

#: Tokens of one forward pass of `OpenVINO.logits`: 128 rows of logits are a few tens of MB.
SCORE_BLOCK = 128

#: How much of the calibration text is read: 16 prompts of 128 tokens; two minutes on two cores for a model of 135M.
CALIBRATION = {"samples": 16, "sample_tokens": 128}

#: (system, machine) pairs for which openvino and openvino-genai have wheels.
WHEELS = frozenset(
    {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64"), ("win32", "x86_64")}
)


def _compressed(name: str, precision: str, *, default: bool = False, **parameters: Any) -> Recipe:
    """A recipe of `nncf.compress_weights` on the FP16 IR; what is not said is said by the tool's defaults."""
    return Recipe(
        name=name,
        precision=precision,
        made_from="openvino:FP16",
        tool="nncf",
        parameters=parameters,
        default=default,
    )


def _grouped(mode: str, precision: str, group_size: int, *, default: bool = False) -> Recipe:
    """All layers but the embedding and the last one in ``mode``; those two in NNCF's backup mode, INT8_ASYM."""
    return _compressed(
        f"{mode.upper()}_g{group_size}",
        precision,
        default=default,
        mode=mode,
        group_size=group_size,
        ratio=1.0,
    )


def _calibrated(name: str, precision: str, **parameters: Any) -> Recipe:
    """A recipe that reads calibration text: INT4_ASYM in groups of 64, with what ``parameters`` add or change."""
    base = {"mode": "int4_asym", "group_size": 64, "ratio": 1.0} if precision == "int4" else {}
    return Recipe(
        name=name,
        precision=precision,
        made_from="openvino:FP16",
        tool="nncf",
        parameters=base | CALIBRATION | parameters,
        calibrated=True,
        default=precision == "w8a8",
    )


class OpenVINO(Backend):
    """OpenVINO's runtime on an IR that openvino-genai's GGUF reader wrote and NNCF compressed."""

    framework: ClassVar[str] = "openvino"
    title: ClassVar[str] = "OpenVINO"
    requirements: ClassVar[Requirements] = Requirements(
        packages=("openvino==2026.4.1", "openvino-genai==2026.4.1.0", "nncf==3.4.0"),
        import_name="openvino",
        lock="openvino.txt",
    )
    artifact_mark: ClassVar[str | None] = "openvino_model.xml"
    threads_option: ClassVar[str | None] = "INFERENCE_NUM_THREADS"
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe(
            name="FP32",
            precision="fp32",
            made_from="openvino:FP16",
            tool="openvino",
            parameters={"constants": "of the F32 GGUF"},
            needs=("llamacpp:F32",),
            default=True,
        ),
        Recipe(
            name="FP16",
            precision="fp16",
            made_from="llamacpp:F16",
            tool="openvino-genai",
            parameters={"reader": "gguf"},
            default=True,
        ),
        _compressed("INT8_ASYM", "int8", default=True, mode="int8_asym"),
        _compressed("INT8_SYM", "int8", mode="int8_sym"),
        # The default is the mode that optimum-cli takes for int4, in the largest group that divides most models'
        # rows; see docs/frameworks/openvino.md for what the others give.
        _grouped("int4_sym", "int4", 32),
        _grouped("int4_asym", "int4", 32),
        _grouped("int4_sym", "int4", 64),
        _grouped("int4_asym", "int4", 64, default=True),
        _grouped("int4_sym", "int4", 128),
        _grouped("int4_asym", "int4", 128),
        _calibrated("INT4_ASYM_g64_AWQ", "int4", awq=True, awq_steps=20),
        _calibrated("INT4_ASYM_g64_SE", "int4", scale_estimation=True),
        _calibrated("INT4_ASYM_g64_AWQ_SE", "int4", awq=True, awq_steps=20, scale_estimation=True),
        _calibrated("INT4_ASYM_g64_r80", "int4", ratio=0.8),
        _calibrated("W8A8", "w8a8", preset="mixed", smooth_quant_alpha=0.95),
        _grouped("nf4", "nf4", 64, default=True),
        _grouped("nf4", "nf4", 32),
        _grouped("fp4", "fp4", 32),
        # MX and NVFP4 fix their own group sizes (32 and 16).
        _compressed("MXFP4", "fp4", default=True, mode="mxfp4", ratio=1.0),
        _compressed("NVFP4", "fp4", mode="nvfp4", ratio=1.0),
        _compressed("MXFP8_E4M3", "fp8", mode="mxfp8_e4m3", ratio=1.0),
        _grouped("fp8_e4m3", "fp8", 64, default=True),
        _grouped("int3_sym", "int3", 64, default=True),
        _grouped("int2_sym", "int2", 64, default=True),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cpu", "cpu"),
        ("gpu:0", "opencl"),
        ("npu:0", "npu"),
        ("cpu", "auto"),
        ("cpu", "hetero"),
        ("gpu:0", "auto"),
        ("gpu:0", "hetero"),
    )

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"prefill", "decode", "score", "make", "synthesize", "batch", "batch_depth", "ragged", "prefix"}
    )

    def __init__(self) -> None:
        self._ov: Any = None
        self._core: Any = None
        self._spec: LoadSpec | None = None
        self._compiled: Any = None
        self._request: Any = None
        self._last_only = True
        self._past = 0
        self._batch = 1
        self._mask = np.ones(0, np.int64)
        self._token = np.zeros((1, 1), np.int64)
        self._position = np.zeros((1, 1), np.int64)
        self._token_tensor: Any = None
        self._position_tensor: Any = None
        self._ragged: Ragged | None = None

    # -- planning -------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """Why this device cannot be used: no wheels, no driver, or a plug-in that needs another kind of graph."""
        if (host.system, host.arch) not in WHEELS:
            return (
                f"OpenVINO 2026.4 has wheels for Linux x86-64 and aarch64, macOS arm64 and Windows x64; "
                f"this is {host.system} {host.arch}"
            )
        kind = device.split(":")[0]
        if device == "cpu" and api in ("cpu", *properties.VIRTUAL):
            return None
        if kind == "gpu" and api in ("opencl", *properties.VIRTUAL):
            # Windows brings OpenCL with the graphics driver and registers it nowhere: loading shows.
            if "opencl" in host.accelerators or host.system == "win32":
                return None
            return (
                "OpenVINO's GPU plug-in needs an Intel GPU and its OpenCL driver "
                "(Debian: intel-opencl-icd and ocl-icd-libopencl1); none was found"
            )
        if (kind, api) == ("npu", "npu"):
            if "npu" in host.accelerators:
                return (
                    "OpenVINO's NPU plug-in needs graphs of static shape; "
                    "this version of edgebench makes graphs with a growing KV cache only"
                )
            return "OpenVINO's NPU plug-in needs an Intel Core Ultra NPU and its driver (intel_vpu); none was found"
        return (
            f"OpenVINO reaches cpu, gpu:N by opencl and npu:N by npu, cpu and gpu:N by auto and hetero as well, "
            f"not {device} by {api}"
        )

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """Why this recipe cannot be made for this model: the GGUF reader's limits, or groups that do not fit."""
        if model.synthetic is not None:
            return synthetic.unsupported(recipe, model.synthetic)
        if model.architecture not in convert.GGUF_ARCHITECTURES:
            known = ", ".join(sorted(convert.GGUF_ARCHITECTURES))
            return f"openvino-genai's GGUF reader knows {known}, not {model.architecture}"
        group = convert.group_size(recipe)
        if group is not None and model.row_width is not None and model.row_width % group:
            return f"groups of {group} do not divide this model's rows of {model.row_width}"
        return None

    # -- in the framework's environment ---------------------------------------------------------------------------

    def start(self) -> None:
        """Import openvino, its telemetry switched off.

        Importing openvino makes ``~/intel`` with an identifier of the user and reports the import to Google Analytics
        unless a consent file says no; NNCF so reports each compression. Both take a missing telemetry package for a
        "no".
        """
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        self._ov = openvino
        self._core = openvino.Core()

    def versions(self) -> Mapping[str, str]:
        """Distributions, and the runtime's build as ``openvino-build``."""
        names = ("openvino", "openvino-genai", "openvino-tokenizers", "nncf", "numpy")
        found: dict[str, str] = {}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # an environment of the user's own may lack the converters
        found["openvino-build"] = self._ov.get_version()
        found["framework"] = found.get("openvino", found["openvino-build"])
        return found

    def devices(self) -> list[Device]:
        """What ``Core.available_devices`` lists, and the same again through AUTO and HETERO."""
        real = [
            properties.device(self._core, name)
            for name in self._core.available_devices
            if properties.device_id(name) is not None
        ]
        virtual = [
            dataclasses.replace(device, api=api)
            for api in properties.VIRTUAL
            for device in real
            if not device.id.startswith("npu")
        ]
        return real + virtual

    def make(self, request: MakeRequest) -> Made:
        """FP16: convert a GGUF file; FP32: put the exact weights into that IR; all others: NNCF on that IR."""
        if request.recipe.tool == "openvino-genai":
            return convert.from_gguf(self._core, request)
        if request.recipe.tool == "openvino":
            return convert.exact(self._ov, self._core, request)
        return convert.compress(self._ov, self._core, request)

    def synthesize(self, request: MakeRequest) -> Made:
        """Write the IR of a synthetic model, its weights tensor by tensor."""
        return synthetic.write(self._ov, request)

    def load(self, spec: LoadSpec) -> Loaded:
        """Compile the graph that computes the last position's logits, and read back what is in force."""
        device = next((d for d in self.devices() if (d.id, d.api) == (spec.device, spec.api)), None)
        if device is None:
            found = ", ".join(f"{d.id} ({d.api})" for d in self.devices())
            raise Unsupported(f"OpenVINO finds no {spec.device} ({spec.api}) here; it finds {found}")
        self._spec = spec
        self._batch = spec.batch
        self._mask = np.ones(spec.batch * spec.context_tokens, np.int64)
        self._token = np.zeros((spec.batch, 1), np.int64)
        self._position = np.zeros((spec.batch, 1), np.int64)
        self._compile(last_only=True)
        hints = properties.in_force(self._compiled, spec)
        threads = hints.get("INFERENCE_NUM_THREADS")
        return Loaded(
            device=device,
            vocab_size=self._compiled.output(0).partial_shape[-1].get_length(),
            threads=int(threads) if threads is not None else None,
            hints=hints,
        )

    def reset(self) -> None:
        """Empty the KV cache; after `logits`, compile the graph of the timed passes again."""
        if not self._last_only:
            self._compile(last_only=True)
        self._request.reset_state()
        self._past = 0
        if self._ragged is not None:
            self._ragged = None
            self._every_row()

    def prefill(self, tokens: Tokens) -> None:
        """One forward pass over all of ``tokens``."""
        self.prefill_batch(tokens[np.newaxis])

    def decode(self, token: int) -> None:
        """One forward pass over one token, in tensors that stay bound."""
        self._token[0, 0] = token
        self._position[0, 0] = self._past
        self._infer(1, self._token_tensor, self._position_tensor)

    def sample(self) -> int:
        """Arg-max over the newest logits, read where the runtime left them."""
        return int(np.argmax(self._request.get_output_tensor(0).data[0, -1]))

    def prefill_batch(self, tokens: Tokens) -> None:
        """One forward pass over all of ``tokens``, a row of the graph's batch for each sequence."""
        ids = np.ascontiguousarray(tokens, np.int64)
        count = ids.shape[1]
        positions = np.tile(np.arange(self._past, self._past + count, dtype=np.int64), (len(ids), 1))
        self._infer(count, self._shared(ids), self._shared(positions))

    def decode_batch(self, tokens: Tokens) -> None:
        """One forward pass over one token of each sequence, in tensors that stay bound."""
        self._token[:, 0] = tokens
        self._position[:] = self._past
        self._infer(1, self._token_tensor, self._position_tensor)

    def prefill_ragged(self, prompts: Sequence[Tokens]) -> None:
        """One forward pass over all prompts, the shorter ones padded on the left behind a mask."""
        self._ragged = Ragged(self._ov, self._request, prompts, len(self._mask) // self._batch)

    def decode_ragged(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """One forward pass over one token of each of these sequences; the others leave the batch."""
        if self._ragged is None:
            raise RuntimeError("prefill_ragged() comes first")
        self._ragged.decode(sequences, tokens)

    def sample_batch(self) -> Tokens:
        """Arg-max over the newest logits of each sequence of the newest pass, read where the runtime left them."""
        chosen: Tokens = self._request.get_output_tensor(0).data[:, -1].argmax(axis=1).astype(np.int32)
        return chosen

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Logits at every position, in blocks of `SCORE_BLOCK` tokens behind a KV cache."""
        if self._last_only:
            self._compile(last_only=False)
        self._request.reset_state()
        self._past = 0
        return self._rows(tokens, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """The same, on what is left of the cache: its states are `[batch, heads, tokens, width]`."""
        states = self._request.query_state()
        if any(len(state.state.shape) != 4 or state.state.shape[2] != self._past for state in states):
            return None
        for state in states:
            state.state = self._ov.Tensor(np.ascontiguousarray(state.state.data[:, :, :kept]))
        self._past = kept
        return self._rows(tokens, first)

    def _rows(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """From what the cache holds on."""
        ids = np.ascontiguousarray(tokens, np.int64).reshape(1, -1)
        count = ids.shape[1]
        if len(self._mask) < count:
            self._mask = np.ones(count, np.int64)
        for begin in range(self._past, count, SCORE_BLOCK):
            end = min(begin + SCORE_BLOCK, count)
            block = np.ascontiguousarray(ids[:, begin:end])
            positions = np.arange(begin, end, dtype=np.int64).reshape(1, -1)
            self._infer(end - begin, self._shared(block), self._shared(positions))
            if end > first:
                skip = max(first - begin, 0)
                rows = self._request.get_output_tensor(0).data[0, skip:]
                yield begin + skip, rows.astype(np.float32, copy=False)

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """openvino-genai's, made from the model's own GGUF file: the IR holds none."""
        if model is None:
            raise Unsupported("the IR holds no tokenizer")
        if model.suffix != ".gguf":
            raise Unsupported("openvino-genai makes a tokenizer from a GGUF file, and this model has none")
        return GenaiTokenizer(model)

    def unload(self) -> None:
        """Free the compiled graph with its weights and its KV cache."""
        self._compiled = self._request = None
        self._spec = None
        gc.collect()

    # -- helpers --------------------------------------------------------------------------------------------------

    def _compile(self, *, last_only: bool) -> None:
        """Read and compile the artifact; refuse a device other than the one asked for."""
        if self._spec is None:
            raise RuntimeError("no artifact is loaded")
        # The old graph goes first: two compiled copies would double the peak.
        self._request = self._compiled = None
        gc.collect()
        model = self._core.read_model(self._spec.artifact)
        exact = fp32.computes_in_f32(model)
        if last_only:
            convert.keep_last_position(model)
        wanted = self._spec.device
        config = properties.config(self._core, self._spec, exact=exact)
        compiled = self._core.compile_model(model, properties.plugin_name(wanted, self._spec.api), config)
        # AUTO and HETERO are no devices: what counts is the one that they chose.
        used = [properties.device_id(name) for name in compiled.get_property("EXECUTION_DEVICES")]
        if used != [wanted]:
            raise RuntimeError(f"asked for {wanted}, OpenVINO would compute on {', '.join(map(str, used))}")
        if exact:
            properties.check_exact(compiled, self._spec)
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._last_only = last_only
        self._past = 0
        self._ragged = None
        self._token_tensor = self._shared(self._token)
        self._position_tensor = self._shared(self._position)
        self._every_row()

    def _every_row(self) -> None:
        """Each row of the batch goes on with its own part of the KV cache."""
        self._request.set_tensor("beam_idx", self._ov.Tensor(np.arange(self._batch, dtype=np.int32)))

    def _shared(self, array: np.ndarray[Any, Any]) -> Any:
        """A tensor over the array's own memory."""
        return self._ov.Tensor(array, shared_memory=True)

    def _infer(self, count: int, ids: Any, positions: Any) -> None:
        """Run ``count`` tokens behind what the cache holds, and wait; outputs are left in place, not copied."""
        total = self._past + count
        room = len(self._mask) // self._batch
        if total > room:
            raise ValueError(f"{total} tokens exceed the {room} that this model was loaded for")
        request = self._request
        request.set_tensor("input_ids", ids)
        request.set_tensor("position_ids", positions)
        # Nothing is masked, so any prefix is one: the mask grows without being copied.
        mask = self._mask[: self._batch * total].reshape(self._batch, total)
        request.set_tensor("attention_mask", self._shared(mask))
        request.start_async()
        request.wait()
        self._past = total
