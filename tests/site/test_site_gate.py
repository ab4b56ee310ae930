"""The links of a gate's outputs lead into the site of `edgebench report --gate`: to pages, anchors and samples."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from fake_lab import SUITE, Lab
from site_pages import Page, read_site

from harness.gate.alone import alone
from harness.gate.deployment import chosen_cells, judge_session
from harness.gate.links import sessions_of, with_links
from harness.gate.metrics import DEFAULTS
from harness.gate.presets import load_preset
from harness.gate.render import FORMATS
from harness.site.build import build_site
from harness.store import Store, records

ADDRESS = "https://lab.example.org/gates/42"
SMALL = (
    SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0")
    .replace("[fp16, int4]", "fp16")
    .replace("pp8+tg4", "pp8+tg1")
)
FILES = tuple(name for name in FORMATS if name not in ("json", "table"))


def leads_into(pages: dict[str, Page], text: str) -> set[str]:
    """The links of an output, as paths of the site, each of which is there with its anchor."""
    found = set(re.findall(rf"{ADDRESS}/([^\s\"<>|)]*)", text.replace("%25", "%")))
    for link in found:
        path, _, anchor = link.partition("#")
        assert path in pages, link
        assert not anchor or anchor in pages[path].anchors, link
    return found


def site_of(store: Store, document: dict[str, Any], out: Path) -> dict[str, Page]:
    judged, compared = sessions_of(json.loads(FORMATS["json"](document)))
    build_site(store, out, judged, also=compared)
    return read_site(out)


@pytest.mark.stocked
def test_a_gate_of_pairs_leads_to_the_very_runs_that_it_paired(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_SITE_URL", "https://elsewhere.example.org")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(lab.folder / "summary.md"))
    lab.suite(SMALL)
    files = [f"--write={name}=out/{name}" for name in FORMATS]
    words = ("--same", "--with-suspect", "--max-pairs", "8", "-q", "--site-url", f"{ADDRESS}/")
    result = lab.run("gate", "fake.yaml", *words, *files)
    assert result.status in (0, 3), result.err + result.out
    reported = lab.run("report", "--gate", "out/json", "--out", "site")
    assert reported.status == 0, reported.err
    pages = read_site(lab.folder / "site")
    texts = {name: (lab.folder / "out" / name).read_text(encoding="utf-8") for name in FORMATS}
    texts["summary"] = (lab.folder / "summary.md").read_text(encoding="utf-8")
    document = json.loads(texts["json"])
    homes = {name: f"sessions/{side['session']}" for name, side in document["sides"].items()}
    for name in ("markdown", "summary", "json"):
        found = leads_into(pages, texts[name])
        for home in homes.values():
            assert {f"{home}/index.html", f"{home}/c0.html#decode_tps", f"{home}/c0.html#kld_mean"} <= found
    for name in FILES:
        leads_into(pages, texts[name])
        assert "elsewhere" not in texts[name], "the option wins over the variable"
    for row in document["verdicts"]:
        assert {side: len(found) for side, found in row["samples"].items()} == {"base": 1, "head": 1}
    for side, home in homes.items():
        runs = lab.query(
            "SELECT id FROM run WHERE session_id = ? AND kind = 'timed'",
            document["sides"][side]["session"],
        )
        assert len(runs) >= 6
        shown = pages[f"{home}/c0.html"]
        assert all(run_id in shown.text and f"run-{run_id}" in shown.anchors for (run_id,) in runs)
        assert "Samples: one column a repetition, raw" in shown.text


def test_without_a_site_the_outputs_name_the_commands(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a variable that is empty, as services have them, is none."""
    monkeypatch.setenv("EDGEBENCH_SITE_URL", "")
    lab.database.parent.mkdir()
    with Store.open(lab.database) as store:
        session = stored(store)
    files = [f"--write={name}=out/{name}" for name in FORMATS]
    result = lab.run("gate", "--preset", "steady", "--session", session, *files)
    assert result.status in (0, 1, 3), result.err
    for name in FORMATS:
        text = (lab.folder / "out" / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "samples" not in text
        assert f"edgebench show {session}" in text or name not in ("table", "markdown")


# -- stored sessions --------------------------------------------------------------------------------------------------

CELLS = (make.cell("F16", "fp16"), make.cell(), make.cell("Q5_K_M", "int5"))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "lab.db") as made:
        yield made


def stored(store: Store, later_s: float = 0.0) -> str:
    """A session of two measured cells and one that never ran."""
    store.record_model(replace(make.model(), configuration=None))
    for recipe in ("F16", "Q4_K_M"):
        store.record_artifact(make.artifact(recipe))
    store.record_environment(make.environment())
    machine = store.record_machine(make.machine())
    settings: dict[str, Any] = {"overrides": [], "threads": 2}
    planned = [
        records.PlannedCellRecord(cell, place, "no such device" if place == 2 else None)
        for place, cell in enumerate(CELLS)
    ]
    session = store.start_session(make.session(machine, later_s=later_s, settings=settings), planned)
    for cell in CELLS[:2]:
        for index in range(3):
            samples = [records.SampleRecord(0, False, {"decode_s": 1 + index / 100, "prefill_s": 1.0})]
            store.record_run(
                make.run(session, cell.id, index, samples=samples, framework_version="0.3.36", timeline=None)
            )
    return session


