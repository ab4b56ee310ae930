"""Plots and sliders in a real browser, under the strict policy that the site's pages have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium import Watched, browser, watched
from test_site_wishes import PROCESSORS, rows

from harness.page_policy import page_policy
from harness.plot.embedding import PLOT_STYLE, plot_block, vega_script
from harness.plot.registry import session_plots
from harness.recommend import Limits, recommend
from harness.recommend.wishes import preference
from harness.site.wishes import wishes_block, wishes_script, wishes_style
from harness.table.facts import (
    ArtifactFacts,
    CellFacts,
    RunFacts,
    SampleFacts,
    ScoreFacts,
    SessionFacts,
    WindowFacts,
)
from harness.table.rows import Row, comparison_rows

pytestmark = pytest.mark.framework("chromium")


def page(body: str, script: str, style: str) -> str:
    """A page that may run this script, use this style, and nothing else."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{page_policy([style], [script])}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main><h1>t</h1>{body}</main><script>{script}</script></body></html>"
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    return [one for one in rows(40, 1) if one["workload"] == "pp8+tg4"]


@pytest.fixture
def wishes(chromium: Any, measured: list[Row], tmp_path: Path) -> Iterator[Watched]:
    """The page with sliders at a phone's width."""
    file = tmp_path / "wishes.html"
    file.write_text(
        page(wishes_block(measured, PROCESSORS), wishes_script(), wishes_style()), encoding="utf-8"
    )
    with watched(chromium, viewport={"width": 360, "height": 700}, offline=True) as found:
        found.open(file)
        yield found
        assert found.said == []
        assert found.asked == []


def chosen(found: Watched) -> str:
    text: str = found.page.locator("#answer .ship").inner_text()
    return text


def by_program(measured: list[Row], limits: Limits, order: str | None = None) -> str:
    choice = recommend(measured, limits, preference(order, None)).choice
    return "Nothing" if choice is None else str(choice["recipe"])


def test_a_limit_that_is_typed_changes_the_answer_as_the_program_would(
    wishes: Watched, measured: list[Row]
) -> None:
    assert by_program(measured, Limits()) in chosen(wishes)
    wishes.page.fill("#limit-peak_rss_bytes", "300")
    assert by_program(measured, Limits(max_memory_bytes=300e6)) in chosen(wishes)
    assert wishes.page.get_by_text("Beyond a limit").count() == 1
    wishes.page.fill("#limit-peak_rss_bytes", "1")
    assert "Nothing that was measured" in chosen(wishes)
    wishes.page.click("#wish-reset")
    wishes.page.wait_for_timeout(50)
    assert by_program(measured, Limits()) in chosen(wishes)


def test_a_slider_moves_by_the_keyboard_and_sets_its_field(wishes: Watched) -> None:
    slider = wishes.page.locator("#slide-decode_tps")
    assert slider.get_attribute("aria-valuetext") == "no limit"
    slider.focus()
    wishes.page.keyboard.press("End")
    assert "tokens/s" in slider.get_attribute("aria-valuetext")
    assert float(wishes.page.input_value("#limit-decode_tps")) > 101
    assert "Nothing that was measured" in chosen(wishes)
    wishes.page.keyboard.press("Home")
    assert wishes.page.input_value("#limit-decode_tps") == ""


def test_what_counts_first_is_moved_by_the_keyboard(wishes: Watched, measured: list[Row]) -> None:
    button = wishes.page.get_by_role("button", name="memory counts more")
    button.focus()
    wishes.page.keyboard.press("Enter")
    wishes.page.keyboard.press("Enter")
    first = wishes.page.locator("#wish-order li").first.inner_text()
    assert first.startswith("memory")
    assert by_program(measured, Limits(), "memory,speed,accuracy,energy") in chosen(wishes)


