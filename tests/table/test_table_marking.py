"""A run that is faster than the memory allows is marked before it is stored."""

from __future__ import annotations

from typing import Any

import make_store_records as make
import pytest

from harness.frameworks import frameworks
from harness.model.configuration import ModelConfiguration
from harness.store.records import RunRecord
from harness.table.marking import marked

SHAPE = ModelConfiguration(
    architecture="llama", layers=30, hidden_size=576, intermediate_size=1536, heads=9, kv_heads=3, head_dim=64,
    value_dim=64, vocab_size=49152, tied_embeddings=True, parameters=134_515_008, embedding_parameters=28_311_552,
)  # fmt: skip
#: 8 ms a token and 101 MB of weights are 12.6 GB/s, and some more for the cache.
SLOW: dict[str, Any] = {"read_bytes_per_s": 10e9, "last_level_cache_bytes": 10_000_000}


def _marked(
    *,
    bench: dict[str, Any] | None = None,
    cell: dict[str, Any] | None = None,
    unread: int | None = None,
    **changes: Any,
) -> RunRecord:
    plan = make.cell(**(cell or {}))
    hints = {"type_k": "f16", "type_v": "f16"}
    record = make.run("s", plan.id, **{"hints": hints, **changes})
    return marked(
        record,
        plan,
        None if bench is None else make.machine_bench(**bench),
        weight_bytes=101_000_000,
        unread_weight_bytes=unread,
        configuration=SHAPE.to_dict(),
        entries=frameworks(),
    )


def test_more_bytes_than_the_memory_delivers_mark_the_run_with_the_reason() -> None:
    run = _marked(bench=SLOW)
    assert run.validity == "suspect"
    [flag] = run.flags
    assert flag.startswith("MBU 1.2")
    assert flag.endswith("more bytes than the memory can deliver, the measurement is wrong")


def test_an_artifact_with_a_table_apart_is_judged_by_what_is_read_of_it() -> None:
    slower = {**SLOW, "read_bytes_per_s": 7e9}
    [flag] = _marked(bench=slower, cell={"framework": "olive"}, unread=28_000_000).flags
    # 73 MB and the cache in 8 ms.
    assert flag.startswith("MBU 1.3")


def test_other_reasons_stay_beside_it() -> None:
    run = _marked(bench=SLOW, validity="suspect", flags=["steal time 9 %"])
    assert [flag[:5] for flag in run.flags] == ["steal", "MBU 1"]


@pytest.mark.parametrize(
    "case",
    [
        {"bench": None},
        {"bench": {**SLOW, "read_bytes_per_s": 20e9}},
        {"bench": {**SLOW, "last_level_cache_bytes": 30_000_000}},
        {"bench": {**SLOW, "validity": "suspect", "flags": ["steal time 9 %"]}},
        {"bench": SLOW, "hints": {}},
        {"bench": SLOW, "cell": {"framework": "olive"}},
        {"bench": SLOW, "cell": {"framework": "olive"}, "unread": 28_000_000},
        {"bench": SLOW, "cell": {"device": "gpu:0", "api": "cuda"}},
        {"bench": SLOW, "device": {"id": "cpu", "api": "cpu", "emulated": True}},
        {"bench": SLOW, "status": "failed", "reason": "it fell over", "phase": "timed"},
    ],
)
def test_a_run_that_can_be_right_or_of_which_nobody_can_say_stays_as_it_was(case: dict[str, Any]) -> None:
    run = _marked(**case)
    assert (run.validity, list(run.flags)) == ("ok", [])
