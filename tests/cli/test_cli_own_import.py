"""``edgebench import`` of what ``edgebench export`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_lab import Lab


@pytest.mark.parametrize("name", ["part.jsonl", "part.db"])
def test_an_export_is_taken_in_as_it_was_measured_and_twice_is_once(measured_lab: Lab, name: str) -> None:
    form = "sqlite" if name.endswith(".db") else "jsonl"
    assert measured_lab.run("export", name, "--format", form).status == 0
    first = measured_lab.run("import", name, "--db", "other.db", "--json")
    assert first.status == 0, first.err
    again = measured_lab.run("import", name, "--db", "other.db", "--json")
    assert again.status == 0, again.err
    tables = [
        measured_lab.run("table", "--format", "json", "--db", db).json["rows"]
        for db in ("other.db", str(measured_lab.database))
    ]
    assert tables[0] == tables[1]
    assert tables[0]
    assert not any(again.json["merged"][0]["added"].values()), again.out


def test_an_export_cannot_be_given_another_machine(measured_lab: Lab) -> None:
    assert measured_lab.run("export", "part.jsonl", "--format", "jsonl").status == 0
    result = measured_lab.run("import", "part.jsonl", "--machine", "lab-3", "--db", "other.db")
    assert result.status == 2
    assert "says itself what measured" in result.one_message()
    assert not Path("other.db").exists()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("sample", "value", "inf"),
        ("run", "attempt", 2**62),
        ("sample", "repetition", 2**15),
        ("session", "suite", "a\0b"),
    ],
)
def test_a_value_that_no_database_of_ours_holds_is_refused_with_its_line(
    measured_lab: Lab, table: str, column: str, value: Any
) -> None:
    assert measured_lab.run("export", "part.jsonl", "--format", "jsonl").status == 0
    lines = [json.loads(line) for line in Path("part.jsonl").read_text(encoding="utf-8").splitlines()]
    at = next(place for place, line in enumerate(lines) if line.get("table") == table)
    assert column in lines[at]["row"]
    lines[at]["row"][column] = value
    Path("part.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    result = measured_lab.run("import", "part.jsonl", "--db", "other.db")
    assert result.status == 1
    assert f"part.jsonl, line {at + 1}: {table}.{column}" in result.err


@pytest.mark.parametrize("schema", [["0001"], {"a": 1}, None, 1])
def test_a_first_line_that_names_no_schema_is_refused(bare_lab: Lab, schema: Any) -> None:
    header = {"edgebench_export": 1, "edgebench_version": "0.1.0", "schema": schema}
    Path("part.jsonl").write_text(json.dumps(header) + "\n", encoding="utf-8")
    result = bare_lab.run("import", "part.jsonl", "--db", "other.db")
    assert result.status == 1
    assert "part.jsonl, line 1: it names no schema" in result.err
