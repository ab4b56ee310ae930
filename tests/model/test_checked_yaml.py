"""YAML with lines: every mistake has its place, and every text gives data or our error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from harness.errors import UsageError
from harness.model.checked_yaml import MAX_BYTES, Strict, did_you_mean, parse_yaml, read_yaml, validated

FILE = Path("file.yaml")


class Inner(Strict):
    depth: int = Field(ge=1, strict=True)


class Outer(Strict):
    name: str
    inner: list[Inner] = Field(default_factory=list)


def test_lines_of_keys_and_items_are_known() -> None:
    document = parse_yaml("# a comment\nname: x\ninner:\n  - depth: 1\n  -\n    depth: 2\n", FILE)
    assert document.data == {"name": "x", "inner": [{"depth": 1}, {"depth": 2}]}
    assert document.where(("name",)) == "file.yaml:2"
    assert document.where(("inner", 1, "depth")) == "file.yaml:6"
    assert document.where(("inner", 0, "unheard", "of")) == "file.yaml:4"


def test_scalars_follow_yaml_1_2() -> None:
    document = parse_yaml("a: on\nb: 10:30\nc: 1e3\nd: 010\ne: ~\nf: True\ng: 2026-01-01\nh: .5\n", FILE)
    assert document.data == {
        "a": "on", "b": "10:30", "c": 1000.0, "d": 10, "e": None, "f": True, "g": "2026-01-01", "h": 0.5,
    }  # fmt: skip


def test_anchors_and_merges_work() -> None:
    document = parse_yaml("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n", FILE)
    assert document.data["more"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\nb: 3\n", r"file.yaml:2:\d+: not YAML"),
        ("a: 1\nb: 2\na: 3\n", r'file.yaml:3:1: not YAML: the key "a" stands here twice, first in line 1'),
        ("a: !!python/object:os.system x\n", r"file.yaml:1:4: .*means nothing here"),
        ("a: !!int x\n", r"file.yaml:1:4: .*is no number"),
        ("? [a]\n: 1\n", r"file.yaml:1:3: .*a key that is a list"),
        ("a: 1\n---\nb: 2\n", r"file.yaml:2:1: not YAML"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: {<<: {[b]: 1}}\n", r"file.yaml:1:\d+: .*a key that is a list"),
        ("[" * 600, "nested too deep"),
        ("{a: " * 100_000, "nested too deep"),
        ("- " * 100_000, "nested too deep"),
        ("a: 1e999\n", "is no number"),
        ("a: !!float inf\n", "is no number"),
        (f"a: {'9' * 5000}\n", "is no number"),
        (f"a: {'9' * 41}\n", "is no number"),
        ("a: !!python/name:os.system\n", "means nothing here"),
        ("a: !function os.system\n", "means nothing here"),
        ("a: !!binary aGk=\n", "means nothing here"),
        ("a: !!set {b}\n", "means nothing here"),
        ("a: \x07\n", "file.yaml: not YAML"),
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
    ],
)
def test_malformed_files_are_told_with_their_place(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_yaml(text, FILE)


def test_aliases_cannot_fill_the_memory() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(UsageError, match="aliases"):
        parse_yaml(bomb, FILE)
    merges = "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
    )
    assert parse_yaml(merges, FILE).data["a11"] == {"x": 1, "y": 2}


def test_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_bytes(b"a: 1\n#" + b"x" * MAX_BYTES)
    with pytest.raises(UsageError, match="is longer than 16 MiB"):
        read_yaml(path)


def test_lines_may_end_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"a: 1\r\nb: 2\r\n")
    assert read_yaml(path).text == "a: 1\nb: 2\n"


@given(st.text() | st.text(alphabet="ab:-[]{}&*!|>'\"?,# \n<%@0.1"))
def test_any_text_gives_a_document_or_our_error(text: str) -> None:
    try:
        document = parse_yaml(text, FILE)
    except UsageError:
        return
    assert document.text == text


def test_every_finding_has_its_line_and_what_was_meant() -> None:
    document = parse_yaml("nam: x\ninner:\n  - deph: 1\n  - depth: 0\n  - depth: two\n", FILE)
    with pytest.raises(UsageError) as raised:
        validated(document, Outer, document.data)
    assert raised.value.what == 'file.yaml:1: unknown key "nam"'
    assert raised.value.next_step == 'did you mean "name"?'
    document = parse_yaml("inner:\n  - deph: 1\n  - depth: 0\n  - depth: two\n", FILE)
    with pytest.raises(UsageError) as raised:
        validated(document, Outer, document.data)
    assert raised.value.what.splitlines() == [
        'file.yaml: the key "name" is missing',
        'file.yaml:2: unknown key "deph"',
        'file.yaml:3: "inner[1].depth": Input should be greater than or equal to 1 (it is 0)',
        "file.yaml:4: \"inner[2].depth\": Input should be a valid integer (it is 'two')",
    ]
    assert 'did you mean "depth"?' in raised.value.next_step


def test_text_that_yaml_reads_as_a_number_is_to_be_quoted() -> None:
    document = parse_yaml("name: 1.0\n", FILE)
    with pytest.raises(UsageError, match=r'"name" is 1\.0, and has to be text') as raised:
        validated(document, Outer, document.data)
    assert raised.value.next_step == "put it in quotes"


def test_files_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")


def test_what_was_meant_ignores_case_and_falls_back_to_the_list() -> None:
    assert did_you_mean("OpenVino", ["openvino", "mlx"], noun="frameworks") == 'did you mean "openvino"?'
    assert did_you_mean("q4_k_m", ["Q4_K_M", "Q4_0"], noun="recipes") == 'did you mean "Q4_K_M"?'
    assert did_you_mean("zzz", ["b", "a"], noun="frameworks") == "known frameworks: a, b"
    assert did_you_mean("zzz", [], noun="models") == "there are no models"
