"""`harness.plot`: the roofline's data checked by hand, its chart's specification, and the files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.plot.palette import framework_colours
from harness.plot.roofline import Roofline, roofline_chart, roofline_data
from harness.plot.save import FORMATS, check_format, save_chart
from harness.table.facts import BenchFacts, CellFacts, RunFacts, SampleFacts, SessionFacts, WorkFacts

#: 20 GB/s, 100 GFLOP/s, 400 GOP/s: the memory ends at 5 and at 20 FLOP/byte.
BENCH = BenchFacts(20e9, 100e9, 400e9, 10_000_000, "2026-11-26")
#: A decode of 2 FLOP/byte, a prefill of 80.
WORK = WorkFacts(decode_bytes=100e6, decode_flops=200e6, prefill_bytes=100e6, prefill_flops=8e9)


def cell(framework: str, recipe: str, token_ms: int = 10, **more: Any) -> CellFacts:
    """A cell with one run: 32 tokens prefilled in 0.1 s, then these milliseconds a token."""
    sample = SampleFacts({"prefill_s": 0.1}, (token_ms * 1_000_000,) * 4)
    run = RunFacts("r", "ok", samples=(sample,), work=WORK)
    fields: dict[str, Any] = {
        "framework": framework,
        "model": "tiny",
        "precision": "int4",
        "recipe": recipe,
        "device": "cpu",
        "workload": "pp32+tg4",
        "prompt_tokens": 32,
        "decode_tokens": 4,
        "runs": (run,),
        **more,
    }
    return CellFacts(**fields)


def suspect(one: CellFacts) -> CellFacts:
    return replace(one, runs=tuple(replace(run, validity="suspect", flags=("steal",)) for run in one.runs))


def plotted(*cells: CellFacts, bench: BenchFacts | None = BENCH) -> Roofline:
    facts = SessionFacts("s-1", "m", "Test CPU, 2 cores, 8 GiB", cells, bench=bench)
    return roofline_data(facts)


def test_a_cell_has_a_mark_for_decode_and_one_for_prefill_where_its_work_and_speed_put_them() -> None:
    decode, prefill = plotted(cell("llamacpp", "Q4_K_M")).marks
    assert (decode.phase, prefill.phase) == ("decode", "prefill")
    assert decode.intensity == pytest.approx(2.0)
    assert decode.gflops == pytest.approx(0.2 * 100)
    assert decode.tokens_per_s == pytest.approx(100)
    assert decode.utilisation == pytest.approx(0.5)
    assert prefill.intensity == pytest.approx(80.0)
    assert prefill.gflops == pytest.approx(8 / 0.1)
    assert prefill.tokens_per_s == pytest.approx(320)
    assert decode.precision == "int4 (Q4_K_M)"


def test_a_mark_lies_below_the_memorys_roof_by_its_mbu() -> None:
    data = plotted(cell("llamacpp", "Q4_K_M"))
    decode = data.marks[0]
    assert decode.gflops == pytest.approx(decode.utilisation * decode.intensity * 20)


def test_the_roofs_are_the_bandwidths_slope_and_the_peaks_from_their_ridges_on() -> None:
    memory, fp32, int8 = plotted(cell("llamacpp", "Q4_K_M")).roofs
    assert [roof.name for roof in (memory, fp32, int8)] == [
        "memory 20 GB/s", "fp32 100 GFLOP/s", "int8 400 GOP/s",
    ]  # fmt: skip
    assert memory.points == ((1.0, 20.0), (20.0, 400.0))
    assert fp32.points == ((5.0, 100.0), (1000.0, 100.0))
    assert int8.points == ((20.0, 400.0), (1000.0, 400.0))


def test_without_int8_the_memory_ends_at_the_fp32_peak() -> None:
    memory, fp32 = plotted(cell("llamacpp", "Q4_K_M"), bench=replace(BENCH, int8_ops=None)).roofs
    assert memory.points[-1] == fp32.points[0] == (5.0, 100.0)


def test_what_cannot_be_placed_is_named_with_its_reason() -> None:
    data = plotted(
        cell("llamacpp", "Q4_K_M"),
        cell("mlx", "4bit", device="gpu:0.metal"),
        cell("qnn", "W8A16", runs=(), reason="needs Windows"),
        cell("openvino", "INT4", decode_tokens=0, workload="pp32", runs=(RunFacts("r", "ok", work=WORK),)),
    )
    assert {mark.framework for mark in data.marks} == {"llamacpp"}
    assert data.missing == {
        "mlx int4 (4bit) gpu:0.metal pp32+tg4": "the bench measures the CPU and its memory, not gpu:0.metal",
        "qnn int4 (W8A16) cpu pp32+tg4": "needs Windows",
        "openvino int4 cpu pp32": "the workload generates no token",
    }


def test_a_machine_without_a_bench_has_no_roofs_and_says_what_to_type() -> None:
    with pytest.raises(UsageError, match="never benched") as caught:
        plotted(cell("llamacpp", "Q4_K_M"), bench=None)
    assert caught.value.next_step == "edgebench doctor --bench"


def test_a_session_without_a_single_mark_says_why() -> None:
    with pytest.raises(UsageError, match="needs Windows"):
        plotted(cell("qnn", "W8A16", runs=(), reason="needs Windows"))


def specification(data: Roofline) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(roofline_chart(data).to_json())
    return found


def layers(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]


def values(spec: dict[str, Any], layer: dict[str, Any], field: str) -> list[Any]:
    """What a layer draws; the specification keeps all data in one place."""
    return [one[field] for one in spec["datasets"][layer["data"]["name"]]]


def test_the_axes_are_logarithmic_and_name_their_units() -> None:
    (line,) = layers(specification(plotted(cell("llamacpp", "Q4_K_M"))), "line")
    x, y = line["encoding"]["x"], line["encoding"]["y"]
    assert (x["title"], x["scale"]["type"]) == ("Arithmetic intensity (FLOP/byte)", "log")
    assert (y["title"], y["scale"]["type"]) == ("Performance (GFLOP/s)", "log")


def test_frameworks_have_their_colours_phases_their_shapes_and_suspect_cells_are_hollow() -> None:
    spec = specification(plotted(cell("openvino", "INT4"), suspect(cell("llamacpp", "Q4_K_M"))))
    clean, hollow = layers(spec, "point")
    assert values(spec, clean, "framework") == ["openvino"] * 2
    assert values(spec, hollow, "framework") == ["llamacpp"] * 2
    assert (clean["mark"]["filled"], hollow["mark"]["filled"]) == (True, False)
    assert clean["encoding"]["color"]["scale"] == {
        "domain": ["llamacpp", "openvino"],
        "range": ["#0072B2", "#E69F00"],
    }
    assert clean["encoding"]["shape"]["scale"]["domain"] == ["decode", "prefill"]
    assert "hollow: suspect runs only" in spec["title"]["subtitle"]
    assert "hollow" not in str(specification(plotted(cell("openvino", "INT4")))["title"])


def test_a_framework_keeps_its_colour_whoever_stands_beside_it() -> None:
    own = framework_colours(["llamacpp", "openvino", "mlx", "olive", "qnn", "directml", "server"])
    assert len(set(own.values())) == len(own)
    others = [f"framework {place}" for place in range(20)]
    many = framework_colours([*own, *others])
    for name, colour in many.items():
        assert framework_colours([name]) == {name: colour}
    # More of them than colours, but none that means a framework of ours.
    assert 3 < len({many[name] for name in others}) < len(others)
    assert not {many[name] for name in others} & set(own.values())


def test_every_format_is_a_file_that_needs_no_network(tmp_path: Path) -> None:
    chart = roofline_chart(plotted(cell("llamacpp", "Q4_K_M")))
    for suffix in FORMATS:
        save_chart(chart, tmp_path / "plots" / f"roofline{suffix}")
    folder = tmp_path / "plots"
    svg = (folder / "roofline.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "Arithmetic intensity (FLOP/byte)" in svg
    assert (folder / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert "layer" in json.loads((folder / "roofline.json").read_text(encoding="utf-8"))
    assert not re.search(r"<script[^>]+src=", (folder / "roofline.html").read_text(encoding="utf-8"))


def test_another_end_of_a_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="no known format") as caught:
        check_format(Path("roofline.pdf"))
    assert ".svg" in caught.value.next_step


def test_the_rest_of_the_program_does_not_wait_for_altair() -> None:
    program = (
        "import sys, harness.plot.roofline, harness.plot.save, harness.cli.plot_command;"
        "heavy = {'altair', 'vl_convert', 'pandas'} & sys.modules.keys(); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
