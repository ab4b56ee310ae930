"""A scripted framework for tests: a tiny deterministic model, and every way in which a real one fails.

Owns nothing real; imports numpy and the worker half only. Contract: without a script it is a correct backend (its
logits depend only on the tokens and the artifact, teacher-forced equals stepwise, fewer bits give more noise); with a
script it does what the script says, where it says. It is never part of ``all``, and known only while
``EDGEBENCH_FAKE=1``.

A script is JSON, an object from stage to a list of actions. Stages are ``import``, ``start``, ``versions``,
``devices``, ``make``, ``tokenize``, ``load``, ``reset``, ``prefill``, ``decode``, ``sample``, ``complete``, ``logits``,
``cut``, ``tokenizer``, ``detokenize``, ``unload``.
It comes from the environment variable ``EDGEBENCH_FAKE_SCRIPT`` and, from ``load`` on, from the load option
``script``, stage by stage.
An action is ``{"do": NAME, ...}``, with ``"at": n`` to act only in the stage's n-th call (from 0):

=========  ====================================================  =======================================================
do         arguments                                             effect
=========  ====================================================  =======================================================
raise      type (a builtin, or Unsupported), message, times (1)  raises it
crash      how: segv, abort, kill, exit; status                  ends the process so
hang       gil (false)                                           never returns, holding the GIL or not
stop                                                             stops itself (SIGSTOP)
ignore                                                           takes no notice of SIGTERM, SIGINT and SIGHUP any more
close      what: pipe (the answers'), output (stdout and stderr) closes its descriptors
print      text, times (1), stream (stdout, stderr), fd (false)  prints, at Python's or at descriptor level
pipe       text, times (1)                                       writes onto the protocol's own pipe
allocate   bytes, hang (true)                                    touches memory, 16 MiB at a time, then stays there
wait       seconds: number, or a list by call                    takes that long (a list's last one then holds)
spawn      pid_file, session (false)                             starts a child that sleeps, maybe in its own session
daemon     pid_file                                              leaves a process that has left tree, group and session
fork       pid_file                                              forks a child that keeps every descriptor and sleeps
device     id, api                                               (load) reports that device
nan        positions: list                                       (logits) NaN there
threads    threads                                               (load) reports that number of threads
narrow     vocab_size                                            (load) has logits of another width
bos        id                                                    (tokenizer) tells a BOS
other      of, is                                                (tokenizer) makes another id of one
cut                                                              (cut) refuses to keep a part of its cache
size       bytes                                                 (make) makes an artifact of that many weight bytes
=========  ====================================================  =======================================================
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.worker import orphan
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
    StaticShape,
    Tokenizer,
    Tokens,
    Unsupported,
)

#: Weights of the pretended model: ``bits`` per weight of them make an artifact's size.
PARAMETERS = 65_536
VOCAB_SIZE = 256
ENTRY = "fake.json"
#: The one special token, a word that is a single id where special tokens are read.
SPECIAL, SPECIAL_ID = "<|end|>", 3
SCRIPT_VARIABLE = "EDGEBENCH_FAKE_SCRIPT"

#: Common bytes of English, most frequent first: text is then more likely than noise, as it is to a real model.
_COMMON = b" etaoinshrdlcumwfgypbvk,."
#: Standard deviation of the noise on the logits, by nominal bits of a weight.
_NOISE = {32: 0.0, 16: 1e-3, 8: 2e-2, 4: 0.3}
_KEPT: list[npt.NDArray[np.uint8]] = []


def _act_raise(action: Mapping[str, Any]) -> None:
    name = str(action.get("type", "RuntimeError"))
    message = str(action.get("message", "scripted")) * int(action.get("times", 1))
    kind = Unsupported if name == "Unsupported" else getattr(builtins, name)
    raise kind(message)


def _act_crash(action: Mapping[str, Any]) -> None:
    how = action["how"]
    if how == "exit":
        os._exit(int(action.get("status", 1)))
    if how == "abort":
        os.abort()
    os.kill(os.getpid(), {"segv": signal.SIGSEGV, "kill": signal.SIGKILL}[how])
    time.sleep(60)


def _act_hang(action: Mapping[str, Any]) -> None:
    while True:
        if action.get("gil"):
            _sleep_with_gil(3600)
        else:
            time.sleep(3600)


def _sleep_with_gil(seconds: int) -> None:
    """What native code does that never gives the GIL back: no Python thread runs meanwhile."""
    if sys.platform == "win32":
        ctypes.PyDLL("kernel32").Sleep(seconds * 1000)
    else:
        ctypes.PyDLL(None).sleep(seconds)


def _act_stop(action: Mapping[str, Any]) -> None:
    del action
    os.kill(os.getpid(), signal.SIGSTOP)


def _act_ignore(action: Mapping[str, Any]) -> None:
    del action
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _act_close(action: Mapping[str, Any]) -> None:
    descriptors = {"pipe": (_answers_fd(),), "output": (1, 2)}
    for descriptor in descriptors[action["what"]]:
        os.close(descriptor)


def _answers_fd() -> int:
    arguments = sys.orig_argv
    return int(arguments[arguments.index("--write-fd") + 1])


def _act_print(action: Mapping[str, Any]) -> None:
    text, stream = str(action["text"]) * int(action.get("times", 1)), str(action.get("stream", "stdout"))
    if action.get("fd"):
        left = memoryview(text.encode())
        while left:
            left = left[os.write(2 if stream == "stderr" else 1, left) :]
    else:
        print(text, file=sys.stderr if stream == "stderr" else sys.stdout, flush=True)


def _act_pipe(action: Mapping[str, Any]) -> None:
    text = str(action["text"]) * int(action.get("times", 1))
    os.write(_answers_fd(), text.encode())


def _act_allocate(action: Mapping[str, Any]) -> None:
    left = int(action["bytes"])
    while left > 0:
        _KEPT.append(np.ones(min(left, 1 << 24), dtype=np.uint8))
        left -= 1 << 24
    if action.get("hang", True):
        time.sleep(3600)


def _act_spawn(action: Mapping[str, Any]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", "import time; time.sleep(3600)"],
        start_new_session=bool(action.get("session")),
        preexec_fn=orphan.die_with_parent if sys.platform == "linux" else None,
    )
    Path(action["pid_file"]).write_text(str(child.pid), encoding="utf-8")


#: Starts what sleeps, says which process that is, and leaves it to itself.
_DAEMON = """
import os, sys, time
pid = os.fork()
if pid:
    with open(sys.argv[1], "w") as file:
        file.write(str(pid))
    os._exit(0)
