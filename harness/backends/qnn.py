"""QNN, Qualcomm's neural processing SDK, as ONNX Runtime's plug-in for the Hexagon NPU (HTP).

Owns the adapter: recipes, devices, and running static graphs. Imports onnx, onnxruntime and onnxruntime_qnn only inside
methods, never the lab half, and never torch. Contract: see `harness.worker.api.Backend`. The wheel for x86-64 carries
an emulator of the NPU, which computes on the CPU: its device is ``cpu`` with the API ``qnn-htp-emulator`` and is marked
as emulated, so that its speed is never taken for silicon's.

A graph has no dynamic axes: prompts go through in blocks of `STATIC.block_tokens`, and everything fits into
`STATIC.context_tokens`. See `_qnn_graph` for the graph, `_qnn_host` for what the host does around it.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.backends import _qnn_artifact, _qnn_graph, _qnn_quantise, _qnn_session
from harness.backends._qnn_host import StaticModel
from harness.worker.api import (
    Backend,
    Capability,
    Host,
    Loaded,
    LoadSpec,
    Logits,
    Made,
    MakeRequest,
    ModelFacts,
    Recipe,
    Requirements,
    StaticShape,
    Tokens,
    Unsupported,
)

#: Small, because the emulator takes as long for a block of 32 as an NPU takes for a book.
STATIC = StaticShape(context_tokens=64, block_tokens=32)

#: The SoC whose NPU is emulated, and which artifacts are compiled for: Snapdragon 8 Gen 3.
SOC = "SM8650"

#: Beyond this the float graph no longer fits protobuf's 2 GB.
LARGEST_PARAMETERS = 450_000_000

_RUNTIME = ("onnxruntime-qnn==2.7.0", "onnxruntime==1.32.0")

_EMULATOR = "qnn-htp-emulator"


def _quantised(activations: int, weights: int, precision: str) -> Recipe:
    """A recipe of ONNX Runtime's QNN quantiser: bits of activations and weights."""
    return Recipe(
        name=f"A{activations}W{weights}",
        precision=precision,
        made_from="qnn:FP32_STATIC",
        tool="onnxruntime",
        parameters={
            "activation_bits": activations,
            "weight_bits": weights,
            "windows": 8,
            "soc": SOC,
            "quantiser": _qnn_quantise.REVISION,
        },
        default=True,
        passes=("calibrate MinMax", "get_qnn_qdq_config", "QDQQuantizer per channel", f"compile {SOC}"),
        calibrated=True,
        static=STATIC,
    )


def _prepared(base: str, precision: str, soc: str) -> Recipe:
    """Another recipe's graphs, compiled for one more SoC."""
    return Recipe(
        name=f"{base}_{soc}",
        precision=precision,
        made_from=f"qnn:{base}",
        tool="onnxruntime-qnn",
        parameters={"soc": soc},
        passes=(f"compile {soc}",),
        static=STATIC,
    )


