"""The interface that every backend implements, and the plain types it speaks in.

Owns: declarations (recipes, devices, requirements, capabilities) that the lab half reads without importing a
framework, and the calls that the worker makes inside the framework's environment. Never imports the lab half or
a framework. Contract: a backend does what one call says and nothing else. It never times, repeats, shuffles or
averages; the common runner does, in the same way for every framework.

All quantities are in bytes, seconds and tokens; names end in their unit. Missing is None, never 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harness.worker.protocol import MemoryReading
from harness.worker.synthetic import SyntheticModel

Tokens = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]

Capability = Literal[
    "prefill", "decode", "stream", "complete", "score", "tokenize", "make", "synthesize", "batch", "batch_depth",
    "ragged", "prefix",
]  # fmt: skip

#: The canonical precisions, widest first. A recipe names exactly one.
PRECISIONS: tuple[str, ...] = (
    "fp32", "fp16", "bf16", "fp8", "int8", "int6", "int5", "int4", "fp4", "nf4", "int3", "int2", "ternary", "int1",
    "w8a8", "w8a16", "w4a16",
)  # fmt: skip


PrecisionClass = Literal["full", "half", "medium", "low", "ultra-low"]

#: Precision class -> what is in it: full and half floats, 5 to 8 bit, 3 to 4 bit, 1 to 2 bit (of the weights).
PRECISION_CLASSES: Mapping[PrecisionClass, tuple[str, ...]] = {
    "full": ("fp32",),
    "half": ("fp16", "bf16"),
    "medium": ("fp8", "int8", "int6", "int5", "w8a8", "w8a16"),
    "low": ("int4", "fp4", "nf4", "int3", "w4a16"),
    "ultra-low": ("int2", "ternary", "int1"),
}

_CLASS_OF = {precision: name for name, members in PRECISION_CLASSES.items() for precision in members}


def precision_class(precision: str) -> PrecisionClass:
    """The class of a canonical precision.

    Raises:
        KeyError: not one of `PRECISIONS`.
    """
    return _CLASS_OF[precision]


class Unsupported(Exception):
    """The backend cannot do this at all (not: it failed). The message is the reason a person reads."""


@dataclass(frozen=True, slots=True)
class StaticShape:
    """The shape that a graph without dynamic axes was made for.

    Attributes:
        context_tokens: prompt, depth and decoded tokens together fit into this; it is also the window that the
            artifact is scored at, against the reference computed at the same window.
        block_tokens: tokens of one prefill pass; shorter prompts are padded.
    """

    context_tokens: int
    block_tokens: int


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
        passes: names of the tool's own passes in order, for people; empty where it has none. What they are
            told belongs to ``parameters``.
        needs: further artifacts, as ``"FRAMEWORK:RECIPE"``, that are made first and given as `MakeRequest.needed`.
        calibrated: it reads the calibration text, which then belongs to the artifact's key and must not be the
            text that is scored.
        static: the shape of a graph without dynamic axes, None where prompts may have any length.
        intermediate: it is only ever made as the source of others (an importance matrix, a checkpoint in another
            format): it is no cell, and no suite can name it.
    """

    name: str
    precision: str
    made_from: str
    tool: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False
    passes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    calibrated: bool = False
    static: StaticShape | None = None
    intermediate: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that the framework itself enumerated.

    Attributes:
        id: ``cpu``, ``gpu:0``, ``npu:0``.
        api: what drives it: ``cpu``, ``cuda``, ``metal``, ``vulkan``, ``opencl``, ``directml``, ``qnn-htp`` ...
        name: as the framework reports it.
        driver: driver or plug-in version, None where the framework tells none.
        memory_bytes: total device memory, None where the framework tells none.
        emulated: another processor computes what this one would: its results are real, its speed, memory and
            energy are not, and are never ranked.
    """

    id: str
    api: str
    name: str
    driver: str | None = None
    memory_bytes: int | None = None
    emulated: bool = False


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
        memory_bytes: main memory, None where the system does not tell.
    """

    system: str
    arch: str
    accelerators: frozenset[str] = frozenset()
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What planning may know of a model before its file is fetched.

    Attributes:
        id: the model's id in ``models.yaml``.
        architecture: ``llama``, ``gemma3`` ... (GGUF's ``general.architecture``).
        format: ``gguf``, ``safetensors``, or ``synthetic``: no file but a configuration (`synthetic`).
        row_width: width of the weight rows, for recipes with groups; None where unknown.
        parameters: number of weights, None where unknown.
        synthetic: the configuration that seeded random weights are written for, None for a real model.
    """

    id: str
    architecture: str
    format: str
    row_width: int | None = None
    parameters: int | None = None
    synthetic: SyntheticModel | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The text that calibrated recipes read; never the text that is scored.

    Attributes:
        text: a UTF-8 file.
        tokens: the same as little-endian int32 ids of the model's own tokenizer, without BOS.
        bos: id that the model wants first, None: none.
    """

    text: Path
    tokens: Path
    bos: int | None


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """One conversion. ``out`` is an existing empty folder; whatever stands in it afterwards is the artifact.

    Attributes:
        recipe: what to make.
        source: the model's own file or the entry of the artifact that `Recipe.made_from` names; for a synthetic
            model its configuration as JSON.
        out: the folder.
        threads: compute threads.
        needed: entries of the artifacts that `Recipe.needs` names, by the same words.
        calibration: given for calibrated recipes only.
        synthetic: for `Backend.synthesize`: the model whose seeded random weights are to be written.
    """

    recipe: Recipe
    source: Path
    out: Path
    threads: int
    needed: Mapping[str, Path] = field(default_factory=dict)
    calibration: Calibration | None = None
    synthetic: SyntheticModel | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a conversion gives.

    Attributes:
        weight_bytes: bytes of weight tensors on disk, without vocabulary or other metadata; None where the weights are
            not here (a server that loaded its own).
        entry: path relative to ``out`` that `LoadSpec.artifact` will point to (``.`` for the folder itself).
        tool_version: version of `Recipe.tool` that ran.
        notes: anything a reader of the lineage should know. ``fallbacks``, where the model's shapes made the tool
            choose another type for some tensors, maps ``"WANTED to TAKEN"`` to the number of tensors.
    """

    weight_bytes: int | None
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
        context_tokens: room needed in the KV cache, for each sequence.
        options: the framework's own settings by its own names; unknown ones are an error.
        batch: sequences that every pass processes together; above 1 only where the capability ``batch`` is declared.
    """

    artifact: Path
    device: str
    api: str
    threads: int
    context_tokens: int
    options: Mapping[str, str] = field(default_factory=dict)
    batch: int = 1


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
        framework_version: of what computes, where only loading tells (a server that ran before); None: as `versions`.
    """

    device: Device
    vocab_size: int
    threads: int | None
    hints: Mapping[str, str]
    kv_cache_bytes: int | None = None
    framework_version: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """What came back of one request, on the clock of `time.perf_counter_ns`.

    Attributes:
        submitted_ns: when the request was about to be sent.
        arrivals_ns: when each piece of the stream that holds tokens had arrived.
        tokens: tokens that were generated, None where neither the server nor the pieces tell.
        tokens_each: tokens of each arrival, empty where the server sent several at once and did not say how many.
        prompt_tokens: tokens of the prompt as the server counts them, None where it does not tell.
    """

    submitted_ns: int
    arrivals_ns: list[int]
    tokens: int | None
    tokens_each: list[int]
    prompt_tokens: int | None = None


class Tokenizer(ABC):
    """A framework's own tokenizer, ready to be timed: a call does the work and nothing else.

    Attributes:
        bos: the BOS id that the model wants first, None: none. Told with the capability ``tokenize``.
    """

    bos: int | None = None

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``, without BOS; special tokens in it are plain text where the framework can do that."""

    def tokenize_special(self, text: str) -> list[int]:
        """The same, with words for special tokens (``<|im_end|>``) read as these tokens. Belongs to ``tokenize``."""
        del text
        raise Unsupported("this tokenizer reads no special tokens")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids; bytes that are no UTF-8, such as half a character at the end, become U+FFFD.

        With the capability ``tokenize`` special tokens are written out.
        """
        del tokens
        raise Unsupported("this tokenizer gives no text back")


class Backend(ABC):
    """Adapter of one framework. Class attributes are declarations; methods run in the framework's environment.

    Order of calls in one process: `start`, then `versions` and `devices` as wanted, then either `make` /
    `tokenizer`, or `load` and any number of (`reset`, `prefill`, `decode`*, `sample`*) or `logits`, then `unload`.
    Loaded for a batch, `prefill_batch`, `decode_batch` and `sample_batch` take the places of those three, or, for
    prompts of different lengths, `prefill_ragged`, `decode_ragged` and `sample_batch`.
    """

    framework: ClassVar[str]
    title: ClassVar[str]
    requirements: ClassVar[Requirements]
    recipes: ClassVar[tuple[Recipe, ...]]
    #: (device id, api) pairs the framework can have anywhere, the default first; a machine has some of them.
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("cpu", "cpu"),)
    #: A capability that is not named here is declared absent: the table shows the hole with its reason.
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"prefill", "decode", "score", "make"})
    #: An artifact that was made elsewhere: the name pattern of the file in it that tells it; None: none is loaded.
    artifact_mark: ClassVar[str | None] = None
    #: True where that file is what `LoadSpec.artifact` names, False where it is the folder.
    loads_file: ClassVar[bool] = True
    #: False where the framework decides on its threads alone: a workload that names a number cannot be run.
    takes_threads: ClassVar[bool] = True
    #: The framework's own setting for them, where a suite may give it: its number is then what is asked for.
    threads_option: ClassVar[str | None] = None
    #: Native half precision: the speed baseline. None: fp32 only.
    baseline_precision: ClassVar[str | None] = "fp16"
    #: True where an artifact may hold weights that no token reads whole: `unread_weight_bytes` then says how many.
    may_hold_unread: ClassVar[bool] = False
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

    @classmethod
    def unusable(cls, recipe: Recipe, options: Mapping[str, str]) -> str | None:
        """Why this recipe cannot be run with these options; None where it may be tried."""
        del recipe, options
        return None

    @classmethod
    def unread_weight_bytes(cls, artifact: Path) -> int | None:
        """Bytes of an artifact's weights that no token reads whole, from its files; None where they do not tell.

        A table of which a token looks one row up, where the output projection has weights of its own, and weights
        that nothing uses; not experts. Asked where `may_hold_unread` is declared; ``artifact`` is as in `LoadSpec`.
        """
        del artifact
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

    def synthesize(self, request: MakeRequest) -> Made:
        """Write the recipe's artifact of ``request.synthetic`` with seeded random weights, tensor by tensor.

        The model must never be held twice in memory, nor whole in a wider type than the recipe's. Declared by the
        capability ``synthesize``; `unsupported` is asked with ``ModelFacts.synthetic`` set and may refuse a recipe.
        """
        raise Unsupported(f"{self.title} cannot write a synthetic model as {request.recipe.name}")

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

    def prefill_batch(self, tokens: Tokens) -> None:
        """Process ``tokens: int32[batch, n]``, row by row after what each sequence's part of the cache holds.

        Sequences see nothing of each other. Returns when the last logits of all are computed. Declared by the
        capability ``batch``; ``batch`` is that of `LoadSpec`, above 1. Without ``batch_depth`` the cache is empty.
        """
        raise Unsupported(f"{self.title} processes one sequence at a time here")

    def decode_batch(self, tokens: Tokens) -> None:
        """Process ``tokens: int32[batch]``, one for each sequence, in one pass; return when all logits are computed."""
        raise Unsupported(f"{self.title} processes one sequence at a time here")

    def sample_batch(self) -> Tokens:
        """Greedy choices ``int32[batch]`` from the newest logits of each sequence that was in the newest pass."""
        raise Unsupported(f"{self.title} processes one sequence at a time here")

    def prefill_ragged(self, prompts: Sequence[Tokens]) -> None:
        """Process ``prompts``, each ``int32[n]`` with an ``n`` of its own, one for each sequence, from an empty cache.

        At most as many as `LoadSpec.batch`. Sequences see nothing of each other, nor of any padding. Returns when the
        last logits of all are computed. Declared by the capability ``ragged``; without it tasks' texts are generated
        one by one.
        """
        raise Unsupported(f"{self.title} takes no prompts of different lengths together")

    def decode_ragged(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """Process one token of each of these sequences in one pass, ``tokens: int32[sequences]``; the others wait.

        `sample_batch` then gives as many choices, in the same order. A sequence that waited once is not asked again.
        """
        raise Unsupported(f"{self.title} takes no prompts of different lengths together")

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Teacher-forced logits of ``tokens: int32[n]`` from an empty cache.

        Yields ``(position, float32[block, vocab])`` in order of position, covering ``first .. n-1`` exactly;
        the row at position ``i`` predicts token ``i + 1``. A yielded array is only valid until the next one.
        """
        raise Unsupported(f"{self.title} gives no logits")

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """As `logits`, on a cache that holds the first ``kept`` of these tokens already, and maybe others after them.

        Declared by the capability ``prefix``; asked only after `logits` or `logits_from` on the same cache was read to
        its end, with ``0 < kept <= first``.

        Returns:
            None: this model's cache cannot be cut there; `logits` is asked instead.
        """
        raise Unsupported(f"{self.title} cannot keep a part of its cache")

    def stream(self, prompts: Sequence[Tokens], count: int) -> list[Stream]:
        """Submit every prompt at the same time, ask for ``count`` tokens each, and return when the last has ended.

        Declared by the capability ``stream``; instead of `prefill` and `decode` where only the stream can be seen.

        Raises:
            Exception: a request failed, ended early or stalled; the message says how.
        """
        raise Unsupported(f"{self.title} gives no stream")

    def ready_stream(self, prompts: Sequence[Tokens], count: int) -> Callable[[], list[Stream]]:
        """What sends these requests as `stream` does, everything that comes before the sending being done."""
        return lambda: self.stream(prompts, count)

    def unmetered(self) -> str | None:
        """Why no meter of this machine sees what the loaded model does; None where it may."""
        return None

    def complete(self, tokens: Tokens, text: str, count: int, stops: Sequence[str]) -> str:
        """Greedy text after a prompt, ``count`` tokens at most, cut before the model's own end; maybe beyond a stop.

        Declared by the capability ``complete``: tasks that want text are answered so where there is no ``score``.

        Args:
            tokens: ids of the prompt by the model's tokenizer, with the BOS that it wants.
            text: what they were made of, for whoever takes text alone.
            count: new tokens at most.
            stops: texts that end the answer; none of them is empty.

        Raises:
            Unsupported: it cannot be asked for this at all.
        """
        raise Unsupported(f"{self.title} completes no text")

    def memory(self, phase: str) -> list[MemoryReading] | None:
        """Readings at the end of a phase where another process computes (a server's tree).

        None: this process computes, and the worker reads its own. After ``load`` a reading of the phase ``import``
        may come first: the server's own size before it had a model.
        """
        del phase
        return None

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """The framework's own tokenizer, valid until the next call or `unload`.

        Where a model is loaded, of that one; asked after the timed passes, and before `logits`. Where none is, of the
        model's own file: declared by the capability ``tokenize``.

        Args:
            model: the model's own file, for artifacts that hold no tokenizer; None for a synthetic model, and where
                only the artifact's own will do.

        Raises:
            Unsupported: it has none here; the message says why.
        """
        del model
        raise Unsupported(f"{self.title} has no tokenizer here")

    def counters(self) -> Mapping[str, float]:
        """The framework's own figures since `reset`, of a batch those of the whole. Empty where it has none.

        ``prefill_s`` and ``decode_s``, and whatever else it counts of a phase, named ``prefill_`` or ``decode_`` and
        ending in its unit (``decode_cycles``).
        """
        return {}

    def allocator_peak_bytes(self) -> int | None:
        """The framework's own peak of allocated memory, None where it keeps none."""
        return None

    @abstractmethod
    def unload(self) -> None:
        """Free the model."""
