"""The interface that every backend implements, and the plain types it speaks in.

Owns: declarations (recipes, devices, requirements, capabilities) that the lab half reads without importing a
framework, and the calls that the worker makes inside the framework's environment. Never imports the lab half or
a framework. Contract: a backend does what one call says and nothing else. It never times, repeats, shuffles or
averages; the common runner does, in the same way for every framework.

All quantities are in bytes, seconds and tokens; names end in their unit. Missing is None, never 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]

Capability = Literal["prefill", "decode", "score", "tokenize", "make"]

#: The canonical precisions, widest first. A recipe names exactly one.
PRECISIONS: tuple[str, ...] = (
    "fp32", "fp16", "bf16", "fp8", "int8", "int6", "int5", "int4", "fp4", "nf4", "int3", "int2", "ternary", "int1",
    "w8a8", "w8a16", "w4a16",
)  # fmt: skip


class Unsupported(Exception):
    """The backend cannot do this at all (not: it failed). The message is the reason a person reads."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a framework makes one precision, under the framework's own name.

    Attributes:
        name: the framework's own name: ``Q4_K_M``, ``INT4_SYM_g64``, ``4bit_g64``. No spaces.
        precision: one of `PRECISIONS`.
        made_from: ``"model"`` (the model's source file) or ``"FRAMEWORK:RECIPE"``, made first.
        tool: distribution whose version belongs to the lineage (``nncf``); it is in the converter environment.
        parameters: everything that changes the bytes that come out; part of the artifact's key.
        default: True for the one recipe that a bare precision means.
    """

    name: str
    precision: str
    made_from: str
    tool: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that the framework itself enumerated.

    Attributes:
        id: ``cpu``, ``gpu:0``, ``npu:0``.
        api: what drives it: ``cpu``, ``cuda``, ``metal``, ``vulkan``, ``opencl``, ``directml``, ``qnn-htp`` ...
        name: as the framework reports it.
        driver: driver or plug-in version, None where the framework tells none.
        memory_bytes: total device memory, None where the framework tells none.
    """

    id: str
    api: str
    name: str
    driver: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the framework's environment holds.

    Attributes:
        packages: pinned top-level requirements (PEP 508, markers allowed).
        import_name: module whose import proves the environment works.
        lock: file in ``harness/environment/locks`` with hashes for every package, None where an index does not
            serve the same file everywhere (or for third-party backends).
        build: per variant, environment variables for packages built from source, such as ``CMAKE_ARGS``.
        from_source: names of packages that are built here, once per variant and kind of CPU.
        converter: requirements of a second environment for `Backend.make`, None where one serves both.
    """

    packages: tuple[str, ...]
    import_name: str
    lock: str | None = None
    build: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"cpu": {}})
    from_source: tuple[str, ...] = ()
    converter: Requirements | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """What planning may know of a machine without making any environment.

    Attributes:
        system: ``linux``, ``darwin`` or ``win32`` (as `sys.platform`).
        arch: ``x86_64``, ``aarch64``, ``arm64``, ``AMD64`` (as `platform.machine`).
        accelerators: APIs for which hardware and driver were found: ``cuda``, ``metal``, ``vulkan`` ...
    """

    system: str
    arch: str
    accelerators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What planning may know of a model before its file is fetched.

    Attributes:
        id: the model's id in ``models.yaml``.
        architecture: ``llama``, ``gemma3`` ... (GGUF's ``general.architecture``).
        format: ``gguf`` or ``safetensors``.
        row_width: width of the weight rows, for recipes with groups; None where unknown.
    """

    id: str
    architecture: str
    format: str
    row_width: int | None = None


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """One conversion. ``out`` is an existing empty folder; whatever stands in it afterwards is the artifact."""

    recipe: Recipe
    source: Path
    out: Path
    threads: int


@dataclass(frozen=True, slots=True)
class Made:
    """What a conversion gives.

    Attributes:
        weight_bytes: bytes of weight tensors on disk, without vocabulary or other metadata.
        entry: path relative to ``out`` that `LoadSpec.artifact` will point to (``.`` for the folder itself).
        tool_version: version of `Recipe.tool` that ran.
        notes: anything a reader of the lineage should know (tensors that fell back to another type, ...).
    """

    weight_bytes: int
    entry: str
    tool_version: str
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What to load, and how.

    Attributes:
        artifact: file or folder, as `Made.entry` named it.
        device: device id to run on; any other device is a failure, never a fall-back.
        api: API to reach it by.
        threads: compute threads.
        context_tokens: room needed in the KV cache.
        options: the framework's own settings by its own names; unknown ones are an error.
    """

    artifact: Path
    device: str
    api: str
    threads: int
    context_tokens: int
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was really loaded, read back from the framework.

    Attributes:
        device: the device that computes.
        vocab_size: width of the logits.
        threads: compute threads in force, None where the framework decides and tells nothing.
        hints: the settings in force (precision of computation, of the KV cache ...), read back, by the
            framework's own names.
        kv_cache_bytes: the framework's own figure for the KV cache, None where it tells none.
    """

    device: Device
    vocab_size: int
    threads: int | None
    hints: Mapping[str, str]
    kv_cache_bytes: int | None = None


class Backend(ABC):
    """Adapter of one framework. Class attributes are declarations; methods run in the framework's environment.

    Order of calls in one process: `start`, then `versions` and `devices` as wanted, then either `make` /
    `tokenize`, or `load` and any number of (`reset`, `prefill`, `decode`*, `sample`*) or `logits`, then `unload`.
    """

    framework: ClassVar[str]
    title: ClassVar[str]
    requirements: ClassVar[Requirements]
    recipes: ClassVar[tuple[Recipe, ...]]
    #: (device id, api) pairs the framework can have anywhere, the default first; a machine has some of them.
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("cpu", "cpu"),)
    #: A capability that is not named here is declared absent: the table shows the hole with its reason.
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"prefill", "decode", "score", "make"})
    #: Native half precision: the speed baseline. None: fp32 only.
    baseline_precision: ClassVar[str | None] = "fp16"
    #: True for test backends: never part of `all`.
    hidden: ClassVar[bool] = False

    # -- planning: pure functions, called in the lab half without the framework ---------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """Why this device cannot be used on this machine through this framework; None where it may be tried."""
        del host
        return None if (device, api) == ("cpu", "cpu") else f"{cls.title} has no {api} device support here"

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """Why this recipe cannot be made for this model; None where it may be tried."""
        del recipe, model
        return None

    # -- in the framework's environment ---------------------------------------------------------------------------

    @abstractmethod
    def start(self) -> None:
        """Import the framework. The worker's own size is read right after it."""

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Versions by distribution or component name; the framework's own under ``framework``."""

    @abstractmethod
    def devices(self) -> list[Device]:
        """Devices that the framework enumerates now."""

    @abstractmethod
    def make(self, request: MakeRequest) -> Made:
        """Make an artifact. Raises when the tool gave no usable output, whatever it claimed."""

    @abstractmethod
    def load(self, spec: LoadSpec) -> Loaded:
        """Load the artifact and prepare to compute. Raises when another device would compute."""

    @abstractmethod
    def reset(self) -> None:
        """Empty the KV cache."""

    @abstractmethod
    def prefill(self, tokens: Tokens) -> None:
        """Process ``tokens: int32[n]`` after what the cache holds; return when the last logits are computed."""

    @abstractmethod
    def decode(self, token: int) -> None:
        """Process one token after what the cache holds; return when its logits are computed."""

    @abstractmethod
    def sample(self) -> int:
        """Greedy choice from the newest logits."""

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Teacher-forced logits of ``tokens: int32[n]`` from an empty cache.

        Yields ``(position, float32[block, vocab])`` in order of position, covering ``first .. n-1`` exactly;
        the row at position ``i`` predicts token ``i + 1``. A yielded array is only valid until the next one.
        """
        raise Unsupported(f"{self.title} gives no logits")

    def tokenize(self, model: Path, text: str) -> tuple[list[int], int | None]:
        """Token ids of ``text`` without BOS, and the BOS id that the model wants first (None: none)."""
        raise Unsupported(f"{self.title} has no tokenizer here")

    def counters(self) -> Mapping[str, float]:
        """The framework's own figures since `reset`: any of ``prefill_s``, ``decode_s``. Empty where it has none."""
        return {}

    def allocator_peak_bytes(self) -> int | None:
        """The framework's own peak of allocated memory, None where it keeps none."""
        return None

    @abstractmethod
    def unload(self) -> None:
        """Free the model."""
