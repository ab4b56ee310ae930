"""Sites of what is rare: nothing at all, only failures, no cells, imported files, series that moved."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import make_store_records as make
import numpy as np
import pytest
from make_store_series import stepped, store_nights
from site_labs import HOSTILE, make_site
from site_pages import Page, directive, hash_of, read_site

from harness.cli import main
from harness.history import change_points
from harness.history.alerts import look
from harness.importing.reading import read_file
from harness.plot.drawn import Drawn, Figures
from harness.plot.embedding import picture_block
from harness.plot.history import history_chart
from harness.plot.registry import PLOTS
from harness.site.build import build_site
from harness.site.session import HEADLINE
from harness.site.shell import MOST_BYTES
from harness.store import Store, records

#: Of other tools.
FILES = Path(__file__).parents[1] / "importing" / "files"


def sound(folder: Path) -> dict[str, Page]:
    """The pages, after a look at what has to hold of each."""
    pages = read_site(folder)
    for name, page in pages.items():
        assert (folder / name).stat().st_size <= MOST_BYTES
        for tag in ("style", "script"):
            allowed = directive(page.policy, f"{tag}-src")
            assert allowed == ([hash_of(text) for text in page.inline[tag]] or ["'none'"]), name
        assert not {one for one in page.attributes if one.startswith("on") or one in ("style", "src")}, name
        for link in page.links:
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            assert target in pages, f"{name}: {link}"
            assert not anchor or anchor in pages[target].anchors, f"{name}: {link}"
    return pages


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


def test_an_empty_database_has_no_site_and_the_message_says_why(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(database):
        pass
    with pytest.raises(SystemExit) as ended:
        main(["report", "--db", str(database), "--out", str(database.parent / "site")])
    assert ended.value.code != 0
    told = capsys.readouterr().err
    assert "session" in told
    assert "Traceback" not in told
    assert not (database.parent / "site").exists()


def test_of_failures_alone_a_site_has_the_reasons_and_no_figure(database: Path) -> None:
    cell = make.cell()
    with Store.open(database) as store:
        machine = store.record_machine(make.machine())
        store.record_environment(make.environment())
        store.record_model(replace(make.model(), configuration=None))
        store.record_artifact(make.artifact())
        session = store.start_session(make.session(machine), [records.PlannedCellRecord(cell, 0)])
        run = make.run(
            session, cell.id, status="oom", reason="it ate all memory", phase="load", error="killed"
        )
        assert store.record_run(replace(run, samples=(), memory=(), energy=(), timeline=None))
        store.end_session(session, "failed")
    pages = sound(make_site(database.parent / "site", database).path.parent)
    assert "it ate all memory" in pages["failures.html"].text
    assert "it ate all memory" in pages["coverage.html"].text
    assert "At a glance" not in pages["index.html"].text
    # It has an artifact, whose size is a figure; nothing else is known of it, and it is not ranked.
    assert "Not ranked" in pages["index.html"].text


def test_a_session_without_cells_has_its_pages(database: Path) -> None:
    with Store.open(database) as store:
        machine = store.record_machine(make.machine())
        session = store.start_session(make.session(machine), [])
        store.end_session(session, "ok")
    with Store.open(database, read_only=True) as store:
        built = build_site(store, database.parent / "site", [session])
    pages = sound(built.path.parent)
    assert "No cell of this session has a figure" in pages[f"sessions/{session}/index.html"].text


def test_imported_files_have_pages_with_their_tools_definitions_and_stand_in_no_comparison(
    database: Path,
) -> None:
    files = sorted(
        path
        for path in FILES.rglob("*.*")
        if path.name not in ("README.md", "benchmark_config.json") and not path.name.startswith("samples_")
    )
    with Store.open(database) as store:
        imported = [read_file(path) for path in files]
        for one in imported:
            assert store.record_import(one)
    sessions = sorted({one.session_id for one in imported}, reverse=True)
    with Store.open(database, read_only=True) as store:
        built = build_site(store, database.parent / "site", sessions)
    pages = sound(built.path.parent)
    for session_id in sessions:
        text = pages[f"sessions/{session_id}/index.html"].text
        assert "What the file holds" in text
        assert f"sessions/{session_id}/plots.html" not in pages
    assert "No configuration that a claim is about was measured" in pages["index.html"].text
    assert "Nothing was measured that could be chosen from" in pages["ship.html"].text
    bench = next(one for one in imported if one.source.tool == "llama-bench")
    text = " ".join(page.text for name, page in pages.items() if bench.session_id in name)
    assert "llama-bench" in text
    assert any(name.removeprefix("llama-bench:") in text for name in bench.source.definitions)


def test_an_imported_file_of_many_rows_goes_over_pages_and_its_figures_lead_to_them(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.site.paging._ROOM", 2_000)
    with Store.open(database) as store:
        one = read_file(next(FILES.rglob("llama_bench.json")))
        assert store.record_import(one)
    with Store.open(database, read_only=True) as store:
        built = build_site(store, database.parent / "site", [one.session_id])
    pages = sound(built.path.parent)
    home = f"sessions/{one.session_id}"
    tables = [page for name, page in pages.items() if name.startswith(f"{home}/index")]
    assert len(tables) > 1
    assert all("What the file holds" in page.text for page in tables)
    links = [link for page in tables for link in page.links if re.fullmatch(r"c\d+\.html", link)]
    # Not the name of the row alone.
    assert len(links) > len(set(links))


def test_histories_of_very_many_series_go_over_pages(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.site.subjects._ROOM_OF_HISTORIES", 700)
    cells = [make.cell(f"R{place}", "int4") for place in range(3)]
    machine = make.machine(name=HOSTILE[5])
    with Store.open(database) as store:
        nights = store_nights(store, [(cell, stepped(4, 4, 1.0)) for cell in cells], machine=machine)
        store.record_plan(nights[-1], [records.PlannedCellRecord(cell, at) for at, cell in enumerate(cells)])
    pages = sound(make_site(database.parent / "site", database).path.parent)
    told = [
        page.text.count("4 sessions: first") for name, page in pages.items() if name.startswith("machines/")
    ]
    assert sum(told) == 3
    assert len(told) > 1


def test_a_session_without_bench_and_without_quality_has_its_other_plots_and_reasons(database: Path) -> None:
    cell = make.cell("R0")
    with Store.open(database) as store:
        nights = store_nights(store, [(cell, stepped(1, 1, 1.0))])
        store.record_plan(nights[0], [records.PlannedCellRecord(cell, 0)])
    pages = sound(make_site(database.parent / "site", database).path.parent)
    plots = pages[f"sessions/{nights[0]}/plots.html"].text
    assert "No plot: there are no roofs" in plots
    assert "No plot: no cell has both a divergence and decode speed" in plots
    assert "never benched" in "".join(
        page.text for name, page in pages.items() if name.startswith("machines/")
    )
    assert "At a glance" not in pages["index.html"].text


def test_series_that_moved_are_drawn_with_their_change_points(database: Path) -> None:
    cell = make.cell(model=HOSTILE[0], recipe=HOSTILE[3])
    machine = make.machine(name=HOSTILE[1])
    with Store.open(database) as store:
        nights = store_nights(store, [(cell, stepped(24, 12, 1.1))], machine=machine)
        for night in (11, 12, 23):
            store.record_plan(nights[night], [records.PlannedCellRecord(cell, 0)])
        now = datetime(2027, 3, 1, tzinfo=UTC)
        assert look(store, machine.id, now, metrics=["decode_tps"]).raised
        (alert,) = store.alerts()
        assert store.change_alert(alert.id, "acknowledged", f"seen: {HOSTILE[0]}{HOSTILE[5]}", now)
    folder = make_site(database.parent / "site", database).path.parent
    pages = sound(folder)
    (name,) = (one for one in pages if one.endswith("-changes.html"))
    (of_machine,) = (page for one, page in pages.items() if one.startswith("machines/") and one != name)
    assert posixpath.basename(name) in of_machine.links
    # Its note is text; its figures lead to the plot of the series, and to the samples on both sides of the change.
    assert f"acknowledged: seen: {HOSTILE[0]}" in of_machine.text
    assert "window.stolen" not in "".join(of_machine.inline["script"])
    assert "\x1b" not in of_machine.text
    (anchor,) = (one for one in pages[name].anchors if one.startswith("plot-") and one.count("-") == 2)
    assert f"{posixpath.basename(name)}#{anchor}" in of_machine.links
    for page in (of_machine, pages[name]):
        for night in (11, 12):
            assert f"../sessions/{nights[night]}/c0.html" in page.links
    assert f"sessions/{nights[10]}/index.html" not in pages
    text = (folder / name).read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" class="plot"[^>]*>(.*?)</script>', text, re.DOTALL)
    spec = json.loads(data)
    bands, dots, levels, rules = (spec["datasets"][one["data"]["name"]] for one in spec["layer"])
    assert len(dots) == 48
    assert {one["session"] for one in dots} == set(nights)
    assert {one["version"] for one in dots} == {"0.3.36"}
    assert (len(levels), len(rules), bands) == (2, 1, rules)
    assert rules[0]["ratio"] == pytest.approx(1 / 1.1, rel=0.005)
    assert "48 runs of 24 sessions" in pages[name].text
    assert re.search(r"\(-9\.\d %\), by 0\.9\d\d× to 0\.9\d\d×", pages[name].text)


def test_the_plot_that_stands_for_a_session_is_one_of_its_plots() -> None:
    assert HEADLINE in PLOTS


def test_a_picture_that_stands_still_shows_hostile_names_as_text() -> None:
    values = np.linspace(1.0, 2.0, 4)
    for words in HOSTILE:
        chart = history_chart(words, range(4), values, change_points(values), subtitle=[words])
        block = picture_block(Drawn(words, words, chart, figures=Figures((words,), ((words,),), words)), "p")
        reader_text = block.partition("<svg")[2].partition("</svg>")[0]
        assert "<svg" in block
        assert not re.search(r"<(script|img|foreignObject|a|image|style)\b", reader_text)
        assert "style=" not in reader_text
        assert not any(character in block for character in ("\x07", "\x1b", "\u202e"))
        assert block == picture_block(
            Drawn(words, words, chart, figures=Figures((words,), ((words,),), words)), "p"
        )
