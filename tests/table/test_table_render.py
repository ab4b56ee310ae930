"""`harness.table.render` and its formats, against golden files made from fixed facts.

To write the golden files anew after a wanted change: ``EDGEBENCH_WRITE_GOLDEN=1 pytest tests/table``; then read the
diff.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_facts import cell, run, session

from harness.cli.table_command import command
from harness.errors import UsageError
from harness.table import FORMATS, ROW_KEYS, comparison_rows, render
from harness.table import render_latex as latex
from harness.table import render_markdown as markdown
from harness.table.claims import load_claims
from harness.table.facts import ArtifactFacts
from harness.table.render_html import render_html
from harness.table.rows import BASELINE_SUSPECT
from harness.table.view import Column, View, build_view, figure_text, select

GOLDEN = Path(__file__).with_name("golden")
FACTS = session()
ROWS = comparison_rows(FACTS)
ABOUT = [FACTS.about()]
SUFFIX = {"table": "txt", "markdown": "md", "csv": "csv", "json": "json", "html": "html", "latex": "tex"}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_what_it_always_wrote(name: str) -> None:
    text = render(ROWS, ABOUT, name, width=120)
    file = GOLDEN / f"comparison.{SUFFIX[name]}"
    if os.environ.get("EDGEBENCH_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("half", "text"), [(0.5, "±0.5%"), (40, "±40%"), (100.4, ">±100%"), (1.9e14, ">±100%")]
)
def test_a_spread_beyond_the_figure_itself_is_not_written_out(half: float, text: str) -> None:
    bounds = [50.0 * (1 - half / 100), 50.0 * (1 + half / 100)]
    row = replace(ROWS[0], values={**ROWS[0].values, "decode_tps": 50.0, "intervals": {"decode_tps": bounds}})
    assert figure_text(row, "decode_tps").rstrip("†‡*").endswith(f" {text}")


def test_json_is_the_stable_interface() -> None:
    rows = json.loads(render(ROWS, ABOUT, "json"))["rows"]
    assert [list(row) for row in rows] == [list(ROW_KEYS)] * len(ROWS)
    skipped = next(row for row in rows if row["framework"] == "qnn")
    assert skipped["reason"] == "needs Windows | or an emulator & <time>"
    assert skipped["decode_tps"] is None


def test_csv_has_raw_values_and_empty_holes() -> None:
    rows = list(csv.DictReader(io.StringIO(render(ROWS, ABOUT, "csv"))))
    quantised = next(row for row in rows if row["recipe"] == "Q4_K_M")
    assert quantised["weight_bytes"] == "90000000"
    assert quantised["energy_joules_per_decode_token"] == ""
    assert json.loads(quantised["flags"])[1] == "steal time 4.2 % (limit 1 %)"


@pytest.mark.parametrize("width", [40, 80, 100, 120, 160, 240])
def test_a_terminal_of_any_width_cuts_no_word_and_names_what_it_hides(width: int) -> None:
    text = render(ROWS, ABOUT, "table", width=width)
    flat = " ".join(text.split())
    assert "…" not in text
    for word in ("llamacpp", "(INT4_SYM_g64)", "640†‡", "95.45", "skipped"):
        assert word in flat
    if width >= 80:
        assert max(len(line) for line in text.splitlines()) <= width
    for column in build_view(ROWS, ABOUT).columns:
        assert all(word in flat for word in column.title.split())


def test_colour_is_only_where_the_terminal_has_it() -> None:
    assert "\x1b[" in render(ROWS, ABOUT, "table", color=True)
    assert "\x1b[" not in render(ROWS, ABOUT, "table", color=False)


def test_where_rows_and_columns_choose_what_is_shown() -> None:
    text = render(
        ROWS,
        ABOUT,
        "csv",
        row_keys="precision,framework",
        columns="decode_tps",
        where="framework=mlx|llamacpp",
    )
    assert text.splitlines() == [
        "precision,framework,decode_tps",
        "fp16,llamacpp,50.0",
        "int4,llamacpp,95.45454545454547",
        "int4,mlx,8.333333333333334",
    ]


def test_an_identity_that_tells_rows_apart_is_shown_unasked() -> None:
    facts = session(cell("x", "int4", "a"), cell("x", "int4", "b"))
    text = render(comparison_rows(facts), [facts.about()], "csv", row_keys="framework", columns="status")
    assert text.splitlines()[0] == "framework,recipe,status"


def test_settings_that_tell_rows_apart_are_shown_unasked() -> None:
    facts = session(
        cell("x", "int4", "a"), cell("x", "int4", "a", options={"type_v": "q8_0", "type_k": "q8_0"})
    )
    text = render(comparison_rows(facts), [facts.about()], "csv", row_keys="recipe", columns="status")
    header, first, second = text.splitlines()
    assert header == "recipe,options,status"
    assert first.startswith("a,defaults,")
    assert second.startswith("a,type_k=q8_0 type_v=q8_0,")


def test_rows_of_two_sessions_show_their_session() -> None:
    second = session(cell("x", "int4", "a"))
    first = comparison_rows(second)
    other = [type(first[0])({**first[0].values, "session": "s-0002"}, first[0].notes)]
    assert "s-0002" in render([*first, *other], [second.about()], "markdown")


@pytest.mark.parametrize("name", ["json", "csv", "markdown"])
def test_rows_stand_by_class_widest_first_and_in_the_suites_order_inside(name: str) -> None:
    facts = session(
        *(cell("x", each, f"R-{each}") for each in ("int4", "fp16", "int2", "fp32", "int8", "int3"))
    )
    text = render(comparison_rows(facts), [facts.about()], name)
    places = [text.index(each) for each in ("R-fp32", "R-fp16", "R-int8", "R-int4", "R-int3", "R-int2")]
    assert places == sorted(places)
    view = build_view(comparison_rows(facts), [facts.about()])
    assert [row[0] for row in view.body] == ["full", "half", "medium", "low", "low", "ultra-low"]
    assert [len(block) for block in view.blocks()] == [1, 1, 1, 2, 1]


def test_rows_that_are_sorted_by_columns_are_not_grouped() -> None:
    view = build_view(ROWS, ABOUT, row_keys="framework,precision_class")
    assert view.groups == ()
    assert [row[:2] for row in view.body] == sorted(row[:2] for row in view.body)
    assert len(view.blocks()) == 1


def test_the_measured_bits_per_weight_are_shown_whichever_columns_people_ask_for() -> None:
    for name in ("markdown", "table", "html", "latex"):
        assert "Bits/weight" in render(ROWS, ABOUT, name, columns="decode_tps", width=60)
    twice = build_view(ROWS, ABOUT, columns="decode_tps,bits_per_weight").columns
    assert [column.key for column in twice][-2:] == ["decode_tps", "bits_per_weight"]


def test_tensors_that_fell_back_are_marked_and_told_below() -> None:
    fallbacks = {"q4_K to q5_0": 150, "q6_K to q8_0": 30}
    facts = session(
        cell("llamacpp", "int4", "Q4_K_M", artifact=ArtifactFacts("a", 90, 5.25, fallbacks=fallbacks)),
        cell("llamacpp", "int8", "Q8_0", artifact=ArtifactFacts("b", 90, 8.5)),
    )
    rows = comparison_rows(facts)
    assert [figure_text(row, "bits_per_weight") for row in rows] == ["5.25*§", "8.5*"]
    text = render(rows, [facts.about()], "table")
    assert (
        "§ llamacpp int4 (Q4_K_M) cpu: 180 tensors fell back: q4_K to q5_0 (150), q6_K to q8_0 (30)"
        in " ".join(text.split())
    )
    assert text.count("§") == 2
    listed = json.loads(render(rows, [facts.about()], "json"))["rows"]
    assert [row["fallbacks"] for row in listed] == [{}, fallbacks]
    assert json.loads(list(csv.DictReader(io.StringIO(render(rows, [], "csv"))))[1]["fallbacks"]) == fallbacks


def test_emulated_devices_and_synthetic_models_are_labelled() -> None:
    facts = session(
        cell("qnn", "w8a16", "W8A16", device="npu:0", emulated=True, runs=(run("r", 0.1, 10, 300),)),
        cell("qnn", "w8a16", "W8A16", runs=(run("s", 0.1, 10, 300),)),
    )
    rows = comparison_rows(facts)
    text = render(rows, [facts.about()], "markdown")
    assert "| npu:0 (emulated) |" in text
    assert "| cpu |" in text
    assert "emulated: qnn w8a16 npu:0 (emulated): another processor" in text
    assert [row["recipe"] for row in select(rows, where="emulated=true")] == ["W8A16"]
    made_up = session(cell("x", "int4", "a", synthetic=True, runs=(run("r", 0.1, 10, 300),)))
    text = render(comparison_rows(made_up), [made_up.about()], "markdown")
    assert text.startswith("### SmolLM2-135M-Instruct (synthetic), pp32+tg4")
    assert "there is no function to compare with" in text


def test_the_command_offers_every_format() -> None:
    option = next(one for one in command.params if one.name == "format_")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == FORMATS


def test_wrong_words_are_usage_errors_that_help() -> None:
    with pytest.raises(UsageError) as caught:
        render(ROWS, ABOUT, "json", columns="decode_tsp")
    assert "decode_tps" in caught.value.next_step
    with pytest.raises(UsageError):
        render(ROWS, ABOUT, "xlsx")


def test_no_rows_make_an_empty_table_in_every_format() -> None:
    for name in FORMATS:
        assert render([], ABOUT, name)


def test_a_claim_stands_beside_its_framework_and_precision_only() -> None:
    assert {claim.framework for claim in load_claims()} == {"llamacpp", "olive", "openvino", "qnn", "mlx"}
    lines = render(ROWS, ABOUT, "markdown").splitlines()
    assert "2-3x" in next(line for line in lines if "Q4" in line)
    assert "2-3x" not in next(line for line in lines if "(F16)" in line)


def test_marks_follow_the_figures() -> None:
    assert figure_text(ROWS[2], "decode_tps").endswith("†‡")
    assert figure_text(ROWS[2], "peak_rss_bytes") == "420 MB"
    assert figure_text(ROWS[3], "decode_tps").endswith("*")
    assert figure_text(ROWS[4], "decode_tps") == "skipped"


def test_every_hole_of_a_shown_column_is_explained_below() -> None:
    view = build_view(ROWS, ABOUT)
    holes = next(section for section in view.sections if section.title == "Holes")
    assert any("no energy meter" in line for line in holes.lines)
    assert any("needs Windows" in line for line in holes.lines)
    assert any("no openvino cell at fp16" in line for line in holes.lines)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40)


@given(words)
def test_markdown_cells_hold_any_text_without_breaking_the_table(text: str) -> None:
    escaped = markdown.escape(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", escaped)
    assert re.sub(r"\\([\\`*_{}\[\]<>#|~&$])", r"\1", escaped) == " ".join(text.split())


@given(words)
def test_latex_text_has_no_live_special_character(text: str) -> None:
    escaped = latex.escape(text)
    # A letter that pdfLaTeX does not know, and its number there.
    ours = re.compile(r"\\ifdefined\\Umathchar (.)\\else \{\[\}U\+([0-9A-F]{4,6})\{\]\}\\fi\{\}")
    assert all(ord(letter) == int(number, 16) for letter, number in ours.findall(escaped))
    escaped = ours.sub("", escaped)
    assert all(letter <= "\u017f" for letter in escaped)
    rest = re.sub(r"\\(?:[&%$#_{}]|[a-z]+\{\}|ensuremath\{\\[a-z]+\})", "", escaped)
    rest = rest.replace("{[}", "").replace("{]}", "")
    assert not set(rest) & set("\\&%$#_{}~^")


@given(words)
def test_html_shows_any_text_as_it_is(text: str) -> None:
    page = render_html(View("t", (Column("reason", "Reason", False),), ((text,),)))
    shown = re.search(r"<td>(.*?)</td>", page, re.DOTALL)
    assert shown is not None
    assert "<" not in shown[1]
    assert html.unescape(shown[1]) == text


def test_a_speed_up_over_a_suspect_baseline_is_marked_though_its_own_runs_are_fine() -> None:
    row = ROWS[0]
    spoiled = replace(
        row, values={**row.values, "validity": "ok", "speedup_decode": 2.0, "flags": [BASELINE_SUSPECT]}
    )
    assert figure_text(spoiled, "speedup_decode").endswith("†")
    assert not figure_text(spoiled, "decode_tps").endswith("†")
