"""HTTP servers that speak OpenAI's API: seen through the stream of their tokens.

Owns the declarations, the options and the adapter; the client and the server's processes are in ``_server_*``. Imports
``llama_cpp`` in `make` only. Contract: that of `harness.worker.api`, with streams in place of prefill and decode, and
completions in place of logits.
Without the options ``url`` and ``command_env`` llama-cpp-python's own server is started with a llama.cpp artifact, in
the build that the llama.cpp environment has, and ended again; with ``command_env`` the user's command starts it, and
it is ended too; with ``url`` alone, the server that runs there is measured and left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from harness.backends import _llamacpp_ggml as ggml
from harness.backends._option_values import choice, positive
from harness.backends._server_client import STALL_S, Endpoint, ServerError, completion, streams
from harness.backends._server_command import URL, CommandServer, command_of
from harness.backends._server_process import ServerMemory, StartedServer, reading, vocabulary
from harness.backends.llamacpp import LlamaCpp
from harness.worker.api import (
    PRECISIONS,
    Backend,
    Capability,
    Device,
    Host,
    Loaded,
    LoadSpec,
    Made,
    MakeRequest,
    ModelFacts,
    Recipe,
    Requirements,
    Stream,
    Tokens,
    Unsupported,
)
from harness.worker.protocol import MemoryReading

_TOOL = "llama-cpp-python"
_ONLY_STREAM = "a client of a server sees only the stream, not its prefill and decode"
_SERVED = {
    recipe.name: recipe for recipe in LlamaCpp.recipes if not recipe.intermediate and recipe.static is None
}
#: Frequent words, of one token each in most vocabularies: what prompts of text are drawn from.
_WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "work",
    "question",
    "number",
    "night",
    "point",
    "home",
    "water",
    "room",
    "mother",
    "area",
    "money",
    "story",
    "fact",
    "month",
    "lot",
    "right",
    "study",
    "book",
    "eye",
    "job",
    "word",
    "business",
    "issue",
    "side",
    "kind",
    "head",
    "house",
    "service",
    "friend",
    "father",
    "power",
    "hour",
    "game",
    "line",
    "end",
]
#: What stands for the files of a model that a server loaded itself.
_DESCRIPTION = "served.json"
#: In the title of llama-cpp-python's API: unless told otherwise it makes what was said before less likely, and the
#: likeliest token is then not the model's.
_PENALISES = "llama.cpp Python"
#: Stops that OpenAI's API takes; whoever asks cuts the text at the others.
_STOPS = 4
#: Corrections of a prompt's length before it is taken as it is.
_LENGTH_TRIES = 8


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError("seconds above 0")
    return number


def _own_variable(text: str) -> str:
    # A suite is data and names the address too: with any variable it could send any secret there. A command is an
    # order, which only the environment gives.
    if not text.startswith("EDGEBENCH_") or text == "EDGEBENCH_DB":
        raise ValueError("the name of an environment variable that begins with EDGEBENCH_")
    return text


#: Every option: how it is read, and whether it is of a server that the user runs or whose command he gives, of the one
#: that is started without, or of both.
_OPTIONS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "url": (str, "running"),
    "command_env": (_own_variable, "running"),
    "model": (str, "running"),
    "prompt": (choice("text", "tokens"), "running"),
    "vocab_size": (positive, "running"),
    "endpoint": (choice("completions", "chat"), "running"),
    "pid": (positive, "running"),
    "api_key_env": (_own_variable, "running"),
    "ignore_eos": (choice("0", "1"), "running"),
    "stall_s": (_seconds, "both"),
    "n_batch": (positive, "started"),
    "n_ubatch": (positive, "started"),
    "flash_attn": (choice("true", "false"), "started"),
}


def parse_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Every given option with its value.

    Raises:
        ValueError: an unknown option, one of the other kind of server, or a value that is none.
    """
    kind = "running" if "url" in options or "command_env" in options else "started"
    values = {}
    for name, text in options.items():
        if name not in _OPTIONS:
            raise ValueError(f"servers have no option {name!r} here; they have: {', '.join(_OPTIONS)}")
        parse, of = _OPTIONS[name]
        if of not in (kind, "both"):
            raise ValueError(
                f"option {name} is for a server that {'runs already' if of == 'running' else 'is started'}"
            )
        if name == "pid" and "command_env" in options:
            raise ValueError("option pid is for a server that runs already")
        try:
            values[name] = parse(text)
        except ValueError as error:
            raise ValueError(f"option {name}={text!r} of servers: expected {error}") from error
    if values.get("prompt") == "tokens":
        if "vocab_size" not in values:
            raise ValueError("option prompt=tokens needs vocab_size: token ids are drawn below it")
        if values.get("endpoint") == "chat":
            raise ValueError("option prompt=tokens is for completions: a chat takes text")
    return values


