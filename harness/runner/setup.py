"""What a session needs before it can measure: model files, environments, artifacts, token files.

Owns the order in which these are made and that each is made at most once per session; the caches themselves belong
to `harness.model`, `harness.environment` and `harness.artifact`. Contract: a method gives what was asked for,
verified, or raises `EdgebenchError`; asking again for what failed raises the same error again, so that
every cell that needs it learns the same reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from harness.artifact import Adopted, Artifact, ArtifactRequest, ArtifactStore
from harness.artifact.adopting import OWN
from harness.environment import Environment, EnvironmentManager, Override
from harness.environment.plan import Role
from harness.environment.tools import LM_EVAL, Tool
from harness.errors import EdgebenchError
from harness.files import sync_file, write_atomically
from harness.frameworks import FrameworkEntry
from harness.model import Model, ModelFile, fetch
from harness.model.vocabulary import read_vocabulary
from harness.names import safe_path
from harness.paths import data_dir
from harness.runner.corpora import dataset_corpus, why_seen
from harness.runner.launch import Launch, launch_for
from harness.runner.making import Attempt, Makers
from harness.runner.memory_watch import Scope
from harness.runner.passages import ScoredText
from harness.runner.prepare import Job
from harness.runner.process import WorkerError, WorkerProcess
from harness.runner.progress import SessionProgress
from harness.suite import Suite
from harness.worker.api import Calibration, Capability, Made, MakeRequest, Recipe
from harness.worker.bodies import from_body, to_body
from harness.worker.protocol import TextSpec
from harness.worker.synthetic import SyntheticModel
from harness.worker.timing import only_streams

T = TypeVar("T")

#: Conversions of large models take long; one that takes longer than this hangs.
MAKE_TIMEOUT_S = 6 * 3600.0
TOKENIZE_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A text as token ids of one model.

    Attributes:
        path: little-endian int32 ids, without BOS.
        count: how many.
        bos: id that the model wants first, None: none.
        corpus: name of the text.
        corpus_sha256: of the text.
        text: the text's file.
    """

    path: Path
    count: int
    bos: int | None
    corpus: str
    corpus_sha256: str
    text: Path


