"""Where a run's peak goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.frameworks import frameworks
from harness.model.configuration import ModelConfiguration, prefill_flops
from harness.store import facts as stored
from harness.store.records import CellRecord, MemoryRecord
from harness.table import facts as shown
from harness.table import stored as reading
from harness.table.facts import MemoryFacts, RunFacts
from harness.table.memory import breakdown
from harness.table.utilisation import mbu_decode

MB = 1_000_000

READINGS = (
    MemoryFacts("import", 60 * MB, 55 * MB, device_note=None),
    MemoryFacts("load", 180 * MB, 170 * MB, pss_bytes=165 * MB, uss_bytes=150 * MB, device_note="none"),
    MemoryFacts("prefill", 200 * MB, 190 * MB, shares_reason="not read inside a timed pass"),
    MemoryFacts("decode", 210 * MB, 200 * MB, pss_bytes=195 * MB, uss_bytes=180 * MB, device_note="none"),
)
RUN = RunFacts(
    "r", "ok", memory=READINGS, touched_weight_bytes=98 * MB, analytic_kv_bytes=2 * MB, own_device=False
)


def test_the_residual_is_the_peak_less_own_size_touched_weights_and_cache() -> None:
    parts = breakdown(RUN)
    assert parts.residual_bytes == (210 - 55 - 98 - 2) * MB
    assert (parts.import_bytes, parts.peak_rss_bytes) == (55 * MB, 210 * MB)
    assert (parts.pss_bytes, parts.uss_bytes) == (195 * MB, 180 * MB)
    assert parts.reasons == {"device_bytes": "none"}


def test_each_phase_has_the_high_water_mark_at_its_end() -> None:
    parts = breakdown(RUN)
    assert (parts.load_peak_bytes, parts.prefill_peak_bytes, parts.decode_peak_bytes) == (
        180 * MB,
        200 * MB,
        210 * MB,
    )
    without = breakdown(replace(RUN, memory=(READINGS[0], READINGS[1], READINGS[3])))
    assert without.prefill_peak_bytes is None
    assert without.reasons["prefill_peak_bytes"] == "no reading was made at the end of that phase"


def test_a_residual_below_zero_stays_below_zero() -> None:
    assert breakdown(replace(RUN, touched_weight_bytes=300 * MB)).residual_bytes == (155 - 302) * MB


def test_with_memory_of_its_own_the_device_belongs_to_the_sum() -> None:
    on_card = replace(RUN, own_device=True)
    assert breakdown(on_card).residual_bytes is None
    assert "device_bytes" in breakdown(on_card).reasons["residual_bytes"]
    readings = (*READINGS[:1], replace(READINGS[1], device_bytes=400 * MB), *READINGS[2:])
    parts = breakdown(replace(on_card, memory=readings))
    assert (parts.device_bytes, parts.residual_bytes) == (400 * MB, (210 + 400 - 55 - 98 - 2) * MB)


def test_a_device_of_which_nobody_knows_where_its_memory_is_has_no_residual() -> None:
    parts = breakdown(replace(RUN, own_device=None))
    assert parts.residual_bytes is None
    assert "not known" in parts.reasons["residual_bytes"]


def test_without_readings_everything_is_missing_with_a_reason() -> None:
    parts = breakdown(RunFacts("r", "failed"))
    values = {key: getattr(parts, key) for key in parts.__dataclass_fields__ if key != "reasons"}
    assert set(values.values()) == {None}
    assert values.keys() == parts.reasons.keys()


SHAPE = ModelConfiguration(
    architecture="llama", layers=30, hidden_size=576, intermediate_size=1536, heads=9, kv_heads=3, head_dim=64,
    value_dim=64, vocab_size=49_152, tied_embeddings=True, parameters=134_515_008,
    embedding_parameters=49_152 * 576,
)  # fmt: skip


PLAN = CellRecord("f", "m", "int4", "r", "cpu", "cpu", "pp32+tg16", 32, 16)


def _cell(**changes: Any) -> stored.CellFacts:
    artifact = stored.ArtifactFacts("a", 90 * MB, 134_515_008, 5.35)
    values: dict[str, Any] = {"reason": None, "expected_s": None, "settings": {}, "runs": (), "score": None}
    values |= {"artifact": artifact, "configuration": SHAPE.to_dict()}
    return stored.CellFacts(PLAN, 0, **{**values, **changes})


def _run(**changes: Any) -> stored.RunFacts:
    values: dict[str, Any] = dict.fromkeys(stored.RunFacts.__dataclass_fields__)
    values |= {
        "id": "r",
        "status": "ok",
        "validity": "ok",
        "flags": (),
        "statistics": (),
        "samples": (),
        "memory": (),
        "energy": (),
        "details": {},
    }
    values |= {"hints": {"type_k": "f16", "type_v": "f16"}, "device": {"id": "cpu", "api": "cpu"}}
    return stored.RunFacts(**{**values, **changes})


def run_facts(run: stored.RunFacts, cell: stored.CellFacts) -> shown.RunFacts:
    return reading.run_facts(run, cell, frameworks())


def _apart(framework: str, unread: int | None) -> stored.CellFacts:
    """A tied model's int4 artifact of 90 MB, of a framework."""
    artifact = stored.ArtifactFacts("a", 90 * MB, 134_515_008, 5.35, unread_weight_bytes=unread)
    return replace(_cell(artifact=artifact), cell=replace(PLAN, framework=framework))


