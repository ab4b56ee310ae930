"""Olive, Microsoft's optimiser for ONNX Runtime: its workflows make the artifacts, ONNX Runtime runs them.

Owns: what Olive needs, its recipes, and the mapping of backend calls. How artifacts are made is in `_olive_workflow`,
how they run in `_ort_genai` (shared with DirectML), synthetic models in `_olive_synthetic`. Never imports the lab half;
imports frameworks inside methods only. Contract: `harness.worker.api.Backend`. Runtime and converter are apart: Olive
pulls torch and transformers, the runtime must not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backends import _gguf_hf, _hf_checkpoint
from harness.backends import _olive_synthetic as synthetic
from harness.backends import _olive_workflow as workflow
from harness.backends import _ort_genai as running
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

#: olive-ai 0.13.0 breaks with a newer onnxruntime-genai.
_RUNTIME = ("onnxruntime==1.32.0", "onnxruntime-genai==0.14.1", "numpy==2.4.6")

#: (system, machine) pairs for which onnxruntime and onnxruntime-genai both have wheels.
WHEELS = frozenset(
    {
        ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"),
        ("win32", "AMD64"), ("win32", "x86_64"), ("win32", "ARM64"),
    }
)  # fmt: skip


def _recipe(
    name: str,
    precision: str,
    made_from: str,
    passes: tuple[Mapping[str, Any], ...],
    *,
    default: bool = False,
    intermediate: bool = False,
    **more: Any,
) -> Recipe:
    """A recipe of Olive passes in order; ``more`` belongs to the parameters too."""
    return Recipe(
        name=name,
        precision=precision,
        made_from=made_from,
        tool="olive-ai",
        parameters={"passes": [dict(one) for one in passes], "maker": workflow.REVISION, **more},
        default=default,
        passes=tuple(str(one["type"]) for one in passes),
        calibrated="calibration" in more,
        intermediate=intermediate,
    )


_HF = "olive:HF"
_FP32 = "olive:FP32"
_RTN = {"type": "Rtn", "bits": 4, "group_size": 32}
_BUILD_INT4 = {"type": "ModelBuilder", "precision": "int4"}
# The passes on graphs are told ``accuracy_level: 4`` (activations in 8 bits, a scale for each block), which the model
# builder takes by itself: without it 8-bit weights decoded 4 tokens a second instead of 133.

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="HF",
        precision="fp32",
        made_from="llamacpp:F32",
        tool="transformers",
        parameters={"importer": _gguf_hf.REVISION, "writer": _hf_checkpoint.REVISION},
        intermediate=True,
    ),
    _recipe("FP32", "fp32", _HF, ({"type": "ModelBuilder", "precision": "fp32"},), default=True),
    _recipe(
        "FP16",
        "fp16",
        _HF,
        ({"type": "ModelBuilder", "precision": "fp16"},),
        default=True,
        api="cuda",
        apis=["cuda"],
    ),
    # Graphs built for DirectML, which differ; the backend `directml` runs them.
    _recipe(
        "FP16_DIRECTML",
        "fp16",
        _HF,
        ({"type": "ModelBuilder", "precision": "fp16"},),
        api="directml",
        apis=["directml"],
        intermediate=True,
    ),
    _recipe(
        "RTN_INT4_g32_DIRECTML",
        "int4",
        _HF,
        ({**_RTN, "lm_head": True, "embeds": True}, _BUILD_INT4),
        api="directml",
        apis=["directml"],
        intermediate=True,
    ),
    # These two compute with 8-bit activations, which makes them another precision than 8-bit weights alone.
    _recipe(
        "DYNAMIC_INT8",
        "w8a8",
        _FP32,
        ({"type": "OnnxDynamicQuantization", "precision": "int8"},),
        default=True,
    ),
    _recipe(
        "STATIC_INT8",
        "w8a8",
        _FP32,
        (
            {
                "type": "OnnxStaticQuantization",
                "precision": "int8",
                "activation_type": "uint8",
                "quant_format": "QDQ",
                "op_types_to_quantize": ["MatMul"],
                "per_channel": True,
                "quant_preprocess": False,
            },
        ),
        calibration={"samples": 8, "length_tokens": 128},
    ),
    _recipe(
        "BLOCK_RTN_INT8_g32",
        "int8",
        _FP32,
        ({"type": "OnnxBlockWiseRtnQuantization", "bits": 8, "block_size": 32, "accuracy_level": 4},),
        default=True,
    ),
    # Unless it is told, Olive leaves the embedding in float, where half of a small model's bytes are.
    _recipe(
        "RTN_INT4_g32", "int4", _HF, ({**_RTN, "lm_head": True, "embeds": True}, _BUILD_INT4), default=True
    ),
    _recipe("RTN_INT4_g32_float_embedding", "int4", _HF, (_RTN, _BUILD_INT4)),
    _recipe(
        "GPTQ_INT4_g32",
        "int4",
        _HF,
        ({"type": "Gptq", "bits": 4, "group_size": 32}, _BUILD_INT4),
        calibration={"samples": 16, "length_tokens": 256},
    ),
    _recipe(
        "BLOCK_RTN_INT4_g32",
        "int4",
        _FP32,
        ({"type": "OnnxBlockWiseRtnQuantization", "bits": 4, "block_size": 32, "accuracy_level": 4},),
    ),
    _recipe("HQQ_INT4_g32", "int4", _FP32, ({"type": "OnnxHqqQuantization", "block_size": 32},)),
    _recipe(
        "KQUANT_INT4_g32",
        "int4",
        _FP32,
        ({"type": "OnnxKQuantQuantization", "bits": 4, "block_size": 32, "accuracy_level": 4},),
    ),
    Recipe(
        name="AUTO_INT4",
        precision="int4",
        made_from=_HF,
        tool="olive-ai",
        parameters={
            "optimize": {
                "precision": "int4",
                "provider": "CPUExecutionProvider",
                "device": "cpu",
                "block_size": 32,
            },
            "calibration": {"samples": 16, "length_tokens": 256},
            "maker": workflow.REVISION,
        },
        passes=("Gptq", "ModelBuilder"),
        calibrated=True,
    ),
)


class Olive(Backend):
    """Models that Olive's passes made, run by onnxruntime-genai and scored by ONNX Runtime."""

    framework: ClassVar[str] = "olive"
    title: ClassVar[str] = "Olive (ONNX Runtime)"
    requirements: ClassVar[Requirements] = Requirements(
        packages=_RUNTIME,
        import_name="onnxruntime_genai",
        converter=Requirements(
            packages=(
                "olive-ai==0.13.0",
                *_RUNTIME,
                *_hf_checkpoint.PACKAGES,
                "onnx==1.23.2",
                "onnxscript==0.7.2",
                # Olive imports these without declaring them.
                "requests==2.34.2",
                "datasets==5.2.0",
            ),
            import_name="olive",
        ),
    )
    artifact_mark: ClassVar[str | None] = "genai_config.json"
    loads_file: ClassVar[bool] = False
    recipes: ClassVar[tuple[Recipe, ...]] = RECIPES
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cpu", "cpu"),
        ("gpu:0", "cuda"),
        ("gpu:0", "webgpu"),
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"prefill", "decode", "score", "make", "synthesize", "batch", "prefix"}
    )
    #: The model builder's fp16 graphs fail on ONNX Runtime's CPU provider at the first decode.
    baseline_precision: ClassVar[str | None] = None
    #: The embedding table, which the model builder writes beside the head of a tied model too, and matrices that a
    #: pass replaced and left behind.
    may_hold_unread: ClassVar[bool] = True

    def __init__(self) -> None:
        self._og: Any = None
        self._ort: Any = None
        self._spec: LoadSpec | None = None
        self._runner: running.Runner | None = None
        self._scorer: running.Scorer | None = None

    # -- planning -----------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """No wheels, another provider, or an accelerator whose provider needs another wheel."""
        if (device, api) not in cls.known_devices:
            known = ", ".join(f"{name} by {by}" for name, by in cls.known_devices)
            return f"{cls.title} reaches {known}, not {device} by {api}"
        if (host.system, host.arch) not in WHEELS:
            return f"onnxruntime-genai 0.14.1 has no wheel for {host.system} {host.arch}"
        if api == "cuda" and "cuda" not in host.accelerators:
            return f"ONNX Runtime's CUDA provider needs an NVIDIA GPU and its driver for {device}; none was found"
        if api == "cuda":
            # onnxruntime and onnxruntime-gpu install the same module: one environment each.
            return (
                "the pinned environment holds onnxruntime for CPUs; CUDA needs onnxruntime-gpu and "
                "onnxruntime-genai-cuda in its place"
            )
        if api == "webgpu":
            return "the pinned onnxruntime has no WebGPU provider; its plug-in is a package of its own"
        return None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """Architectures without a checkpoint, groups that do not fit, and synthetic models of other recipes."""
        if model.architecture not in _hf_checkpoint.ARCHITECTURES:
            known = ", ".join(_hf_checkpoint.ARCHITECTURES)
            return f"Olive starts from a Hugging Face checkpoint, which is made of {known}, not of {model.architecture}"
        if model.synthetic is not None:
            return synthetic.unsupported(recipe, model.synthetic)
        group = group_size(recipe)
        if group is not None and model.row_width is not None and model.row_width % group:
            return f"groups of {group} do not divide this model's rows of {model.row_width}"
        return None

    @classmethod
    def unread_weight_bytes(cls, artifact: Path) -> int | None:
        """Of the decoder's graph."""
        return running.unread_weight_bytes(artifact, workflow.NOT_WEIGHTS)

    # -- in the framework's environment -------------------------------------------------------------------------------

    def start(self) -> None:
        """Import onnxruntime-genai and onnxruntime, its telemetry (Windows only) switched off."""
        workflow.environment()
        import onnxruntime
        import onnxruntime_genai

        onnxruntime.disable_telemetry_events()
        self._ort, self._og = onnxruntime, onnxruntime_genai

    def versions(self) -> Mapping[str, str]:
        """``framework`` is onnxruntime-genai, which runs; olive-ai is there in a converter's environment."""
        found = running.versions(
            "onnxruntime", "onnxruntime-genai", "olive-ai", "transformers", "torch", "numpy"
        )
        return found | {"framework": found.get("onnxruntime-genai", str(self._og.__version__))}

    def devices(self) -> list[Device]:
        """What ``onnxruntime.get_ep_devices()`` lists."""
        return running.devices(self._ort)

    def make(self, request: MakeRequest) -> Made:
        """HF: the checkpoint; all others: a workflow of Olive."""
        if request.recipe.name == "HF":
            return _hf_checkpoint.make(request)
        return workflow.make(request)

    def synthesize(self, request: MakeRequest) -> Made:
        """The graph that the recipe would give, its weights random."""
        return synthetic.make(request)

    def load(self, spec: LoadSpec) -> Loaded:
        """Open the model with onnxruntime-genai on the device asked for, and read back what is in force."""
        provider = running.provider_for(spec)
        device = next((d for d in self.devices() if (d.id, d.api) == (spec.device, spec.api)), None)
        if device is None:
            found = ", ".join(f"{d.id} ({d.api})" for d in self.devices())
            raise Unsupported(f"ONNX Runtime finds no {spec.device} ({spec.api}) here; it finds {found}")
        running.read_config(spec.artifact)
        apis = workflow.read_apis(spec.artifact)
        if spec.api not in apis:
            raise Unsupported(
                f"this graph runs by {', '.join(apis)} only: ONNX Runtime's {spec.api} provider has no kernels for "
                "its float16 attention"
            )
        self._spec = spec
        self._runner = self._run(spec, provider)
        return Loaded(
            device=device,
            vocab_size=self._runner.vocab_size,
            threads=spec.threads,
            hints=self._runner.hints(),
            kv_cache_bytes=self._runner.kv_cache_bytes(),
        )

    def _run(self, spec: LoadSpec, provider: running.Provider) -> running.Runner:
        return running.Runner(self._og, spec, provider, continuous=provider.continuous)

    def reset(self) -> None:
        """Empty the KV cache; after `logits`, open the model of the timed passes again."""
        if self._runner is not None:
            self._runner.reset()
            return
        if self._spec is None:
            raise RuntimeError("no artifact is loaded")
        if self._scorer is not None:
            self._scorer.close()
            self._scorer = None
        self._runner = self._run(self._spec, running.provider_for(self._spec))

    def _timed(self) -> running.Runner:
        if self._runner is None:
            raise RuntimeError("no artifact is loaded, or reset was not called after logits")
        return self._runner

    def prefill(self, tokens: Tokens) -> None:
        """One forward pass over all of ``tokens``."""
        self._timed().prefill(tokens)

    def decode(self, token: int) -> None:
        """One forward pass over one token."""
        self._timed().decode(token)

    def sample(self) -> int:
        """Arg-max over the newest logits."""
        return self._timed().sample()

    def prefill_batch(self, tokens: Tokens) -> None:
        """One forward pass over all of ``tokens``."""
        self._timed().prefill_batch(tokens)

    def decode_batch(self, tokens: Tokens) -> None:
        """One forward pass over one token of each sequence."""
        self._timed().decode_batch(tokens)

    def sample_batch(self) -> Tokens:
        """Arg-max over the newest logits of each sequence."""
        return self._timed().sample_batch()

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Logits at every position by plain ONNX Runtime; at most one of the two sessions is open."""
        if self._spec is None:
            raise RuntimeError("no artifact is loaded")
        if self._scorer is None:
            if self._runner is not None:
                self._runner.close()
                self._runner = None
            self._scorer = running.Scorer(self._ort, self._spec, running.provider_for(self._spec))
        yield from self._scorer.logits(tokens, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """The same, on what is left of the scoring session's cache."""
        return None if self._scorer is None else self._scorer.logits_from(tokens, kept, first)

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """onnxruntime-genai's, from the files beside the graph; after `logits`, its model is opened again."""
        del model
        if self._runner is None:
            self.reset()
        return self._timed().tokenizer()

    def unload(self) -> None:
        """Free both sessions."""
        if self._runner is not None:
            self._runner.close()
        if self._scorer is not None:
            self._scorer.close()
        self._runner = self._scorer = self._spec = None


def group_size(recipe: Recipe) -> int | None:
    """Weights that share a scale where PyTorch passes quantise, which take whole groups only; None elsewhere."""
    for one in recipe.parameters.get("passes", ()):
        if one["type"] in ("Rtn", "Gptq"):
            return int(one.get("group_size", 128))
    if "optimize" in recipe.parameters:
        return int(recipe.parameters["optimize"]["block_size"])
    return None
