"""From each figure of a session's table down to its samples, and from there to everything that it comes from."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sqlite3
import statistics
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_lab import SUITE, Lab

import harness
from harness.environment import Environment
from harness.explain import measured
from harness.model import work
from harness.model.configuration import ModelConfiguration
from harness.runner import tasks
from harness.runner.launch import Launch
from harness.runner.setup import Workshop
from harness.store import Store, records

EVALUATOR = Path(__file__).parents[1] / "runner" / "scripted_evaluator.py"

MEASURED = SUITE.replace("runs: 2", "runs: 3") + "tasks: {names: [even], limit: 3, num_fewshot: 0}\n"

#: A shape that the tiny model does not have: for what follows from one.
SHAPE = ModelConfiguration(
    architecture="llama", layers=2, hidden_size=64, intermediate_size=128, heads=4, kv_heads=2, head_dim=16,
    value_dim=16, vocab_size=256, tied_embeddings=True, parameters=16_384, embedding_parameters=16_384,
)  # fmt: skip

#: Columns whose figure a walk recomputes from what ``show`` prints.
WALKED = (
    "prefill_tps", "decode_tps", "ttft_s", "stream_tps", "itl_s_p50", "peak_rss_bytes", "import_bytes",
    "energy_joules_per_decode_token", "mbu_decode", "speedup_prefill", "speedup_decode", "memory_reduction",
    "bits_per_weight", "weight_bytes", "perplexity", "perplexity_ratio", "kld_mean", "same_top", "tasks",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """The database of a session, once there is one: measuring takes longest."""
    return {}


@pytest.fixture
def session(
    bare_lab: Lab, kept: dict[str, bytes], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Lab:
    """A session of the scripted framework: tasks, a meter's readings, a bench, one suspect and one failed run."""
    if not kept:
        _measure(request.getfixturevalue("lab"), monkeypatch)
        kept["database"] = bare_lab.database.read_bytes()
    else:
        bare_lab.database.parent.mkdir()
        bare_lab.database.write_bytes(kept["database"])
    return bare_lab


def _measure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(program: str, python: Path, env: Mapping[str, str]) -> Launch:
        del program
        packages = {"harness": Path(harness.__file__).parent, "scripted_evaluator": EVALUATOR}
        return Launch(python, "none:None", packages, dict(env), "scripted_evaluator")

    def tool(workshop: Workshop, _: object) -> Environment:
        return workshop.environment("fake")

    monkeypatch.setattr(tasks, "launch_of_tool", launch)
    monkeypatch.setattr(Workshop, "tool", tool)
    monkeypatch.setattr(sys, "argv", ["edgebench", "run", "fake.yaml", "--db", "x://me:s3cret@lab/db"])
    lab.suite(MEASURED)
    ran = lab.run("run", "fake.yaml")
    assert ran.status == 0, ran.err
    _add_what_this_machine_lacks(lab)


def _add_what_this_machine_lacks(lab: Lab) -> None:
    with Store.open(lab.database) as store:
        (machine_id,) = (row[0] for row in lab.query("SELECT id FROM machine"))
        store.record_machine_bench(
            records.MachineBenchRecord(
                machine_id=machine_id, measured_at=datetime.now(UTC), edgebench_version="0.1.0", threads=2,
                array_bytes=2**28, read_bytes_per_s=21.5e9, read_median_bytes_per_s=20.5e9,
                copy_bytes_per_s=18e9, copy_median_bytes_per_s=17.5e9, fp32_flops=180e9,
                fp32_median_flops=170e9, last_level_cache_bytes=2**25, reasons={"int8_ops": "none here"},
            )
        )  # fmt: skip
    with sqlite3.connect(lab.database) as connection:
        connection.execute("UPDATE model SET configuration = ?", [json.dumps(SHAPE.to_dict())])
        connection.execute("""UPDATE run SET hints = '{"type_k": "f16", "type_v": "q8_0"}'""")
        # Whatever the machine was doing: who is suspect is said here.
        connection.execute("UPDATE run SET validity = 'ok', flags = '[]'")
        connection.execute(
            "UPDATE energy_reading SET gross_joules = 2.5 + run_key, tokens = 100, window_s = 2, reason = 'no idle', "
            "meter = 'scripted', domain = 'package-0', method = 'counter' WHERE phase = 'decode'"
        )
        spoiled = "kind = 'timed' AND run_index = 0"
        flags = json.dumps(["steal time 9 %"])
        connection.execute(f"UPDATE run SET validity = 'suspect', flags = ? WHERE {spoiled}", [flags])
        cell = connection.execute("SELECT id FROM cell WHERE precision = 'int4'").fetchone()[0]
        failed = "kind = 'timed' AND run_index = 1 AND cell_id = ?"
        connection.execute(
            f"UPDATE run SET status = 'failed', reason = 'it fell over' WHERE {failed}", [cell]
        )
    connection.close()


