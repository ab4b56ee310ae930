"""The site as it is written: whole, the same each time, every figure with its samples, every word harmless."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

import pytest
from site_labs import HOSTILE, fill, fill_hostile, fill_winner, make_site
from site_pages import Page, directive, hash_of, read_site

from harness.cli import main
from harness.errors import EdgebenchError
from harness.exchange import merging
from harness.exchange.source import opened
from harness.site.build import build_site
from harness.site.shell import MANIFEST, MOST_BYTES
from harness.store import Store


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lab") / "lab.db"
    with Store.open(path) as store:
        fill(store)
        fill_hostile(store)
        fill_winner(store)
    return path


@pytest.fixture(scope="module")
def folder(database: Path) -> Path:
    built = make_site(database.parent / "site", database)
    assert built.path.is_file()
    return built.path.parent


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Page]:
    return read_site(folder)


def _report(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, words)])
    assert ended.value.code == 0


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_database_gives_the_same_bytes(database: Path, folder: Path, tmp_path: Path) -> None:
    make_site(tmp_path / "again", database)
    assert _contents(tmp_path / "again") == _contents(folder)


def test_the_order_in_which_rows_were_stored_does_not_show(
    database: Path, folder: Path, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "two.db") as store:
        fill_winner(store)
        fill_hostile(store)
        with opened(database) as source:
            merging.merge(source, store)
    make_site(tmp_path / "site", tmp_path / "two.db")
    one, other = _contents(tmp_path / "site"), _contents(folder)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_every_link_leads_to_a_page_of_the_site_and_to_an_anchor_in_it(pages: dict[str, Page]) -> None:
    count = 0
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            assert target in pages, f"{name}: {link}"
            assert not anchor or anchor in pages[target].anchors, f"{name}: {link}"
            count += 1
    assert count > 1000


def test_every_page_can_be_reached_from_the_first(pages: dict[str, Page]) -> None:
    seen, left = set(), ["index.html"]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for link in pages[name].links:
            path = link.partition("#")[0]
            if path:
                left.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), path)))
    assert seen == set(pages)


def test_a_page_lets_nothing_run_or_load_but_what_stands_in_it(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert directive(page.policy, "default-src") == ["'none'"], name
        assert directive(page.policy, "form-action") == ["'none'"], name
        for tag in ("style", "script"):
            allowed = directive(page.policy, f"{tag}-src")
            assert allowed == ([hash_of(text) for text in page.inline[tag]] or ["'none'"]), name
        assert not {one for one in page.attributes if one.startswith("on") or one in ("style", "src")}, name
        assert not page.tags & {"img", "iframe", "object", "embed", "link", "base"}, name


def test_hostile_words_are_shown_and_not_obeyed(folder: Path, pages: dict[str, Page]) -> None:
    shown = " ".join(page.text for page in pages.values())
    for words in HOSTILE:
        visible = words.replace("\x07", "\\u0007").replace("\x1b", "\\u001b")
        visible = visible.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c")
        assert visible in shown
    assert all("window.stolen" not in text for page in pages.values() for text in page.inline["script"])
    assert "{{ 7*7 }}" in shown
    raw = b"".join(_contents(folder).values())
    assert not any(bytes([code]) in raw for code in range(32) if code not in (9, 10))
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))


def test_no_page_is_too_large(folder: Path) -> None:
    assert max(len(text) for text in _contents(folder).values()) <= MOST_BYTES


def test_the_overview_has_a_picture_and_does_without_where_it_would_be_too_large(
    database: Path, pages: dict[str, Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = pages["index.html"]
    assert "At a glance" in front.text
    assert "svg" in front.tags
    (plots,) = (one for one in front.links if one.endswith("plots.html"))
    monkeypatch.setattr("harness.site.summary.MOST_BYTES", 20_000)
    with Store.open(database, read_only=True) as store:
        build_site(store, tmp_path / "site", [plots.split("/")[1]])
    small = read_site(tmp_path / "site")["index.html"]
    assert "At a glance" not in small.text
    assert "Claims beside measurements" in small.text


def test_the_samples_of_a_figure_stand_on_the_page_that_it_leads_to(database: Path, folder: Path) -> None:
    with Store.open(database, read_only=True) as store:
        session = next(
            one
            for one in store.sessions()
            if "winner" in store.describe("machine", one["machine_id"])["name"]
        )
        run_id = next(one["id"] for one in store.describe("session", session["id"])["runs"])
        run = store.describe("run", run_id)
    text = " ".join(
        path.read_text(encoding="utf-8") for path in (folder / "sessions" / session["id"]).glob("c*.html")
    )
    for sample in run["samples"]:
        assert repr(sample["value"]) in text
    for trace in run["traces"]:
        assert " ".join(map(str, trace["values"])) in text


def test_the_figures_of_the_recommendation_lead_to_their_samples(
    folder: Path, pages: dict[str, Page]
) -> None:
    text = (folder / "ship.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="wishes-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    rows = json.loads(found[1])["rows"]
    led = [(one["href"], column) for one in rows for column in one["figures"] if one["unmeasured"] is None]
    assert len(led) > 20
    for href, column in led:
        assert column in pages[href].anchors
    # What nobody ran is there too, with its reason; rows of several machines have their machine's name.
    assert any("no such device" in (one["unmeasured"] or "") for one in rows)
    assert all(" on " in one["name"] for one in rows)
    # The matrix has claims where nothing was measured, and figures that lead to their samples elsewhere.
    ship = pages["ship.html"]
    assert "claimed: mlx int4" in ship.text
    assert "best of" in ship.text
    assert any(link.endswith("#decode_tps") for link in ship.links)


def test_a_winner_is_marked_and_what_is_not_ranked_stands_apart(pages: dict[str, Page], folder: Path) -> None:
    marked = [
        path
        for path in folder.glob("sessions/*/index.html")
        if 'class="n b"' in path.read_text(encoding="utf-8")
    ]
    assert len(marked) == 1
    assert "(best)" in marked[0].read_text(encoding="utf-8")
    apart = [
        name for name, page in pages.items() if "Not ranked:" in page.text and name.startswith("sessions/")
    ]
    assert apart


def test_holes_and_failures_have_their_reasons(pages: dict[str, Page]) -> None:
    coverage = "".join(page.text for name, page in pages.items() if name.startswith("coverage"))
    assert "no such device" in coverage
    assert "Figures that are missing" in coverage
    failures = pages["failures.html"].text
    assert "it was oom" in failures
    assert "steal 4 %" in failures


def test_an_earlier_site_is_replaced_and_nothing_else_is(database: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    with Store.open(database, read_only=True) as store:
        sessions = [one["id"] for one in store.sessions() if one["origin"] == "measured"]
    _report("--db", database, "--out", out, "--all-sessions")
    assert {path.name for path in (out / "sessions").iterdir()} == set(sessions)
    _report("--db", database, "--out", out, "--session", sessions[0])
    assert [path.name for path in (out / "sessions").iterdir()] == [sessions[0]]
    assert sorted(_contents(out).keys() - {MANIFEST}) == json.loads((out / MANIFEST).read_text())

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(EdgebenchError, match="no site of edgebench report"):
        make_site(tmp_path / "mine", database)
    (out / MANIFEST).write_text('["../lab.db"]')
    with pytest.raises(EdgebenchError, match="cannot be the name of a file"):
        make_site(out, database)


def test_the_command_tells_what_it_wrote(
    database: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _report("--db", database, "--out", tmp_path / "site", "--json")
    told = json.loads(capsys.readouterr().out)
    assert Path(told["path"]) == tmp_path / "site" / "index.html"
    assert told["pages"] == len(read_site(tmp_path / "site"))
    assert told["largest"]["bytes"] <= MOST_BYTES
