"""The charts: the same data give the same bytes, hostile names stay data, names fit, pages have what they need."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plot_facts import HOSTILE, cell, session, skipped

from harness.plot.axes import fitting
from harness.plot.drawn import Drawn
from harness.plot.embedding import plot_block, vega_script
from harness.plot.lettering import _box, _overlap, placed
from harness.plot.registry import PLOTS, plot_data, session_plots
from harness.plot.save import save_chart
from harness.safe_text import printable
from harness.table.facts import SessionFacts
from harness.table.rows import comparison_rows

GOLDEN = Path(__file__).parent / "golden"

FULL = session(
    cell(recipe="Q4_0", joules=0.5),
    cell(recipe="Q8_0", precision="int8", token_ms=20, kld=0.004, peak_mb=160, joules=0.9),
    cell(recipe="Q4_0", workload="pp32+tg4@d512", token_ms=15, joules=0.6),
    cell(recipe="Q4_0", workload="pp512+tg4", ttft_s=4.0, joules=0.6),
    cell("openvino", "INT4", token_ms=12, kld=0.2, validity="suspect"),
    cell("qnn", "W8A16", precision="w8a16", device="npu:0", emulated=True, kld=0.05),
    skipped(),
)


def drawn(facts: SessionFacts = FULL) -> dict[str, Drawn]:
    return {one.name: one for one in session_plots(facts, comparison_rows(facts))}


@functools.cache
def full() -> dict[str, Drawn]:
    """The plots of `FULL`, made once."""
    return drawn()


def specification(one: Drawn) -> dict[str, Any]:
    assert one.chart is not None
    found: dict[str, Any] = json.loads(one.chart.to_json())
    return found


def test_a_session_with_everything_has_every_plot() -> None:
    assert [name for name, one in full().items() if one.chart is None] == []


@pytest.mark.parametrize("name", ["quality-speed", "energy"])
def test_the_specification_is_the_golden_one(name: str) -> None:
    """To write them anew: see `write_golden`."""
    expected = json.loads((GOLDEN / f"{name}.vl.json").read_text(encoding="utf-8"))
    found = specification(full()[name])
    del found["$schema"], expected["$schema"]  # a newer altair names a newer one
    assert found == expected


def write_golden() -> None:
    """Run by hand after a change that is meant; look at the pictures first."""
    for name in ("quality-speed", "energy"):
        text = json.dumps(specification(full()[name]), indent=1) + "\n"
        (GOLDEN / f"{name}.vl.json").write_text(text, encoding="utf-8")


def test_the_same_data_give_the_same_bytes_however_often() -> None:
    first, second = full(), drawn()
    for name in PLOTS:
        assert plot_block(first[name], name) == plot_block(second[name], name)


def test_axes_have_titles_with_units_and_a_framework_one_colour_in_all_plots() -> None:
    colours: dict[str, set[str]] = {}
    for name, one in full().items():
        text = json.dumps(specification(one))
        spec = specification(one)
        assert spec["title"]["text"]
        if name not in ("heatmap", "memory"):
            for layer in spec["layer"]:
                scale = layer["encoding"].get("color", {}).get("scale")
                if scale:
                    for framework, colour in zip(scale["domain"], scale["range"], strict=True):
                        colours.setdefault(framework, set()).add(colour)
        assert any(unit in text for unit in ("tokens/s", "(MB)", "(ms)", "(s)", "GFLOP/s", "J/token")), name
    assert colours
    assert all(len(each) == 1 for each in colours.values())


def test_what_is_not_ranked_is_hollow_and_has_a_shape_of_its_own() -> None:
    spec = specification(full()["quality-speed"])
    points = [layer for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    by_fill = {
        layer["mark"]["filled"]: {one["standing"] for one in spec["datasets"][layer["data"]["name"]]}
        for layer in points
    }
    assert by_fill == {True: {"measured"}, False: {"suspect", "emulated", "not comparable"}}
    scale = points[0]["encoding"]["shape"]["scale"]
    assert len(set(scale["range"])) == len(scale["domain"]) == 4
    assert "hollow, unranked: suspect, emulated, not comparable" in spec["title"]["subtitle"]


def test_a_tooltip_tells_runs_version_and_standing() -> None:
    for name, one in full().items():
        text = json.dumps(specification(one))
        fields = ("runs", "version", "suspect" if name == "roofline" else "believed")
        assert all(f'"field": "{field}"' in text for field in fields), name
    assert '"field": "positions"' in json.dumps(specification(full()["quality-speed"]))


def test_pointer_and_click_tell_frameworks_apart_in_every_plot() -> None:
    for name, one in full().items():
        spec = specification(one)
        events = {each["name"]: each["select"].get("on") for each in spec["params"]}
        assert events["framework_choice"] == "click", name
        assert events["framework_pointed"] == "pointerover", name
        text = json.dumps(spec)
        for choice in ("framework_choice", "framework_pointed"):
            assert f'{{"not": {{"param": "{choice}"}}}}' in text, name


def test_every_plot_can_be_a_picture(tmp_path: Path) -> None:
    for name, one in full().items():
        assert one.chart is not None
        save_chart(one.chart, tmp_path / f"{name}.svg")
        text = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert "llamacpp" in text
        assert "NaN" not in text


class Page(HTMLParser):
    """Collects elements, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def test_a_hostile_name_stays_text_in_the_page_and_is_shown_in_the_data() -> None:
    facts = session(cell(HOSTILE, HOSTILE, joules=0.5), cell(recipe="Q8_0", joules=0.6))
    for name, one in drawn(facts).items():
        page = Page()
        page.feed(plot_block(one, f"plot-{name}"))
        assert not [tag for tag, _ in page.elements if tag == "img"]
        assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]
        if one.chart is not None:
            (script,) = page.scripts
            # As a table has it: what turns the order of letters is shown by its number.
            assert printable(HOSTILE) in json.dumps(json.loads(script), ensure_ascii=False).replace(
                "\\\\", "\\"
            ).replace('\\"', '"'), name
            assert "\u202e" not in script


