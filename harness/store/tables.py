"""The tables: append-only facts, one SQLModel class each; every column says here what it holds.

Owns the schema of the newest revision (`migrations/` owns the way to it). Imports SQLModel and SQLAlchemy only,
no type of one database alone. Contract: `metadata` equals what the migrations make; tests compare them, and
`docs/database.md` and `results/schema.sql` are made from the descriptions below.

Text ids are derived from content (`ids.py`), so that files of several machines merge. Integer keys exist only to keep
the many small rows below a run small: they are local to a file and appear in no other place.
"""

# No `from __future__ import annotations`: SQLModel reads the annotations while the classes are being made.
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import ConfigDict
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

RUN_STATUSES = ("ok", "skipped", "failed", "timeout", "oom")
VALIDITIES = ("ok", "suspect")
VERDICTS = ("ok", "broken")
HOLE_STATUSES = ("failed", "skipped")
PREPARATION_STATUSES = ("ok", "failed", "oom", "timeout")
STOP_REASONS = ("width", "cap", "failed")
ENERGY_METHODS = ("counter", "power")
SESSION_STATUSES = ("running", "ok", "failed", "interrupted")
ORIGINS = ("measured", "imported")
ALERT_STATES = ("open", "acknowledged", "resolved")
GATE_KINDS = ("change", "baseline")
GATE_STATUSES = ("pass", "fail", "inconclusive")
GATE_VERDICTS = ("pass", "regression", "improvement", "inconclusive", "broken", "missing", "unmeasured")
DIRECTIONS = ("up", "down")
STATISTICS = ("mean", "median", "minimum", "maximum", "value")

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC. SQLite keeps no zone: what comes back is told that it is UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive time is refused, because nobody can say later which one it was."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without its zone cannot be stored: {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_of(column: str, words: Sequence[str]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _no_joules(column: str) -> CheckConstraint:
    """Names no joules but estimated ones: measured ones are in `energy_reading`, with their meter and method."""
    # Without a per cent sign, which drivers read differently.
    rest = f"replace({column}, 'estimated_joules', '')"
    return CheckConstraint(f"replace({rest}, 'joules', '') = {rest}", name="joules")


#: None is NULL, not the JSON text `null`: a missing value looks the same in every column.
_JSON = JSON(none_as_null=True)

# A registry of its own: an application that also uses SQLModel may have tables of the same names, and the pytest
# plug-in is loaded into that application's tests.
_registry = registry(metadata=MetaData(naming_convention=_NAMES))


class Row(SQLModel, registry=_registry):
    """What all tables share: the registry, and no validators.

    Rows are written through Core from records that are checked already; building pydantic's validators for every table
    would cost a fifth of the import time. Pydantic builds them where somebody validates after all.
    """

    # SQLModel's own type for this knows fewer keys than pydantic, which reads it.
    model_config = ConfigDict(defer_build=True)  # type: ignore[assignment]


class SchemaRevision(Row, table=True):
    """Which program brought this database to which schema, so that an older one can say what it takes to read it."""

    __tablename__: ClassVar[str] = "schema_revision"
    revision: str = Field(primary_key=True, description="schema revision, as in `alembic_version`")
    edgebench_version: str = Field(description="first version of edgebench that can read it")
    applied_at: datetime = Field(sa_type=UtcDateTime, description="when this database came to it")


class Machine(Row, table=True):
    """A host: what an update of software does not change, and nothing that names one specimen."""

    __tablename__: ClassVar[str] = "machine"
    id: str = Field(primary_key=True, description="derived from the other columns")
    name: str = Field(description="a line for people")
    cpu_model: str | None = Field(
        description="as the processor names itself; NULL where an imported file does not tell, as in the next columns"
    )
    arch: str | None = Field(description="`x86_64`, `aarch64`, `arm64` ...; NULL as above")
    sockets: int | None = Field(description="processor packages; NULL where the system does not tell")
    physical_cores: int | None = Field(description="NULL where the system does not tell")
    logical_cores: int | None = Field(description="hardware threads; NULL as above")
    memory_bytes: int | None = Field(
        sa_type=BigInteger,
        description="main memory, rounded: kernels keep some for themselves; NULL as above",
    )
    accelerators: list[Any] = Field(sa_type=_JSON, description="JSON list of GPUs and NPUs")


class MachineBench(Row, table=True):
    """What a machine's memory and arithmetic can do, measured by `edgebench doctor --bench`; the newest counts."""

    __tablename__: ClassVar[str] = "machine_bench"
    __table_args__ = (
        _one_of("validity", VALIDITIES),
        Index(None, "machine_id", "measured_at"),
    )
    id: str = Field(primary_key=True, description="derived from the other columns")
    machine_id: str = Field(foreign_key="machine.id", description="where")
    measured_at: datetime = Field(sa_type=UtcDateTime, description="UTC")
    edgebench_version: str = Field(description="the program that measured")
    threads: int = Field(description="that worked at the same time: the physical cores")
    array_bytes: int = Field(sa_type=BigInteger, description="of the arrays read, all threads together")
    last_level_cache_bytes: int | None = Field(
        sa_type=BigInteger, description="all instances together; NULL where the system does not tell"
    )
    read_bytes_per_s: float = Field(description="memory read, best repetition of the fastest kernel")
    read_median_bytes_per_s: float = Field(description="its median over the repetitions")
    copy_bytes_per_s: float = Field(description="memory copied, bytes read and written, best repetition")
    copy_median_bytes_per_s: float = Field(description="its median over the repetitions")
    fp32_flops: float = Field(description="fp32 operations per second of a matrix product, best repetition")
    fp32_median_flops: float = Field(description="its median over the repetitions")
    int8_ops: float | None = Field(
        description="int8 operations per second, best repetition; NULL where nothing here computes them"
    )
    int8_median_ops: float | None = Field(description="its median over the repetitions")
    reasons: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of why a figure is NULL or less than it seems, by its name"
    )
    method: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of every kernel with its spread, and of the software that computed"
    )
    state: dict[str, Any] = Field(sa_type=_JSON, description="JSON of OS, kernel, governor, power mode ...")
    validity: str = Field(description="`ok` or `suspect`")
    flags: list[Any] = Field(sa_type=_JSON, description="JSON list of what made it suspect")