class QNN(Backend):
    """Quantised ONNX graphs on Qualcomm's Hexagon NPU (HTP), or on its emulator."""

    framework: ClassVar[str] = "qnn"
    title: ClassVar[str] = "QNN"
    requirements: ClassVar[Requirements] = Requirements(
        packages=_RUNTIME,
        import_name="onnxruntime_qnn",
        converter=Requirements(
            packages=(*_RUNTIME, "onnx==1.23.2", "gguf==0.19.0"), import_name="onnxruntime_qnn"
        ),
    )
    artifact_mark: ClassVar[str | None] = "manifest.json"
    loads_file: ClassVar[bool] = False
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe(
            "FP32_STATIC",
            "fp32",
            made_from="llamacpp:F32",
            tool="onnx",
            parameters={"graph": _qnn_graph.REVISION},
            passes=("static graph with KV cache",),
            static=STATIC,
            intermediate=True,
        ),
        Recipe(
            "FP16",
            "fp16",
            made_from="qnn:FP32_STATIC",
            tool="onnxruntime",
            parameters={"soc": SOC},
            default=True,
            passes=(f"compile {SOC}",),
            static=STATIC,
        ),
        _quantised(16, 8, "w8a16"),
        _quantised(8, 8, "w8a8"),
        _quantised(16, 4, "w4a16"),
        _prepared("A16W8", "w8a16", "SM8750"),
        _prepared("A16W8", "w8a16", "SC8380XP"),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("npu:0", "qnn-htp"),
        ("cpu", _EMULATOR),
        ("gpu:0", "qnn-gpu"),
        ("cpu", "qnn-cpu"),
    )
    takes_threads: ClassVar[bool] = False
    #: The embedding table, which the host looks rows up in; the graph has a matrix of its own for the logits.
    may_hold_unread: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"prefill", "decode", "score", "make"})

    def __init__(self) -> None:
        self._plugin: Any = None
        self._model: StaticModel | None = None
        self._graphs: dict[str, _qnn_session.Graph] = {}
        self._work: tempfile.TemporaryDirectory[str] | None = None
        self._newest: Logits | None = None
        #: Graph and phase of every pass, in order.
        self._passes: dict[str, list[str]] = {}
        self._phase = ""
        self._counted: dict[str, float] = {}

    # -- planning ---------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """The NPU needs a Snapdragon; the emulator needs Linux on x86-64; nothing else is run."""
        if (device.partition(":")[0], api) not in {(d.partition(":")[0], by) for d, by in cls.known_devices}:
            known = ", ".join(f"{name} by {by}" for name, by in cls.known_devices)
            return f"{cls.title} reaches {known}, not {device} by {api}"
        here = f"this is {host.system} {host.arch}"
        if api == "qnn-cpu":
            return "onnxruntime-qnn 2.7.0 ships no QNN CPU library (QnnCpu)"
        if api == _EMULATOR:
            if (host.system, host.arch) == ("linux", "x86_64"):
                return None
            return f"the Hexagon emulator is in onnxruntime-qnn's Linux x86-64 wheel only; {here}"
        if (host.system, host.arch) not in {("win32", "ARM64"), ("linux", "aarch64")}:
            what = "an Adreno GPU" if api == "qnn-gpu" else "a Hexagon NPU"
            return f"{device} needs a Qualcomm SoC with {what} under Windows or Linux on Arm; {here}"
        if api == "qnn-gpu":
            return (
                "QNN's GPU back end takes none of the quantised graphs, and what it leaves falls to the CPU"
            )
        if api not in host.accelerators:
            return f"{device} needs the driver of a Hexagon NPU (Linux: /dev/fastrpc-cdsp); none was found"
        return None

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """The static graph is a Llama's, of real weights, and small enough for protobuf."""
        if model.synthetic is not None or model.format == "synthetic":
            return f"{recipe.name} of a synthetic model: emulating billions of weights is infeasible"
        if model.architecture != "llama":
            return f"the static graph is written for llama, not {model.architecture}"
        if model.parameters is not None and model.parameters > LARGEST_PARAMETERS:
            return f"a float graph of {model.parameters / 1e9:.1f}e9 weights exceeds protobuf's 2 GB"
        return None

    @classmethod
    def unread_weight_bytes(cls, artifact: Path) -> int | None:
        """Of the table beside the graphs; their own weights are all read."""
        try:
            return _qnn_artifact.embedding_bytes(artifact)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # what is wrong is told when it is loaded
            return None

    # -- in the framework's environment -----------------------------------------------------------------------------

    def start(self) -> None:
        """Import ONNX Runtime and register the plug-in."""
        self._plugin = _qnn_session.Plugin()

    def versions(self) -> Mapping[str, str]:
        """Of the plug-in (``framework``) and of ONNX Runtime."""
        found = {name: importlib.metadata.version(name) for name in ("onnxruntime-qnn", "onnxruntime")}
        return {"framework": found["onnxruntime-qnn"], **found}

    def devices(self) -> list[Any]:
        """What ONNX Runtime lists for the plug-in."""
        return [device for device, _ in self._plugin.devices()]

    def make(self, request: MakeRequest) -> Made:
        """The float graph, a quantised one, or one compiled for another SoC."""
        recipe = request.recipe
        if recipe.tool == "onnx":
            return _qnn_artifact.make_float(request)
        if recipe.tool == "onnxruntime-qnn":
            return _qnn_artifact.make_compiled(request, self._plugin)
        if "activation_bits" in recipe.parameters:
            return _qnn_artifact.make_quantised(request, self._plugin)
        return _qnn_artifact.make_half(request, self._plugin)

    def load(self, spec: LoadSpec) -> Loaded:
        """Load both graphs, run each once, and read from the profile what ran where."""
        known = self._plugin.devices()
        device, entry = next(
            (pair for pair in known if (pair[0].id, pair[0].api) == (spec.device, spec.api)), (None, None)
        )
        if device is None:
            found = ", ".join(f"{d.id} ({d.api})" for d, _ in known) or "nothing"
            raise Unsupported(f"QNN finds no {spec.device} ({spec.api}) here; it finds {found}")
        options = parse_options(spec.options, emulated=device.emulated)
        manifest = _qnn_artifact.read_manifest(spec.artifact)
        if spec.context_tokens > manifest.context:
            raise ValueError(
                f"{spec.context_tokens} tokens do not fit the graph's context of {manifest.context}"
            )
        soc = compiled_for(manifest, options.pop("soc", None), emulated=device.emulated)
        self._work = tempfile.TemporaryDirectory(prefix="edgebench-qnn-")
        self._graphs = {
            name: _qnn_session.Graph(
                self._plugin,
                _qnn_artifact.graph_file(spec.artifact, name, soc),
                entry,
                self._plugin.options(soc) | options,
                fallback=_left_over(manifest, soc, self._plugin.name) > 0,
                work=Path(self._work.name),
            )
            for name in _qnn_artifact.GRAPHS
        }
        self._passes = {name: [] for name in self._graphs}
        self._model = StaticModel(
            manifest.shape,
            manifest.context,
            _qnn_artifact.read_embedding(spec.artifact),
            {manifest.block: self._runner("block"), 1: self._runner("token")},
        )
        executed = self._warm_up(manifest.block)
        hints = {
            **options,
            "soc": soc or "of this machine, compiled at load",
            "context_tokens": str(manifest.context),
            "block_tokens": str(manifest.block),
            "layers": str(manifest.shape.layers),
            "embedding": "looked up by the host",
            **shares(manifest, soc, executed, self._plugin.name),
        }
        return Loaded(
            device=device,
            vocab_size=manifest.shape.vocab,
            threads=None,
            hints=hints,
            kv_cache_bytes=self._model.cache_bytes,
        )

    def _runner(self, name: str) -> Any:
        graph = self._graphs[name]

        def run(feeds: Any) -> Any:
            self._passes[name].append(self._phase)
            return graph(feeds)

        return run

    def _warm_up(self, block: int) -> Counter[str]:
        """One pass through each graph; executed nodes by provider."""
        self._phase = "load"
        for count in (block, 1):
            self.reset()
            for _ in self._static.feed(np.zeros(count, np.int32)):
                pass
        self.reset()
        executed: Counter[str] = Counter()
        for graph in self._graphs.values():
            executed += graph.providers()
        if not executed[self._plugin.name]:
            raise RuntimeError(f"no node ran on QNN: {dict(executed)}")
        return executed

    @property
    def _static(self) -> StaticModel:
        if self._model is None:
            raise RuntimeError("no artifact is loaded")
        return self._model

    def reset(self) -> None:
        """Empty the KV cache."""
        self._static.reset()
        self._newest = None

    def prefill(self, tokens: Tokens) -> None:
        """Block after block; a pass returns with its logits."""
        self._phase = "prefill_s"
        for _, rows in self._static.feed(tokens):
            self._newest = rows[-1]

    def decode(self, token: int) -> None:
        """One pass of the graph for a single token."""
        self._phase = "decode_s"
        for _, rows in self._static.feed(np.array([token], np.int32)):
            self._newest = rows[-1]

    def sample(self) -> int:
        """Greedy."""
        if self._newest is None:
            raise RuntimeError("prefill or decode comes first")
        return int(self._newest.argmax())

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Through the same graphs and the same cache as the timed passes."""
        self._phase = "score"
        self.reset()
        for begin, rows in self._static.feed(tokens):
            skip = max(first - begin, 0)
            if skip < len(rows):
                yield begin + skip, rows[skip:]
        self.reset()

    def counters(self) -> Mapping[str, float]:
        """QNN's own seconds, and the cycles that it tells; since the load, as differences are all that counts."""
        found: dict[str, float] = defaultdict(float)
        for name, graph in self._graphs.items():
            times = graph.pass_times()
            # The profile has one entry for each pass; anything else would put figures to the wrong phase.
            if len(times) != len(self._passes[name]):
                continue
            for phase, passed in zip(self._passes[name], times, strict=True):
                if phase.endswith("_s"):
                    found[phase] += passed.execute_s
                    if passed.cycles is not None:
                        found[phase.removesuffix("_s") + "_cycles"] += passed.cycles
        return dict(found)

    def unload(self) -> None:
        """Free the graphs and their profiles."""
        self._model = None
        self._newest = None
        self._graphs = {}
        self._passes = {}
        if self._work is not None:
            self._work.cleanup()
            self._work = None