os.setsid()
time.sleep(3600)
"""


def _act_daemon(action: Mapping[str, Any]) -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", _DAEMON, action["pid_file"]], check=True)


def _act_fork(action: Mapping[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(3600)
        os._exit(0)
    Path(action["pid_file"]).write_text(str(pid), encoding="utf-8")


def _act_wait(action: Mapping[str, Any], call: int) -> None:
    seconds = action["seconds"]
    if isinstance(seconds, list):
        seconds = seconds[min(call, len(seconds) - 1)]
    # Spinning, not sleeping: the scheduler's granularity is coarser than the durations that tests ask for.
    end = time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        pass


_ACTS = {
    "raise": _act_raise,
    "crash": _act_crash,
    "hang": _act_hang,
    "print": _act_print,
    "pipe": _act_pipe,
    "allocate": _act_allocate,
    "spawn": _act_spawn,
    "daemon": _act_daemon,
    "fork": _act_fork,
    "stop": _act_stop,
    "ignore": _act_ignore,
    "close": _act_close,
}
#: Actions that the stage itself looks up.
_SETTINGS = frozenset({"device", "nan", "narrow", "bos", "other", "size", "threads", "cut"})


class Script:
    """A script and how often each of its stages was reached."""

    def __init__(self, text: str) -> None:
        self._actions: dict[str, list[dict[str, Any]]] = json.loads(text) if text else {}
        self._calls: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Let the stages of another script take the place of this one's."""
        self._actions |= json.loads(text)

    def run(self, stage: str) -> dict[str, dict[str, Any]]:
        """Do what the script says for this call of ``stage``; its settings, by name."""
        call = self._calls.get(stage, 0)
        self._calls[stage] = call + 1
        settings: dict[str, dict[str, Any]] = {}
        for action in self._actions.get(stage, ()):
            if action.get("at", call) != call:
                continue
            name = action["do"]
            if name == "wait":
                _act_wait(action, call)
            elif name in _SETTINGS:
                settings[name] = action
            else:
                _ACTS[name](action)
        return settings


def _script_of_environment() -> Script:
    return Script(os.environ.get(SCRIPT_VARIABLE, ""))


