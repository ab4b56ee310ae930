"""A session on a machine that was benched stores the mark of an impossible speed with the run."""

from __future__ import annotations

import json

import make_store_records as make
import pytest
from fake_lab import SUITE, Lab

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