def test_a_figure_has_its_caption_its_summary_and_a_table_of_the_same_figures() -> None:
    one = full()["quality-speed"]
    text = plot_block(one, "q")
    assert "<figcaption>Quality (KLD) against decode speed: tiny" in text
    assert 'role="img" aria-label="KLD against decode speed: 6 marks of 3 frameworks' in text
    assert text.count("<tr>") == 1 + 6
    assert "needs a Mac: mlx" in text
    assert 'id="q-data"' in text
    assert 'id="q-data-plot"' in text
    # The picture's own title is the lines below the caption, once.
    assert "hollow, unranked" in text
    assert '"subtitle"' not in text


def test_a_plot_that_is_none_says_why() -> None:
    text = plot_block(drawn(session(cell()))["depth"], "d")
    assert "No plot: every configuration was measured with one depth" in text
    assert "<script" not in text


def test_the_script_is_one_text_with_an_interpreter_that_no_page_ends_within() -> None:
    script = vega_script()
    assert "Prevented interpretation" in script  # Vega's interpreter of expressions
    assert "ast:" in script.replace('"ast":', "ast:")
    assert "</script" not in script
    assert "<!--" not in script
    assert 700_000 < len(script) < 1_000_000
    assert script == vega_script()


points = st.lists(
    st.tuples(st.floats(0, 640), st.floats(0, 420), st.text("abc", max_size=20)), min_size=1, max_size=40
)


@given(points)
@settings(max_examples=30, deadline=None)
def test_names_lie_over_no_other_name_and_no_mark(each: list[tuple[float, float, str]]) -> None:
    places, texts = [(x, y) for x, y, _ in each], [text for *_, text in each]
    spots = placed(places, texts, (640, 420))
    boxes = [
        _box(place, text, spot)
        for place, text, spot in zip(places, texts, spots, strict=True)
        if spot is not None and text
    ]
    for at, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 640
        assert not any(_overlap(one, other) for other in boxes[at + 1 :])


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=10), st.sampled_from([None, 1e-5]))
@settings(max_examples=50, deadline=None)
def test_every_figure_lies_on_its_axis(values: list[float], floor: float | None) -> None:
    axis = fitting(values, floor=floor)
    assert axis.low < axis.high
    assert all(0 <= axis.share(value) <= 1 for value in values)
    order = sorted(values)
    assert [axis.share(value) for value in order] == sorted(axis.share(value) for value in order)


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html", ".json"])
def test_a_file_of_a_plot_shows_what_is_no_text_and_ends_no_script(tmp_path: Path, suffix: str) -> None:
    """Control characters end the converter, and with it the program; altair's page lets a text end its script."""
    words = "</script><script>window.stolen=1</script>\x00\x1b[31m\u202e\uffff"
    facts = session(cell(words, words), cell(recipe="Q8_0"))
    data = plot_data("quality-speed", facts, comparison_rows(facts))
    file = tmp_path / f"plot{suffix}"
    save_chart(PLOTS["quality-speed"].chart(data), file)
    written = file.read_bytes()
    if suffix == ".png":
        assert written.startswith(b"\x89PNG")
        return
    text = written.decode()
    assert not any(character in text for character in "\x00\x1b\u202e\uffff")
    assert "\\u001b[31m" in text
    if suffix == ".html":
        assert text.count("</script>") == 2
        assert "window.stolen=1" in text
        assert "<script>window.stolen" not in text
    elif suffix == ".svg":
        assert "<script" not in text


def test_a_picture_is_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    """The colour scale of a heat map is a gradient, which the converter numbers on."""
    chart = full()["heatmap"].chart
    assert chart is not None
    written = []
    for name in ("one.svg", "two.svg"):
        save_chart(chart, tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert b"linearGradient" in written[0]
    used = set(re.findall(rb"url\(#(gradient_\d+)\)", written[0]))
    assert used == set(re.findall(rb'id="(gradient_\d+)"', written[0]))
    assert written[0] == written[1]