def test_weights_that_are_typed_decide_and_not_the_order(wishes: Watched, measured: list[Row]) -> None:
    wishes.page.fill("#weight-memory", "1")
    wishes.page.fill("#weight-accuracy", "20")
    choice = recommend(measured, Limits(), preference(None, "accuracy=20,memory=1")).choice
    assert choice is not None
    assert str(choice["recipe"]) in chosen(wishes)
    assert "the weighted sum" in wishes.page.locator("#answer").inner_text()
    assert wishes.page.locator("#wish-order li.idle").count() == 4
    wishes.page.click("#wish-reset")
    wishes.page.wait_for_timeout(50)
    assert by_program(measured, Limits()) in chosen(wishes)
    assert wishes.page.locator("#wish-order li.idle").count() == 0


def test_a_phone_need_not_scroll_sideways(wishes: Watched) -> None:
    assert wishes.page.evaluate("document.documentElement.scrollWidth") <= 360


def session() -> SessionFacts:
    def cell(recipe: str, token_ms: int, kld: float) -> CellFacts:
        sample = SampleFacts({"prefill_s": 0.1}, (token_ms * 10**6,) * 4)
        windows = tuple(WindowFacts(place, 100, 200.0, kld * (90 + place), 90) for place in range(3))
        return CellFacts(
            "llamacpp", "tiny", "int4", recipe, "cpu", "pp8+tg4", 8, 4, artifact=ArtifactFacts("a", verdict="ok"),
            runs=(RunFacts(recipe, "ok", samples=(sample,)),), score=ScoreFacts(windows, windows, "F32"),
            score_status="ok",
        )  # fmt: skip

    other = replace(cell("INT4", 12, 0.2), framework="openvino")
    return SessionFacts("s", "m", "Test CPU", (cell("Q4_0", 10, 0.1), cell("Q8_0", 20, 0.01), other))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_are_drawn_and_answer_the_pointer_under_a_policy_that_forbids_making_code(
    chromium: Any, tmp_path: Path, scheme: str
) -> None:
    facts = session()
    drawn = [
        one
        for one in session_plots(facts, comparison_rows(facts))
        if one.name in ("quality-speed", "heatmap")
    ]
    file = tmp_path / "plots.html"
    blocks = "".join(plot_block(one, one.name) for one in drawn)
    file.write_text(page(blocks, vega_script(), PLOT_STYLE), encoding="utf-8")
    with watched(
        chromium, viewport={"width": 900, "height": 900}, color_scheme=scheme, offline=True
    ) as found:
        found.open(file)
        marks = found.page.locator('#quality-speed svg path[aria-roledescription="point"]')
        marks.first.wait_for()
        assert marks.count() == 3
        assert found.page.locator("#heatmap svg").count() == 1
        marks.first.hover(force=True)
        tip = found.page.locator("#vg-tooltip-element.visible")
        tip.wait_for()
        assert "runs" in tip.inner_text()
        assert "1" in tip.inner_text()

        def opacities() -> set[str | None]:
            found.page.wait_for_timeout(100)
            return {one.get_attribute("opacity") for one in marks.all()}

        # What is of another framework fades below the pointer, and more so after a click, until one beside the marks.
        assert opacities() == {"0.9", "0.25"}
        marks.first.click(force=True)
        found.page.mouse.move(2, 2)
        assert opacities() == {"0.9", "0.07"}
        found.page.locator("#quality-speed svg").click(position={"x": 90, "y": 90}, force=True)
        assert opacities() == {"0.9"}
        # A click on a framework in the legend does the same.
        found.page.locator("#quality-speed svg .role-legend-symbol path").first.click(force=True)
        assert opacities() == {"0.9", "0.07"}
        # Paper is never dark.
        title = found.page.locator("#quality-speed svg .role-axis-title text").first
        inks = []
        for event in ("beforeprint", "afterprint"):
            found.page.evaluate("name => window.dispatchEvent(new Event(name))", event)
            found.page.wait_for_timeout(200)
            inks.append(title.get_attribute("fill"))
        assert inks == ["#000", "#eeeeee" if scheme == "dark" else "#000"]
        assert found.said == []
        assert found.asked == []