class Session(Row, table=True):
    """One invocation, with the state of the machine that no cell is named after; or one file that was imported."""

    __tablename__: ClassVar[str] = "session"
    __table_args__ = (
        _one_of("status", SESSION_STATUSES),
        _one_of("origin", ORIGINS),
        # A machine's sessions by time, with all that a history needs of them.
        Index("ix_session_of_machine", "machine_id", "started_at", "id"),
    )
    id: str = Field(
        primary_key=True,
        description="such as `20261123T0612-3fa9c01e`, which sorts by time; `imported-...` of a file",
    )
    machine_id: str = Field(foreign_key="machine.id", description="where it ran")
    suite: str = Field(description="name of the suite; of an imported one the tool")
    suite_sha256: str = Field(description="of the suite's text; of an imported one the file")
    suite_text: str | None = Field(
        sa_type=Text, description="the suite file as it was; NULL of an imported one"
    )
    settings: dict[str, Any] = Field(sa_type=_JSON, description="JSON of what the command line changed")
    trigger: str = Field(description="`manual`, `nightly`, `gate` ...; `import`")
    commit_sha: str | None = Field(description="commit under test, NULL outside a repository")
    command_line: list[str] = Field(sa_type=_JSON, description="JSON list of arguments, as typed")
    edgebench_version: str = Field(description="the program that measured, or imported")
    system: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of OS, kernel, drivers, firmware, power mode"
    )
    seed: int | None = Field(
        sa_type=BigInteger, description="of the order of runs and of their token ids; NULL of an imported one"
    )
    started_at: datetime | None = Field(
        sa_type=UtcDateTime, index=True, description="UTC; NULL where an imported file tells no time and zone"
    )
    ended_at: datetime | None = Field(
        sa_type=UtcDateTime, description="UTC; NULL while running, or after a kill"
    )
    status: str = Field(
        description="`running`, `ok`, `failed` or `interrupted`; a killed one stays `running`"
    )
    resumed: int = Field(description="how many times it was taken up again")
    origin: str = Field(
        sa_column_kwargs={"server_default": text("'measured'")},
        description="`measured` by edgebench, or `imported`: then `session_import` says what measured it",
    )


class SessionImport(Row, table=True):
    """The file that an imported session came from, and by whose definitions its figures are to be read."""

    __tablename__: ClassVar[str] = "session_import"
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="its session")
    tool: str = Field(description="what measured: `llama-bench`, `hyperfine` ...; its metrics begin with it")
    tool_version: str | None = Field(description="NULL where the file does not tell")
    format: str = Field(description="of the file: `json`, `jsonl`, `csv`, `sql` or `text`")
    file_name: str = Field(description="without its folder")
    file_sha256: str = Field(index=True, description="of the file as it was imported")
    file_bytes: int = Field(sa_type=BigInteger, description="its size")
    other_files: list[Any] = Field(
        sa_type=_JSON,
        description="JSON list of files beside it that were read too: `name`, `bytes`, `sha256`",
    )
    definitions: dict[str, Any] = Field(
        sa_type=_JSON,
        description="JSON of what each metric means and how it differs from edgebench's, by name",
    )
    document: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of what else the file holds, as it stands there"
    )


class Environment(Row, table=True):
    """A framework's environment: exactly these packages. An update makes another one."""

    __tablename__: ClassVar[str] = "environment"
    id: str = Field(primary_key=True, description="derived from the other columns and the packages")
    framework: str = Field(description="`llamacpp`, `openvino` ...")
    role: str = Field(description="`runtime`, or `converter` where making artifacts needs another one")
    variant: str = Field(description="build variant, such as `cpu` or `vulkan`")
    python: str = Field(description="version of Python")


class EnvironmentPackage(Row, table=True):
    """One resolved package of an environment."""

    __tablename__: ClassVar[str] = "environment_package"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    environment_id: str = Field(primary_key=True, foreign_key="environment.id", description="its environment")
    name: str = Field(primary_key=True, description="normalised name of the distribution")
    version: str = Field(description="resolved version")
    hash: str | None = Field(
        description="of the file it was installed from; NULL where the installer told none"
    )


class Model(Row, table=True):
    """A source model. All columns but the last, which follows from them, make the id."""

    __tablename__: ClassVar[str] = "model"
    id: str = Field(primary_key=True, description="derived from the other columns but the configuration")
    name: str = Field(index=True, description="its id in the model list; `cell.model` holds the same word")
    source: str = Field(description="package, path, or repository and revision")
    sha256: str = Field(description="of the source file")
    licence: str | None = Field(description="SPDX id or name; NULL where the list states none")
    architecture: str = Field(description="`llama`, `gemma3` ...")
    parameters: int | None = Field(sa_type=BigInteger, description="number of weights; NULL until counted")
    configuration: dict[str, Any] | None = Field(
        sa_type=_JSON,
        description="JSON of its shape (layers, heads, widths ...) from its own file; NULL where the file describes "
        "none that is known, or was stored before this column was",
    )