def _described(request: MakeRequest, version: str) -> Made:
    """What is known of a model that a server loaded itself: the name it goes by here, and what is said of it."""
    known = {
        "model": request.source.name,
        "claimed_precision": request.recipe.precision,
        "weights": "loaded by the server itself",
    }
    (request.out / _DESCRIPTION).write_text(json.dumps(known, sort_keys=True) + "\n", encoding="utf-8")
    return Made(None, _DESCRIPTION, version, {"precision": "as the operator says"})


class Server(Backend):
    """A model behind an HTTP server."""

    framework: ClassVar[str] = "server"
    title: ClassVar[str] = "HTTP server"
    requirements: ClassVar[Requirements] = Requirements(
        packages=tuple(
            package.replace(_TOOL, f"{_TOOL}[server]", 1) for package in LlamaCpp.requirements.packages
        ),
        import_name="llama_cpp.server.app",
        lock="server.txt",
        # The same words as llama.cpp's: the wheel is built once for both.
        build={"cpu": LlamaCpp.requirements.build["cpu"]},
        from_source=LlamaCpp.requirements.from_source,
    )
    recipes: ClassVar[tuple[Recipe, ...]] = (
        *(
            Recipe(name, recipe.precision, f"llamacpp:{name}", _TOOL, {"served": name}, recipe.default)
            for name, recipe in _SERVED.items()
        ),
        *(
            Recipe(f"as-served-{precision}", precision, "model", _TOOL, {"claimed_precision": precision})
            for precision in PRECISIONS
        ),
    )
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cpu", "http"),
        ("gpu:0", "http"),
        ("npu:0", "http"),
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"stream", "complete", "make"})

    def __init__(self) -> None:
        self._started: StartedServer | None = None
        self._command: CommandServer | None = None
        self._endpoint: Endpoint | None = None
        self._memory: ServerMemory | None = None
        self._options: dict[str, Any] = {}
        self._model = ""
        self._bias: dict[str, float] = {}
        self._greedy: dict[str, float] = {}
        self._prompts = 0

    # -- planning ---------------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """The device is the server's: whatever the operator says, by HTTP."""
        del host
        if (device.partition(":")[0], api) in {("cpu", "http"), ("gpu", "http"), ("npu", "http")}:
            return None
        return f"{cls.title} reaches cpu, gpu and npu by http, not {device} by {api}"

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        """What llama.cpp cannot make cannot be served either; a model that a server loaded itself is its own affair."""
        if recipe.name in _SERVED:
            return LlamaCpp.unsupported(_SERVED[recipe.name], model)
        if model.synthetic is not None:
            return "a synthetic model is served from the artifact of a llama.cpp recipe"
        return None

    @classmethod
    def unusable(cls, recipe: Recipe, options: Mapping[str, str]) -> str | None:
        """What a server loaded itself is reached by the server's address, or its command, only."""
        if recipe.name in _SERVED or "url" in options or "command_env" in options:
            return None
        return (
            f"{recipe.name} is for a server that loaded its own model: one that runs already is named by the option "
            "url, one to be started by command_env"
        )

    # -- the framework ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Nothing to import: the framework is imported by the server's own process."""

    def versions(self) -> Mapping[str, str]:
        """Those of the server that would be started; `Loaded.framework_version` tells of the one that was measured."""
        from importlib.metadata import version

        return {"framework": version(_TOOL), "uvicorn": version("uvicorn"), "fastapi": version("fastapi")}

    def devices(self) -> list[Device]:
        """The CPU of this machine, where servers are started."""
        return [Device("cpu", "http", "the CPU, through HTTP")]

    def make(self, request: MakeRequest) -> Made:
        """The llama.cpp artifact itself, linked where the file system can, copied where not."""
        import llama_cpp

        if request.recipe.name not in _SERVED:
            return _described(request, str(llama_cpp.__version__))
        from llama_cpp import _ctypes_extensions
        from llama_cpp import llama_cpp as low

        folder = Path(llama_cpp.__file__).parent / "lib"
        library = ggml.Ggml(
            lambda name: _ctypes_extensions.load_shared_library(name, folder), low.GGML_TYPE_COUNT
        )
        tensors = library.tensors(request.source)
        target = request.out / request.source.name
        # Whole files only, and both read-only: one content, one place on the disk.
        try:
            os.link(request.source, target)
        except OSError:
            target.write_bytes(request.source.read_bytes())
        return Made(sum(tensor.size_bytes for tensor in tensors), target.name, str(llama_cpp.__version__))

    def load(self, spec: LoadSpec) -> Loaded:
        """Start a server, or find the one that runs; what it says of itself is read back."""
        if (reason := self.unavailable(Host("", ""), spec.device, spec.api)) is not None:
            raise ValueError(reason)
        self._options = parse_options(spec.options)
        self._prompts, self._bias = 0, {}
        with spec.artifact.open("rb") as file:
            served = file.read(4) == b"GGUF"
        if not served and spec.artifact.name != _DESCRIPTION:
            raise ValueError(f"{spec.artifact} is no GGUF file")
        if "url" in self._options or "command_env" in self._options:
            try:
                return self._find(spec)
            except BaseException:
                self.unload()
                raise
        if not served:
            raise Unsupported("a server that loaded its own model is named by the option url or command_env")
        return self._launch(spec)

    def _launch(self, spec: LoadSpec) -> Loaded:
        if spec.device != "cpu":
            raise Unsupported(
                f"the server that is started computes on the CPU; for {spec.device} name a running one by url"
            )
        words = vocabulary(spec.artifact)
        # The first token comes with the prefill, and the server refuses to fill its context to the last token.
        arguments = ["--n_ctx", str(spec.context_tokens + 2)]
        arguments += ["--n_threads", str(spec.threads), "--n_threads_batch", str(spec.threads)]
        # By default a new request cuts the stream that is under way.
        arguments += ["--interrupt_requests", "false", "--verbose", "false"]
        for name in ("n_batch", "n_ubatch", "flash_attn"):
            if name in self._options:
                arguments += [f"--{name}", str(self._options[name])]
        self._started = StartedServer(spec.artifact, arguments)
        try:
            self._endpoint = self._started.endpoint
            self._model = self._started.name
            self._memory = ServerMemory([self._started.pid], "only Linux tells another process's peak memory")
            self._bias = {str(token): -100.0 for token in words["ends"]}
            told = self._told()
            told |= {"arguments": " ".join(arguments), "eos": "never: biased by -100"}
        except BaseException:
            self.unload()
            raise
        return Loaded(
            Device("cpu", "http", "the CPU, through HTTP"),
            int(words["size"]),
            spec.threads,
            told,
            framework_version=told.get("version"),
        )

    def _find(self, spec: LoadSpec) -> Loaded:
        options = self._options
        headers = {}
        if "api_key_env" in options:
            key = os.environ.get(options["api_key_env"])
            if not key:
                raise ValueError(
                    f"the environment variable {options['api_key_env']} (api_key_env) is not set"
                )
            headers["Authorization"] = f"Bearer {key}"
        stall_s = options.get("stall_s", STALL_S)
        if "command_env" in options:
            words = command_of(options["command_env"])
            self._command = CommandServer(words, options.get("url", URL), headers, stall_s)
            self._endpoint = self._command.endpoint
        else:
            self._endpoint = Endpoint(options["url"], headers, stall_s)
        listed = self._endpoint.models()
        wanted = options.get("model")
        if wanted is not None and wanted not in listed:
            raise ServerError(f"the server has no model {wanted!r}; it lists {', '.join(listed) or 'none'}")
        if wanted is None and len(listed) != 1:
            raise ServerError(f"the server lists {len(listed)} models: name one by the option model")
        self._model = wanted or listed[0]
        if self._command is None:
            self._memory = ServerMemory.of_running(self._endpoint, options.get("pid"))
        else:
            self._memory = ServerMemory([self._command.pid], "only Linux tells another process's peak memory")
        told = self._told()
        told["eos"] = "ignore_eos asked for" if options.get("ignore_eos", "1") == "1" else "ends a stream"
        return Loaded(
            Device(spec.device, spec.api, f"{spec.device}, as the operator says"),
            options.get("vocab_size", len(_WORDS)),
            None,
            told,
            framework_version=told.get("version") or "unknown: the server does not tell",
        )

    def _told(self) -> dict[str, str]:
        """What the server says of itself, and how it is asked."""
        endpoint = self._connected
        listed, headers = endpoint.json("GET", "/models")
        told = {
            "model": self._model_told(),
            "prompt": self._options.get("prompt", "text"),
            "endpoint": self._options.get("endpoint", "completions"),
            "requests": "1 each connection",
        }
        if "server" in headers:
            told["server"] = headers["server"]
        owner = next((each.get("owned_by") for each in listed["data"] if each.get("id") == self._model), None)
        if owner:
            told["owned_by"] = str(owner)
        try:
            info = endpoint.above("/openapi.json")["info"]
            told |= {"api": str(info["title"]), "version": str(info["version"])}
        except (ServerError, KeyError, TypeError):
            pass  # Few servers describe their API: then their version is not known.
        self._greedy = {"repeat_penalty": 1.0} if _PENALISES in told.get("api", "") else {}
        return told

    def _model_told(self) -> str:
        if self._started is not None:
            return "the started one"
        # A server whose command names a folder lists it by its path, which is this machine's affair.
        return Path(self._model).name if Path(self._model).is_absolute() else self._model

    @property
    def _connected(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError("nothing is loaded")
        return self._endpoint

    def stream(self, prompts: Sequence[Tokens], count: int) -> list[Stream]:
        """One request a prompt, all at the same time."""
        return self.ready_stream(prompts, count)()

    def ready_stream(self, prompts: Sequence[Tokens], count: int) -> Callable[[], list[Stream]]:
        """The requests, their texts counted by the server, ready to be sent."""
        endpoint, options = self._connected, self._options
        chat = options.get("endpoint") == "chat"
        bodies = []
        counted: list[int | None] = []
        for prompt in prompts:
            body: dict[str, Any] = {
                "model": self._model,
                "max_tokens": count,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            if options.get("ignore_eos", "1") == "1":
                body["ignore_eos"] = True
            if self._bias:
                body["logit_bias"] = self._bias
            if options.get("prompt") == "tokens":
                content: Any = [int(token) for token in prompt]
                counted.append(None)
            else:
                content, told = self._text(prompt)
                counted.append(told)
            body |= {"messages": [{"role": "user", "content": content}]} if chat else {"prompt": content}
            bodies.append(body)

        def send() -> list[Stream]:
            found = streams(endpoint, "/chat/completions" if chat else "/completions", bodies, count)
            return [
                Stream(
                    each.submitted_ns,
                    each.arrivals_ns,
                    each.tokens,
                    each.tokens_each,
                    each.prompt_tokens if each.prompt_tokens is not None else told,
                )
                for each, told in zip(found, counted, strict=True)
            ]

        return send

    def unmetered(self) -> str | None:
        """A server on another machine."""
        if self._connected.local:
            return None
        return "the server is on another machine, whose energy no meter of this one sees"

    def complete(self, tokens: Tokens, text: str, count: int, stops: Sequence[str]) -> str:
        """One request for completions: the text, or with ``prompt=tokens`` the ids; the model's own end ends it."""
        options = self._options
        if options.get("endpoint") == "chat":
            raise Unsupported(
                "a chat puts its own words around a question: tasks need the option endpoint=completions"
            )
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": [int(token) for token in tokens] if options.get("prompt") == "tokens" else text,
            "max_tokens": count,
            "temperature": 0,
            "stream": True,
            **self._greedy,
        }
        if stops:
            body["stop"] = list(stops[:_STOPS])
        return completion(self._connected, "/completions", body)

    def _text(self, prompt: Tokens) -> tuple[str, int | None]:
        """A text of as many tokens as the prompt, and how many they are by the server's own count (if it counts).

        Two prompts in a row begin with different words, so that no cache of prefixes has any of the second.
        """
        words = [_WORDS[int(token) % len(_WORDS)] for token in prompt]
        words[0] = _WORDS[self._prompts % len(_WORDS)]
        self._prompts += 1
        if self._started is None:
            return " ".join(words), None
        wanted = len(prompt)
        told = wanted
        for _ in range(_LENGTH_TRIES):
            text = " ".join(words)
            told = int(self._connected.above("/extras/tokenize/count", {"input": text})["count"])
            if told == wanted:
                break
            words = words[: wanted - told] if told > wanted else words + words[1 : 1 + wanted - told]
        return text, told

    def memory(self, phase: str) -> list[MemoryReading]:
        """That of the server's processes: after its own imports, then after every phase."""
        if self._memory is None:
            return []
        now = self._memory.read(phase)
        if phase != "load":
            return [now]
        if self._started is None:
            whose = "a server that ran before" if self._command is None else "a server that a command starts"
            return [reading("import", None, f"{whose} was never seen without a model"), now]
        return [reading("import", self._started.bare(), "the system does not tell", "VmHWM"), now]

    def reset(self) -> None:
        """Every request begins with an empty cache."""

    def _refuse(self) -> NoReturn:
        raise Unsupported(_ONLY_STREAM)

    def prefill(self, tokens: Tokens) -> None:
        """Refuse."""
        del tokens
        self._refuse()

    def decode(self, token: int) -> None:
        """Refuse."""
        del token
        self._refuse()

    def sample(self) -> int:
        """Refuse."""
        self._refuse()

    def unload(self) -> None:
        """End the server that was started; leave the other alone."""
        for started in (self._started, self._command):
            if started is not None:
                started.remove()
        self._started = self._command = self._endpoint = self._memory = None
