"""The site as a person uses it, in Chromium: sorted, filtered, copied, by keyboard, on a phone, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Watched, browser, watched
from site_labs import fill, fill_hostile, fill_winner, make_site

from harness.store import Store
from harness.table.render_html import render_html
from harness.table.view import Column, View

pytestmark = pytest.mark.framework("chromium")

_NUMBERS = """table => Array.from(table.tBodies).flatMap(body => {
    const rows = Array.from(body.rows).filter(row => row.className !== "g" && !row.hidden);
    return [rows.map(row => row.cells[AT].getAttribute("data-v"))];
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lab")
    with Store.open(home / "lab.db") as store:
        fill(store)
        fill_hostile(store)
        fill_winner(store)
    return make_site(home / "site", home / "lab.db").path.parent


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a table of 2,000 rows."""
    from test_site_figures import row

    from harness.site.grid import Shown, make_grid
    from harness.site.paging import page_names
    from harness.site.shell import Shell, asset

    rows = [
        row(
            100 + place * 7919 % 2000 / 10, (99.0 + place * 7919 % 2000 / 10, 101.0 + place * 7919 % 2000 / 10),
            recipe=f"R{place}", peak_rss_bytes=1e8 + place, prefill_tps=300.0 + place, bits_per_weight=4.5,
            kld_mean=0.01 * place, same_top=0.9, speedup_decode=1.5, memory_reduction=0.5,
            precision_class=("low", "medium", "half")[place % 3], basis={"decode_tps": dict.fromkeys("abcde", 1.0)},
        )
        for place in range(2000)
    ]  # fmt: skip
    shown = [Shown(one, rows[:1], 0, f"sessions/s/c{place}.html") for place, one in enumerate(rows)]
    grid = make_grid(
        shown, caption="2,000 rows", anchor="rows", link=lambda path: path.removeprefix("sessions/s/")
    )
    page = Shell("large").page(
        "session", root="../../", heading="Large", scripts=[asset("table.js")], facts=[], links=[], grid=grid,
        table=(), sections=(), empty=[], page=page_names("index", 1)[0],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("large") / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def wide(chromium: Any) -> Iterator[Watched]:
    """A desk's screen; every test that uses it ends without an error in the console and without a request."""
    with watched(chromium, viewport={"width": 1400, "height": 900}, offline=True) as found:
        yield found
        assert found.said == []
        assert found.asked == []


def _session(site: Path, words: str = "(best)") -> Path:
    return next(
        path
        for path in sorted(site.glob("sessions/*/index.html"))
        if words in path.read_text(encoding="utf-8")
    )


def _of_classes(site: Path) -> Path:
    """The session whose table has the most parts, one of them not ranked."""
    pages = [
        path
        for path in sorted(site.glob("sessions/*/index.html"))
        if "Not ranked:" in path.read_text("utf-8")
    ]
    return max(pages, key=lambda path: path.read_text(encoding="utf-8").count('scope="rowgroup"'))


def _figures(page: Any, title: str) -> list[list[float | None]]:
    """Raw values of a column as they stand, a list for each part of the table."""
    at = page.eval_on_selector_all(
        "#rows thead th", "(cells, title) => cells.findIndex(c => c.innerText === title)", title
    )
    assert at > 0
    found = page.eval_on_selector("#rows", _NUMBERS.replace("AT", str(at)))
    return [[None if value is None else float(value) for value in part] for part in found]


def _shown(page: Any) -> list[str]:
    return page.eval_on_selector_all(  # type: ignore[no-any-return]
        "#rows tbody tr:not(.g):not([hidden]) th", "cells => cells.map(cell => cell.innerText)"
    )


def test_a_table_is_sorted_by_real_numbers_holes_last(site: Path, wide: Watched) -> None:
    wide.open(_of_classes(site))
    page = wide.page
    head = page.get_by_role("button", name="Decode t/s", exact=True).first
    before = sorted(_shown(page))
    for direction in ("descending", "ascending", "descending"):
        head.click()
        assert head.locator("..").get_attribute("aria-sort") == direction
        for part in _figures(page, "Decode t/s"):
            known = [value for value in part if value is not None]
            assert known == sorted(known, reverse=direction == "descending")
            assert part[len(known) :] == [None] * (len(part) - len(known))
    assert sorted(_shown(page)) == before
    assert page.locator("[aria-sort]").count() == 1
    page.get_by_label("group by precision class").first.uncheck()
    ranked, *rest = [part for part in _figures(page, "Decode t/s") if part]
    assert len(rest) == 1  # what is not ranked stays apart
    assert [one for one in ranked if one is not None] == sorted(
        (one for one in ranked if one is not None), reverse=True
    )


def test_rows_are_filtered_by_words_framework_and_class(site: Path, wide: Watched) -> None:
    wide.open(_of_classes(site))
    page = wide.page
    every = _shown(page)
    page.get_by_label("Filter rows").first.fill("llamacpp q8_0")
    assert _shown(page) == [one for one in every if "Q8_0" in one]
    assert f"of {len(every)} rows shown" in page.get_by_role("status").first.inner_text()
    page.get_by_label("Filter rows").first.fill("")
    page.get_by_label("Precision class").first.select_option("=low")
    low = _shown(page)
    assert low
    assert all("int4" in one for one in low)
    page.get_by_label("Precision class").first.select_option("")
    assert _shown(page) == every
    page.get_by_label("Filter rows").first.fill("no such row at all")
    assert _shown(page) == []


def test_columns_are_hidden_and_what_is_shown_is_copied(site: Path, wide: Watched) -> None:
    wide.open(_session(site))
    page = wide.page
    page.get_by_text("Columns", exact=True).first.click()
    page.get_by_label("Bits/weight").first.uncheck()
    assert not page.locator("#rows thead th", has_text="Bits/weight").is_visible()
    copied = "() => { window.copied = null; document.addEventListener('copy', () => {"
    copied += " window.copied = document.activeElement.value; }); }"
    page.evaluate(copied)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy as Markdown").first.click()
    markdown = page.evaluate("window.copied")
    lines = markdown.strip().split("\n")
    assert lines[0].startswith("| Configuration | ")
    assert "Bits/weight" not in lines[0]
    assert "(best)" in markdown
    assert len(lines) == 2 + len(_shown(page))
    page.get_by_role("button", name="Copy as CSV").first.click()
    csv = page.evaluate("window.copied")
    heads = csv.split("\r\n")[0]
    assert heads.startswith("Configuration,")
    assert "Decode t/s (tokens/s)" in heads
    assert "±" not in csv
    assert page.get_by_role("status").first.inner_text() == f"{len(_shown(page))} rows copied as CSV."


def test_a_copied_table_is_no_formula_and_no_markup(site: Path, wide: Watched) -> None:
    wide.open(_session(site, "HYPERLINK"))
    page = wide.page
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate(
        "document.addEventListener('copy', () => { window.copied = document.activeElement.value; })"
    )
    page.get_by_role("button", name="Copy as CSV").first.click()
    for line in page.evaluate("window.copied").strip().split("\r\n"):
        assert not line.lstrip('"').startswith(("=", "+", "-", "@"))
    page.get_by_role("button", name="Copy as Markdown").first.click()
    markdown = page.evaluate("window.copied")
    assert "\\[click\\]" in markdown
    assert "\\</script\\>\\<script\\>" in markdown
    assert page.evaluate("window.stolen") is None


def test_everything_is_reached_and_done_by_keyboard(site: Path, wide: Watched) -> None:
    wide.open(_session(site))
    page = wide.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.innerText || document.activeElement.id")
        seen.add(name)
        if name == "Decode t/s":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    assert page.locator("#rows th[aria-sort=descending]").inner_text().startswith("Decode t/s")
    assert {"Copy as Markdown", "Copy as CSV", "Columns"} <= seen
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#rows th[aria-sort=ascending]").count() == 1


def test_a_figure_leads_to_its_samples(site: Path, wide: Watched) -> None:
    wide.open(_session(site))
    page = wide.page
    page.locator("#rows td.b a").first.click()
    assert "#" in page.url
    anchor = page.url.partition("#")[2]
    section = page.locator(f"section#{anchor}")
    assert section.is_visible()
    assert "median(" in section.inner_text()
    assert page.get_by_text("Samples: one column a repetition").first.is_visible()


def test_a_figure_of_the_recommendation_leads_to_its_samples(site: Path, wide: Watched) -> None:
    wide.open(site / "ship.html")
    page = wide.page
    page.get_by_label("suspect measurements may be chosen too").check()
    # Of energy and divergence not every machine has a figure: speed alone is to count.
    page.fill("#weight-speed", "1")
    page.locator("#evidence td a").first.click()
    anchor = page.url.partition("#")[2]
    assert anchor == "decode_tps"
    assert page.locator(f"section#{anchor}").is_visible()
    page.go_back()
    page.locator("#wish-platform").select_option("apple")
    assert "nothing of these sessions was measured there" in page.locator("#evidence").inner_text()
    assert "mlx int4" in page.locator("#evidence").inner_text()


@pytest.mark.parametrize("width", [360, 1400])
def test_no_page_is_wider_than_the_screen(site: Path, chromium: Any, width: int) -> None:
    with watched(chromium, viewport={"width": width, "height": 740}, offline=True) as found:
        for path in _kinds(site):
            found.open(path)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert found.said == []
        assert found.asked == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site: Path, chromium: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    with watched(chromium, viewport={"width": 1400, "height": 900}, color_scheme=scheme) as found:
        for path in _kinds(site):
            found.open(path)
            serious = [
                (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]])
                for one in axe.run(found.page).response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], path
        assert found.said == []