def parse_options(options: Mapping[str, str], *, emulated: bool) -> dict[str, str]:
    """The plug-in's settings of a cell, and ``soc``.

    The emulator's profile is detailed unless told otherwise: it costs nothing beside emulation.

    Raises:
        ValueError: an unknown name, or a value that the setting cannot have.
    """
    known = {**_qnn_session.OPTIONS, "soc": tuple(_qnn_session.SOCS)}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"unknown QNN option {name!r}; known: {', '.join(sorted(known))}")
        if value not in known[name]:
            raise ValueError(f"QNN option {name} is {value!r}, not one of {', '.join(known[name])}")
    return {"profiling_level": "detailed" if emulated else "off", **options}


def compiled_for(manifest: _qnn_artifact.Manifest, wanted: str | None, *, emulated: bool) -> str | None:
    """The SoC whose compiled graphs are loaded; None: the portable graphs are compiled here and now.

    Raises:
        ValueError: the artifact has nothing for the SoC, or nothing that runs here.
    """
    if wanted is None and emulated:
        wanted = next(iter(manifest.compiled), None)
        if wanted is None:
            raise ValueError("the artifact is compiled for no SoC, and the emulator must be told which to be")
    if wanted is None:
        if not manifest.portable:
            only = ", ".join(manifest.compiled)
            raise ValueError(f"the artifact holds graphs for {only} only: name it by the option soc")
        return None
    if wanted not in manifest.compiled:
        has = ", ".join(manifest.compiled) or "none"
        raise ValueError(f"the artifact has no graph compiled for {wanted} (it has: {has})")
    return wanted


