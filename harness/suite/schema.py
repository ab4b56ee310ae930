"""The keys of a suite file.

Owns the pydantic models that a suite is validated with, and the JSON Schema that editors use, generated from them.
Knows no framework and no model: `harness.suite.expansion` checks those words. Contract: a `Suite` that exists has
every key in its range.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from harness.errors import UsageError
from harness.model.checked_yaml import Document, Location, Strict
from harness.model.models import ModelSpec, OptionValue
from harness.model.quantities import SIZE_PATTERN, size_bytes
from harness.paths import data_dir
from harness.suite.auto import AutoWarmups, Runs, Seconds, Warmups, runs_settings, warmups_settings
from harness.suite.cell import WORKLOAD_PATTERN, Prompt, RunSettings, Workload
from harness.worker.api import PRECISIONS, PrecisionClass, StaticShape, precision_class


def _as_list(value: Any) -> Any:
    """One word is a list of one; an empty list would be an empty matrix."""
    if isinstance(value, str | dict):
        return [value]
    if isinstance(value, list) and not value:
        raise ValueError("the axis is empty, so the suite would have no cells")
    return value


def _words(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _task_names(value: Any) -> Any:
    if value == []:
        raise ValueError("name at least one task, or write: tasks: null")
    return _words(value)


def _known_precision(value: str) -> str:
    if value not in (*PRECISIONS, "all"):
        known = [*PRECISIONS, "all"]
        raise PydanticCustomError(
            "suite", 'unknown precision "{word}"', {"word": value, "known": known, "noun": "precisions"}
        )
    return value


def _workload(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parsed = Workload.parse(value)
    keys: dict[str, int | str | None] = {
        "prompt_tokens": parsed.prompt_tokens,
        "decode_tokens": parsed.decode_tokens,
        "depth": parsed.depth,
    }
    if parsed.threads is not None:
        keys["threads"] = parsed.threads
    if parsed.concurrency != 1:
        keys["concurrency"] = parsed.concurrency
    if parsed.prompt != "random":
        keys["prompt"] = parsed.prompt
    if parsed.batch != 1:
        keys["batch"] = parsed.batch
    return keys


class WorkloadKeys(Strict):
    """A workload written out."""

    prompt_tokens: int = Field(ge=1, lt=10**8, strict=True)
    """Tokens of the timed prefill."""
    decode_tokens: int = Field(default=0, ge=0, lt=10**8, strict=True)
    """Timed single-token passes after it."""
    depth: int = Field(default=0, ge=0, lt=10**8, strict=True)
    """Tokens already in the KV cache before the prefill."""
    threads: int | None = Field(default=None, ge=1, lt=10**4, strict=True)
    """Compute threads; the machine's physical cores where missing."""
    concurrency: int = Field(default=1, ge=1, lt=10**4, strict=True)
    """Requests at the same time, for frameworks that stream: servers."""
    prompt: Prompt = "random"
    """What prompts are made of: `random` token ids, or `text`."""
    batch: int = Field(default=1, ge=1, lt=10**4, strict=True)
    """Sequences of equal length that every pass processes together, each with a prompt and a KV cache of its own."""

    @property
    def workload(self) -> Workload:
        """As a plain value."""
        return Workload(
            self.prompt_tokens,
            self.decode_tokens,
            self.depth,
            self.threads,
            self.concurrency,
            self.prompt,
            self.batch,
        )


WorkloadText = Annotated[str, Field(pattern=WORKLOAD_PATTERN)]
WorkloadEntry = Annotated[
    WorkloadKeys, BeforeValidator(_workload, json_schema_input_type=WorkloadText | WorkloadKeys)
]
Words = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
PrecisionWord = Annotated[
    str, BeforeValidator(_known_precision), WithJsonSchema({"type": "string", "enum": [*PRECISIONS, "all"]})
]
Precisions = Annotated[
    list[PrecisionWord], BeforeValidator(_as_list, json_schema_input_type=PrecisionWord | list[PrecisionWord])
]
Workloads = Annotated[
    list[WorkloadEntry], BeforeValidator(_as_list, json_schema_input_type=WorkloadEntry | list[WorkloadEntry])
]
Options = dict[str, dict[str, OptionValue]]
OptionsAxis = Annotated[
    list[Options], BeforeValidator(_as_list, json_schema_input_type=Options | list[Options])
]
Bytes = Annotated[
    int,
    BeforeValidator(size_bytes),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "exclusiveMinimum": 0}]}
    ),
]


