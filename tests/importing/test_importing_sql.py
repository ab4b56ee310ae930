"""llama-bench's SQL is parsed as data; what is not one of its two statements is refused with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.importing.sql import SqlError, insert_rows

CREATE = "CREATE TABLE IF NOT EXISTS llama_bench (\n  a TEXT,\n  b INTEGER\n);\n\n"


def test_rows_come_out_as_text_with_their_lines() -> None:
    text = CREATE + "INSERT INTO llama_bench (a, b) VALUES ('it''s; --', '1');\n-- more\n"
    text += "insert into llama_bench (a, b) values (NULL, -2.5e3), ('', 4);"
    assert insert_rows(text, "llama_bench") == [
        (6, {"a": "it's; --", "b": "1"}),
        (8, {"a": None, "b": "-2.5e3"}),
        (8, {"a": "", "b": "4"}),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("DROP TABLE run;", 1, "CREATE TABLE or INSERT INTO is expected, not 'DROP'"),
        ("ATTACH 'x' AS y;", 1, "not 'ATTACH'"),
        ("PRAGMA writable_schema=1;", 1, "not 'PRAGMA'"),
        ("INSERT INTO run (a) VALUES ('1');", 1, "llama_bench is expected, not 'run'"),
        ("\nINSERT INTO llama_bench (a) VALUES ('1'); DELETE FROM run;", 2, "not 'DELETE'"),
        ("INSERT INTO llama_bench (a) VALUES ('1') ON CONFLICT DO NOTHING;", 1, "; is expected"),
        ("INSERT INTO llama_bench (a) SELECT b FROM c;", 1, "VALUES is expected"),
        ("INSERT INTO llama_bench (a) VALUES (load_extension('x'));", 1, "a number is expected"),
        ("INSERT INTO llama_bench (a) VALUES ((SELECT 1));", 1, "a number is expected"),
        ("INSERT INTO llama_bench (a, b) VALUES ('1');", 1, "1 values for 2 columns"),
        ("INSERT INTO llama_bench (a, a) VALUES ('1', '2');", 1, "named twice"),
        # What llama-bench writes of a file with a quote in its name.
        ("INSERT INTO llama_bench (a) VALUES ('it's.gguf');", 1, "expected"),
        ("INSERT INTO llama_bench (a) VALUES ('1'", 1, "it ends where"),
        ("INSERT INTO llama_bench (a) VALUES ('1", 1, 'has "\'1"'),
        ("CREATE TABLE llama_bench AS SELECT 1;", 1, "( is expected"),
        ("CREATE TRIGGER t;", 1, "TABLE is expected"),
    ],
)
def test_any_other_statement_is_refused(text: str, line: int, words: str) -> None:
    with pytest.raises(SqlError) as caught:
        insert_rows(text, "llama_bench")
    assert caught.value.line == line
    assert words in caught.value.what


@given(st.lists(st.tuples(st.text(), st.integers()), min_size=1, max_size=5))
def test_whatever_is_quoted_comes_back(values: list[tuple[str, int]]) -> None:
    quoted: Callable[[str], str] = lambda text: "'" + text.replace("'", "''") + "'"  # noqa: E731
    text = CREATE + "".join(
        f"INSERT INTO llama_bench (a, b) VALUES ({quoted(a)}, '{b}');\n" for a, b in values
    )
    assert [row for _, row in insert_rows(text, "llama_bench")] == [{"a": a, "b": str(b)} for a, b in values]


@given(st.text(alphabet="INSERTOlama_bench ()',;VALUES0-.\n", max_size=200))
def test_no_text_makes_anything_but_rows_or_an_error(text: str) -> None:
    line = 1
    try:
        rows = insert_rows(text, "llama_bench")
    except SqlError as error:
        rows, line = [], error.line
    assert all(isinstance(row, dict) for _, row in rows)
    assert 1 <= line <= text.count("\n") + 1
