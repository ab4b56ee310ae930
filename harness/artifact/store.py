"""The content-addressed cache of artifacts.

Owns ``CACHE/artifacts/``: objects, requests, staging, locks. Never imports a framework or another room of the lab
half; what makes an artifact is the caller's function. Contract: an artifact is either whole or not there, whoever
dies when; two sessions make it once; what changed on disk is noticed and made again.

    objects/<content id>/       the files of an artifact, read-only, put there by one rename
    requests/<key>.json         which content a request gave, and its lineage; written last
    staging/<key>-<random>/     being made; belongs to whoever holds the key's lock
    locks/                      one lock a key, one an object
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.artifact.request import Artifact, ArtifactFile, ArtifactRequest, content_id
from harness.errors import EdgebenchError, UsageError
from harness.files import (
    Progress,
    disk_was_full,
    exclusive,
    exclusive_now,
    file_sha256,
    readable_bytes,
    remove_tree,
    silent,
    sync_file,
    sync_folder,
    tree_bytes,
    write_atomically,
)
from harness.names import safe_name, safe_path
from harness.worker.api import Made

#: Layout of a request file.
_MANIFEST_VERSION = 1

#: Size, time of change and inode: a file that agrees in all three was not written since it was hashed.
_Stamp = dict[str, tuple[int, int, int]]

Make = Callable[[Path], Made]


def _unknown() -> None:
    return None


class ArtifactStore:
    """Artifacts below a cache folder, shared by any number of sessions.

    One store object is one session's view: the first `verify` of an artifact hashes its files, later ones compare
    sizes and times of change.

    Args:
        cache_dir: the cache folder; created at the first `get`.
    """

    def __init__(self, cache_dir: Path) -> None:
        root = cache_dir.absolute() / "artifacts"
        self._objects = root / "objects"
        self._requests = root / "requests"
        self._staging = root / "staging"
        self._locks = root / "locks"
        self._stamps: dict[str, _Stamp] = {}

    # -- asking ---------------------------------------------------------------------------------------------------

    def find(self, request: ArtifactRequest) -> Artifact | None:
        """The artifact if it was made. Creates nothing and hashes nothing: `verify` before the first use."""
        return self._read(self._requests / f"{request.key}.json")

    def of_key(self, key: str) -> Artifact | None:
        """The artifact that a request with this key gave, None where it is not here any more."""
        return self._read(self._requests / f"{safe_name(key)}.json")

    def beginning(self, artifact_id: str) -> list[Artifact]:
        """Every artifact whose content id begins so, one per request."""
        return [one for one in self.list() if one.id.startswith(artifact_id)]

    def with_content(self, files: tuple[ArtifactFile, ...], framework: str) -> Artifact | None:
        """The artifact of this content that a framework loads, of a single file under whichever name.

        One whose weights are known comes before one of which they are not.
        """

        def content(of: tuple[ArtifactFile, ...]) -> str:
            return of[0].sha256 if len(of) == 1 else content_id(of)

        found = [
            one for one in self.list() if one.framework == framework and content(one.files) == content(files)
        ]
        return min(found, key=lambda one: (one.weight_bytes is None, one.made_at), default=None)

    def get(
        self,
        request: ArtifactRequest,
        make: Make,
        progress: Progress = silent,
        *,
        peak_bytes: Callable[[], int | None] = _unknown,
    ) -> Artifact:
        """The artifact, verified; made where it is missing or no longer what it was.

        Args:
            request: what is wanted.
            make: fills the empty folder that it is given. It may run in this or any other process, but has ended
                its writing when it returns.
            progress: told of waiting for another session, and of a changed artifact that is made again.
            peak_bytes: asked after ``make``: the most memory that it took, None where unknown.

        Raises:
            EdgebenchError: the disk is full, or ``make`` left nothing that can be loaded. Whatever else ``make``
                raises passes through. In every case nothing of it stays.
        """
        found = self.find(request)
        if found is not None and self.verify(found) is None:
            return found
        key = request.key
        name = f"{request.framework} {request.recipe}"
        with exclusive(
            self._locks / f"{key}.lock", lambda: progress(f"waiting for another session that makes {name}")
        ):
            found = self.find(request)
            if found is not None:
                problem = self.verify(found)
                if problem is None:
                    return found
                progress(f"warning: the cached {name} artifact {problem}; it is made again")
            self._remove_staging(key)
            return self._make(request, make, peak_bytes)

    def verify(self, artifact: Artifact) -> str | None:
        """What is wrong with an artifact's files, None when nothing is.

        Hashes every file once per store object; afterwards compares size, time of change and inode.
        """
        try:
            stamp = _stamp(artifact.path)
        except FileNotFoundError:
            return "is gone"
        if stamp == self._stamps.get(artifact.id):
            return None
        problem = _difference(artifact, stamp)
        if problem is None:
            self._stamps[artifact.id] = stamp
        else:
            self._stamps.pop(artifact.id, None)
        return problem

    def list(self) -> list[Artifact]:
        """Every artifact, one per request, in order of framework, recipe and time."""
        found = [self._read(path) for path in sorted(self._requests.glob("*.json"))]
        return sorted(
            (artifact for artifact in found if artifact is not None),
            key=lambda artifact: (
                artifact.framework,
                artifact.recipe,
                artifact.made_at,
                artifact.request_key,
            ),
        )

    # -- removing -------------------------------------------------------------------------------------------------

    def remove(self, artifact_id: str) -> int:
        """Remove one artifact and every request that led to it; gives the bytes freed.

        Args:
            artifact_id: the content id or its beginning, at least 6 characters.

        Raises:
            UsageError: no artifact, or several, begin so.
        """
        known = {artifact.id for artifact in self.list()}
        ids = [known_id for known_id in known if len(artifact_id) >= 6 and known_id.startswith(artifact_id)]
        if len(ids) != 1:
            which = "several artifacts begin" if ids else "no artifact in the cache begins"
            raise UsageError(
                f"{which} with {artifact_id!r}", next_step="see `edgebench model artifacts` for the ids"
            )
        with exclusive(self._locks / f"{ids[0]}.lock"):
            for artifact in self.list():
                if artifact.id == ids[0]:
                    (self._requests / f"{artifact.request_key}.json").unlink(missing_ok=True)
            freed = tree_bytes(self._objects / ids[0])
            remove_tree(self._objects / ids[0])
        self._stamps.pop(ids[0], None)
        return freed

    def clean(self) -> int:
        """Remove what dead sessions left half-made, and files that no request leads to; gives the bytes freed."""
        freed = 0
        for staging in _entries(self._staging):
            with exclusive_now(self._locks / f"{staging.name.split('-')[0]}.lock") as ours:
                if ours:
                    freed += tree_bytes(staging)
                    remove_tree(staging)
        for folder in _entries(self._objects):
            with exclusive_now(self._locks / f"{folder.name}.lock") as ours:
                # Read under the lock: whoever puts an object there holds it until the request is written.
                if ours and folder.name not in {artifact.id for artifact in self.list()}:
                    freed += tree_bytes(folder)
                    remove_tree(folder)
        return freed

    # -- making ---------------------------------------------------------------------------------------------------

    def _remove_staging(self, key: str) -> None:
        """Remove what a dead session left. The caller holds the key's lock, so nobody alive is making it."""
        for left in _entries(self._staging):
            if left.name.split("-")[0] == key:
                remove_tree(left)

    def _make(self, request: ArtifactRequest, make: Make, peak_bytes: Callable[[], int | None]) -> Artifact:
        key = request.key
        self._staging.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self._staging))
        try:
            begin = time.perf_counter()
            made = make(staging)
            made_s = time.perf_counter() - begin
            _check_made(request, made, staging)
            files = _seal(staging)
            return self._install(request, made, made_s, peak_bytes(), files, staging)
        except Exception as error:
            if disk_was_full(error):
                raise self._full(request, staging) from error
            raise
        finally:
            remove_tree(staging)

    def _install(
        self,
        request: ArtifactRequest,
        made: Made,
        made_s: float,
        made_peak_bytes: int | None,
        files: tuple[ArtifactFile, ...],
        staging: Path,
    ) -> Artifact:
        """Put the made files in their place and write down how they came to be."""
        object_id = content_id(files)
        place = self._objects / object_id
        artifact = Artifact(
            id=object_id,
            request_key=request.key,
            path=place,
            entry=place / made.entry,
            files=files,
            weight_bytes=made.weight_bytes,
            parameter_count=request.parameter_count,
            source=request.source,
            framework=request.framework,
            recipe=request.recipe,
            parameters=request.parameters,
            tool=request.tool,
            tool_version=made.tool_version,
            overrides=request.overrides,
            model=request.model,
            made_s=made_s,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            notes=made.notes,
            made_peak_bytes=made_peak_bytes,
        )
        with exclusive(self._locks / f"{object_id}.lock"):
            self._objects.mkdir(parents=True, exist_ok=True)
            if place.exists() and self.verify(artifact) is not None:
                # The same content was there and has been damaged since: the good copy takes its place.
                remove_tree(place)
            if not place.exists():
                staging.chmod(0o755)  # mkdtemp gives it to one user; a cache may be shared
                staging.rename(place)
                sync_folder(self._objects)
            self._stamps[object_id] = _stamp(place)
            write_atomically(self._requests / f"{request.key}.json", _encode(artifact, made.entry))
        return artifact

    def _full(self, request: ArtifactRequest, staging: Path) -> EdgebenchError:
        made = tree_bytes(staging)
        free = shutil.disk_usage(staging).free
        return EdgebenchError(
            f"the disk became full while {request.framework} {request.recipe} was being made: "
            f"{readable_bytes(made)} were written and {readable_bytes(free)} were left in {self._objects.parent}; "
            "the half-made files are removed",
            next_step="free space (`edgebench model clean`, `edgebench env clean`), or put the cache elsewhere with "
            "EDGEBENCH_CACHE_DIR",
        )

    # -- request files ----------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> Artifact | None:
        """The artifact that a request file names; None where it or its folder is missing or not ours to read."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(raw, dict) or raw.pop("manifest_version", None) != _MANIFEST_VERSION:
            return None
        try:
            place = self._objects / safe_name(raw["id"])
            # "." is the folder itself: a framework that loads one.
            entry = place if raw["entry"] == "." else place / safe_path(raw["entry"])
            raw["files"] = tuple(ArtifactFile(**file) for file in raw["files"])
            for file in raw["files"]:
                safe_path(file.path)
        except (EdgebenchError, AttributeError, KeyError, TypeError):
            return None  # not written by this program: whatever it names, nothing is looked for there
        if not place.is_dir():
            return None
        raw["entry"] = entry
        raw["overrides"] = tuple(raw["overrides"])
        # A newer program's further words about an artifact do not make it another one.
        known = {field.name for field in dataclasses.fields(Artifact)}
        return Artifact(
            request_key=path.stem, path=place, **{name: value for name, value in raw.items() if name in known}
        )


def _encode(artifact: Artifact, entry: str) -> str:
    raw: dict[str, Any] = {"manifest_version": _MANIFEST_VERSION}
    for field in dataclasses.fields(artifact):
        if field.name not in (
            "path",
            "request_key",
        ):  # the folder may be moved as a whole; the key is the name
            raw[field.name] = getattr(artifact, field.name)
    raw["entry"] = entry
    raw["files"] = [dataclasses.asdict(file) for file in artifact.files]
    raw["parameters"] = dict(artifact.parameters)
    raw["notes"] = dict(artifact.notes)
    return json.dumps(raw, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _file_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _seal(folder: Path) -> tuple[ArtifactFile, ...]:
    """Hash every file, force it to disk and take its write permission: nobody changes an artifact."""
    files = []
    for path in _file_paths(folder):
        sync_file(path)
        files.append(
            ArtifactFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))
        )
        if os.name != "nt":  # where a read-only file could not be removed either
            path.chmod(0o444)
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(below)
    return tuple(files)


def _check_made(request: ArtifactRequest, made: Made, folder: Path) -> None:
    entry = folder / made.entry
    problem = None
    if any(path.is_symlink() for path in folder.rglob("*")):
        problem = "left a link, where the files themselves belong"
    elif not _file_paths(folder):
        problem = "left no file"
    elif not entry.exists() or not entry.resolve().is_relative_to(folder.resolve()):
        problem = f"names {made.entry!r} as what to load, which it did not make"
    elif made.weight_bytes is not None and made.weight_bytes <= 0:
        problem = "reports no weight bytes"
    if problem is not None:
        raise EdgebenchError(
            f"making {request.framework} {request.recipe} with {request.tool} {request.tool_version} {problem}",
            next_step="this is a fault of the backend or its tool: report it with `--traceback`",
        )


def _stamp(folder: Path) -> _Stamp:
    """Size, time of change and inode of every file.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    stamps: _Stamp = {}
    for path in _file_paths(folder):
        status = path.stat()
        stamps[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return stamps


def _difference(artifact: Artifact, stamp: _Stamp) -> str | None:
    """How the files on disk differ from those that were made; None: not at all. Hashes them."""
    made = {file.path: file for file in artifact.files}
    missing = sorted(made.keys() - stamp.keys())
    if missing:
        return f"lacks its file {missing[0]}"
    added = sorted(stamp.keys() - made.keys())
    if added:
        return f"has a file that it was not made with, {added[0]}"
    for path, file in made.items():
        size = stamp[path][0]
        if size != file.size_bytes:
            return f"is damaged: {path} has {size} bytes instead of {file.size_bytes}"
    for path, file in made.items():
        if file_sha256(artifact.path / path) != file.sha256:
            return f"is damaged: {path} does not have its checksum any more"
    return None
