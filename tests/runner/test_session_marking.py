"""A session on a machine that was benched stores the mark of an impossible speed with the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from fake_lab import SUITE, Lab

from harness.backends.fake import Fake
from harness.model.configuration import ModelConfiguration
from harness.runner.catalogue import Catalogue
from harness.store import Store

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("precision: [fp16, int4]", "precision: fp16")
SHAPE = ModelConfiguration(
    architecture="llama", layers=2, hidden_size=64, intermediate_size=128, heads=4, kv_heads=2, head_dim=16,
    value_dim=16, vocab_size=256, tied_embeddings=True, parameters=65_536, embedding_parameters=16_384,
)  # fmt: skip


def test_history_leaves_out_what_the_machines_memory_cannot_have_delivered(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Catalogue, "configuration", lambda *_: SHAPE.to_dict())
    monkeypatch.setattr("harness.table.stored.kv_cache_bits", lambda *_: (16.0, 16.0))
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    [(machine, cell)] = lab.query(
        "SELECT machine_id, cell_id FROM session JOIN run ON session_id = session.id LIMIT 1"
    )
    with Store.open(lab.database) as store:
        # A kilobyte a second, past a cache of a kilobyte.
        store.record_machine_bench(
            make.machine_bench(machine_id=machine, read_bytes_per_s=1e3, last_level_cache_bytes=1000)
        )
    assert lab.run("run", "fake.yaml").status == 0
    stored = [
        json.loads(row[0])
        for row in lab.query("SELECT flags FROM run WHERE kind = 'timed' ORDER BY started_at")
    ]
    of_rule = [[flag for flag in flags if flag.startswith("MBU ")] for flags in stored]
    assert [len(flags) for flags in of_rule] == [0, 0, 1, 1], "the bench came after the first session"
    with Store.open(lab.database) as store:
        points = store.history(cell, machine, ["decode_tps"])
    assert points[-1].values["decode_tps"] is None
    assert (points[-1].runs, points[-1].left_out) == (0, 2)
    [row] = lab.rows()
    told = [flag for flag in row["flags"] if flag.startswith("MBU ")]
    assert sorted(told) == sorted(flag for flags in of_rule for flag in flags), "of each run, once"


def test_a_session_notes_what_no_token_reads_of_its_artifacts_and_older_runs_have_it_too(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Catalogue, "configuration", lambda *_: SHAPE.to_dict())
    monkeypatch.setattr(ModelConfiguration, "of_gguf", lambda *_: SHAPE)
    lab.suite(ONE)
    monkeypatch.setattr(Fake, "may_hold_unread", True)
    # As a version that asks no artifact.
    assert lab.run("run", "fake.yaml").status == 0
    first = _parts(lab)
    assert first["touched_weight_bytes"] is None
    assert "nobody noted" in first["reasons"]["touched_weight_bytes"]
    asked = []

    def unread(artifact: Path) -> int:
        asked.append(artifact.name)
        return 1000

    monkeypatch.setattr(Fake, "unread_weight_bytes", unread)
    assert lab.run("run", "fake.yaml").status == 0
    # Each artifact once: that of the cell, and the quality reference.
    assert asked == ["fake.json"] * len(asked)
    assert len(asked) == 2
    [(weight_bytes,)] = lab.query(
        "SELECT DISTINCT weight_bytes FROM artifact JOIN lineage ON artifact_id = artifact.id WHERE recipe = 'FP16'"
    )
    assert _parts(lab)["touched_weight_bytes"] == weight_bytes - 1000


def _parts(lab: Lab) -> dict[str, Any]:
    """Of the first run that was ever timed."""
    [(run,)] = lab.query("SELECT id FROM run WHERE kind = 'timed' ORDER BY started_at LIMIT 1")
    parts: dict[str, Any] = lab.run("show", run, "--json").json["memory_breakdown"]
    return parts
