"""`harness.safe_text`: nothing that is printed commands a terminal, and no password is repeated."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.safe_text import finite, json_text, printable, printable_styled, without_passwords

REVERSING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text())
def test_no_control_character_is_left_but_line_ends_and_tabs(text: str) -> None:
    shown = printable(text)
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Zl", "Zp") and one not in "\n\t"]
    assert not set(shown) & set(REVERSING)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs"])))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_our_own_colours_stay_and_nothing_else() -> None:
    assert printable_styled("\x1b[1;31mred\x1b[0m") == "\x1b[1;31mred\x1b[0m"
    assert printable_styled("\x1b[2J\x1b]0;title\x07") == "\\u001b[2J\\u001b]0;title\\u0007"


LEAVES = st.none() | st.booleans() | st.floats() | st.text() | st.integers()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_has_every_value_and_no_control_character(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == finite(value)
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql+psycopg://me:pa55@lab:5432/db", "postgresql+psycopg://me:***@lab:5432/db"),
        ("--db=postgresql://me:p@55:w/d@lab/db", "--db=postgresql://me:***@lab/db"),
        ("postgresql://:pa55@lab", "postgresql://:***@lab"),
        ("postgresql://lab/db?user=me&password=pa55&x=1", "postgresql://lab/db?user=me&password=***&x=1"),
        ("postgresql://lab/db?sslpassword=pa55", "postgresql://lab/db?sslpassword=***"),
        ("host=lab user=me password=pa55 dbname=db", "host=lab user=me password=*** dbname=db"),
        ("postgresql+psycopg:/me:pa55@lab/db", "postgresql+psycopg:/me:***@lab/db"),
        ("postgresql:me:pa55@lab/db", "postgresql:me:***@lab/db"),
        ("postgresql://lab/db?options=-cx%3Dpa55", "postgresql://lab/db?options=***"),
        ("server.url=http://me:pa55@host/v1", "server.url=http://me:***@host/v1"),
        ("cannot reach pg://me:pa55@lab/db: no route", "cannot reach pg://me:***@lab/db: no route"),
    ],
)  # fmt: skip
def test_a_password_is_hidden_wherever_it_stands(text: str, hidden: str) -> None:
    assert without_passwords(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "results/edgebench.db",
        "postgresql://me@lab/db",
        "https://host:8080/path",
        "-k",
        "eos_token=2",
        "a=b",
        "x@y:z",
    ],
)
def test_what_holds_none_stays(text: str) -> None:
    assert without_passwords(text) == text