_shown: dict[tuple[Path, str], dict[str, Any]] = {}


def show(lab: Lab, id_: str) -> dict[str, Any]:
    """What ``show`` prints of an id; asked once for each, as nothing changes."""
    if (lab.folder, id_) not in _shown:
        shown = lab.run("show", id_, "--json")
        assert shown.status == 0, shown.err
        assert shown.json["id"] == id_
        _shown[lab.folder, id_] = shown.json
    return _shown[lab.folder, id_]


def explained(lab: Lab, *words: str) -> dict[str, Any]:
    result = lab.run("table", "--format", "json", "--explain", *words)
    assert result.status == 0, result.err
    found: dict[str, Any] = result.json
    return found


# -- the walk ------------------------------------------------------------------------------------------------------


def test_every_figure_is_recomputed_from_its_samples_and_led_back_to_its_beginning(session: Lab) -> None:
    found = explained(session)
    plain = session.rows()
    runs = {run_id: show(session, run_id) for run_id in found["origins"]["runs"]}
    assert len(found["rows"]) == len(plain) == 2
    walked = set()
    for row, told in zip(found["rows"], plain, strict=True):
        assert {key: row[key] for key in told} == told
        figures = row["explain"]["figures"]
        for key in WALKED:
            figure = figures[key]
            assert figure["value"] == told[key], key
            if told[key] is None:
                assert figure["why_missing"], key
                continue
            assert figure["run_ids"], key
            assert figure["formula"]
            assert figure["source"]
            assert recomputed(session, key, figure, runs) == figure["value"], key
            walked.add(key)
    assert walked == set(WALKED)
    for run in runs.values():
        led_back(session, found["origins"], run)


def recomputed(lab: Lab, key: str, figure: dict[str, Any], runs: dict[str, dict[str, Any]]) -> Any:
    """The figure from what ``show`` prints of its runs, by arithmetic of this test's own."""
    own = [runs[run_id] for run_id in figure["run_ids"]]
    if key in ("weight_bytes", "bits_per_weight"):
        artifact = show(lab, own[0]["artifact_id"])
        size = artifact["weight_bytes"]
        return size if key == "weight_bytes" else size * 8 / artifact["parameters"]
    if key.startswith("speedup_"):
        base = [runs[run_id] for run_id in figure["baseline_run_ids"]]
        of = key.replace("speedup_", "") + "_tps"
        return statistics.median(value(lab, of, one) for one in own) / statistics.median(
            value(lab, of, one) for one in base
        )
    if key == "memory_reduction":
        base = [runs[run_id] for run_id in figure["baseline_run_ids"]]
        return 1 - statistics.median(map(less_import, own)) / statistics.median(map(less_import, base))
    if key in ("perplexity", "perplexity_ratio", "kld_mean", "same_top"):
        return of_windows(key, own, figure, runs)
    if key == "tasks":
        return of_items(own[0]["evaluation"], runs[figure["reference_run_ids"][0]]["evaluation"], figure)
    median = statistics.median(value(lab, key, one) for one in own)
    return round(median) if key.endswith("_bytes") else median


def value(lab: Lab, key: str, run: dict[str, Any]) -> Any:
    """One run's value."""
    if key in ("peak_rss_bytes", "import_bytes"):
        readings = run["memory"]
        if key == "peak_rss_bytes":
            return [one["peak_rss_bytes"] for one in readings if one["peak_rss_bytes"] is not None][-1]
        return next(one["rss_bytes"] for one in readings if one["phase"] == "import")
    if key == "energy_joules_per_decode_token":
        (window,) = (one for one in run["energy"] if one["phase"] == "decode")
        return window["gross_joules"] / window["tokens"]
    if key == "mbu_decode":
        artifact = show(lab, run["artifact_id"])
        shape = ModelConfiguration.from_dict(show(lab, artifact["chain"][-1]["model"]["id"])["configuration"])
        (bench,) = show(lab, show(lab, run["session_id"])["machine_id"])["benches"]
        read = work.decode_bytes(shape, artifact["weight_bytes"], 8, 4, (16.0, 8.5))
        return read * value(lab, "decode_tps", run) / bench["read_bytes_per_s"]
    repetitions = sorted({one["repetition"] for one in run["traces"] if not one["warmup"]})
    assert repetitions
    assert {one["repetition"] for one in run["traces"] if one["warmup"]}, "warm-ups are stored, and not taken"
    if key == "itl_s_p50":
        gaps = []
        for number in repetitions:
            times = trace(run, "token_ns", number)
            gaps += [(after - before) / 1e9 for before, after in itertools.pairwise(times)]
        return statistics.quantiles(gaps, n=100, method="inclusive")[49]
    return statistics.median(of_repetition(key, run, number) for number in repetitions)


