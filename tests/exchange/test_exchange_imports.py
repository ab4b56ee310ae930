"""Databases that imported the same files, on different days, by different programs and for different machines."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from fake_lab import Lab

FILES = Path(__file__).parents[1] / "importing" / "files"


def imported(lab: Lab, database: str, name: str, *words: str, file: str = "llama_bench.json") -> None:
    folder = lab.folder / database
    folder.mkdir()
    shutil.copy(FILES / file, folder / name)
    done = lab.run("import", str(folder / name), "--db", str(folder / "lab.db"), *words)
    assert done.status == 0, done.err


def merged(lab: Lab, *databases: str, into: str) -> dict[str, object]:
    places = [str(lab.folder / one / "lab.db") for one in databases]
    done = lab.run("db", "merge", *places, "--into", str(lab.folder / into), "--json")
    assert done.status == 0, done.err
    found: dict[str, object] = done.json
    return found


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_same_file_under_two_names_by_two_programs_is_one_session(bare_lab: Lab) -> None:
    imported(bare_lab, "a", "bench.json")
    imported(bare_lab, "b", "other.json")
    changed = sqlite3.connect(bare_lab.folder / "b" / "lab.db")
    with changed:
        changed.execute("UPDATE session SET edgebench_version = '0.0.9'")
        changed.execute("UPDATE session_import SET definitions = ?", [json.dumps({"x": "in other words"})])
        changed.execute("UPDATE run SET details = ?", [json.dumps({"record": {"less": 1}})])
    changed.close()
    told = []
    for place, order in enumerate(itertools.permutations("ab")):
        merged(bare_lab, *order, into=f"{place}.db")
        told.append(
            rows(
                bare_lab.folder / f"{place}.db",
                "SELECT session.id, session.edgebench_version, file_name, definitions, "
                "(SELECT group_concat(details) FROM run WHERE run.session_id = session.id) FROM session "
                "JOIN session_import ON session_id = session.id",
            )
        )
    assert told[0] == told[1]
    ((_, version, name, _, _),) = told[0]
    assert (version, name) == ("0.1.0", "other.json")


@pytest.mark.parametrize(
    ("file", "words"), [("mlx_lm.txt", ("--model", "one")), ("llama_bench.json", ("--machine", "lab-3"))]
)
def test_what_was_told_otherwise_is_another_session_and_is_told(
    bare_lab: Lab, file: str, words: tuple[str, str]
) -> None:
    imported(bare_lab, "a", file, *words, file=file)
    imported(bare_lab, "b", file, words[0], "two", file=file)
    refused = bare_lab.run(
        "import",
        str(bare_lab.folder / "a" / file),
        words[0],
        "three",
        "--db",
        str(bare_lab.folder / "a/lab.db"),
    )
    assert refused.status == 2
    assert "was imported before" in refused.err
    outcome = merged(bare_lab, "a", "b", into="c.db")["merged"]
    assert isinstance(outcome, list)
    (twice,) = outcome[1]["imported_twice"]
    assert twice.startswith(f"{file} (imported-")
    # No session holds the runs of both.
    per_session = rows(bare_lab.folder / "c.db", "SELECT count(*) FROM run GROUP BY session_id")
    assert len(per_session) == 2
    assert len(set(per_session)) == 1
    assert (
        rows(
            bare_lab.folder / "c.db",
            "SELECT session_id, position FROM session_cell GROUP BY 1, 2 HAVING count(*) > 1",
        )
        == []
    )
