"""A power cut at any stage of making an artifact: what is half there is noticed, and made again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifact import Artifact, ArtifactRequest, ArtifactStore
from harness.worker.api import Made

REQUEST = ArtifactRequest(
    source="a" * 64,
    framework="llamacpp",
    recipe="Q4_K_M",
    parameters={},
    tool="llama-cpp-python",
    tool_version="0.3.36",
    model="tiny",
)
WEIGHTS = bytes(range(256)) * 64


def make(out: Path) -> Made:
    (out / "model").mkdir()
    (out / "model" / "weights.bin").write_bytes(WEIGHTS)
    (out / "config.json").write_text("{}", encoding="utf-8")
    return Made(len(WEIGHTS), "model/weights.bin", "0.3.36")


def test_everything_is_on_disk_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the calls is the promise: content, then its name, then the folder, then what refers to it."""
    events: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def synced(descriptor: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        events.append(("name", f"{self} -> {target}"))
        return rename(self, target)

    def replaced(self: Path, target: Path) -> Path:
        events.append(("name", f"{self} -> {target}"))
        return replace(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs procfs to know what is synchronised")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", replaced)
    artifact = ArtifactStore(tmp_path).get(REQUEST, make)
    names = [place for place, (what, _) in enumerate(events) if what == "name"]
    assert len(names) == 2, events
    published, recorded = names
    before = {path for what, path in events[:published] if what == "sync"}
    staging = events[published][1].partition(" -> ")[0]
    assert before >= {staging, f"{staging}/model", f"{staging}/model/weights.bin", f"{staging}/config.json"}
    between = [path for what, path in events[published + 1 : recorded] if what == "sync"]
    assert str(artifact.path.parent) in between, "the object's name"
    assert any("requests" in path for path in between), "what the request file holds"
    after = [path for what, path in events[recorded + 1 :] if what == "sync"]
    assert after == [str(tmp_path / "artifacts" / "requests")]


def request_file(artifact: Artifact) -> Path:
    return artifact.path.parents[1] / "requests" / f"{artifact.request_key}.json"


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def back_to_staging(artifact: Artifact, *, whole: bool) -> None:
    """Died before the rename."""
    staging = artifact.path.parents[1] / "staging" / f"{artifact.request_key}-x1y2z3"
    artifact.path.rename(staging)
    if not whole:
        overwrite(staging / "model" / "weights.bin", b"")
    request_file(artifact).unlink()


def empty_and_unrecorded(artifact: Artifact) -> None:
    overwrite(artifact.entry, b"")
    request_file(artifact).unlink()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


#: What a cut leaves on a disk: stage -> what it does to a whole artifact.
CUTS: dict[str, Callable[[Artifact], object]] = {
    "staged": lambda one: back_to_staging(one, whole=True),
    "staged in half": lambda one: back_to_staging(one, whole=False),
    "named, not recorded": lambda one: request_file(one).unlink(),
    "named empty, not recorded": empty_and_unrecorded,
    "recorded, the content empty": lambda one: overwrite(one.entry, b""),
    "recorded, the content cut": lambda one: overwrite(one.entry, WEIGHTS[:4096]),
    "recorded, the content zeros": lambda one: overwrite(one.entry, bytes(len(WEIGHTS))),
    "recorded, a file not named": lambda one: one.entry.unlink(),
    "recorded, no folder": lambda one: shutil.rmtree(one.path),
    "recorded, an empty folder": lambda one: emptied(one.path),
    "the record empty": lambda one: overwrite(request_file(one), b""),
    "the record zeros": lambda one: overwrite(request_file(one), bytes(600)),
    "the record cut": lambda one: overwrite(request_file(one), request_file(one).read_bytes()[:99]),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=list(CUTS))
def test_a_power_cut_at_any_stage_is_noticed_and_the_artifact_made_again(
    tmp_path: Path, cut: Callable[[Artifact], object]
) -> None:
    first = ArtifactStore(tmp_path).get(REQUEST, make)
    cut(first)
    after = ArtifactStore(tmp_path)
    found = after.find(REQUEST)
    assert found is None or after.verify(found) is not None, "half an artifact counts as whole"
    after.list()
    again = after.get(REQUEST, make)
    assert again.id == first.id
    assert again.entry.read_bytes() == WEIGHTS
    assert json.loads(request_file(again).read_text(encoding="utf-8"))["id"] == first.id
    assert ArtifactStore(tmp_path).verify(again) is None
    assert list((tmp_path / "artifacts" / "staging").iterdir()) == []
    assert after.clean() == 0, "something of the cut is left"


def test_a_cut_between_the_names_is_cleaned_where_nobody_asks_again(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    lost = store.get(REQUEST, make)
    CUTS["named, not recorded"](lost)
    assert store.clean() == len(WEIGHTS) + 2
    assert not lost.path.exists()
