"""Makes what a cell needs and writes down in the database what was made: environments, models, artifacts.

Owns the translation of these things into store records. Contract: what a run will refer to is stored before the run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harness.artifact import Artifact
from harness.environment import Environment
from harness.frameworks import FrameworkEntry
from harness.model import Model, ModelConfiguration
from harness.runner.making import Attempt
from harness.runner.setup import Workshop
from harness.store import Store
from harness.store.records import (
    UNREAD,
    ArtifactRecord,
    CellRecord,
    EnvironmentRecord,
    ModelRecord,
    PackageRecord,
    PreparationRecord,
)
from harness.suite import Cell, Workload
from harness.worker.api import Recipe

#: Tensor types of a file that was not quantised.
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class Ready:
    """A cell whose environment and artifact exist and are stored."""

    cell: Cell
    artifact: Artifact
    environment_record_id: str


class Catalogue:
    """Prepares cells.

    Args:
        store: the database.
        workshop: makes environments and artifacts.
        models: the model list.
        entries: the frameworks.
        machine_id: this machine, stored.
        session_id: the session that needs the cells, stored; None: they are prepared ahead of any.
        jobs: artifacts that may be made beside each other.
    """

    def __init__(
        self,
        *,
        store: Store,
        workshop: Workshop,
        models: Mapping[str, Model],
        entries: Mapping[str, FrameworkEntry],
        machine_id: str,
        session_id: str | None = None,
        jobs: int = 1,
    ) -> None:
        self._machine_id = machine_id
        self._session_id = session_id
        self._jobs = jobs
        self._store = store
        self._workshop = workshop
        self._models = models
        self._entries = entries
        self._artifacts: set[str] = set()
        self._unread: dict[str, int | None] = {}
        self._environments: dict[str, str] = {}
        self._configurations: dict[str, Mapping[str, Any] | None] = {}

    def ready(self, cell: Cell) -> Ready:
        """The cell with everything that it needs.

        Raises:
            EdgebenchError: its environment, model or artifact cannot be had.
        """
        environment = self._workshop.environment(cell.framework, api=cell.api)
        if environment.id not in self._environments:
            record = environment_record(environment)
            self._environments[environment.id] = self._store.record_environment(record)
        try:
            artifact = self._workshop.artifact(cell.model, cell.framework, cell.recipe)
            self._record_artifact(cell.model, cell.framework, cell.recipe)
        finally:
            self.record_attempts()
        return Ready(cell, artifact, self._environments[environment.id])

    def record_attempts(self) -> list[Attempt]:
        """Write down what the workshop made, and failed to make, since the last time; gives these attempts."""
        attempts = self._workshop.take_attempts()
        for attempt in attempts:
            request = attempt.request
            if attempt.artifact is not None:
                self._record_artifact(attempt.model, request.framework, request.recipe)
            self._store.record_preparation(
                PreparationRecord(
                    machine_id=self._machine_id,
                    session_id=self._session_id,
                    model=attempt.model,
                    framework=request.framework,
                    recipe=request.recipe,
                    environment_id=self._store.record_environment(environment_record(attempt.environment)),
                    tool=request.tool,
                    tool_version=request.tool_version,
                    artifact_id=None if attempt.artifact is None else attempt.artifact.id,
                    status=attempt.status,
                    reason=attempt.reason,
                    error=attempt.error,
                    log_tail=attempt.log_tail,
                    seconds=attempt.seconds,
                    peak_bytes=attempt.peak_bytes,
                    threads=self._workshop.threads,
                    jobs=self._jobs,
                    started_at=attempt.started_at,
                )
            )
        return attempts

    def reference(self, model: str) -> Ready:
        """The model's quality reference, as a cell that is never timed: its workload has no prompt."""
        reference = self._models[model].reference
        recipes = {recipe.name: recipe for recipe in self._entries[reference.framework].backend.recipes}
        cell = Cell(
            framework=reference.framework,
            model=model,
            precision=recipes[reference.recipe].precision,
            recipe=reference.recipe,
            device="cpu",
            api="cpu",
            workload=Workload(0),
            options=dict(reference.options),
        )
        return self.ready(cell)

    def reference_text(self, model: str) -> str:
        """The reference in words: ``llamacpp F32 (dequantised Q4_1)`` where the published file is quantised itself."""
        reference = self._models[model].reference
        types = self._workshop.model_file(model).facts.tensor_types
        widest = max(types, key=lambda name: types[name])
        note = "" if widest in _FLOATS else f" (dequantised {widest})"
        return f"{reference.framework} {reference.recipe}{note}"

    def _record_artifact(self, model: str, framework: str, recipe_name: str) -> None:
        """The artifact and everything it was made from, sources first."""
        artifact = self._workshop.artifact(model, framework, recipe_name)
        if artifact.request_key in self._artifacts:
            return
        recipe = self._workshop.recipe(framework, recipe_name)
        if self._workshop.adopted(model, framework, recipe_name):
            self._record_adopted(model, artifact, recipe)
            return
        source_id: str | None = None
        written = self._workshop.synthetic(model, framework) is not None
        if recipe.made_from != "model" and not written:
            source_framework, source_recipe = recipe.made_from.split(":", 1)
            self._record_artifact(model, source_framework, source_recipe)
            source_id = self._workshop.artifact(model, source_framework, source_recipe).id
        for words in () if written else recipe.needs:
            self._record_artifact(model, *words.split(":", 1))
        model_record = self._model_record(model)
        self._store.record_model(model_record)
        maker = self._workshop.environment(framework, "converter")
        self._store.record_artifact(
            replace(
                self._artifact_record(artifact, model_record.id, recipe),
                environment_id=self._store.record_environment(environment_record(maker)),
                source_artifact_id=source_id,
            )
        )
        self._artifacts.add(artifact.request_key)

    @property
    def machine_id(self) -> str:
        """This machine."""
        return self._machine_id

    @property
    def entries(self) -> Mapping[str, FrameworkEntry]:
        """The frameworks."""
        return self._entries

    def configuration(self, model: str) -> Mapping[str, Any] | None:
        """The model's shape as it is stored; None where it is not known."""
        if model not in self._configurations:
            self._configurations[model] = self._model_record(model).configuration
        return self._configurations[model]

    def unread_weight_bytes(self, artifact: Artifact) -> int | None:
        """Bytes of an artifact's weights that no token reads whole; None where nobody can say, or none can be."""
        if artifact.id not in self._unread:
            backend = self._entries[artifact.framework].backend
            self._unread[artifact.id] = (
                backend.unread_weight_bytes(artifact.entry) if backend.may_hold_unread else None
            )
        return self._unread[artifact.id]

    def _record_adopted(self, model: str, artifact: Artifact, recipe: Recipe) -> None:
        """An artifact that this session was given; where the database knows it, with the lineage that it has there."""
        self._artifacts.add(artifact.request_key)
        with contextlib.suppress(LookupError):
            self._store.describe("artifact", artifact.id)
            return
        model_record = self._model_record(model)
        self._store.record_model(model_record)
        self._store.record_artifact(self._artifact_record(artifact, model_record.id, recipe))

    def _artifact_record(self, artifact: Artifact, model_id: str, recipe: Recipe) -> ArtifactRecord:
        """An artifact with what its files tell of its weights, whatever its maker noted."""
        record = _artifact_record(artifact, model_id, recipe)
        unread = self.unread_weight_bytes(artifact)
        return record if unread is None else replace(record, notes={**record.notes, UNREAD: unread})

    def _model_record(self, model: str) -> ModelRecord:
        listed = self._models[model]
        file = self._workshop.model_file(model)
        facts = file.facts
        synthetic = listed.synthetic
        configuration = (
            ModelConfiguration.of_gguf(facts)
            if synthetic is None
            else ModelConfiguration.of_synthetic(synthetic)
        )
        return ModelRecord(
            name=model,
            source=listed.source.model_dump_json(exclude_none=True),
            sha256=file.sha256,
            architecture=facts.architecture,
            licence=None if listed.license is None else listed.license.name,
            parameters=facts.parameter_count,
            configuration=None if configuration is None else configuration.to_dict(),
        )


