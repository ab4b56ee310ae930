"""``artifact=``: sides whose cells load an artifact of one's own, or one of the cache by its id."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from fake_lab import SUITE, Lab, write_gguf

from harness.artifact import ArtifactStore
from harness.artifact.adopting import adopt, files_of
from harness.errors import UsageError
from harness.gate.own_artifact import weight_bytes

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
    assert "not known" in found["bits_per_weight"]["reason"]
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


def test_the_weights_of_safetensors_are_those_of_their_header(tmp_path: Path) -> None:
    header = json.dumps(
        {"__metadata__": {"a": "b"}, "w": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(16))
    assert weight_bytes(tmp_path) == 16
    path.write_bytes(struct.pack("<Q", 10_000) + header.encode())
    with pytest.raises(UsageError, match="no whole safetensors"):
        weight_bytes(tmp_path)
    path.unlink()
    write_gguf(tmp_path / "model.gguf")
    assert weight_bytes(tmp_path) == 256 * 64 * 4
    (tmp_path / "model.gguf").unlink()
    (tmp_path / "openvino_model.bin").write_bytes(bytes(10))
    assert weight_bytes(tmp_path) is None


def test_the_weights_of_an_openvino_graph_are_its_constants_without_shapes(tmp_path: Path) -> None:
    def constant(kind: str, offset: int, size: int) -> str:
        data = f'<data element_type="{kind}" shape="2,2" offset="{offset}" size="{size}"/>'
        return f'<layer id="{offset}" name="c" type="Const" version="opset1">{data}<output/></layer>'

    graph = tmp_path / "openvino_model.xml"
    other = '<layer id="1" name="p" type="Parameter" version="opset1"><data element_type="f32" shape="?,?"/></layer>'
    constants = constant("u4", 0, 64) + constant("f16", 64, 8) + constant("i64", 72, 16)
    graph.write_text(
        f'<net name="a" version="11"><layers>{constants}{other}</layers></net>', encoding="utf-8"
    )
    (tmp_path / "openvino_tokenizer.xml").write_text("<net/>", encoding="utf-8")
    assert weight_bytes(tmp_path) == 64 + 8
    graph.write_text("<net><layers>", encoding="utf-8")
    with pytest.raises(UsageError, match="no whole OpenVINO graph"):
        weight_bytes(tmp_path)


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