class Artifact(Row, table=True):
    """The exact model files of one precision. How they came to be is in `lineage`."""

    __tablename__: ClassVar[str] = "artifact"
    id: str = Field(primary_key=True, description="SHA-256 of the content")
    weight_bytes: int | None = Field(
        sa_type=BigInteger,
        description="bytes of weight tensors on disk; NULL where a server holds them and tells nothing",
    )
    parameters: int | None = Field(sa_type=BigInteger, description="number of weights; NULL where unknown")
    bits_per_weight: float | None = Field(description="weight bytes x 8 / parameters; NULL where either is")
    files: list[Any] = Field(sa_type=_JSON, description="JSON list of `path`, `bytes`, `sha256`")


class Lineage(Row, table=True):
    """One way in which an artifact was made. Two recipes, or two machines, may come to the same bytes."""

    __tablename__: ClassVar[str] = "lineage"
    id: str = Field(primary_key=True, description="derived from the other columns but the peak")
    artifact_id: str = Field(foreign_key="artifact.id", index=True, description="what came out")
    model_id: str = Field(foreign_key="model.id", description="the model it is of")
    framework: str = Field(description="whose recipe it is")
    recipe: str = Field(description="the framework's own name: `Q4_K_M`, `INT4_SYM_g64`")
    precision: str = Field(description="canonical: `fp16`, `int8`, `int4` ...")
    source_artifact_id: str | None = Field(
        foreign_key="artifact.id", description="made from this one; NULL: from the model's own file"
    )
    environment_id: str | None = Field(
        foreign_key="environment.id",
        index=True,
        description="environment that made it; NULL where it was not made here",
    )
    tool: str = Field(description="distribution that made it")
    tool_version: str = Field(description="its version")
    parameters: dict[str, Any] = Field(sa_type=_JSON, description="JSON of everything that changes the bytes")
    notes: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of what the tool told, such as fallen-back tensors"
    )
    made_s: float | None = Field(description="seconds it took; NULL where it was not made here")
    made_at: datetime = Field(sa_type=UtcDateTime, description="UTC")
    made_peak_bytes: int | None = Field(
        sa_type=BigInteger,
        description="most memory of the maker, as in `preparation`; no part of the id; NULL where not known",
    )


class Preparation(Row, table=True):
    """One attempt to make an artifact on a machine: what it took, or why it failed. Found in the cache is none."""

    __tablename__: ClassVar[str] = "preparation"
    __table_args__ = (
        _one_of("status", PREPARATION_STATUSES),
        Index(None, "model", "framework", "recipe"),
    )
    id: str = Field(primary_key=True, description="derived from the other columns")
    machine_id: str = Field(foreign_key="machine.id", description="where")
    session_id: str | None = Field(
        foreign_key="session.id", description="session that needed it; NULL: prepared ahead of any"
    )
    model: str = Field(description="the model's id in the model list")
    framework: str = Field(description="whose recipe it is")
    recipe: str = Field(description="the framework's own name of the precision")
    environment_id: str | None = Field(
        foreign_key="environment.id", description="environment that was to make it"
    )
    tool: str = Field(description="distribution that makes it")
    tool_version: str = Field(description="its version in that environment")
    artifact_id: str | None = Field(
        foreign_key="artifact.id", index=True, description="what came out; NULL unless ok"
    )
    status: str = Field(description="`ok`, `failed`, `oom`, `timeout`")
    reason: str | None = Field(sa_type=Text, description="why it is not ok, in a sentence")
    error: str | None = Field(sa_type=Text, description="the maker's own error text")
    log_tail: str | None = Field(sa_type=Text, description="last lines of the maker's output; NULL where ok")
    seconds: float = Field(description="from the maker's start to its end")
    peak_bytes: int | None = Field(
        sa_type=BigInteger,
        description="highest resident set of the maker's process tree seen in ten readings a second, or the maker's "
        "own high-water mark if that is higher; NULL where neither was read",
    )
    threads: int = Field(description="compute threads that it was told to use")
    jobs: int = Field(description="preparations that could run beside each other, this one included")
    started_at: datetime = Field(sa_type=UtcDateTime, description="UTC")


class Cell(Row, table=True):
    """Framework x model x precision x device x workload. The id is made of what it is; nothing here is a version."""

    __tablename__: ClassVar[str] = "cell"
    __table_args__ = (Index(None, "framework", "model"),)
    id: str = Field(primary_key=True, description="derived from the other columns")
    framework: str = Field(description="`llamacpp`, `openvino` ...")
    model: str = Field(description="its id in the model list")
    precision: str = Field(description="canonical")
    recipe: str = Field(description="the framework's own name for it")
    device: str = Field(description="`cpu`, `gpu:0`, `npu:0`")
    api: str = Field(description="`cpu`, `cuda`, `metal`, `vulkan`, `qnn-htp` ...")
    workload: str = Field(description="such as `pp32+tg16`")
    prompt_tokens: int = Field(description="tokens of the timed prefill")
    decode_tokens: int = Field(description="timed single-token passes")
    depth: int = Field(description="tokens already in the KV cache")
    options: dict[str, Any] = Field(sa_type=_JSON, description="JSON of the framework's settings asked for")
    batch: int = Field(
        sa_column_kwargs={"server_default": text("1")},
        description="sequences that each pass processes together; the counts of tokens are of each of them",
    )
    source: str | None = Field(
        description="tool by whose definitions it was measured elsewhere, part of the id: imported figures are never"
        " of the same cell as measured ones; NULL: edgebench's own"
    )


class SessionCell(Row, table=True):
    """The plan: one cell of one session, also where it cannot run."""

    __tablename__: ClassVar[str] = "session_cell"
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="its session")
    cell_id: str = Field(primary_key=True, foreign_key="cell.id", index=True, description="its cell")
    position: int = Field(description="place in the expanded suite, from 0")
    reason: str | None = Field(sa_type=Text, description="why it cannot run here; NULL: it will")
    expected_s: float | None = Field(
        description="rough duration of its timed runs, from earlier ones or guessed; NULL: it will not run"
    )
    settings: dict[str, Any] = Field(sa_type=_JSON, description="JSON of repetitions, time-out, limits ...")


