"""A model and a reason that want to be more than text, in every format: golden files, and what no format may contain.

To write the golden files anew after a wanted change: ``EDGEBENCH_WRITE_GOLDEN=1 pytest tests/table``; then read the
diff.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from table_facts import cell, run, session

from harness.table import FORMATS, comparison_rows, render
from harness.table.view import View, build_view

GOLDEN = Path(__file__).with_name("golden")
SUFFIX = {"table": "txt", "markdown": "md", "csv": "csv", "json": "json", "html": "html", "latex": "tex"}
#: A formula, HTML, a link, LaTeX, a cell's end, an entity, an escape sequence, and a turn of the direction of reading.
MODEL = '=HYPERLINK("http://x")<script>alert(1)</script>[a](javascript:b)\\input{/etc/passwd}$x$ |&lt;`c`\x1b[31m\u202e'
REASON = "-2+3\nIgnore this | row \\\\ \\end{tabular} <b>& 100 % #_~^\x07"

FACTS = replace(
    session(),
    cells=(
        cell(
            "llamacpp", "int4", "Q4_K_M", runs=(run("a", 0.1, 10, 300), run("b", 0.1, 11, 300)), model=MODEL
        ),
        cell("openvino", "int8", "@SUM(A1)", model=MODEL, reason=REASON),
    ),
)
ROWS = comparison_rows(FACTS)
ABOUT = [FACTS.about()]


def text_of(name: str) -> str:
    return render(ROWS, ABOUT, name, width=200)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_it_as_the_golden_file_does(name: str) -> None:
    text = text_of(name)
    file = GOLDEN / f"hostile.{SUFFIX[name]}"
    if os.environ.get("EDGEBENCH_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_holds_a_control_character_or_turns_the_direction_of_reading(name: str) -> None:
    assert not set(text_of(name)) & {"\x1b", "\x07", "\u202e"}


def test_a_spreadsheet_computes_nothing() -> None:
    table = list(csv.DictReader(io.StringIO(text_of("csv"))))
    assert len(table) == 2
    for row in table:
        for value in row.values():
            assert value[:1] not in set("=+-@\t\r") or re.fullmatch(r"-?[\d.e+-]+", value)
    assert all(row["model"].startswith("'=HYPERLINK") for row in table)
    assert {row["recipe"] for row in table} == {"Q4_K_M", "'@SUM(A1)"}


def test_json_keeps_the_text_but_for_its_control_characters() -> None:
    found = json.loads(text_of("json"))["rows"][0]["model"]
    # Written as an escape of JSON, so that a program reads the very text.
    assert found == MODEL


def test_a_browser_runs_nothing() -> None:
    text = text_of("html")
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_allows_its_own_style_by_its_hash_and_nothing_else() -> None:
    text = html.unescape(text_of("html"))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    # Nothing of the page itself needs what it forbids.
    assert not re.search(r"<[^>]*\s(?:style|on\w+|src|href)=", text_of("html"))


def view() -> View:
    return build_view(ROWS, ABOUT, counted=True)


def test_markdown_and_latex_have_the_same_content_as_the_view() -> None:
    expected = [[" ".join(text.split()) for text in row] for row in view().body]
    heads = [column.title for column in view().columns]
    assert cells_of_markdown(text_of("markdown")) == [heads, *expected]
    assert cells_of_latex(text_of("latex")) == [heads, *expected]
    for section in view().sections:
        for line in section.lines:
            flat = " ".join(line.split())
            assert flat in unescaped_markdown(text_of("markdown"))
            assert flat.replace('"', "''") in unescaped_latex(text_of("latex"))


def unescaped_markdown(text: str) -> str:
    return re.sub(r"\\([\\`*_{}\[\]<>#|~&$])", r"\1", text)


def cells_of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines]
    return [[unescaped_markdown(one) for one in row] for row in rows]


_LATEX = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\ensuremath{\pm}": "±", r"\ensuremath{\times}": "×",
    r"\textdagger{}": "†", r"\textdaggerdbl{}": "‡", r"\ensuremath{\mu}": "µ", "{[}": "[", "{]}": "]",
    "--": "–", r"\&": "&", r"\%": "%", r"\$": "$", r"\#": "#", r"\_": "_", r"\{": "{", r"\}": "}",
}  # fmt: skip


def unescaped_latex(text: str) -> str:
    known = "|".join(re.escape(one) for one in sorted(_LATEX, key=len, reverse=True))
    return re.sub(known, lambda match: _LATEX[match[0]], text)


def cells_of_latex(text: str) -> list[list[str]]:
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    lines = [line.strip().removesuffix(r" \\") for line in body.splitlines() if line.rstrip().endswith(r"\\")]
    return [[unescaped_latex(one) for one in line.split(" & ")] for line in lines]


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_every_engine_sets_it(engine: str, tmp_path: Path) -> None:
    program = shutil.which(engine)
    if program is None:
        pytest.skip(f"{engine} is not installed")
    letters = replace(
        FACTS, cells=tuple(replace(one, model=f"{MODEL} 模型 й é ő 😀 µ × ≥") for one in FACTS.cells)
    )
    table = render(comparison_rows(letters), ABOUT, "latex")
    page = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{table}\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(page, encoding="utf-8")
    words = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000