def test_a_tables_page_has_its_style_and_runs_and_loads_nothing(chromium: Any, tmp_path: Path) -> None:
    word = "<script>document.title = 'taken'</script><img src='https://example.org/a.png' style='width: 9px'>"
    text = render_html(View("A table", (Column("reason", "Reason", False),), ((word,),)))
    sound, broken = tmp_path / "sound.html", tmp_path / "broken.html"
    sound.write_text(text, encoding="utf-8")
    with watched(chromium, offline=True) as found:
        found.open(sound)
        cell = found.page.locator("td")
        assert cell.inner_text() == word
        assert cell.evaluate("cell => getComputedStyle(cell).whiteSpace") == "nowrap"
        assert found.said == []
        assert found.asked == []
    # Were the text not escaped, the policy would still hold.
    broken.write_text(text.replace("<td>", f"<td>{word}"), encoding="utf-8")
    with watched(chromium, offline=True) as found:
        found.open(broken)
        assert found.page.title() == "A table"
        assert found.page.locator("img").evaluate("image => getComputedStyle(image).width") != "9px"
        refused = {
            part for part in ("script-src", "style-src", "img-src") if any(part in one for one in found.said)
        }
        assert refused == {"script-src", "style-src", "img-src"}, found.said


def test_a_printed_page_has_its_table_and_no_tools(site: Path, wide: Watched) -> None:
    wide.open(_session(site))
    wide.page.emulate_media(media="print")
    assert wide.page.locator("#rows").is_visible()
    assert not wide.page.locator(".tools").first.is_visible()
    assert not wide.page.locator("header nav").is_visible()
    # A4 across without its margins, at 96 pixels an inch: no column is cut off.
    wide.page.set_viewport_size({"width": 1032, "height": 700})
    for path in _kinds(site):
        wide.open(path)
        wide.page.emulate_media(media="print")
        rights = wide.page.eval_on_selector_all(
            "table", "tables => tables.map(table => table.getBoundingClientRect().right)"
        )
        assert max(rights, default=0) <= 1032, path