class CellStop(Row, table=True):
    """What ended the repeating of a cell's runs in a session. No row: their number was fixed, or it goes on."""

    __tablename__: ClassVar[str] = "cell_stop"
    __table_args__ = (_one_of("ended_by", STOP_REASONS),)
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="its session")
    cell_id: str = Field(primary_key=True, foreign_key="cell.id", description="its cell")
    ended_by: str = Field(
        description="`width`: narrow enough; `cap`: as many runs as were allowed, or as a night's budget had room for; "
        "`failed`: its first runs all failed"
    )
    width: float = Field(
        description="asked for: half the 95 % interval of the median over runs, as a share of the median"
    )
    min_runs: int = Field(description="asked for at least")
    max_runs: int = Field(description="allowed at most")
    runs: int = Field(description="timed runs that ended, suspect and failed ones included")
    clean_runs: int = Field(description="runs behind the widths: ok and not suspect")
    widths: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of the widths reached by metric; null with fewer than two clean runs"
    )


class PlannedRun(Row, table=True):
    """The shuffled order of a session. What stands here and not in `run` is missing: a resume does exactly that."""

    __tablename__: ClassVar[str] = "planned_run"
    __table_args__ = (UniqueConstraint("session_id", "cell_id", "kind", "run_index"),)
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="its session")
    position: int = Field(primary_key=True, description="place in the order, from 0")
    cell_id: str = Field(foreign_key="cell.id", description="its cell")
    kind: str = Field(description="`timed`, `score`, `reference` or `tasks`")
    run_index: int = Field(description="which run of this cell and kind, from 0")
    seed: int | None = Field(sa_type=BigInteger, description="of its token ids; NULL for scoring")


class Run(Row, table=True):
    """One worker process executing one cell once, or scoring one artifact once; also where it failed."""

    __tablename__: ClassVar[str] = "run"
    __table_args__ = (
        _one_of("status", RUN_STATUSES),
        _one_of("validity", VALIDITIES),
        UniqueConstraint("session_id", "cell_id", "kind", "run_index", "attempt"),
        Index(None, "cell_id", "started_at"),
        Index(None, "environment_id", "started_at"),
        # A series in the order of its sessions, with all that a history needs of a run: the rows themselves are wide
        # and lie far apart.
        Index(
            "ix_run_of_cell",
            "cell_id",
            "kind",
            "session_id",
            "run_index",
            "attempt",
            "status",
            "validity",
            "framework_version",
        ),
    )
    key: int | None = Field(
        default=None, primary_key=True, description="local to this file; rows below refer to it"
    )
    id: str = Field(unique=True, description="derived from session, cell, kind, index and attempt")
    session_id: str = Field(foreign_key="session.id", description="its session")
    cell_id: str = Field(foreign_key="cell.id", description="its cell")
    kind: str = Field(description="`timed`, `score`, `reference` or `tasks`")
    run_index: int = Field(description="which run of this cell and kind, from 0")
    attempt: int = Field(description="from 1; the last one counts")
    status: str = Field(description="`ok`, `skipped`, `failed`, `timeout` or `oom`")
    reason: str | None = Field(sa_type=Text, description="why it is not ok, in a sentence")
    phase: str | None = Field(description="where it ended when it is not ok: `import`, `load`, `decode` ...")
    error: str | None = Field(sa_type=Text, description="the worker's own error text")
    log_tail: str | None = Field(
        sa_type=Text, description="last lines of the worker's output when it is not ok"
    )
    artifact_id: str | None = Field(
        foreign_key="artifact.id", index=True, description="NULL where none was made"
    )
    environment_id: str | None = Field(
        foreign_key="environment.id", description="NULL where none could be made"
    )
    framework_version: str | None = Field(description="as the framework told; NULL where it never started")
    versions: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of component versions, as the framework told"
    )
    device: dict[str, Any] | None = Field(
        sa_type=_JSON, description="JSON of the device read back after loading"
    )
    hints: dict[str, Any] = Field(sa_type=_JSON, description="JSON of the settings in force, read back")
    threads: int | None = Field(description="compute threads; NULL where the framework does not tell")
    seed: int | None = Field(sa_type=BigInteger, description="of its token ids; NULL for scoring")
    started_at: datetime | None = Field(
        sa_type=UtcDateTime, description="UTC; NULL where an imported file tells no time and zone"
    )
    duration_s: float | None = Field(description="from spawn to exit; NULL where no process was started")
    phases_s: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of seconds by phase: `spawn`, `load` ..."
    )
    harness_s: float | None = Field(description="the runner's own work, outside all phases of the worker")
    vocab_size: int | None = Field(description="width of the logits; NULL where it was not loaded")
    kv_cache_bytes: int | None = Field(
        sa_type=BigInteger, description="the framework's figure; NULL where it has none"
    )
    validity: str | None = Field(
        description="`ok` or `suspect`; NULL where nobody watched what could have spoiled it: imported"
    )
    flags: list[Any] = Field(sa_type=_JSON, description="JSON list of what made it suspect")
    machine_state: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of load, pressure, clocks, calibration ..."
    )
    details: dict[str, Any] = Field(sa_type=_JSON, description="JSON of anything else worth keeping")


class Metric(Row, table=True):
    """The names of samples, so that a sample holds a small number instead of a name."""

    __tablename__: ClassVar[str] = "metric"
    __table_args__ = (_no_joules("name"),)
    key: int | None = Field(default=None, primary_key=True, description="local to this file")
    name: str = Field(unique=True, description="such as `prefill_s`; it ends in the unit")