@pytest.mark.parametrize("framework", ["olive", "directml", "qnn", "llamacpp"])
def test_what_no_token_reads_of_an_artifact_is_not_touched(framework: str) -> None:
    made = run_facts(_run(), _apart(framework, 28 * MB))
    assert (made.touched_weight_bytes, made.weights_reason) == (62 * MB, None)
    assert made.work is not None
    assert made.work.decode_bytes == 62 * MB + 23_040 * 39.5
    assert made.work.prefill_bytes == 62 * MB + 23_040 * 32


@pytest.mark.parametrize(
    ("framework", "unread"), [("olive", None), ("directml", None), ("qnn", None), ("olive", 91 * MB)]
)
def test_where_nobody_noted_it_of_such_a_framework_there_is_no_figure_but_the_reason(
    framework: str, unread: int | None
) -> None:
    made = run_facts(_run(), _apart(framework, unread))
    parts = breakdown(made)
    assert parts.touched_weight_bytes is parts.residual_bytes is None
    assert "nobody noted" in parts.reasons["touched_weight_bytes"]
    # What does not hang on it stays.
    assert parts.analytic_kv_bytes == 23_040 * 48
    assert made.work is not None
    assert (made.work.decode_bytes, made.work.prefill_bytes) == (None, None)
    assert made.work.prefill_flops == prefill_flops(SHAPE, 32)
    share = mbu_decode(made, 100.0, shown.BenchFacts(20e9, 100e9, None, None, "2026-11-26"))
    assert share.value is None
    assert share.reason == parts.reasons["touched_weight_bytes"]


@pytest.mark.parametrize("framework", ["openvino", "mlx", "server", "a-plug-in-that-is-not-here"])
def test_frameworks_that_store_each_weight_once_need_no_note(framework: str) -> None:
    assert run_facts(_run(), _apart(framework, None)).touched_weight_bytes == 90 * MB


def test_touched_weights_and_cache_follow_from_shape_artifact_tokens_and_type() -> None:
    made = run_facts(_run(), _cell())
    assert made.touched_weight_bytes == 90 * MB
    assert made.analytic_kv_bytes == 23_040 * (32 + 16)
    quantised = run_facts(_run(hints={"type_k": "q8_0", "type_v": "q8_0"}), _cell())
    assert quantised.analytic_kv_bytes == 23_040 * 48 * 8.5 / 16


def test_work_follows_from_shape_artifact_tokens_and_type() -> None:
    work = run_facts(_run(), _cell()).work
    assert work is not None
    # 32 to 47 tokens are in the cache while the sixteen are decoded.
    assert work.decode_bytes == 90 * MB + 23_040 * 39.5
    assert work.prefill_bytes == 90 * MB + 23_040 * 32
    assert work.prefill_flops == prefill_flops(SHAPE, 32)
    steps = [prefill_flops(SHAPE, 1, 32 + step) for step in range(16)]
    assert work.decode_flops == pytest.approx(sum(steps) / 16)
    untold = run_facts(_run(hints={}), _cell()).work
    assert untold is not None
    assert (untold.decode_bytes, untold.prefill_bytes) == (None, None)
    assert untold.prefill_flops == work.prefill_flops
    assert run_facts(_run(), _cell(configuration=None)).work is None


def test_every_concurrent_request_has_a_cache() -> None:
    many = replace(_cell(), cell=replace(PLAN, workload="pp32+tg16@c4"))
    assert run_facts(_run(), many).analytic_kv_bytes == 4 * 23_040 * 48


@pytest.mark.parametrize(
    ("run", "cell", "key", "reason"),
    [
        ({}, {"configuration": None}, "touched_weight_bytes", "no plain transformer"),
        ({}, {"artifact": None}, "touched_weight_bytes", "no artifact"),
        ({"hints": {}}, {}, "analytic_kv_bytes", "does not tell the type of its KV cache"),
    ],
)
def test_what_is_not_known_of_the_shape_is_missing_with_the_reason(
    run: dict[str, Any], cell: dict[str, Any], key: str, reason: str
) -> None:
    parts = breakdown(run_facts(_run(**run), _cell(**cell)))
    assert getattr(parts, key) is None
    assert reason in parts.reasons[key]
    assert parts.residual_bytes is None


def test_whether_the_device_has_its_own_memory_is_what_was_read_else_only_the_cpu_is_known() -> None:
    plain = [MemoryRecord("load", 1, 1, None, None, "VmHWM")]
    gpu = {"id": "gpu:0", "api": "cuda"}
    own = [replace(plain[0], device_shared=False)]
    assert run_facts(_run(memory=own, device=gpu), _cell()).own_device is True
    assert run_facts(_run(memory=plain), _cell()).own_device is False
    assert run_facts(_run(memory=plain, device=gpu), _cell()).own_device is None
    shared = [replace(plain[0], device_shared=True)]
    assert run_facts(_run(memory=shared, device=gpu), _cell()).own_device is False
