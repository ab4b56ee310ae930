"""The CPU build of torch where the machine has no CUDA, from a folder of tiny wheels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from environment_index import Index, backend

from harness.environment import EnvironmentManager, torch_build
from harness.environment.record import MANIFEST

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a choice of builds")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    made = Index(tmp_path / "index")
    for name, value in made.configuration.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch_build, "has_cuda", lambda: False)
    made.wheel("engine", "1.0", requires=("torch",))
    inside = {"version.py": "cuda = '13.0'\nhip = None\n"}
    made.wheel("torch", "2.13.0", "", ("nvidia-cuda",), inside=inside)
    made.wheel("nvidia-cuda", "13.0")
    return made


CONVERTER = backend("engine==1.0", "torch==2.13.0")


def _cpu(index: Index) -> None:
    index.wheel("torch", "2.13.0+cpu", inside={"version.py": "cuda = None\n"})


def test_without_cuda_the_cpu_build_is_installed_and_told(index: Index, tmp_path: Path) -> None:
    _cpu(index)
    made = EnvironmentManager(tmp_path / "cache").ensure(CONVERTER)
    assert made.version("torch") == "2.13.0+cpu"
    assert made.version("nvidia-cuda") is None
    assert made.notes == ("torch 2.13.0+cpu is a build for cpu",)
    assert EnvironmentManager(tmp_path / "cache").find(CONVERTER) == made


@pytest.mark.usefixtures("index")
def test_where_pip_has_none_the_plain_one_is_installed_with_a_note(tmp_path: Path) -> None:
    lines: list[str] = []
    made = EnvironmentManager(tmp_path / "cache").ensure(CONVERTER, progress=lines.append)
    assert (made.version("torch"), made.version("nvidia-cuda")) == ("2.13.0", "13.0")
    [note] = made.notes
    assert note == (
        "torch 2.13.0 is a build for cuda 13.0; this machine has no CUDA, but pip, as it is configured, finds no "
        "torch==2.13.0+cpu"
    )
    assert any("pip finds no torch==2.13.0+cpu" in line for line in lines)


@pytest.mark.usefixtures("index")
def test_with_cuda_pip_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build, "has_cuda", lambda: True)
    made = EnvironmentManager(tmp_path / "cache").ensure(CONVERTER)
    assert made.notes == ("torch 2.13.0 is a build for cuda 13.0",)


def test_an_environment_without_torch_has_no_note(index: Index, tmp_path: Path) -> None:
    index.wheel("plain", "1.0")
    manager = EnvironmentManager(tmp_path / "cache")
    made = manager.ensure(backend("plain==1.0", import_name="plain"))
    assert made.notes == ()
    manifest = made.path / MANIFEST
    manifest.write_text(manifest.read_text().replace(',\n "notes": []', ""), encoding="utf-8")
    assert "notes" not in manifest.read_text()
    assert manager.list() == [made], "manifests of older versions are read"


@pytest.mark.parametrize(
    ("lines", "system", "pin"),
    [
        (["olive-ai==0.13.0", "torch==2.13.0"], "linux", "torch==2.13.0+cpu"),
        (["Torch == 2.13.0 --hash=sha256:00"], "linux", "torch==2.13.0+cpu"),
        (["torch==2.13.0+cu130"], "linux", None),
        (["torch==2.13.*"], "linux", None),
        (["torch @ file:///tmp/torch-2.13.0-py3-none-any.whl"], "linux", None),
        (["torchmetrics==1.9.0"], "linux", None),
        (["torch==2.13.0"], "darwin", None),
        (["torch==2.13.0"], "win32", None),
    ],
)
def test_only_a_pinned_torch_on_linux_has_a_cpu_build_to_look_for(
    lines: list[str], system: str, pin: str | None
) -> None:
    assert torch_build.cpu_pin(lines, system=system) == pin