class Sample(Row, table=True):
    """One raw number of one repetition."""

    __tablename__: ClassVar[str] = "sample"
    # Clustered by its key: no separate index, and the samples of a run lie together.
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    metric_key: int = Field(
        primary_key=True, sa_type=SmallInteger, foreign_key="metric.key", description="what was measured"
    )
    repetition: int = Field(
        primary_key=True, sa_type=SmallInteger, description="from 0, warm-ups first, counted through"
    )
    warmup: bool = Field(description="untimed pass: excluded from every figure")
    value: float = Field(description="in the unit that the metric's name ends in")


class Statistic(Row, table=True):
    """A figure that an imported file has of several repetitions together: no sample, nothing is computed from it."""

    __tablename__: ClassVar[str] = "statistic"
    __table_args__ = (_one_of("statistic", STATISTICS), _no_joules("metric"))
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    position: int = Field(primary_key=True, sa_type=SmallInteger, description="order in the file, from 0")
    metric: str = Field(description="such as `llama-bench:decode_tps`; it ends in the unit")
    statistic: str = Field(
        description="`mean`, `median`, `minimum`, `maximum`; `value`: one figure, of which the tool does not say what"
        " it is over"
    )
    value: float = Field(description="in the unit that the metric's name ends in")
    n: int | None = Field(description="repetitions that it is over; NULL where the file does not tell")
    stddev: float | None = Field(
        description="standard deviation over them, in the same unit; NULL where the file has none"
    )


class Trace(Row, table=True):
    """Many numbers of one repetition, such as the time of each token."""

    __tablename__: ClassVar[str] = "trace"
    __table_args__ = (CheckConstraint("dtype IN ('int64', 'float64')", name="dtype"),)
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    name: str = Field(primary_key=True, description="such as `token_ns`; it ends in the unit")
    repetition: int = Field(primary_key=True, sa_type=SmallInteger, description="as in `sample`")
    warmup: bool = Field(description="as in `sample`")
    dtype: str = Field(description="`int64` or `float64`")
    data: bytes = Field(description="the numbers, packed, little-endian, 8 bytes each")


class MemoryReading(Row, table=True):
    """The memory of a run's worker at the end of a phase."""

    __tablename__: ClassVar[str] = "memory_reading"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    position: int = Field(primary_key=True, sa_type=SmallInteger, description="order of the readings, from 0")
    phase: str = Field(description="`import`, `load`, `warmup`, `prefill`, `decode`, `score`")
    peak_rss_bytes: int | None = Field(
        sa_type=BigInteger, description="high-water mark since the process began"
    )
    rss_bytes: int | None = Field(sa_type=BigInteger, description="resident set at that moment")
    anon_bytes: int | None = Field(sa_type=BigInteger, description="its anonymous share")
    file_bytes: int | None = Field(sa_type=BigInteger, description="its file-backed share")
    device_bytes: int | None = Field(
        sa_type=BigInteger, description="memory of the device; NULL where none is told"
    )
    allocator_peak_bytes: int | None = Field(sa_type=BigInteger, description="the framework's own figure")
    method: str = Field(
        description="definition of the peak: `VmHWM`, `PeakWorkingSetSize`, `max_phys_footprint`"
    )
    reason: str | None = Field(sa_type=Text, description="why the peak is NULL")
    shared_bytes: int | None = Field(
        sa_type=BigInteger, description="its share in shared memory; the three shares add up to it"
    )
    pss_bytes: int | None = Field(
        sa_type=BigInteger, description="proportional set size: each page over the processes that map it"
    )
    uss_bytes: int | None = Field(
        sa_type=BigInteger, description="unique set size: pages that no other process maps"
    )
    shares_reason: str | None = Field(sa_type=Text, description="why PSS and USS are NULL")
    device_shared: bool | None = Field(
        description="the device has no memory but the host's, which the resident set counts; NULL: not known"
    )
    device_note: str | None = Field(
        sa_type=Text, description="how `device_bytes` was read, or why it is NULL"
    )


class MemoryTimeline(Row, table=True):
    """A run's memory over time, read by its runner through the system's counters, 20 times a second."""

    __tablename__: ClassVar[str] = "memory_timeline"
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    scope: str = Field(description="whose: `worker`, or `descendants` (what the worker started: a server)")
    method: str = Field(description="`/proc/PID/status`, `working set`, `resident size`")
    interval_s: float = Field(description="between two readings; longer where a long run was thinned out")
    readings: int = Field(description="how many were made; one equal to the one before is not kept")
    seconds: float = Field(description="how long it was watched")
    watcher_cpu_s: float = Field(description="CPU time of the watching thread in the runner")
    marks: list[Any] = Field(sa_type=_JSON, description="JSON list of [phase, `time_ns`] as phases began")
    names: list[Any] = Field(
        sa_type=_JSON, description="JSON list of the series: `time_ns` since the start, then figures in bytes"
    )
    data: bytes = Field(
        description="the series one after the other, packed, little-endian, 8 bytes a number (`int64`)"
    )
    reason: str | None = Field(sa_type=Text, description="why it is empty")