@pytest.mark.alone
def test_two_thousand_rows_are_sorted_within_a_tenth_of_a_second(large: Path, wide: Watched) -> None:
    assert large.stat().st_size <= 1_500_000
    wide.open(large)
    taken = wide.page.evaluate("""() => {
        const button = document.querySelectorAll("#rows thead button")[4];
        return [1, 2, 3, 4, 5].map(() => {
            const began = performance.now();
            button.click();
            document.querySelector("#rows").getBoundingClientRect();
            return performance.now() - began;
        });
    }""")
    assert len(wide.page.locator("#rows tbody tr:not(.g)").all()) == 2000
    assert wide.page.locator("#rows tbody tr:not(.g):visible").count() == 250
    # So do a filter and the hiding of a column.
    others = wide.page.evaluate("""() => {
        const table = document.querySelector("#rows"), search = document.querySelector("input[type=search]");
        const box = document.querySelector("details input[type=checkbox]");
        const taking = (act) => {
            const began = performance.now();
            act();
            table.getBoundingClientRect();
            return performance.now() - began;
        };
        const type = (words) => taking(() => { search.value = words; search.dispatchEvent(new Event("input")); });
        return [...["llamacpp", "r1", ""].map(type), taking(() => box.click()), taking(() => box.click())];
    }""")
    print("ms of filtering and hiding:", [round(one) for one in others])
    assert sorted(others)[2] < 100
    wide.page.get_by_role("button", name="Show 1750 more rows").click()
    assert wide.page.locator("#rows tbody tr:not(.g):visible").count() == 2000
    print("ms of sorting 2,000 rows, laid out:", [round(one) for one in taken])
    assert sorted(taken)[2] < 100


def _kinds(site: Path) -> list[Path]:
    """A page of each kind, and the first of a hostile session."""
    hostile = _session(site, "HYPERLINK")
    cells = sorted(hostile.parent.glob("c*.html"))
    return [
        *sorted(site.glob("*.html")), hostile, *cells[:2], hostile.parent / "origins.html", _session(site),
        _session(site).parent / "plots.html",
        min(_session(site).parent.glob("c*.html")),
        *(min((site / room).glob("*.html")) for room in ("models", "frameworks", "machines")),
    ]  # fmt: skip
