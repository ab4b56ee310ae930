"""A file is data within limits, or an error that names it, the place and the next step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from import_files import document

from harness.importing import document as module
from harness.importing.document import MAX_BYTES, Document, ImportFileError
from harness.importing.fields import Fields, file_stem


def refused(folder: Path, content: Any) -> ImportFileError:
    found = document(folder, content)
    with pytest.raises(ImportFileError) as caught:
        _ = found.json
    assert str(found.path) in caught.value.what
    assert "nothing of it was stored" in caught.value.what
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1,\n "b": ]', "line 2: this is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 60 + "]" * 60, "nested more than 48 deep"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ('{"a": ' + "9" * 5000 + "}", "a number has 5000 digits"),
        ('{"a": "\\u0000"}', "holds a NUL"),
        ('{"a\\u0000": 1}', "holds a NUL"),
        ('{"a": "\\ud800"}', "half a character"),
        (b'{"a": "\xff"}', "byte 7: this is no UTF-8 text"),
        (b'\n{"a": "\x00"}', "line 2: the text holds a NUL"),
    ],
)
def test_a_document_that_cannot_be_stored_is_refused_with_the_place(
    tmp_path: Path, content: Any, words: str
) -> None:
    assert words in refused(tmp_path, content).what


def test_what_is_no_number_stays_a_word(tmp_path: Path) -> None:
    found = document(tmp_path, '{"a": NaN, "b": -Infinity, "c": 1e999, "d": 0.5}').json
    assert found == {"a": "NaN", "b": "-Infinity", "c": "1e999", "d": 0.5}
    fields = Fields(document(tmp_path, "{}"), found, "tests[0]")
    for key in "abc":
        with pytest.raises(ImportFileError, match=rf"tests\[0\]: {key}: a number is expected"):
            fields.number(key)
    assert fields.number_or_none("a") is None


def test_a_file_beyond_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImportFileError, match="more than 67,108,864 bytes"):
        Document(path)


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImportFileError, match="it is empty"):
        document(tmp_path, content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="cannot be read"):
        Document(tmp_path / "none.json")
    with pytest.raises(ImportFileError, match="cannot be read"):
        Document(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no devices as files")
def test_a_device_is_refused_instead_of_being_read_forever() -> None:
    with pytest.raises(ImportFileError, match="no regular file"):
        Document(Path(os.devnull))


def test_lines_have_numbers_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    found = document(tmp_path, '{"a": 1}\n\n{"a": 2}\n')
    assert list(found.json_lines()) == [(1, {"a": 1}), (3, {"a": 2})]
    with pytest.raises(ImportFileError, match="line 2: this is no JSON"):
        list(document(tmp_path, '{"a": 1}\n{"a"\n').json_lines())


def test_a_line_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 10)
    with pytest.raises(ImportFileError, match="line 2: it has more than 10 bytes"):
        list(document(tmp_path, '{"a": 1}\n{"a": "much longer"}\n').json_lines())


def test_csv_has_one_head_and_rows_of_its_length(tmp_path: Path) -> None:
    head, rows = document(tmp_path, 'a,b\r\n"x\ny",1\r\n\r\nz,2\r\n').csv_rows()
    assert (head, rows) == (["a", "b"], [(3, {"a": "x\ny", "b": "1"}), (5, {"a": "z", "b": "2"})])
    for content, words in (
        ("a,b\n1\n", "line 2: it has 1 fields, its head 2"),
        ("a,a\n1,2\n", "two columns have the same name"),
        ('a,b\n"1,2\n', "no CSV"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "no CSV: field larger than field limit"),
    ):
        with pytest.raises(ImportFileError, match=words):
            document(tmp_path, content).csv_rows()


@pytest.mark.parametrize("value", [True, None, "", "ten", [1], {}, "1_000", 10**400, "1e400", "nan"])
def test_only_a_finite_number_is_a_number(tmp_path: Path, value: Any) -> None:
    fields = Fields(document(tmp_path, "{}"), {"a": value}, "row")
    with pytest.raises(ImportFileError, match="row: a: a number is expected"):
        fields.number("a")


@pytest.mark.parametrize("value", [-1, 0.5, 2**31, 1e30])
def test_a_count_is_whole_and_fits_a_column(tmp_path: Path, value: float) -> None:
    with pytest.raises(ImportFileError, match="a whole number"):
        Fields(document(tmp_path, "{}"), {"a": value}, "row").whole("a")


@pytest.mark.parametrize("value", [0, -1, -1.0, "NA", "", None, "nan", "N/A"])
def test_a_tool_s_sign_for_not_measured_is_no_figure(tmp_path: Path, value: Any) -> None:
    assert Fields(document(tmp_path, "{}"), {"a": value}, "row").positive_or_none("a") is None


def test_a_name_is_one_printable_line(tmp_path: Path) -> None:
    def fields(value: Any) -> Fields:
        return Fields(document(tmp_path, "{}"), {"a": value}, "row")

    assert fields("  sleep\n  0.1 ").name("a") == "sleep 0.1"
    for value in ("\x1b[31mred", "a\u202eb", "a\x07", "", "   ", 5, None, "x" * 1001):
        with pytest.raises(ImportFileError, match="row: a: a name"):
            fields(value).name("a")


def test_a_time_without_its_zone_is_none(tmp_path: Path) -> None:
    def fields(value: Any) -> Fields:
        return Fields(document(tmp_path, "{}"), {"a": value}, "row")

    found = fields("2026-11-26T18:00:00Z").time_or_none("a")
    assert found is not None
    assert found.isoformat() == "2026-11-26T18:00:00+00:00"
    assert fields("2026-11-26 18:00:00").time_or_none("a") is None
    for value in ("yesterday", "2026-13-01T00:00:00Z"):
        with pytest.raises(ImportFileError, match="a time is expected"):
            fields(value).time_or_none("a")
    with pytest.raises(ImportFileError, match="a time is expected"):
        fields(1e30).epoch_or_none("a")


def test_a_path_of_any_system_ends_in_its_name() -> None:
    assert file_stem("/home/a/m-Q4_0.gguf", (".gguf",)) == "m-Q4_0"
    assert file_stem("C:\\models\\m.GGUF", (".gguf",)) == "m"
    assert file_stem("org/model/") == "model"