class EnergyReading(Row, table=True):
    """The energy of one window of a run, or the reason why there is none.

    The constraints make it impossible to store a joule without its meter, method and domain, or an estimate as a
    measurement.
    """

    __tablename__: ClassVar[str] = "energy_reading"
    __table_args__ = (
        _one_of("method", ENERGY_METHODS),
        CheckConstraint(
            "(gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL"
            " AND idle_watts_after IS NULL AND domain_joules IS NULL)"
            " OR (meter IS NOT NULL AND trim(meter) <> '' AND method IS NOT NULL"
            " AND domain IS NOT NULL AND trim(domain) <> '' AND estimate_joules IS NULL)",
            name="measured",
        ),
        CheckConstraint(
            "gross_joules IS NOT NULL OR (net_joules IS NULL AND reason IS NOT NULL)", name="gross"
        ),
        CheckConstraint(
            "gross_joules IS NULL OR (gross_joules > 0 AND tokens IS NOT NULL AND tokens > 0"
            " AND window_s IS NOT NULL AND window_s > 0)",
            name="window",
        ),
        CheckConstraint(
            "(estimate_joules IS NULL AND estimate_label IS NULL)"
            " OR (estimate_joules IS NOT NULL AND estimate_label IS NOT NULL AND estimate_label <> '')",
            name="estimate",
        ),
        {"sqlite_with_rowid": False},
    )
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="its run")
    position: int = Field(primary_key=True, sa_type=SmallInteger, description="order of the readings, from 0")
    phase: str = Field(description="`prefill` or `decode`")
    gross_joules: float | None = Field(description="all that the domain took in the window")
    net_joules: float | None = Field(description="gross less idle power x window")
    tokens: int | None = Field(description="tokens processed in the window")
    deepest_tokens: int | None = Field(description="most tokens that the KV cache held in the window")
    window_s: float | None = Field(description="length of the window")
    idle_watts: float | None = Field(description="idle power that net was computed with")
    idle_watts_before: float | None = Field(description="idle power measured before the windows")
    idle_watts_after: float | None = Field(description="idle power measured after them")
    idle_drift: bool | None = Field(description="whether the two differ too much; NULL where one is missing")
    meter: str | None = Field(description="`powercap`, `nvml` ...; NULL where the machine has none")
    domain: str | None = Field(
        description="domains that are summed: `package-0+dram-0`, `gpu:0`, `wall`, `battery` ..."
    )
    method: str | None = Field(description="`counter`, or `power`: sampled and integrated")
    resolution_s: float | None = Field(description="update period of the meter")
    resolution_joules: float | None = Field(description="smallest step of the meter; NULL where not told")
    domain_joules: dict[str, Any] | None = Field(
        sa_type=_JSON, description="JSON of joules by domain, also of domains that are not summed"
    )
    estimate_joules: float | None = Field(description="of a power model; never compared with a measurement")
    estimate_label: str | None = Field(description="which model, such as `TDP 15 W x time`")
    reason: str | None = Field(sa_type=Text, description="why `gross_joules` or `net_joules` is NULL")


class Score(Row, table=True):
    """What scoring an artifact gave; device, environment and hints are its run's."""

    __tablename__: ClassVar[str] = "score"
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="the run that scored")
    scoring_key: str = Field(index=True, description="equal where scoring again would give the same")
    artifact_id: str = Field(foreign_key="artifact.id", index=True, description="what was scored")
    corpus: str = Field(description="name of the text")
    corpus_sha256: str = Field(description="of the text")
    window_tokens: int = Field(description="tokens of a window")
    stride_tokens: int = Field(description="tokens between the beginnings of two windows")
    score_from: int = Field(description="first position of a window that is scored")
    bos: int | None = Field(description="token id that replaces the first of each window; NULL: none")
    positions: int = Field(description="scored positions in all windows")
    reference_run_key: int | None = Field(
        foreign_key="run.key", description="run of the quality reference; NULL: this is it, or there was none"
    )
    quality_reference: str | None = Field(description="in words, such as `llamacpp F32`")
    kld_median: float | None = Field(description="nats, over positions")
    kld_p99: float | None = Field(description="nats, over positions")
    kld_p999: float | None = Field(description="nats, over positions")
    kld_max: float | None = Field(description="nats, over positions")
    finite: bool = Field(description="false where any scored logit was NaN or infinite")
    vocab_size: int = Field(description="width of the logits")
    details: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of anything else worth keeping, such as the worst `passages`"
    )
    method: str | None = Field(
        description="`exact`, or the sketch of the reference that the divergence is estimated from; NULL: exact"
    )
    delta_p: dict[str, Any] | None = Field(
        sa_type=_JSON,
        description="JSON of percentiles over positions of the true token's probability less the reference's",
    )
    errors: dict[str, Any] | None = Field(
        sa_type=_JSON,
        description="JSON of standard errors, by a bootstrap over windows, of what is no sum over windows",
    )


class ScoreWindow(Row, table=True):
    """Sums over the scored positions of one window, in nats: the unit of paired comparisons."""

    __tablename__: ClassVar[str] = "score_window"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    run_key: int = Field(primary_key=True, foreign_key="score.run_key", description="its score")
    window_index: int = Field(primary_key=True, description="from 0")
    positions: int = Field(description="scored positions")
    nll_sum: float = Field(description="negative log-likelihood")
    kld_sum: float | None = Field(description="divergence from the reference; NULL without one")
    same_top: int | None = Field(description="positions with the reference's top token")
    delta_p_sq_sum: float | None = Field(description="squared difference of the true token's probability")
    bytes: int | None = Field(
        description="bytes of text that the scored tokens stand for; NULL where not counted"
    )


class ScorePositions(Row, table=True):
    """The figures of every scored position of one window: percentiles, errors and worst passages come from here."""

    __tablename__: ClassVar[str] = "score_positions"
    run_key: int = Field(primary_key=True, foreign_key="score.run_key", description="its score")
    window_index: int = Field(primary_key=True, description="as in `score_window`")
    data: bytes = Field(
        description="records of 20 bytes, little-endian: float32 `nll` and `kld` in nats and `delta_p`, int32 tokens"
        " `reference_top` and `top`; NaN and -1: no reference, or logits that are not finite"
    )


class SessionScore(Row, table=True):
    """Which score stands for a cell in a session: measured there, or earlier under the same scoring key."""

    __tablename__: ClassVar[str] = "session_score"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="the session")
    cell_id: str = Field(primary_key=True, foreign_key="cell.id", description="the cell")
    run_key: int = Field(foreign_key="score.run_key", description="the score")


