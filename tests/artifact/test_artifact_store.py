"""The artifact cache: made once, never half, noticed when changed, whoever dies."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from harness.artifact import Artifact, ArtifactRequest, ArtifactStore
from harness.errors import EdgebenchError, UsageError
from harness.worker.api import Made

REQUEST = ArtifactRequest(
    source="a" * 64,
    framework="llamacpp",
    recipe="Q4_K_M",
    parameters={"group": 64},
    tool="llama-cpp-python",
    tool_version="0.3.36",
    parameter_count=100,
    model="tiny",
)


class Maker:
    """Writes a two-file artifact and counts how often it was asked."""

    def __init__(self, text: str = "weights") -> None:
        self.calls = 0
        self.text = text

    def __call__(self, out: Path) -> Made:
        self.calls += 1
        (out / "model").mkdir()
        (out / "model" / "weights.bin").write_text(self.text, encoding="utf-8")
        (out / "config.json").write_text("{}", encoding="utf-8")
        return Made(60, "model/weights.bin", "0.3.36", {"fallbacks": 3})


def never(out: Path) -> NoReturn:
    raise AssertionError(f"made again in {out}")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def staged(cache: Path) -> list[Path]:
    folder = cache / "artifacts" / "staging"
    return list(folder.iterdir()) if folder.exists() else []


def test_finding_creates_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    assert store.find(REQUEST) is None
    assert store.list() == []
    assert store.clean() == 0
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_is_made_once_and_found_with_its_lineage(store: ArtifactStore, tmp_path: Path) -> None:
    maker = Maker()
    artifact = store.get(REQUEST, maker)
    again = store.get(REQUEST, never)
    found = ArtifactStore(tmp_path).find(REQUEST)
    assert maker.calls == 1
    assert again == artifact == found
    assert artifact.entry.read_text(encoding="utf-8") == "weights"
    assert [(file.path, file.size_bytes) for file in artifact.files] == [
        ("config.json", 2),
        ("model/weights.bin", 7),
    ]
    assert artifact.bits_per_weight == pytest.approx(4.8)
    assert artifact.notes == {"fallbacks": 3}
    assert artifact.made_s > 0
    assert (artifact.source, artifact.recipe, artifact.parameters) == ("a" * 64, "Q4_K_M", {"group": 64})
    assert staged(tmp_path) == []


def test_the_whole_folder_can_be_the_entry(store: ArtifactStore) -> None:
    def make(out: Path) -> Made:
        (out / "openvino_model.xml").write_text("<xml/>", encoding="utf-8")
        return Made(1, ".", "1")

    artifact = store.get(REQUEST, make)
    assert artifact.entry == artifact.path


@pytest.mark.skipif(os.name == "nt", reason="file permissions are another thing on Windows")
def test_nobody_may_write_to_an_artifact(store: ArtifactStore) -> None:
    artifact = store.get(REQUEST, Maker())
    assert artifact.entry.stat().st_mode & 0o222 == 0


def test_the_same_content_from_two_requests_is_one_object(store: ArtifactStore, tmp_path: Path) -> None:
    other = dataclasses.replace(REQUEST, recipe="Q4_0")
    one, two = store.get(REQUEST, Maker()), store.get(other, Maker())
    assert one.id == two.id
    assert one.path == two.path
    assert one.request_key != two.request_key
    assert len(list((tmp_path / "artifacts" / "objects").iterdir())) == 1
    assert [artifact.recipe for artifact in store.list()] == ["Q4_0", "Q4_K_M"]


def rewrite(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text, encoding="utf-8")


def test_a_changed_artifact_is_made_again_with_a_warning(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.get(REQUEST, Maker())
    rewrite(artifact.entry, "wEights")
    lines: list[str] = []
    session = ArtifactStore(tmp_path)
    maker = Maker()
    again = session.get(REQUEST, maker, lines.append)
    assert maker.calls == 1
    assert again.id == artifact.id
    assert again.entry.read_text(encoding="utf-8") == "weights"
    assert len(lines) == 1
    assert "warning" in lines[0]
    assert "model/weights.bin does not have its checksum" in lines[0]


def test_a_change_within_a_session_is_seen_by_time_of_change_alone(store: ArtifactStore) -> None:
    artifact = store.get(REQUEST, Maker())
    status = artifact.entry.stat()
    rewrite(artifact.entry, "wEights")
    os.utime(artifact.entry, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert "checksum" in (store.verify(artifact) or "")


def test_files_are_hashed_once_a_session(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = store.get(REQUEST, Maker())
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return {file.path: file.sha256 for file in artifact.files}[path.relative_to(artifact.path).as_posix()]

    monkeypatch.setattr("harness.artifact.store.file_sha256", count)
    session = ArtifactStore(tmp_path)
    assert session.verify(artifact) is None
    assert session.verify(artifact) is None
    assert len(hashed) == 2


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda artifact: artifact.entry.unlink(), "lacks its file model/weights.bin"),
        (
            lambda artifact: (artifact.path / "cache.blob").write_text("x", encoding="utf-8"),
            "was not made with, cache.blob",
        ),
        (lambda artifact: rewrite(artifact.entry, "short"), "has 5 bytes instead of 7"),
    ],
    ids=["missing", "added", "truncated"],
)
def test_every_kind_of_damage_is_told(store: ArtifactStore, damage: object, words: str) -> None:
    artifact = store.get(REQUEST, Maker())
    assert callable(damage)
    damage(artifact)
    assert words in (store.verify(artifact) or "")
    assert store.verify(store.get(REQUEST, Maker())) is None


def test_a_damaged_object_is_replaced_when_another_request_makes_its_content(store: ArtifactStore) -> None:
    artifact = store.get(REQUEST, Maker())
    rewrite(artifact.entry, "wEights")
    os.utime(artifact.entry, ns=(1, 1))
    store.get(dataclasses.replace(REQUEST, recipe="Q4_0"), Maker())
    assert artifact.entry.read_text(encoding="utf-8") == "weights"
    assert store.get(REQUEST, never).id == artifact.id


def test_what_making_raises_passes_through_and_leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    def make(out: Path) -> Made:
        (out / "half").write_text("x", encoding="utf-8")
        raise KeyError("the tool failed")

    with pytest.raises(KeyError, match="the tool failed"):
        store.get(REQUEST, make)
    assert staged(tmp_path) == []
    assert store.find(REQUEST) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_sizes_and_the_next_step(store: ArtifactStore, tmp_path: Path) -> None:
    def make(out: Path) -> Made:
        (out / "half").write_bytes(b"x" * 1500)
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
        raise AssertionError("/dev/full took a byte")

    with pytest.raises(
        EdgebenchError, match=r"disk became full.*llamacpp Q4_K_M.*1\.5 kB were written"
    ) as caught:
        store.get(REQUEST, make)
    assert "EDGEBENCH_CACHE_DIR" in caught.value.next_step
    assert staged(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: Made(1, ".", "1"), "left no file"),
        (
            lambda out: ((out / "a").write_text("x", encoding="utf-8"), Made(1, "b", "1"))[1],
            "'b' as what to load",
        ),
        (
            lambda out: ((out / "a").write_text("x", encoding="utf-8"), Made(1, "../..", "1"))[1],
            "as what to load",
        ),
        (
            lambda out: ((out / "a").write_text("x", encoding="utf-8"), Made(0, "a", "1"))[1],
            "no weight bytes",
        ),
        (lambda out: ((out / "a").symlink_to("/"), Made(1, "a", "1"))[1], "left a link"),
    ],
    ids=["empty", "no entry", "outside", "no weights", "link"],
)
def test_a_maker_that_left_nothing_to_load_is_found_out(
    store: ArtifactStore, make: object, words: str
) -> None:
    assert callable(make)
    with pytest.raises(EdgebenchError, match=words):
        store.get(REQUEST, make)
    assert store.list() == []


def test_removing_takes_the_files_and_every_request(store: ArtifactStore) -> None:
    artifact = store.get(REQUEST, Maker())
    store.get(dataclasses.replace(REQUEST, recipe="Q4_0"), Maker())
    assert store.remove(artifact.id[:8]) == 9
    assert store.list() == []
    assert not artifact.path.exists()


@pytest.mark.parametrize("artifact_id", ["", "000000", "zzz"])
def test_removing_what_is_not_there_is_an_error_in_words(store: ArtifactStore, artifact_id: str) -> None:
    store.get(REQUEST, Maker())
    with pytest.raises(UsageError, match="no artifact in the cache begins"):
        store.remove(artifact_id)


def test_cleaning_removes_objects_that_no_request_leads_to(store: ArtifactStore, tmp_path: Path) -> None:
    kept = store.get(REQUEST, Maker())
    lost = store.get(dataclasses.replace(REQUEST, recipe="Q4_0"), Maker("other"))
    (tmp_path / "artifacts" / "requests" / f"{lost.request_key}.json").unlink()
    assert store.clean() == 7
    assert kept.path.exists()
    assert not lost.path.exists()


def test_a_request_file_that_cannot_be_read_is_a_missing_artifact(
    store: ArtifactStore, tmp_path: Path
) -> None:
    artifact = store.get(REQUEST, Maker())
    (tmp_path / "artifacts" / "requests" / f"{REQUEST.key}.json").write_text(
        '{"manifest_version": 99}', encoding="utf-8"
    )
    assert store.find(REQUEST) is None
    assert store.get(REQUEST, Maker()).id == artifact.id


# -- several processes -----------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from harness.artifact import ArtifactRequest, ArtifactStore
from harness.worker.api import Made

cache, mode = Path(sys.argv[1]), sys.argv[2]
request = ArtifactRequest(source="a" * 64, framework="llamacpp", recipe="Q4_K_M", parameters={"group": 64},
                          tool="llama-cpp-python", tool_version="0.3.36")

def make(out):
    with (cache / "calls").open("a", encoding="utf-8") as calls:
        calls.write("x")
    for part in range(50):
        (out / f"part{part}").write_bytes(b"x" * 10_000)
        if mode == "hang" and part == 25:
            print("half", flush=True)
            sys.stdin.read()
    return Made(500_000, ".", "1")

print("ready", flush=True)
sys.stdin.readline()
artifact = ArtifactStore(cache).get(request, make)
print(artifact.id, len(list(artifact.path.iterdir())), flush=True)
"""


