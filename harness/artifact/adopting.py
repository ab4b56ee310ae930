"""Artifacts that were not made here: a file or folder of one's own, taken into the cache as it is.

Owns their way into the cache and what a session writes down of them. Never imports a framework or another room of the
lab half: what is a fitting file, and what its weights take, the caller says. Contract: what is adopted is known by
its content; content that is in the cache already is used as it lies there, with the lineage that it has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.artifact.request import Artifact, ArtifactFile, ArtifactRequest, content_id
from harness.artifact.store import ArtifactStore
from harness.errors import EdgebenchError, UsageError
from harness.files import file_sha256
from harness.worker.api import Made

#: In the place of the distribution that makes an artifact: nobody here made it.
OWN = "own-file"
#: Note of an artifact whose weight bytes are unknown: why.
UNKNOWN_WEIGHT = "weight_bytes"


@dataclass(frozen=True, slots=True)
class Adopted:
    """An artifact that takes the place of what a recipe of one model would make.

    Attributes:
        framework: which loads it.
        model: whose function it should compute.
        recipe: the name that its cells bear: the recipe that made it, or ``own-`` and the beginning of its id.
        precision: canonical, ``unknown`` where nobody told.
        key: of the request in the cache that leads to it.
        id: its content id.
        origin: where it came from, for people.
    """

    framework: str
    model: str
    recipe: str
    precision: str
    key: str
    id: str
    origin: str

    def to_settings(self) -> dict[str, str]:
        """For a session's settings."""
        return asdict(self)

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Adopted:
        """From a session's settings."""
        return cls(**settings)


def files_of(path: Path) -> tuple[ArtifactFile, ...]:
    """What a file or a folder consists of, hashed. Hidden files are left out, links are followed.

    Raises:
        UsageError: it holds nothing, or cannot be read.
    """
    try:
        found = [path] if path.is_file() else [one for one in _below(path) if one.is_file()]
        files = tuple(
            ArtifactFile(
                path.name if one == path else one.relative_to(path).as_posix(),
                one.stat().st_size,
                file_sha256(one),
            )
            for one in found
        )
    except OSError as error:
        raise UsageError(
            f"{error.filename or path} cannot be read: {error.strerror}", next_step="name a readable artifact"
        ) from error
    if not files:
        raise UsageError(f"{path} holds no file", next_step="name an artifact: a file or a folder of files")
    return files


def adopt(
    store: ArtifactStore,
    path: Path,
    files: tuple[ArtifactFile, ...],
    *,
    framework: str,
    model: str,
    entry: str,
    parameter_count: int | None,
    weigh: Callable[[Path], int | str],
) -> Artifact:
    """Copy an artifact of one's own into the cache; gives it, or what has this very content there already.

    Args:
        store: the cache.
        path: the file or folder.
        files: from `files_of`.
        framework: which will load it.
        model: the model's id.
        entry: what is loaded: a file's path below the folder, or ``.``.
        parameter_count: of the model.
        weigh: gives the weight bytes of the folder in the cache, or in words why they are unknown.

    Raises:
        EdgebenchError: the disk is full, or the files change meanwhile.
    """
    wanted = content_id(files)
    known = store.with_content(files, framework)
    if known is not None and store.verify(known) is None:
        return known
    request = ArtifactRequest(
        source=wanted,
        framework=framework,
        recipe=own_recipe(wanted),
        parameters={"entry": entry},
        tool=OWN,
        tool_version="",
        parameter_count=parameter_count,
        model=model,
    )

    def copy(folder: Path) -> Made:
        for file in files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path if path.is_file() else path / file.path, target)
        notes = {"origin": f"a file of one's own: {path.resolve()}"}
        weight = weigh(folder)
        if isinstance(weight, str):
            return Made(None, entry, "", {**notes, UNKNOWN_WEIGHT: weight})
        return Made(weight, entry, "", notes)

    made = store.get(request, copy)
    if made.id != wanted:
        raise EdgebenchError(
            f"{path} changed while it was copied", next_step="leave it alone, and start again"
        )
    return made


def own_recipe(artifact_id: str) -> str:
    """In the place of a recipe's name: each artifact of one's own is a series of its own."""
    return f"own-{artifact_id[:12]}"


def _below(folder: Path) -> list[Path]:
    """Every file below a folder, in order; hidden ones, such as a checkout's, are left out."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in sorted(names) if not name.startswith(".")]
    return found