class Evaluation(Row, table=True):
    """What evaluating tasks on an artifact gave; device, environment and hints are its run's."""

    __tablename__: ClassVar[str] = "evaluation"
    run_key: int = Field(primary_key=True, foreign_key="run.key", description="the run that evaluated")
    evaluation_key: str = Field(
        index=True, description="equal where evaluating the same items again would give the same"
    )
    artifact_id: str | None = Field(
        foreign_key="artifact.id", index=True, description="what was evaluated; NULL of an imported one"
    )
    settings: dict[str, Any] = Field(sa_type=_JSON, description="JSON of what was asked for")
    chat_template: bool = Field(description="whether the model's chat template was used")
    items_limit: int | None = Field(description="items of each task at most; NULL: all")
    max_length: int | None = Field(
        description="tokens that fit into a question; NULL where an imported file does not tell"
    )
    environment_id: str | None = Field(
        foreign_key="environment.id", description="lm-eval's environment; NULL of an imported one"
    )
    lm_eval_version: str | None = Field(
        description="as it is installed; NULL where an imported file does not tell"
    )
    truncated: int | None = Field(
        description="questions that lost their beginning because they were longer; NULL of an imported one"
    )
    reference_run_key: int | None = Field(
        foreign_key="run.key", description="run that evaluated the quality reference; NULL: this is it"
    )
    quality_reference: str | None = Field(description="in words, such as `llamacpp F32`")
    details: dict[str, Any] = Field(sa_type=_JSON, description="JSON of anything else worth keeping")


class TaskResult(Row, table=True):
    """One metric of one task over all its items, or of a group of tasks."""

    __tablename__: ClassVar[str] = "task_result"
    __table_args__ = (UniqueConstraint("run_key", "task", "metric"),)
    run_key: int = Field(primary_key=True, foreign_key="evaluation.run_key", description="its evaluation")
    position: int = Field(primary_key=True, sa_type=SmallInteger, description="order of the results, from 0")
    task: str = Field(description="lm-eval's name of the task or group")
    metric: str = Field(description="such as `acc`; with the answer's filter: `exact_match,strict`")
    version: str = Field(description="the task's version; empty where it has none")
    n: int = Field(description="items")
    value: float = Field(description="over all items, as lm-eval aggregates it")
    stderr: float | None = Field(description="standard error; NULL where lm-eval has none")
    num_fewshot: int | None = Field(description="examples before each question; NULL for a group of several")
    higher_is_better: bool | None = Field(description="NULL where lm-eval does not say")
    corpus_sha256: str | None = Field(
        description="over all items and questions as they were asked; NULL for a group"
    )


class TaskItem(Row, table=True):
    """The value of one metric for one item: the unit of flips and McNemar's test."""

    __tablename__: ClassVar[str] = "task_item"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    run_key: int = Field(primary_key=True, foreign_key="evaluation.run_key", description="its evaluation")
    position: int = Field(
        primary_key=True, sa_type=SmallInteger, description="of its result in `task_result`"
    )
    item: int = Field(primary_key=True, description="from 0, in the task's order")
    value: float = Field(description="1 or 0 where the item is right or wrong")


class TaskAnswer(Row, table=True):
    """What the model said to one item of one task."""

    __tablename__: ClassVar[str] = "task_answer"
    run_key: int = Field(primary_key=True, foreign_key="evaluation.run_key", description="its evaluation")
    task: str = Field(primary_key=True, description="lm-eval's name of the task")
    item: int = Field(primary_key=True, description="from 0, in the task's order")
    item_sha256: str = Field(description="first 16 digits, of the item and its question as it was asked")
    loglikelihoods: bytes | None = Field(
        description="nats, of its choices in order, packed, little-endian, 8 bytes each; NULL where none was asked"
    )
    text: str | None = Field(sa_type=Text, description="what was generated; NULL where nothing was")


class TaskHole(Row, table=True):
    """A task, group or name of an evaluation that has no figures."""

    __tablename__: ClassVar[str] = "task_hole"
    __table_args__ = (_one_of("status", HOLE_STATUSES),)
    run_key: int = Field(primary_key=True, foreign_key="evaluation.run_key", description="its evaluation")
    task: str = Field(primary_key=True, description="as it was named, or as lm-eval names it")
    position: int = Field(sa_type=SmallInteger, description="order of the holes, from 0")
    status: str = Field(
        description="`failed`, or `skipped` where the framework answers no questions of its kind"
    )
    reason: str = Field(sa_type=Text, description="why it has none")


class SessionEvaluation(Row, table=True):
    """Which evaluation stands for a cell in a session: made there, or earlier under the same key."""

    __tablename__: ClassVar[str] = "session_evaluation"
    __table_args__: ClassVar[dict[str, Any]] = {"sqlite_with_rowid": False}
    session_id: str = Field(primary_key=True, foreign_key="session.id", description="the session")
    cell_id: str = Field(primary_key=True, foreign_key="cell.id", description="the cell")
    run_key: int = Field(foreign_key="evaluation.run_key", description="the evaluation")


class Verdict(Row, table=True):
    """Whether an artifact computes the model's function, as one score showed it."""

    __tablename__: ClassVar[str] = "verdict"
    __table_args__ = (_one_of("verdict", VERDICTS),)
    run_key: int = Field(primary_key=True, foreign_key="score.run_key", description="the score it rests on")
    artifact_id: str = Field(foreign_key="artifact.id", index=True, description="what was judged")
    verdict: str = Field(description="`ok` or `broken`")
    reason: str | None = Field(sa_type=Text, description="what was out of which limit; NULL where ok")