def _no_options() -> list[Options]:
    return [{}]


class Combination(Strict):
    """Values of axes: what `exclude` matches by."""

    model: str | None = None
    """A model's id."""
    framework: str | None = None
    """A framework's id."""
    precision: PrecisionWord | None = None
    """A canonical precision."""
    recipe: str | None = None
    """A recipe by the framework's own name."""
    device: str | None = None
    """A device, in any spelling that the axis takes."""
    workload: WorkloadEntry | None = None
    """A workload."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("the entry says nothing")
        return self


class Inclusion(Combination):
    """Values of axes, and settings for the combinations that have them: an entry of `include`."""

    options: Options | None = None
    """Frameworks' own settings, as in the suite's `options`."""
    threads: int | None = Field(default=None, ge=1, lt=10**4, strict=True)
    """Compute threads."""
    runs: Runs | None = None
    """Processes per cell; `auto`: until the interval is narrow enough."""
    max_windows: int | None = Field(default=None, ge=1, strict=True)
    """Windows that are scored at most: fewer for what is slow. Divergences compare only at equal positions."""
    repetitions: int | None = Field(default=None, ge=1, le=10_000, strict=True)
    """Timed passes in a run."""
    warmups: Warmups | None = None
    """Untimed passes first; `auto`: until stable."""
    timeout_s: Seconds | None = Field(default=None, alias="timeout")
    """Time limit of one run."""
    memory_limit_bytes: Bytes | None = Field(default=None, alias="memory_limit")
    """Memory limit of one run."""


class DatasetCorpus(Strict):
    """A text out of a data set: one column of one split, its rows joined by empty lines."""

    dataset: str = Field(min_length=1)
    """A Hugging Face data set, or a folder that is one (relative ones begin at the suite's folder)."""
    config: str | None = None
    """Its configuration, where it has several."""
    split: str = Field(default="test", min_length=1)
    """The split."""
    field: str = Field(default="text", min_length=1)
    """The column."""
    revision: str | None = None
    """Commit or tag; the newest one where missing, which may change."""


class Scoring(Strict):
    """How quality is scored. The defaults are llama.cpp's: disjoint windows of 512 tokens, second half scored."""

    corpus: Annotated[str, Field(min_length=1)] | DatasetCorpus = "shipped"
    """`shipped`: the text that comes with edgebench; a text file, relative to the suite's folder; or a data set."""
    window: int = Field(default=512, ge=4, lt=10**7, strict=True)
    """Tokens in a window."""
    stride: int = Field(default_factory=lambda data: data.get("window", 512), ge=1, lt=10**7, strict=True)
    """Tokens between the beginnings of two windows; `window` where missing."""
    score_from: int = Field(
        default_factory=lambda data: data.get("window", 512) // 2, ge=0, lt=10**7, strict=True
    )
    """First position of a window that is scored; half of `window` where missing."""
    max_windows: int | None = Field(default=1, ge=1, strict=True)
    """Windows at most; null: the whole text."""
    exact: bool = False
    """Keep every log-probability of the reference, not a sketch fifty times smaller (divergence within 2 %)."""

    @model_validator(mode="after")
    def _positions_left(self) -> Self:
        # The logits at position i are about token i + 1, so the last position of a window predicts nothing in it.
        if self.score_from > self.window - 2:
            raise ValueError(
                f"score_from {self.score_from} leaves no position of a window of {self.window} to score; "
                f"at most {self.window - 2}"
            )
        return self


class Check(Strict):
    """Whether an artifact computes the model's function at all: looked at before anything is timed.

    An artifact whose mean divergence from the quality reference exceeds the limit of its precision class, or
    whose logits are not finite, is `broken`: shown with the figure, not timed, and left out of every ranking.
    """

    max_kld: dict[PrecisionClass, float] = Field(default_factory=dict)
    """Limits in nats by precision class, in place of the usual ones."""

    @model_validator(mode="after")
    def _limits(self) -> Self:
        for name, limit in self.max_kld.items():
            if not 0 < limit < math.inf:
                raise ValueError(f"the limit of class {name} is {limit}: expected a number above 0")
        return self

    def limit(self, precision: str) -> float:
        """Limit of a canonical precision, in nats; of one that nobody told, the widest of all."""
        if precision not in PRECISIONS:
            return max(self.max_kld.get(name, usual) for name, usual in USUAL_MAX_KLD.items())
        name = precision_class(precision)
        return self.max_kld.get(name, USUAL_MAX_KLD[name])


class Tasks(Strict):
    """Evaluation tasks: driven by lm-eval, answered by every framework that gives logits, and with text by servers."""

    names: Annotated[list[str], BeforeValidator(_task_names, json_schema_input_type=str | list[str])]
    """lm-eval's names of tasks, groups or tags: those that come with edgebench, those below `paths`, lm-eval's own."""
    paths: Annotated[list[str], BeforeValidator(_words, json_schema_input_type=str | list[str])] = Field(
        default_factory=list
    )
    """Folders of task files, relative to the suite's folder. They are data: no Python in them is run."""
    limit: int | None = Field(default=None, ge=1, strict=True)
    """Items of each task at most; null: all."""
    num_fewshot: int | None = Field(default=None, ge=0, le=1_000, strict=True)
    """Examples before each question; null: as each task says."""
    chat_template: bool = Field(default=False, strict=True)
    """Whether the model's chat template is put around the questions."""
    context_tokens: int = Field(default=2048, ge=8, lt=10**7, strict=True)
    """Tokens that fit into a question with its answer; less where the model or a static graph takes less."""
    timeout_s: Seconds = Field(default=3600.0, alias="timeout")
    """Time limit of one artifact's tasks."""


#: Limits of the mean divergence by precision class, in nats. Chosen, not derived (docs/method.md): a uniform guess
#: over 49,152 tokens diverges by some 8, one that was seen to work stays below half its class's limit.
USUAL_MAX_KLD: Mapping[PrecisionClass, float] = {
    "full": 0.01, "half": 0.1, "medium": 1.0, "low": 3.0, "ultra-low": 6.0,
}  # fmt: skip

#: What is looked at where a suite scores nothing: every position of one window, 255 predictions.
CHECK_WINDOW = 256


class Suite(Strict):
    """A suite file: axes whose combinations are cells, and how their runs are made."""

    extra_prefixes: ClassVar[tuple[str, ...]] = ("x-",)

    name: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    """Name of the suite; the file's where missing."""
    description: str = ""
    """One or two sentences for `edgebench list suites`."""

    model: Words | None = None
    """Axis: ids of models, or `all`."""
    framework: Words | None = None
    """Axis: ids of frameworks, or `all`."""
    precision: Precisions | None = None
    """Axis: canonical precisions, each taking every framework's default recipe of it, or `all`. Not with `recipe`."""
    recipe: Words | None = None
    """Axis: recipes by their frameworks' own names, or `all`. Not with `precision`."""
    device: Words = Field(default_factory=lambda: ["cpu"])
    """Axis: devices (`cpu`, `gpu`, `gpu:1`, `npu`), APIs (`cuda`, `vulkan`), both (`gpu:0.vulkan`), or `all`."""
    workload: Workloads | None = None
    """Axis: workloads, such as `pp512+tg128@d512`."""
    options: OptionsAxis = Field(default_factory=_no_options)
    """Frameworks' own settings by framework and name; as a list, an axis. Part of a cell's identity where given."""
    include: list[Inclusion] = Field(default_factory=list)
    """Combinations to add, or settings to add to combinations; GitHub Actions' rules."""
    exclude: list[Combination] = Field(default_factory=list)
    """Combinations to leave out, by any of their values; GitHub Actions' rules."""

    runs: Runs = 3
    """Processes per cell; `auto`: until the interval of the median is narrow enough."""
    repetitions: int = Field(default=3, ge=1, le=10_000, strict=True)
    """Timed passes in each run."""
    warmups: Warmups = Field(default_factory=AutoWarmups)
    """Untimed passes first: stored, marked, left out of every figure; `auto`: until they are stable."""
    prompt: Prompt = "random"
    """What prompts are made of: `random` token ids, or `text`; part of a cell's identity where it is `text`."""
    timeout_s: Seconds = Field(default=600.0, alias="timeout")
    """Time limit of one run, such as `120s`, `10m`, `1h30m`."""
    memory_limit_bytes: Bytes | None = Field(default=None, alias="memory_limit")
    """Memory limit of one run, such as `4GB` or `2GiB`; null: none."""
    seed: int = Field(default=0, ge=0, lt=2**63, strict=True)
    """Seed of the token ids and of the order of the runs."""
    threads: int | None = Field(default=None, ge=1, lt=10**4, strict=True)
    """Compute threads; the machine's physical cores where missing. Part of a cell's identity where given."""
    scoring: Scoring | None = Field(default_factory=Scoring)
    """How quality is scored; null: not at all, beyond the `check`."""
    check: Check | None = Field(default_factory=Check)
    """When an artifact counts as broken; null: nothing is checked."""
    tasks: Tasks | None = None
    """Evaluation tasks; null: none."""
    calibration: str = Field(default="shipped", min_length=1)
    """`shipped`: the calibration text that comes with edgebench; or a text file, relative to the suite's folder."""

    models: dict[str, ModelSpec] = Field(default_factory=dict)
    """Models of the suite's own, as in a model list."""
    models_file: str | None = Field(default=None, min_length=1)
    """A model list of one's own, relative to the suite's folder."""

    _document: Document = PrivateAttr(default_factory=lambda: Document(None, {}))

    @model_validator(mode="after")
    def _has_axes(self) -> Self:
        if self.precision is not None and self.recipe is not None:
            raise ValueError('"precision" and "recipe" are two spellings of one axis: give one of them')
        if not self.include:
            for axis in ("model", "framework", "workload"):
                if getattr(self, axis) is None:
                    raise ValueError(f'the key "{axis}" is missing')
            if self.precision is None and self.recipe is None:
                raise ValueError('the key "precision" (or "recipe") is missing')
        return self

    # -- where it came from -------------------------------------------------------------------------------------------

    @property
    def document(self) -> Document:
        """The file, for messages with lines; a document without a path for a suite made by a program."""
        return self._document

    @property
    def path(self) -> Path | None:
        """The file."""
        return self._document.path

    @property
    def title(self) -> str:
        """Its name, or that of its file."""
        return self.name or (self.path.stem if self.path else "suite")

    @property
    def text(self) -> str:
        """The file as it was read; the suite as JSON where a program made it."""
        return self._document.text or self.model_dump_json(by_alias=True)

    @property
    def sha256(self) -> str:
        """SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    # -- what follows from the keys -----------------------------------------------------------------------------------

    @property
    def settings(self) -> RunSettings:
        """How runs are made where no `include` says otherwise."""
        return RunSettings(
            repetitions=self.repetitions,
            timeout_s=self.timeout_s,
            memory_limit_bytes=self.memory_limit_bytes,
            **runs_settings(self.runs),
            **warmups_settings(self.warmups),
        )

    def beside(self, path: str) -> Path:
        """A path that the suite names: relative ones begin at its folder."""
        given = Path(path).expanduser()
        return given if given.is_absolute() or self.path is None else self.path.parent / given

    def scoring_of(self, static: StaticShape | None = None, max_windows: int | None = None) -> Scoring | None:
        """How an artifact is scored: as the suite says, else as the check needs, at its own window where it is static.

        Args:
            static: the shape of a graph without dynamic axes; every position of its window is scored.
            max_windows: windows at most, in place of the suite's number.

        Returns:
            None: nothing is scored.
        """
        if self.scoring is None and self.check is None:
            return None
        scoring = self.scoring or Scoring(
            window=CHECK_WINDOW, stride=CHECK_WINDOW, score_from=0, max_windows=1
        )
        changes: dict[str, int] = {}
        if static is not None:
            changes = {"window": static.context_tokens, "stride": static.context_tokens, "score_from": 0}
        if max_windows is not None:
            changes["max_windows"] = max_windows
        return scoring.model_copy(update=changes)

    def task_folders(self) -> list[Path]:
        """The folders of task files that the suite names.

        Raises:
            UsageError: one does not exist.
        """
        folders = []
        for index, given in enumerate(self.tasks.paths if self.tasks is not None else ()):
            folder = self.beside(given)
            if not folder.is_dir():
                raise self.document.error(
                    ("tasks", "paths", index),
                    f"there is no folder {folder}",
                    next_step="correct the path (relative ones begin at the suite's folder)",
                )
            folders.append(folder.resolve())
        return folders

    def with_scoring(self, changes: Mapping[str, Any]) -> Suite:
        """The suite with other keys of `scoring`; another window takes its stride and scored half along.

        Raises:
            UsageError: the keys do not fit together.
        """
        given = {} if self.scoring is None else self.scoring.model_dump()
        if "window" in changes:
            given = {key: value for key, value in given.items() if key not in ("stride", "score_from")}
        try:
            scoring = Scoring.model_validate({**given, **changes})
        except ValidationError as error:
            raise UsageError(
                f"such scoring cannot be: {error.errors()[0]['msg'].removeprefix('Value error, ')}",
                next_step="correct --window, --max-windows or the suite's `scoring:`",
            ) from error
        document = self._document
        suite = self.model_copy(update={"scoring": scoring})
        suite._document = document
        return suite

    def corpus_file(self) -> Path | None:
        """The text that is scored; None where nothing is, or where it is a data set's (`corpus_dataset`).

        Raises:
            UsageError: it does not exist.
        """
        scoring = self.scoring_of()
        if scoring is None or isinstance(scoring.corpus, DatasetCorpus):
            return None
        return self._text("scoring.txt", scoring.corpus, ("scoring", "corpus"))

    def corpus_dataset(self) -> DatasetCorpus | None:
        """The data set whose text is scored, a folder as an absolute path; None where it is none."""
        scoring = self.scoring_of()
        if scoring is None or isinstance(scoring.corpus, str):
            return None
        folder = self.beside(scoring.corpus.dataset)
        return (
            scoring.corpus.model_copy(update={"dataset": str(folder.resolve())})
            if folder.is_dir()
            else scoring.corpus
        )

    def calibration_file(self) -> Path:
        """The text that calibrated recipes read.

        Raises:
            UsageError: it does not exist.
        """
        return self._text("calibration.txt", self.calibration, ("calibration",))

    def _text(self, shipped: str, given: str, at: Location) -> Path:
        if given == "shipped":
            return data_dir("suites") / "text" / shipped
        path = self.beside(given)
        if not path.is_file():
            raise self.document.error(
                at,
                f"there is no text file {path}",
                next_step="correct the path (relative ones begin at the suite's folder), "
                f"or write: {at[-1]}: shipped",
            )
        return path


def json_schema() -> dict[str, Any]:
    """The JSON Schema of suite files, as published in ``suites/suite.schema.json``."""
    schema = Suite.model_json_schema(by_alias=True, mode="validation")
    schema["patternProperties"] = {"^x-": {"description": "Ignored: a place for YAML anchors."}}
    schema["not"] = {"required": ["precision", "recipe"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "edgebench suite"}


def models_json_schema() -> dict[str, Any]:
    """The JSON Schema of model lists, as published in ``suites/models.schema.json``."""
    entry = ModelSpec.model_json_schema(by_alias=True, mode="validation")
    definitions = entry.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgebench model list",
        "type": "object",
        "additionalProperties": False,
        "required": ["models"],
        "properties": {
            "models": {
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/ModelSpec"},
                "propertyNames": {"pattern": "^[a-z0-9][a-z0-9._-]*$"},
            }
        },
        "$defs": {**definitions, "ModelSpec": entry},
    }