def of_repetition(key: str, run: dict[str, Any], number: int) -> Any:
    sample = {one["metric"]: one["value"] for one in run["samples"] if one["repetition"] == number}
    tokens = trace(run, "token_ns", number)
    forward = trace(run, "forward_ns", number)
    return {
        "prefill_tps": 8 / sample["prefill_s"],
        "decode_tps": len(forward) / (sum(forward) / 1e9),
        "ttft_s": sample.get("ttft_s", tokens[0] / 1e9),
        "stream_tps": (len(tokens) - 1) / ((tokens[-1] - tokens[0]) / 1e9),
    }[key]


def trace(run: dict[str, Any], name: str, repetition: int) -> list[int]:
    (found,) = (one for one in run["traces"] if (one["name"], one["repetition"]) == (name, repetition))
    values: list[int] = found["values"]
    return values


def less_import(run: dict[str, Any]) -> float:
    peak = [one["peak_rss_bytes"] for one in run["memory"] if one["peak_rss_bytes"] is not None][-1]
    return float(peak - next(one["rss_bytes"] for one in run["memory"] if one["phase"] == "import"))


def of_windows(
    key: str, own: list[dict[str, Any]], figure: dict[str, Any], runs: dict[str, dict[str, Any]]
) -> Any:
    windows = own[0]["score"]["windows"]
    count = sum(one["positions"] for one in windows)
    if key in ("kld_mean", "same_top"):
        column = {"kld_mean": "kld_sum", "same_top": "same_top"}[key]
        return math.fsum(one[column] for one in windows) / count
    nll = [one["nll_sum"] for one in windows]
    if key == "perplexity_ratio":
        reference = runs[figure["reference_run_ids"][0]]["score"]["windows"]
        nll = [mine - other["nll_sum"] for mine, other in zip(nll, reference, strict=True)]
    return math.exp(math.fsum(nll) / count)