class Workshop:
    """Makes and keeps what a session needs. Several threads may ask for artifacts; the rest is for one.

    Args:
        models: the model list.
        entries: the frameworks.
        cache_dir: where models, environments and artifacts are kept.
        overrides: the user's replacements for frameworks' pins.
        threads: for conversions.
        progress: told what is being made.
        calibration: the text that calibrated recipes read.
        adopted: artifacts that take the place of what recipes would make.
    """

    def __init__(
        self,
        *,
        models: Mapping[str, Model],
        entries: Mapping[str, FrameworkEntry],
        cache_dir: Path,
        overrides: tuple[Override, ...] = (),
        threads: int,
        progress: SessionProgress,
        calibration: Path | None = None,
        adopted: Iterable[Adopted] = (),
    ) -> None:
        self._adopted = {(one.model, one.framework, one.recipe): one for one in adopted}
        self._calibration = calibration or data_dir("suites") / "text" / "calibration.txt"
        self._models = models
        self._entries = entries
        self._cache_dir = cache_dir
        self._overrides = overrides
        self._threads = threads
        self._progress = progress
        self._say = progress.step
        self._environments = EnvironmentManager(cache_dir)
        self._artifacts = ArtifactStore(cache_dir)
        self._made: dict[tuple[str, ...], object] = {}
        self._locks: dict[tuple[str, ...], threading.RLock] = {}
        self._locks_lock = threading.Lock()
        self._makers = Makers()

    def _once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """What ``make`` gave or raised the first time; whoever asks meanwhile waits for it.

        What is made may ask for other things: they are sources, sources of sources, never the thing itself, so that
        nobody waits in a circle.
        """
        with self._locks_lock:
            lock = self._locks.setdefault(key, threading.RLock())
        with lock:
            if key not in self._made:
                try:
                    self._made[key] = make()
                except EdgebenchError as error:
                    self._made[key] = error
            made = self._made[key]
        if isinstance(made, EdgebenchError):
            raise made
        return made  # type: ignore[return-value]  # the key fixes the type

    @property
    def threads(self) -> int:
        """Compute threads for conversions."""
        return self._threads

    def take_attempts(self) -> list[Attempt]:
        """The attempts to make artifacts since the last time; what was found in the cache is none."""
        return self._makers.take_attempts()

    def stop(self) -> None:
        """End every conversion that is under way in another thread; nothing of it stays, and none is begun any more."""
        self._makers.stop()

    # -- single things ----------------------------------------------------------------------------------------------

    def model_file(self, model: str) -> ModelFile:
        """The model's source file, fetched and verified."""
        return self._once(
            ("model", model),
            lambda: fetch(self._models[model], self._cache_dir, progress=self._progress.note),
        )

    def scope(self, framework: str) -> Scope:
        """Whose memory counts: of the client of a server, that of the processes it started."""
        return "descendants" if only_streams(self._entries[framework].backend) else "worker"

    def environment(self, framework: str, role: Role = "runtime", api: str = "cpu") -> Environment:
        """The framework's environment in the build variant of a device's API, made where it is missing."""
        entry = self._entries[framework]
        if role == "converter" and entry.backend.requirements.converter is None:
            role = "runtime"
        variant = api if api in entry.backend.requirements.build else "cpu"
        return self._once(
            ("environment", framework, role, variant),
            lambda: self._environments.ensure(
                entry.backend, variant, role=role, overrides=self._overrides, progress=self._say
            ),
        )

    def tool(self, tool: Tool) -> Environment:
        """The environment of a tool, made where it is missing."""
        return self._once(
            ("tool", tool.framework), lambda: self._environments.ensure(tool, progress=self._say)
        )

    def tokenizer(self, model: str) -> Environment:
        """The environment whose framework tokenises for a model: that of its quality reference."""
        return self.environment(self._models[model].reference.framework)

    def tokenizer_launch(self, model: str) -> Launch:
        """How to start a worker that tokenises for a model."""
        return self.launch(self._models[model].reference.framework)

    def warm_up(self, jobs: Iterable[Job]) -> dict[str, int | None]:
        """Fetch the models and make the environments that jobs share, one after another; gives the models' sizes.

        What fails here fails its jobs, with the same reason.

        Returns:
            Number of weights by model, None where unknown; models that cannot be had are left out.
        """
        parameters: dict[str, int | None] = {}
        for job in jobs:
            model, framework, recipe = job.key
            with contextlib.suppress(EdgebenchError):
                parameters[model] = self.model_file(model).facts.parameter_count
            with contextlib.suppress(EdgebenchError):
                self.environment(framework, "converter")
            if self.recipe(framework, recipe).calibrated and self.synthetic(model, framework) is None:
                with contextlib.suppress(EdgebenchError):
                    self.tokens(model, self._calibration)
        return parameters

    def launch(self, framework: str, role: Role = "runtime", api: str = "cpu") -> Launch:
        """How to start a worker of the framework."""
        return launch_for(framework, self.environment(framework, role, api).python)

    def log(self, name: str) -> Path:
        """File for the output of a worker."""
        folder = self._cache_dir / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        # The ids in it may be those of a database from elsewhere.
        return folder / safe_path(f"{name}.log")

    # -- artifacts --------------------------------------------------------------------------------------------------

    def artifact(self, model: str, framework: str, recipe_name: str) -> Artifact:
        """The artifact of a recipe, with everything that it is made from; where one was adopted in its place, that."""
        adopted = self._adopted.get((model, framework, recipe_name))
        return self._once(
            ("artifact", model, framework, recipe_name),
            lambda: (
                self._make_artifact(model, framework, recipe_name)
                if adopted is None
                else self._find_adopted(adopted)
            ),
        )

    def adopted(self, model: str, framework: str, recipe_name: str) -> bool:
        """Whether the artifact of a recipe is not made, but was given."""
        return (model, framework, recipe_name) in self._adopted

    def _find_adopted(self, adopted: Adopted) -> Artifact:
        artifact = self._artifacts.of_key(adopted.key)
        problem = "is gone" if artifact is None else self._artifacts.verify(artifact)
        if artifact is None or artifact.id != adopted.id or problem is not None:
            raise EdgebenchError(
                f"the artifact {adopted.id[:12]} ({adopted.origin}) {problem or 'is another one now'}",
                next_step="start again with its file",
            )
        return artifact

    def capabilities(self, framework: str) -> frozenset[Capability]:
        """What a framework's backend declares."""
        return self._entries[framework].backend.capabilities

    def recipe(self, framework: str, name: str) -> Recipe:
        """The recipe that a framework declares under a name; of an adopted artifact that nobody here made: its name."""
        recipes = {recipe.name: recipe for recipe in self._entries[framework].backend.recipes}
        for one in self._adopted.values():
            if (one.framework, one.recipe) == (framework, name) and name not in recipes:
                return Recipe(name, one.precision, made_from="model", tool=OWN)
        return recipes[name]

    def _make_artifact(self, model: str, framework: str, recipe_name: str) -> Artifact:
        recipe = self.recipe(framework, recipe_name)
        source_file = self.model_file(model)
        synthetic = self.synthetic(model, framework)
        needed: dict[str, Artifact] = {}
        calibration: Calibration | None = None
        calibration_sha256: str | None = None
        if synthetic is not None or recipe.made_from == "model":
            source_id, source_path = source_file.sha256, source_file.path
        else:
            source = self._source(model, recipe.made_from)
            source_id, source_path = source.id, source.entry
        if synthetic is None:
            needed = {words: self._source(model, words) for words in recipe.needs}
            if recipe.calibrated:
                tokens = self.tokens(model, self._calibration)
                calibration = Calibration(self._calibration, tokens.path, tokens.bos)
                calibration_sha256 = tokens.corpus_sha256
        environment = self.environment(framework, "converter")
        request = ArtifactRequest(
            source=source_id,
            needs={words: artifact.id for words, artifact in needed.items()},
            calibration=calibration_sha256,
            framework=framework,
            recipe=recipe.name,
            parameters=recipe.parameters,
            tool=recipe.tool,
            tool_version=environment.version(recipe.tool) or "unknown",
            overrides=environment.overrides,
            parameter_count=source_file.facts.parameter_count,
            model=model,
        )

        def make(folder: Path) -> Made:
            self._say(f"making {model} {framework} {recipe.name}")
            work = MakeRequest(
                recipe=recipe,
                source=source_path,
                out=folder,
                threads=self._threads,
                needed={words: artifact.entry for words, artifact in needed.items()},
                calibration=calibration,
                synthetic=synthetic,
            )
            name = f"make-{model}-{framework}-{recipe.name}"
            try:
                answer = making.call(
                    self.launch(framework, "converter"),
                    self.log(name),
                    "make",
                    to_body(work),
                    timeout_s=MAKE_TIMEOUT_S,
                )
            except WorkerError as error:
                raise EdgebenchError(
                    f"making {model} {framework} {recipe.name} failed: {error}",
                    next_step=f"see {self.log(name)}; other cells go on",
                ) from error
            answer.pop("seconds", None)  # the store times the whole, with the worker's start
            return from_body(Made, answer)

        with self._makers.begin(model, request, environment) as making:
            artifact = self._artifacts.get(request, make, self._say, peak_bytes=making.peak_bytes)
            making.done(artifact)
        return artifact

    def synthetic(self, model: str, framework: str) -> SyntheticModel | None:
        """The configuration whose weights the framework itself writes; None for a real model.

        Also None where the framework writes none: its recipe is then made from another framework's artifact.
        """
        can = "synthesize" in self._entries[framework].backend.capabilities
        return self._models[model].synthetic if can else None

    def _source(self, model: str, words: str) -> Artifact:
        framework, recipe = words.split(":", 1)
        return self.artifact(model, framework, recipe)

    # -- text -------------------------------------------------------------------------------------------------------

    def corpus(self, suite: Suite) -> Path:
        """The text that a suite scores, a data set's made where it is missing.

        Raises:
            EdgebenchError: it cannot be had.
        """
        dataset = suite.corpus_dataset()
        if dataset is None:
            path = suite.corpus_file()
            assert path is not None, "a suite that scores nothing has no text"
            return path

        def make() -> Path:
            path = dataset_corpus(dataset, self._cache_dir, lambda: self.tool(LM_EVAL), self._say)
            text = path.read_text(encoding="utf-8")
            seen = why_seen(f"the data set {dataset.dataset}", text, suite.calibration_file())
            if seen is not None:
                raise EdgebenchError(
                    seen, next_step="name another text in `calibration:`, or in `scoring: {corpus: ...}`"
                )
            return path

        return self._once(("corpus", dataset.model_dump_json()), make)

    def tokens(self, model: str, corpus: Path) -> TokenFile:
        """The corpus as token ids of the model, by the tokenizer of its quality reference's framework."""
        tokenizer = self._models[model].reference.framework
        return self._once(
            ("tokens", model, tokenizer, str(corpus)), lambda: self._make_tokens(model, tokenizer, corpus)
        )

    def prompt_tokens(self, model: str) -> TokenFile:
        """The text that prompts are cut from: the one that recipes are calibrated with, never the scored one."""
        return self.tokens(model, self._calibration)

    def fixed_text(self, model: str) -> TextSpec:
        """What every run of every suite tokenises, so that the figures compare."""
        source = None if self._models[model].synthetic is not None else str(self.model_file(model).path)
        return TextSpec(str(data_dir("suites") / "text" / "calibration.txt"), source)

    def scored_text(self, model: str, corpus: Path) -> ScoredText:
        """The corpus's tokens with the bytes that each stands for, where they are known."""
        tokens = self.tokens(model, corpus)
        source = self.model_file(model).path

        def read() -> ScoredText:
            vocabulary = read_vocabulary(source) if source.suffix == ".gguf" else None
            return ScoredText.read(tokens.path, corpus, vocabulary)

        return self._once(("text", model, str(corpus)), read)

    def _make_tokens(self, model: str, tokenizer: str, corpus: Path) -> TokenFile:
        try:
            text = corpus.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EdgebenchError(
                f"the scoring text {corpus} cannot be read: {error}",
                next_step="name a UTF-8 text file in the suite's `scoring: {corpus: ...}`",
            ) from error
        corpus_sha256 = hashlib.sha256(text.encode()).hexdigest()
        source = self.model_file(model)
        environment = self.environment(tokenizer)
        key = hashlib.sha256(
            json.dumps([source.sha256, corpus_sha256, tokenizer, environment.id]).encode()
        ).hexdigest()[:32]
        folder = self._cache_dir / "tokens"
        folder.mkdir(parents=True, exist_ok=True)
        path, meta = folder / f"{key}.i32", folder / f"{key}.json"
        with FileLock(folder / f"{key}.lock"):
            facts = _token_facts(meta, path)
            if facts is None:
                self._say(f"tokenising {corpus.name} for {model}")
                staging = folder / f"{key}.i32.new"
                with WorkerProcess(
                    self.launch(tokenizer),
                    log=self.log(f"tokenize-{model}"),
                    memory_limit_bytes=None,
                    on_event=None,
                ) as worker:
                    answer = worker.call(
                        "tokenize",
                        {"model": str(source.path), "text_file": str(corpus), "out": str(staging)},
                        timeout_s=TOKENIZE_TIMEOUT_S,
                    )
                sync_file(staging)
                staging.replace(path)
                facts = {"count": answer["tokens"], "bos": answer["bos"]}
                write_atomically(meta, json.dumps(facts))
        return TokenFile(path, facts["count"], facts["bos"], corpus.name, corpus_sha256, corpus)


def _token_facts(meta: Path, path: Path) -> dict[str, Any] | None:
    """What was written down of a token file; None where either is missing or not whole."""
    try:
        facts = json.loads(meta.read_text(encoding="utf-8"))
        whole = path.stat().st_size == 4 * facts["count"]
    except (FileNotFoundError, ValueError):
        return None
    return facts if whole else None