def child(cache: Path, mode: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(cache), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def test_processes_at_once_make_an_artifact_once_and_all_see_it_whole(tmp_path: Path) -> None:
    processes = [child(tmp_path, "run") for _ in range(4)]
    for process in processes:
        tell(process, "go\n")
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(answers) == 1
    assert answers.pop().split()[1] == "50"
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a signal")
def test_a_maker_killed_at_once_leaves_only_staging_which_the_next_get_removes(tmp_path: Path) -> None:
    process = child(tmp_path, "hang")
    tell(process, "go\n")
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    store = ArtifactStore(tmp_path)
    assert store.find(REQUEST) is None
    assert store.clean() == 0, "a living maker's staging is not touched"
    assert len(staged(tmp_path)) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(staged(tmp_path)) == 1
    artifact: Artifact = store.get(REQUEST, Maker())
    assert len(artifact.files) == 2
    assert staged(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a signal")
def test_cleaning_removes_the_staging_of_the_dead(tmp_path: Path) -> None:
    process = child(tmp_path, "hang")
    tell(process, "go\n")
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert ArtifactStore(tmp_path).clean() == 260_000
    assert staged(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../../outside"},
        {"id": "/tmp"},
        {"id": ["x"]},
        {"entry": "../../../outside"},
        {"entry": "/etc/passwd"},
        {"files": [{"path": "../x", "size_bytes": 1, "sha256": "a"}]},
        {"files": [{"nothing": 1}]},
    ],
)
def test_a_request_file_that_names_places_outside_is_not_believed(
    store: ArtifactStore, tmp_path: Path, change: dict[str, object]
) -> None:
    made = store.get(REQUEST, Maker())
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "weights.bin").write_text("mine", encoding="utf-8")
    path = tmp_path / "artifacts" / "requests" / f"{made.request_key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    assert store.find(REQUEST) is None
    assert store.list() == []
    store.clean()
    assert (outside / "weights.bin").exists()
