"""What is asked of the artifact cache, and what it gives: plain values.

Owns the key of a request: everything that changes the bytes that come out, and nothing else. Never imports a
framework or another room of the lab half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.files import key_of

#: Belongs to every key: raised when a change of this program changes what a recipe makes.
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ArtifactRequest:
    """One precision of one model for one framework.

    Attributes:
        source: SHA-256 of the model file, or the id of the artifact that this one is made from.
        framework: framework id.
        recipe: the recipe's name.
        parameters: the recipe's parameters.
        tool: distribution that makes it.
        tool_version: its version in the environment that will make it.
        overrides: identities of the user's overrides in that environment (`Environment.overrides`): two wheels of
            one version are two tools.
        needs: ids of the further artifacts that it is made with, by the words of `Recipe.needs`.
        calibration: SHA-256 of the calibration text; None for a recipe that reads none.
        parameter_count: weights of the model, for the bits per weight; None where unknown. Not part of the key.
        model: the model's id, for people. Not part of the key.
    """

    source: str
    framework: str
    recipe: str
    parameters: Mapping[str, Any]
    tool: str
    tool_version: str
    overrides: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    calibration: str | None = None
    parameter_count: int | None = None
    model: str | None = None

    @property
    def key(self) -> str:
        """SHA-256 over what changes the bytes."""
        content: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "framework": self.framework,
            "overrides": sorted(self.overrides),
            "parameters": self.parameters,
            "recipe": self.recipe,
            "source": self.source,
            "tool": self.tool,
            "tool_version": self.tool_version,
        }
        # Left out where there are none: keys of recipes that need neither stay what they were.
        if self.needs:
            content["needs"] = dict(self.needs)
        if self.calibration is not None:
            content["calibration"] = self.calibration
        return key_of(content)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file: its path relative to the artifact's folder (with ``/``), size in bytes and SHA-256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """The exact model files of one precision, with how they were made.

    Attributes:
        id: content id: SHA-256 over the sorted (path, size, SHA-256) of the files.
        request_key: `ArtifactRequest.key` that led here; several keys may lead to one id.
        path: the folder.
        entry: what a backend loads: a file in the folder, or the folder itself.
        files: every file.
        weight_bytes: bytes of weight tensors on disk; None where the weights are not here.
        parameter_count: weights of the model, None where unknown.
        source: as in the request; likewise framework, recipe, parameters, tool, overrides and model.
        tool_version: version of the tool that ran.
        made_s: seconds that making took.
        made_at: UTC time, ISO 8601.
        notes: what the maker noted (tensors that fell back to another type ...).
        made_peak_bytes: most memory of the maker's process tree; None where unknown.
    """

    id: str
    request_key: str
    path: Path
    entry: Path
    files: tuple[ArtifactFile, ...]
    weight_bytes: int | None
    parameter_count: int | None
    source: str
    framework: str
    recipe: str
    parameters: Mapping[str, Any]
    tool: str
    tool_version: str
    overrides: tuple[str, ...]
    model: str | None
    made_s: float
    made_at: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    made_peak_bytes: int | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def bits_per_weight(self) -> float | None:
        """Weight bytes x 8 / parameters; None where either is unknown."""
        if self.weight_bytes is None or not self.parameter_count:
            return None
        return self.weight_bytes * 8 / self.parameter_count


def content_id(files: tuple[ArtifactFile, ...]) -> str:
    """The id of what the files are, however they came to be."""
    return key_of(sorted([file.path, file.size_bytes, file.sha256] for file in files))