def of_items(mine: dict[str, Any], reference: dict[str, Any], figure: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of the row with value, flips and reference value made anew from the items."""
    made = []
    for told, task, other in zip(figure["value"], mine["tasks"], reference["tasks"], strict=True):
        flipped = sum(a != b for a, b in zip(task["items"], other["items"], strict=True))
        made.append(
            {
                **told,
                "value": statistics.fmean(task["items"]),
                "reference_value": statistics.fmean(other["items"]),
                "flips": flipped / len(task["items"]),
            }
        )
    return made


def led_back(lab: Lab, origins: dict[str, Any], run: dict[str, Any]) -> None:
    """From a run to its machine, environment, lineage, suite text, commit and command line."""
    session = show(lab, run["session_id"])
    told = origins["sessions"][run["session_id"]]
    assert session["command_line"] == told["command_line"] == [
        "edgebench", "run", "fake.yaml", "--db", "x://me:***@lab/db"
    ]  # fmt: skip
    assert told["commit_sha"] == session["commit_sha"]
    text = lab.run("show", run["session_id"], "--suite-text").out
    assert text == MEASURED
    assert hashlib.sha256(text.encode()).hexdigest() == told["suite_sha256"] == session["suite_sha256"]
    assert told["suite_text_matches"]
    machine = show(lab, session["machine_id"])
    assert machine["cpu_model"] == origins["machines"][session["machine_id"]]["cpu_model"]
    environment = show(lab, run["environment_id"])
    packages = origins["environments"][run["environment_id"]]["packages"]
    assert environment["packages"] == packages
    assert "numpy" in {one["name"] for one in packages}
    steps = origins["artifacts"][run["artifact_id"]]["chain"]
    assert show(lab, run["artifact_id"])["chain"] == steps
    assert steps[0]["artifact_id"] == run["artifact_id"]
    for step in steps:
        assert show(lab, step["lineage_id"])["tool_version"] == step["tool_version"]
        show(lab, step["artifact_id"])
    model = show(lab, steps[-1]["model"]["id"])
    assert model["sha256"] == hashlib.sha256((lab.folder / "tiny.gguf").read_bytes()).hexdigest()


# -- what is left out, and why --------------------------------------------------------------------------------------


def test_runs_that_are_behind_no_figure_stand_there_with_the_reason(session: Lab) -> None:
    for row in explained(session, "--columns", "decode_tps")["rows"]:
        figure = row["explain"]["figures"]["decode_tps"]
        reasons = sorted(figure["left_out"].values())
        expected = ["suspect: steal time 9 %"]
        if row["precision"] == "int4":
            expected = ["failed: it fell over", *expected]
        assert reasons == expected
        assert len(figure["run_ids"]) == 3 - len(expected)
        assert not set(figure["run_ids"]) & set(figure["left_out"])
        assert all(count > 0 for count in figure["warmups_left_out"].values())


def test_every_figure_of_a_score_names_the_windows_it_is_of(session: Lab) -> None:
    keys = sorted(measured.OF_SCORE)
    rows = explained(session, "--columns", ",".join(keys))["rows"]
    row = next(row for row in rows if row["precision"] == "int4")
    figures = row["explain"]["figures"]
    assert figures.keys() == set(keys)
    for key, figure in figures.items():
        if row[key] is not None:
            assert figure["windows"], key
            assert "counts" in figure or "terms" in figure or "detectable" in key, key


def test_a_person_is_told_definition_arithmetic_runs_and_origin(session: Lab) -> None:
    words = ("table", "--explain", "--where", "precision=int4", "--columns", "speedup_decode,kld_mean,tasks")
    result = session.run(*words)
    assert result.status == 0, result.err
    figure = explained(session, *words[2:])["rows"][0]["explain"]["figures"]["speedup_decode"]
    for said in (
        "Speed-up decode (speedup_decode): ",
        f"exactly {figure['value']!r}",
        "definition: `decode_tps` / the speed baseline's",
        f"against {figure['baseline']} (cell {figure['baseline_cell_id']}):",
        *(f"run {run_id}: " for run_id in (*figure["run_ids"], *figure["baseline_run_ids"])),
        "left out: run",
        "suspect: steal time 9 %",
        "forward_ns: 4 numbers, sum ",
        "warm-up",
        "quality reference: run ",
        "even acc: 1 over 3 items, their sum 3",
        "command line: edgebench run fake.yaml --db x://me:***@lab/db",
        "its stored text has it",
        "numpy ",
        "from the model file",
    ):
        assert said in " ".join(result.out.split()), said
    assert "Prefill" not in result.out
    markdown = session.run(*words, "--format", "markdown")
    assert markdown.status == 0
    assert markdown.out.startswith("### fake int4")
    assert "\n- definition: " in markdown.out


@pytest.mark.parametrize("name", ["csv", "html", "latex"])
def test_an_explanation_has_no_place_in_other_formats(session: Lab, name: str) -> None:
    refused = session.run("table", "--explain", "--format", name)
    assert refused.status == 2
    assert "--explain cannot be written" in refused.one_message()


# -- ids ------------------------------------------------------------------------------------------------------------


def test_every_id_that_show_prints_can_be_shown(session: Lab) -> None:
    waiting = [session.run("show", "--json").json["id"]]
    seen: dict[str, str] = {}
    while waiting:
        one = waiting.pop()
        if one not in seen:
            found = show(session, one)
            seen[one] = found["what"]
            waiting += ids_in(found)
    assert set(seen.values()) == {
        "session", "cell", "run", "artifact", "environment", "model", "machine", "preparation", "lineage",
        "machine_bench",
    }  # fmt: skip


def ids_in(value: Any, name: str = "") -> list[str]:
    """Every text under a key that is called an id; what devices and accelerators call themselves is none."""
    if isinstance(value, dict):
        return [
            one
            for key, inner in value.items()
            if key not in ("device", "accelerators", "settings", "system", "state")
            for one in ids_in(inner, key)
        ]
    if isinstance(value, list):
        return [one for inner in value for one in ids_in(inner, "id" if name == "sessions" else name)]
    return [value] if isinstance(value, str) and (name == "id" or name.endswith("_id")) else []


def test_the_way_of_an_artifact_is_printed_whole(session: Lab) -> None:
    row = next(row for row in explained(session)["rows"] if row["precision"] == "int4")
    artifact_id = row["explain"]["figures"]["weight_bytes"]["artifact_id"]
    shown = session.run("show", artifact_id)
    assert shown.status == 0
    assert "chain (" in shown.out


def test_makings_in_a_circle_have_an_end(session: Lab) -> None:
    with sqlite3.connect(session.database) as connection:
        connection.execute("UPDATE lineage SET source_artifact_id = artifact_id")
    connection.close()
    found = explained(session)
    ends = [artifact["chain"][-1]["ends"] for artifact in found["origins"]["artifacts"].values()]
    assert ends
    assert set(ends) == {"its makings go in a circle"}