def environment_record(environment: Environment) -> EnvironmentRecord:
    """An environment as the store keeps it."""
    return EnvironmentRecord(
        framework=environment.framework,
        role=environment.role,
        variant=environment.variant,
        python=environment.python_version,
        packages=[PackageRecord(one.name, one.version, one.sha256) for one in environment.packages],
    )


def cell_record(cell: Cell) -> CellRecord:
    """A cell as the store keeps it; one without a prompt is scored only."""
    return CellRecord(
        framework=cell.framework,
        model=cell.model,
        precision=cell.precision,
        recipe=cell.recipe,
        device=cell.device,
        api=cell.api,
        workload=str(cell.workload) if cell.workload.prompt_tokens else "score",
        prompt_tokens=cell.workload.prompt_tokens,
        decode_tokens=cell.workload.decode_tokens,
        depth=cell.workload.depth,
        options=dict(cell.options),
        batch=cell.workload.batch,
        id=cell.id,
    )


def _artifact_record(artifact: Artifact, model_id: str, recipe: Recipe) -> ArtifactRecord:
    """An artifact without what it was made from and where."""
    return ArtifactRecord(
        id=artifact.id,
        model_id=model_id,
        framework=artifact.framework,
        recipe=recipe.name,
        precision=recipe.precision,
        weight_bytes=artifact.weight_bytes,
        parameters=artifact.parameter_count,
        tool=artifact.tool,
        tool_version=artifact.tool_version,
        made_at=datetime.fromisoformat(artifact.made_at),
        made_s=artifact.made_s,
        made_peak_bytes=artifact.made_peak_bytes,
        made_with=dict(artifact.parameters),
        notes=dict(artifact.notes),
        files=[
            {"path": file.path, "bytes": file.size_bytes, "sha256": file.sha256} for file in artifact.files
        ],
    )