def _left_over(manifest: _qnn_artifact.Manifest, soc: str | None, provider: str) -> int:
    """Nodes of both graphs that the plug-in did not take when they were compiled."""
    graphs = manifest.compiled.get(soc or "", {})
    return sum(count for taken in graphs.values() for name, count in taken.items() if name != provider)


def shares(
    manifest: _qnn_artifact.Manifest, soc: str | None, executed: Mapping[str, int], provider: str
) -> dict[str, str]:
    """How much of both graphs is on the device.

    Args:
        manifest: with the nodes that each provider took when the graphs were compiled.
        soc: of the loaded graphs; None where they were compiled at load, and only executed nodes are known.
        executed: nodes by provider from the profile, where everything that was compiled into one binary is one node.
        provider: the plug-in's name.
    """
    outside = sum(count for name, count in executed.items() if name != provider)
    hints = {
        "executed": ", ".join(f"{name} {count}" for name, count in sorted(executed.items())),
        "nodes_off_qnn": str(outside),
    }
    graphs = manifest.compiled.get(soc or "")
    if graphs:
        inside = sum(taken.get(provider, 0) for taken in graphs.values())
        hints |= {"nodes_on_qnn": str(inside), "share_off_qnn": f"{outside / (inside + outside):.4f}"}
    return hints