class Alert(Row, table=True):
    """A change point of a series that is worth a look: raised once, and what a person made of it.

    All but the columns that make the id may be replaced where databases are merged: the later state of an alert stands.
    """

    __tablename__: ClassVar[str] = "alert"
    __table_args__ = (
        _one_of("direction", DIRECTIONS),
        _one_of("state", ALERT_STATES),
        CheckConstraint("state = 'open' OR note IS NOT NULL", name="note"),
        Index(None, "cell_id", "machine_id", "metric"),
    )
    id: str = Field(primary_key=True, description="derived from the next five columns")
    session_id: str = Field(
        foreign_key="session.id", index=True, description="session with which the change was confirmed"
    )
    place: int = Field(description="which of its values confirmed it, from 0")
    cell_id: str = Field(foreign_key="cell.id", description="whose series")
    machine_id: str = Field(foreign_key="machine.id", description="where it was measured")
    metric: str = Field(description="what moved, such as `decode_tps`; it ends in the unit")
    session_before_id: str = Field(foreign_key="session.id", description="the last one before the change")
    session_after_id: str = Field(
        foreign_key="session.id",
        description="the first one behind it; the same one where a version changed within a session",
    )
    time_before: datetime | None = Field(
        sa_type=UtcDateTime, description="UTC, when the last one before began; NULL where it tells no time"
    )
    time_after: datetime | None = Field(
        sa_type=UtcDateTime, description="UTC, when the first one behind began; NULL where it tells no time"
    )
    first_session_id: str = Field(
        foreign_key="session.id", description="the first one that may be the last before it, 95 %"
    )
    last_session_id: str = Field(
        foreign_key="session.id", description="the last one that may be the last before it, 95 %"
    )
    value_before: float = Field(description="level before, in the metric's unit")
    value_after: float = Field(description="level after")
    ratio: float | None = Field(description="after / before; NULL where one is 0 or their signs differ")
    ratio_low: float | None = Field(description="lower bound of the ratio, 95 %; NULL likewise")
    ratio_high: float | None = Field(description="upper bound of the ratio, 95 %; NULL likewise")
    confidence: float = Field(
        description="1 less the chance that a series as long without any change shows one this strong"
    )
    direction: str = Field(description="`up` or `down`: of the value, not of its worth")
    raised_at: datetime = Field(sa_type=UtcDateTime, description="UTC")
    state: str = Field(description="`open`, `acknowledged` or `resolved`")
    note: str | None = Field(
        sa_type=Text, description="what a person wrote with the state; NULL while open without a word"
    )
    state_changed_at: datetime = Field(
        sa_type=UtcDateTime, description="UTC; when it was raised while nobody has touched it"
    )


class Gate(Row, table=True):
    """What a gate judged: head's session against base's, or against what was stored."""

    __tablename__: ClassVar[str] = "gate"
    __table_args__ = (_one_of("kind", GATE_KINDS), _one_of("status", GATE_STATUSES))
    id: str = Field(primary_key=True, description="derived from the next three columns")
    session_id: str = Field(foreign_key="session.id", index=True, description="session of head")
    base_session_id: str | None = Field(
        foreign_key="session.id",
        index=True,
        description="session of base; NULL where base is what several sessions stored",
    )
    kind: str = Field(description="`change`: interleaved pairs; `baseline`: head against stored sessions")
    status: str = Field(description="`pass`, `fail` or `inconclusive`")
    summary: str = Field(sa_type=Text, description="the whole in a line")
    edgebench_version: str = Field(description="version of edgebench that judged")
    judged_at: datetime = Field(sa_type=UtcDateTime, description="UTC, at its end")
    settings: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of what was asked: words of the sides, margins, pairs at most"
    )
    details: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of pairs, failures and flags of each cell, and of the advice"
    )


class GateVerdict(Row, table=True):
    """The verdict of a gate on one metric of one cell."""

    __tablename__: ClassVar[str] = "gate_verdict"
    __table_args__ = (_one_of("verdict", GATE_VERDICTS), Index(None, "head_cell_id", "metric"))
    gate_id: str = Field(foreign_key="gate.id", primary_key=True, description="the gate")
    position: int = Field(primary_key=True, description="place among its verdicts, those that fail first")
    session_id: str = Field(foreign_key="session.id", index=True, description="session of head")
    cell: str = Field(description="what the cells of both sides share, in words")
    base_cell_id: str | None = Field(
        foreign_key="cell.id", description="cell of base; NULL where there is none"
    )
    head_cell_id: str | None = Field(
        foreign_key="cell.id", description="cell of head; NULL where its plan has none"
    )
    metric: str = Field(
        description="such as `decode_tps`; task and metric; `cell` or `artifact` of a whole cell"
    )
    verdict: str = Field(
        description="`regression`, `broken`, `missing`, `inconclusive`, `improvement`, `pass` or `unmeasured`"
    )
    ratio: float | None = Field(description="head / base; NULL where nothing was compared")
    ratio_low: float | None = Field(description="lower end of its 95 % interval; NULL where there is none")
    ratio_high: float | None = Field(description="upper end; NULL likewise")
    pairs: int | None = Field(description="pairs of processes or windows, or items, that both sides have")
    fresh_pairs: int | None = Field(description="of these, those of the confirmation")
    detectable: float | None = Field(
        description="smallest change, as a share, that would have been seen; NULL where nothing was tested"
    )
    p_value: float | None = Field(description="of the confirmation where there was one; NULL likewise")
    reason: str = Field(sa_type=Text, description="in words")
    details: dict[str, Any] = Field(
        sa_type=_JSON, description="JSON of figures of this kind of gate alone, such as stored sessions"
    )


metadata: MetaData = _registry.metadata


def table(name: str) -> Table:
    """The Core table of a name; bulk reading and writing goes through these."""
    return metadata.tables[name]


def models() -> dict[str, type[SQLModel]]:
    """The table classes by table name, in the order in which they can be made and filled."""
    classes = {mapper.local_table.name: mapper.class_ for mapper in _registry.mappers}  # type: ignore[attr-defined]
    return {made.name: classes[made.name] for made in metadata.sorted_tables}
