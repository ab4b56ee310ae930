"""``artifact=``: sides whose cells load an artifact of one's own, or one of the cache by its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_lab import SUITE, Lab, write_gguf

from harness.artifact import ArtifactStore
from harness.artifact.adopting import adopt, files_of
from harness.gate.own_weights import weight_bytes

SMALL = SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0").replace("[fp16, int4]", "fp16")
WORDS = ("--with-suspect", "--max-pairs", "8", "--format", "json", "-q")


def own(folder: Path, bits: int, *, broken: bool = False) -> Path:
    """An artifact of the scripted framework that nobody made with edgebench."""
    folder.mkdir()
    (folder / "fake.json").write_text(json.dumps({"bits": bits, "broken": broken}), encoding="utf-8")
    (folder / "weights.bin").write_bytes(bytes(100 * bits))
    (folder / ".git").write_text("no part of it", encoding="utf-8")
    return folder


def verdicts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in document["verdicts"]}


def test_two_artifacts_of_ones_own_are_judged_and_stored_with_their_origin(lab: Lab) -> None:
    lab.suite(SMALL)
    own(lab.folder / "mine8", 8)
    own(lab.folder / "mine4", 4)
    result = lab.run(
        "gate", "fake.yaml", "--base", "artifact=mine8", "--head", "artifact=mine4", *WORDS, "--allow-missing"
    )
    assert result.status in (0, 1, 3), result.err
    found = verdicts(result.json)
    assert found["kld_mean"]["ratio"] > 1, "four bits diverge more than eight"
    assert found["bits_per_weight"]["verdict"] == "unmeasured"
    reason = found["bits_per_weight"]["reason"]
    assert reason.startswith("the weights of base's artifact are not known: its files are of no format")
    cells = lab.query("SELECT recipe, precision FROM cell WHERE recipe LIKE 'own-%' ORDER BY recipe")
    assert len(cells) == 2, "each artifact has a series of its own"
    assert {precision for _, precision in cells} == {"unknown"}
    made = lab.query("SELECT tool, notes, environment_id FROM lineage WHERE recipe LIKE 'own-%'")
    assert {(tool, environment) for tool, _, environment in made} == {("own-file", None)}
    assert {json.loads(notes)["origin"] for _, notes, _ in made} == {
        f"a file of one's own: {(lab.folder / name).resolve()}" for name in ("mine8", "mine4")
    }
    loaded = lab.query(
        "SELECT count(DISTINCT artifact_id), count(*) FROM run WHERE kind = 'timed' AND status = 'ok'"
    )
    assert loaded[0][0] == 2
    assert loaded[0][1] >= 12


def test_a_broken_artifact_of_ones_own_fails_against_one_of_the_cache(lab: Lab) -> None:
    lab.suite(SMALL + "check: {max_kld: {ultra-low: 1.0}}\n")
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (known,) = lab.query("SELECT artifact_id FROM lineage WHERE recipe = 'FP16'")[0]
    own(lab.folder / "mine", 4, broken=True)
    words = ("gate", "fake.yaml", "--base", f"artifact={known[:12]}", "--head", "artifact=mine", *WORDS)
    result = lab.run(*words)
    assert result.status == 1, result.err + result.out
    (row,) = result.json["verdicts"]
    assert (row["verdict"], row["metric"]) == ("broken", "artifact")
    assert lab.query("SELECT count(*) FROM lineage WHERE artifact_id = ?", known) == [(1,)]


def test_the_same_content_is_not_copied_again_and_keeps_its_lineage(lab: Lab) -> None:
    lab.suite(SMALL)
    assert lab.run("run", "fake.yaml", "-q").status == 0
    assert lab.run("run", "fake.yaml", "-q", "-k", "fp16").status == 0
    (known,) = lab.query("SELECT artifact_id FROM lineage WHERE recipe = 'FP16'")[0]
    stored = lab.cache / "artifacts" / "objects" / known
    words = ("gate", "fake.yaml", "--base", f"artifact={stored}", "--head", "recipe=INT4", *WORDS)
    found = verdicts(lab.run(*words).json)
    assert found["bits_per_weight"]["verdict"] == "improvement"
    assert found["bits_per_weight"]["ratio"] == 0.25
    assert lab.query("SELECT count(*) FROM cell WHERE recipe LIKE 'own-%'") == [(0,)]


def test_several_frameworks_models_or_recipes_are_refused_with_their_names(lab: Lab) -> None:
    own(lab.folder / "mine", 4)
    text = SMALL.replace("model: tiny", "model: [tiny, second]")
    lab.suite(
        text + "  second:\n    source: {path: tiny.gguf}\n    reference: {framework: fake, recipe: FP32}\n"
    )
    result = lab.run("gate", "fake.yaml", "--head", "artifact=mine", *WORDS)
    assert result.status == 2
    assert "second, tiny are left" in result.one_message()
    lab.suite(SMALL.replace("precision: fp16", "precision: [fp16, int4]"))
    result = lab.run("gate", "fake.yaml", "--head", "artifact=mine", *WORDS)
    assert result.status == 2
    assert "base has several recipes" in result.one_message()


def test_a_single_file_of_the_cache_is_found_under_any_name(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "cache")
    found = []
    for name in ("one.gguf", "other.gguf"):
        write_gguf(tmp_path / name)
        files = files_of(tmp_path / name)
        found.append(
            adopt(
                store,
                tmp_path / name,
                files,
                framework="llamacpp",
                model="tiny",
                entry=name,
                parameter_count=16384,
                weigh=weight_bytes,
            )
        )
    assert found[0] == found[1]
    assert found[0].entry.name == "one.gguf"
    assert found[0].bits_per_weight == 32.0
    assert found[0].notes == {"origin": f"a file of one's own: {(tmp_path / 'one.gguf').resolve()}"}