_script_of_environment().run("import")


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A well-known 64-bit finaliser (splitmix64), elementwise."""
    value = value ^ (value >> np.uint64(30))
    value = value * np.uint64(0xBF58476D1CE4E5B9)
    value = value ^ (value >> np.uint64(27))
    value = value * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _noise(state: int, salt: int, width: int) -> npt.NDArray[np.float64]:
    """``float64[width]`` with mean 0 and standard deviation 1, the same for the same state and salt."""
    index = np.arange(width, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = _mix(index ^ np.uint64(state) ^ _mix(np.full(width, salt, dtype=np.uint64)))
    return (bits.astype(np.float64) / 2.0**64 - 0.5) * float(np.sqrt(12.0))


class _Model:
    """Logits that depend on every token since the beginning, through a hash of them."""

    def __init__(self, bits: int, broken: bool, width: int, bf16: bool) -> None:
        self._scale = _NOISE[bits] + (2e-3 if bf16 else 0.0)
        self._salt = bits
        self._broken = broken
        self._width = width
        self._bias = np.zeros(width)
        for rank, byte in enumerate(_COMMON):
            self._bias[byte] = 6.0 - 0.1 * rank

    def advance(self, state: int, token: int) -> int:
        """The state after one more token."""
        return (state * 0x100000001B3 + token + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF

    def logits(self, state: int) -> npt.NDArray[np.float32]:
        """``float32[vocab]`` after the tokens of a state."""
        if self._broken:
            return (3.0 * _noise(state, 99, self._width)).astype(np.float32)
        values = self._bias + _noise(state, 0, self._width)
        if self._scale:
            values += self._scale * _noise(state, self._salt, self._width)
        return values.astype(np.float32)


class _Bytes(Tokenizer):
    """A token is a byte; ``other`` has the ids that are not."""

    def __init__(self, script: Script, bos: int | None, other: Mapping[int, int]) -> None:
        self._script = script
        self._other = other
        self.bos = bos

    def tokenize(self, text: str) -> list[int]:
        """The bytes of the text."""
        self._script.run("tokenize")
        return [self._other.get(byte, byte) for byte in text.encode()]

    def tokenize_special(self, text: str) -> list[int]:
        """The bytes of the text, with `SPECIAL` as one token."""
        self._script.run("tokenize")
        return list(text.encode().replace(SPECIAL.encode(), bytes([SPECIAL_ID])))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of the bytes."""
        self._script.run("detokenize")
        pieces = (SPECIAL.encode() if token == SPECIAL_ID else bytes([token]) for token in tokens)
        return b"".join(pieces).decode(errors="replace")


