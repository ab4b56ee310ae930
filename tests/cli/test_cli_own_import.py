"""``edgebench import`` of what ``edgebench export`` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_lab import Lab


@pytest.mark.parametrize("name", ["part.jsonl", "part.db"])
def test_an_export_is_taken_in_as_it_was_measured_and_twice_is_once(lab: Lab, name: str) -> None:
    assert lab.run("run", "fake.yaml", "-q").status == 0
    form = "sqlite" if name.endswith(".db") else "jsonl"
    assert lab.run("export", name, "--format", form).status == 0
    first = lab.run("import", name, "--db", "other.db", "--json")
    assert first.status == 0, first.err
    again = lab.run("import", name, "--db", "other.db", "--json")
    assert again.status == 0, again.err
    tables = [
        lab.run("table", "--format", "json", "--db", db).json["rows"]
        for db in ("other.db", str(lab.database))
    ]
    assert tables[0] == tables[1]
    assert tables[0]
    assert not any(again.json["merged"][0]["added"].values()), again.out


def test_an_export_cannot_be_given_another_machine(lab: Lab) -> None:
    assert lab.run("run", "fake.yaml", "-q").status == 0
    assert lab.run("export", "part.jsonl", "--format", "jsonl").status == 0
    result = lab.run("import", "part.jsonl", "--machine", "lab-3", "--db", "other.db")
    assert result.status == 2
    assert "says itself what measured" in result.one_message()
    assert not Path("other.db").exists()