def test_a_presets_verdicts_lead_to_the_figures_that_their_rules_are_about(
    store: Store, tmp_path: Path
) -> None:
    session = stored(store)
    cells = chosen_cells(store, session, "")
    document = with_links(
        judge_session(store, session, cells, "edge-ready", load_preset("edge-ready")), store, ADDRESS
    )
    pages = site_of(store, document, tmp_path / "site")
    for name in FORMATS:
        leads_into(pages, FORMATS[name](document))
    never_ran = [row for row in document["verdicts"] if "Q5_K_M" in row["cell"]]
    assert {page for row in never_ran for page in row["samples"]["head"]} == {
        f"{ADDRESS}/sessions/{session}/index.html"
    }
    anchors = {
        row["metric"]: row["samples"]["head"][0].partition("#")[2]
        for row in document["verdicts"]
        if row not in never_ran
    }
    assert anchors == {
        "accuracy_ratio same top-1": "same_top", "speedup_decode": "speedup_decode", "memory_ratio": "memory_reduction",
        "decode_tps_cv": "decode_tps",
    }  # fmt: skip


@pytest.mark.parametrize("twice", [False, True])
def test_tasks_lead_to_the_tasks_of_the_cell_that_was_asked(
    store: Store, tmp_path: Path, twice: bool
) -> None:
    session = stored(store)
    untimed: dict[str, Any] = {"samples": (), "memory": (), "energy": (), "timeline": None}
    made = make.evaluation("own", [1, 0, 1, 1], cells=(CELLS[1].id,))
    store.record_run(make.run(session, CELLS[1].id, 0, kind="tasks", **untimed, evaluation=made))
    again = stored(store, 60.0) if twice else None
    row = {"cell": "one", "metric": "grammar acc", "base_cell": CELLS[0].id, "head_cell": CELLS[1].id}
    document = with_links(
        {
            "kind": "change",
            "verdicts": [row, {**row, "metric": "decode_tps"}],
            "sides": {name: {"session": session, "again": again} for name in ("base", "head")},
        },
        store,
        ADDRESS,
    )
    pages = site_of(store, document, tmp_path / "site")
    linked, timed = document["verdicts"]
    sessions = [again, session] if again else [session]
    assert leads_into(pages, json.dumps(document)) == {
        f"sessions/{session}/index.html",
        *(f"sessions/{one}/c{cell}.html#tasks" for one in sessions for cell in (0, 1)),
        *(f"sessions/{session}/c{cell}.html#decode_tps" for cell in (0, 1)),
    }
    assert linked["samples"]["head"] == [f"{ADDRESS}/sessions/{one}/c1.html#tasks" for one in sessions]
    assert timed["samples"]["head"] == [f"{ADDRESS}/sessions/{session}/c1.html#decode_tps"], "by fresh pairs"
    assert "grammar" in pages[f"sessions/{session}/c1.html"].text


@pytest.mark.parametrize("named", [False, True])
def test_a_stored_baseline_leads_to_the_sessions_that_head_was_compared_with(
    store: Store, tmp_path: Path, named: bool
) -> None:
    nights = [stored(store, 86_400.0 * night) for night in range(7)]
    head = stored(store, 86_400.0 * 9)
    row: dict[str, Any] = {
        "cell": "one", "cell_id": CELLS[1].id, "title": "Decode tok/s", "verdict": "regression", "ratio": 0.5,
        "low": 0.4, "high": 0.6, "sessions": 7, "runs": 3, "detectable": 0.2,
        "paired_detectable": 0.05, "reason": "beyond",
    }  # fmt: skip
    rows = [{**row, "metric": metric} for metric in [*DEFAULTS, "artifact", "cell"]]
    base = {"words": ["llamacpp==0.3.36"], "text": "stored", "session": nights[2] if named else None}
    sides: dict[str, dict[str, Any]] = {
        "base": base,
        "head": {"words": [], "text": "as pinned", "session": head},
    }
    document = with_links(alone("baseline", rows, suite="s", machine="m", sides=sides), store, ADDRESS)
    pages = site_of(store, document, tmp_path / "site")
    for name in FORMATS:
        leads_into(pages, FORMATS[name](document))
    wanted = [nights[2]] if named else nights[:1:-1]
    for one in document["verdicts"]:
        assert [page.split("/")[6] for page in one["samples"]["base"]] == wanted
        assert [page.split("/")[6] for page in one["samples"]["head"]] == [head]
    assert document["sides"]["base"]["url"] == (
        f"{ADDRESS}/sessions/{nights[2]}/index.html" if named else None
    )
    assert set(document["site"]["sessions"]) == {head, *wanted}
    absent = {*nights} - {*wanted}
    assert not {name.split("/")[1] for name in pages if name.startswith("sessions/")} & absent