class Fake(Backend):
    """The scripted backend."""

    framework: ClassVar[str] = "fake"
    title: ClassVar[str] = "Fake"
    hidden: ClassVar[bool] = True
    requirements: ClassVar[Requirements] = Requirements(packages=("numpy>=1.26",), import_name="numpy")
    artifact_mark: ClassVar[str | None] = "fake.json"
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe("FP32", "fp32", "model", "numpy", {"bits": 32}, default=True),
        Recipe("FP16", "fp16", "fake:FP32", "numpy", {"bits": 16}, default=True),
        Recipe("INT8", "int8", "fake:FP32", "numpy", {"bits": 8}, default=True),
        Recipe("INT4", "int4", "fake:FP32", "numpy", {"bits": 4}, default=True),
        Recipe("INT4_BROKEN", "int4", "fake:FP32", "numpy", {"bits": 4, "broken": True}),
        Recipe("STATISTICS", "fp32", "fake:FP32", "numpy", {"bits": 32}, calibrated=True, intermediate=True),
        Recipe("INT4_STATISTICS", "int4", "fake:FP32", "numpy", {"bits": 4}, needs=("fake:STATISTICS",)),
        Recipe("INT8_STATIC", "int8", "fake:FP32", "numpy", {"bits": 8}, static=StaticShape(48, 16)),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (("cpu", "cpu"), ("npu:0", "fake-npu"))
    capabilities = frozenset(
        {
            "prefill",
            "decode",
            "complete",
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

    def __init__(self) -> None:
        self._script = _script_of_environment()
        self._model: _Model | None = None
        self._width = VOCAB_SIZE
        self._states = [0]
        self._held = [0]
        self._room = 0
        self._newest: list[Logits] = []
        self._scored = [0]  # states of `logits`: the first, and after each of the tokens
        self._counters = {"prefill_s": 0.0, "decode_s": 0.0}

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """The CPU is everywhere, the NPU nowhere."""
        del host
        return None if (device, api) == ("cpu", "cpu") else "no machine has a fake NPU"

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """Everything can be made of everything."""
        del recipe, model
        return None

    def start(self) -> None:
        """Nothing to import."""
        self._script.run("start")

    def versions(self) -> Mapping[str, str]:
        """Its own and numpy's."""
        self._script.run("versions")
        return {"framework": "1.0", "numpy": np.__version__}

    def devices(self) -> list[Device]:
        """The CPU."""
        self._script.run("devices")
        return [Device("cpu", "cpu", "fake CPU")]

    def make(self, request: MakeRequest) -> Made:
        """Write the description of the model and that many bytes of pretended weights."""
        settings = self._script.run("make")
        recipe = request.recipe
        if recipe.made_from != "model":
            source = request.source / ENTRY if request.source.is_dir() else request.source
            if "bits" not in json.loads(source.read_text(encoding="utf-8")):
                raise ValueError(f"{source} was not made by this framework")
        bits = int(recipe.parameters["bits"])
        size = int(settings["size"]["bytes"]) if "size" in settings else PARAMETERS * bits // 8
        with (request.out / "weights.bin").open("wb") as weights:
            # Really written, so that they need room; of an artifact that only pretends to be large, a hole.
            weights.write(bytes(min(size, 1 << 20)))
            weights.truncate(size)
        description = {"bits": bits, "broken": bool(recipe.parameters.get("broken")), "recipe": recipe.name}
        if request.calibration is not None:
            description["calibration_sum"] = int(np.fromfile(request.calibration.tokens, dtype="<i4").sum())
        for words, needed in request.needed.items():
            description[words] = json.loads(needed.read_text(encoding="utf-8"))
        (request.out / ENTRY).write_text(json.dumps(description), encoding="utf-8")
        return Made(size, ENTRY, np.__version__, {"parameters": PARAMETERS})

    def synthesize(self, request: MakeRequest) -> Made:
        """As many bytes of pretended weights as the configuration has at the recipe's width."""
        self._script.run("make")
        assert request.synthetic is not None, "the worker asks for a synthetic model only where there is one"
        bits = int(request.recipe.parameters["bits"])
        size = request.synthetic.parameter_count * bits // 8
        with (request.out / "weights.bin").open("wb") as weights:
            weights.truncate(size)
        description = {"bits": bits, "broken": False, "recipe": request.recipe.name}
        (request.out / ENTRY).write_text(json.dumps(description), encoding="utf-8")
        return Made(size, ENTRY, np.__version__, {"parameters": request.synthetic.parameter_count})

    def load(self, spec: LoadSpec) -> Loaded:
        """Load a description that `make` wrote; options are ``script`` and ``compute`` (``f32`` or ``bf16``)."""
        options = dict(spec.options)
        self._script.add(options.pop("script", "{}"))
        compute = options.pop("compute", "f32")
        if options:
            raise ValueError(f"unknown option {min(options)!r} (known: compute, script)")
        if compute not in ("f32", "bf16"):
            raise ValueError(f"compute is f32 or bf16, not {compute!r}")
        settings = self._script.run("load")
        if (spec.device, spec.api) != ("cpu", "cpu"):
            raise ValueError(f"no device {spec.device} ({spec.api}): this framework has cpu (cpu)")
        description = json.loads(spec.artifact.read_text(encoding="utf-8"))
        self._width = int(settings["narrow"]["vocab_size"]) if "narrow" in settings else VOCAB_SIZE
        self._model = _Model(
            int(description["bits"]), bool(description["broken"]), self._width, compute == "bf16"
        )
        self._room = spec.context_tokens
        self._states = [0] * spec.batch
        self.reset()
        device = settings.get("device", {"id": "cpu", "api": "cpu"})
        return Loaded(
            device=Device(device["id"], device["api"], "fake device"),
            vocab_size=self._width,
            threads=int(settings["threads"]["threads"]) if "threads" in settings else spec.threads,
            hints={"compute": compute},
            kv_cache_bytes=8 * spec.context_tokens * spec.batch,
        )

    def reset(self) -> None:
        """Forget the tokens."""
        self._script.run("reset")
        self._states, self._held, self._newest = [0] * len(self._states), [0] * len(self._states), []
        self._counters = {"prefill_s": 0.0, "decode_s": 0.0}

    def prefill(self, tokens: Tokens) -> None:
        """Take the tokens in."""
        self.prefill_batch(tokens[np.newaxis])

    def decode(self, token: int) -> None:
        """Take one token in."""
        self.decode_batch(np.asarray([token], dtype=np.int32))

    def prefill_batch(self, tokens: Tokens) -> None:
        """Take the tokens in, each row after those of its own sequence."""
        begin = time.perf_counter()
        self._script.run("prefill")
        self._process(range(len(tokens)), tokens)
        self._counters["prefill_s"] += time.perf_counter() - begin

    def decode_batch(self, tokens: Tokens) -> None:
        """Take one token of each sequence in."""
        begin = time.perf_counter()
        self._script.run("decode")
        self._process(range(len(tokens)), tokens[:, np.newaxis])
        self._counters["decode_s"] += time.perf_counter() - begin

    def prefill_ragged(self, prompts: Sequence[Tokens]) -> None:
        """Take in a prompt of each sequence."""
        self._script.run("prefill")
        self._process(range(len(prompts)), prompts)

    def decode_ragged(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """Take in one token of each of these sequences."""
        self._script.run("decode")
        self._process(sequences, tokens[:, np.newaxis])

    def _process(self, sequences: Sequence[int], tokens: Iterable[Tokens]) -> None:
        model = self._loaded()
        self._newest = []
        for index, row in zip(sequences, tokens, strict=True):
            self._held[index] += len(row)
            if self._held[index] > self._room:
                raise ValueError(f"{self._held[index]} tokens do not fit into {self._room}")
            for token in row:
                self._states[index] = model.advance(self._states[index], int(token))
            self._newest.append(model.logits(self._states[index]))

    def _loaded(self) -> _Model:
        if self._model is None:
            raise RuntimeError("nothing is loaded")
        return self._model

    def sample(self) -> int:
        """The likeliest token."""
        return int(self.sample_batch()[0])

    def sample_batch(self) -> Tokens:
        """The likeliest token of each sequence of the newest pass."""
        self._script.run("sample")
        if not self._newest:
            raise RuntimeError("no logits yet")
        return np.asarray([row.argmax() for row in self._newest], dtype=np.int32)

    def complete(self, tokens: Tokens, text: str, count: int, stops: Sequence[str]) -> str:
        """The bytes of the text, greedily; a stop ends it."""
        self._script.run("complete")
        self.reset()
        self.prefill(np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32))
        said = ""
        while len(said) < count and not any(stop in said for stop in stops):
            said += chr(self.sample())
            self.decode(ord(said[-1]))
        return said

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        """Blocks of 16 positions."""
        self._scored = [0]
        return self._rows(tokens, first)

    def logits_from(self, tokens: Tokens, kept: int, first: int) -> Iterator[tuple[int, Logits]] | None:
        """The same, from the state after the tokens that are kept; a script may say ``cut`` to refuse."""
        if "cut" in self._script.run("cut"):
            return None
        del self._scored[kept + 1 :]
        return self._rows(tokens, first)

    def _rows(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        settings = self._script.run("logits")
        model = self._loaded()
        bad = set(settings["nan"]["positions"]) if "nan" in settings else set()
        rows: list[Logits] = []
        for position in range(len(self._scored) - 1, len(tokens)):
            state = model.advance(self._scored[-1], int(tokens[position]))
            self._scored.append(state)
            if position < first:
                continue
            row = model.logits(state)
            if position in bad:
                row[:] = np.nan
            rows.append(row)
            if len(rows) == 16 or position == len(tokens) - 1:
                yield position + 1 - len(rows), np.stack(rows)
                rows = []

    def tokenizer(self, model: Path | None) -> Tokenizer:
        """Bytes, for any model."""
        del model
        settings = self._script.run("tokenizer")
        bos = int(settings["bos"]["id"]) if "bos" in settings else None
        other = {int(settings["other"]["of"]): int(settings["other"]["is"])} if "other" in settings else {}
        return _Bytes(self._script, bos, other)

    def counters(self) -> Mapping[str, float]:
        """What `prefill` and `decode` took."""
        return dict(self._counters)

    def unload(self) -> None:
        """Forget the model."""
        self._script.run("unload")
        self._model = None
