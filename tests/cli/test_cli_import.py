"""``edgebench import``, from files to the table."""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
from pathlib import Path

import pytest
from fake_lab import Lab

FILES = Path(__file__).parents[1] / "importing" / "files"


def test_a_file_is_imported_once_and_shown(bare_lab: Lab) -> None:
    first = bare_lab.run("import", str(FILES / "llama_bench.json"), "--json")
    assert first.status == 0, first.err
    [done] = first.json["imports"]
    assert (done["tool"], done["added"], len(done["results"])) == ("llama-bench", True, 4)
    again = bare_lab.run("import", str(FILES / "llama_bench.json"))
    assert again.status == 0
    assert f"was before {done['session']}" in again.out
    table = bare_lab.run("table", "--session", "imported-")
    assert table.status == 0, table.err
    assert "not edgebench" in table.out
    shown = bare_lab.run("show", done["session"], "--json")
    assert shown.json["import"]["tool"] == "llama-bench"
    assert bare_lab.run("show", shown.json["runs"][0]["id"]).status == 0
    assert done["session"] in bare_lab.run("db", "sessions").out
    assert bare_lab.run("db", "check").status == 0


def test_the_table_without_a_session_is_never_an_imported_one(bare_lab: Lab) -> None:
    assert bare_lab.run("import", str(FILES / "hyperfine.json")).status == 0
    table = bare_lab.run("table")
    assert table.status == 2
    assert "--session" in table.err


def test_what_an_imported_session_cannot_have_is_told(bare_lab: Lab) -> None:
    done = bare_lab.run("import", str(FILES / "hyperfine.json"), "--json").json["imports"][0]
    refused = bare_lab.run("show", "--suite-text", done["session"])
    assert refused.status == 2
    assert f"{done['session']} was imported" in refused.err
    assert "it has no suite" in refused.err


EXPLAINED = sorted(
    path
    for path in FILES.rglob("*.*")
    if path.name not in ("README.md", "benchmark_config.json") and not path.name.startswith("samples_")
)


@pytest.mark.parametrize("path", EXPLAINED, ids=lambda path: path.name)
def test_every_imported_figure_is_followed_to_its_samples_and_its_file(bare_lab: Lab, path: Path) -> None:
    done = bare_lab.run("import", str(path), "--json").json["imports"][0]
    words = ("table", "--explain", "--session", done["session"])
    found = bare_lab.run(*words, "--format", "json").json
    assert found["source"]["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() == done["sha256"]
    assert found["source"]["file_name"] == path.name
    table = bare_lab.run("table", "--session", done["session"], "--format", "json").json
    assert [row["imported"] for row in found["rows"]] == [row["imported"] for row in table["rows"]]
    shown = bare_lab.run(*words)
    assert shown.status == 0
    figures = 0
    for row in found["rows"]:
        for name, figure in row["explain"]["figures"].items():
            if figure["value"] in (None, []):
                continue
            figures += 1
            assert figure["file"]["place"]
            assert figure["file"]["place"] in shown.out
            run = bare_lab.run("show", figure["run_ids"][0], "--json").json
            assert run["session_id"] == done["session"]
            if name == "tasks":
                continue
            assert figure["value"] == row["imported"][name]["value"]
            assert figure["file"]["field"]
            stored = [one for one in run["samples"] if one["metric"] == name]
            told = figure.get("samples", [])
            assert [one["value"] for one in stored] == [one["value"] for one in told]
            timed = [one["value"] for one in told if not one["warmup"]]
            if timed and "numbers" not in figure:
                assert statistics.median(timed) == figure["value"]
            elif not told and "numbers" not in figure:
                assert figure["value"] in [
                    each["value"] for each in run["statistics"] if each["metric"] == name
                ]
    assert figures
    assert done["sha256"] in "".join(shown.out.split())


@pytest.mark.skipif(sys.platform == "win32", reason="no such name of a file")
def test_a_hostile_name_of_a_file_reaches_no_terminal(bare_lab: Lab) -> None:
    path = bare_lab.folder / "bench\x1b]0;owned\x07.json"
    path.write_bytes((FILES / "llama_bench.json").read_bytes())
    done = bare_lab.run("import", str(path), "--json")
    assert done.status == 0, done.err
    session = done.json["imports"][0]["session"]
    for format_ in ("table", "markdown", "csv", "html", "latex"):
        written = bare_lab.folder / f"table.{format_}"
        shown = bare_lab.run("table", "--session", session, "--format", format_, "-o", str(written))
        assert shown.status == 0, shown.err
        assert "\x1b" not in written.read_text(encoding="utf-8")
        assert "\x07" not in written.read_text(encoding="utf-8")
        assert format_ == "csv" or "u001b" in written.read_text(encoding="utf-8")


def test_a_dry_run_makes_nothing(bare_lab: Lab) -> None:
    before = sorted(bare_lab.folder.rglob("*"))
    found = bare_lab.run("import", str(FILES / "mlx_lm.txt"), "--dry-run", "--model", "tiny", "--json")
    assert found.status == 0, found.err
    [done] = found.json["imports"]
    assert (done["added"], done["results"][0]["model"]) == (None, "tiny")
    assert sorted(bare_lab.folder.rglob("*")) == before


def test_a_broken_file_is_named_and_makes_no_database(bare_lab: Lab) -> None:
    path = bare_lab.folder / "broken.json"
    path.write_text('{"results": [{"command": "x", "mean": 1, "user": 1, "system": 1, "times": ["a"]}]}')
    found = bare_lab.run("import", str(path))
    assert found.status == 2
    assert f"{path}, results[0]: times[0]: a number above 0 is expected, not 'a'" in found.err
    assert "next:" in found.err
    assert not bare_lab.database.exists()


def test_files_before_a_broken_one_are_stored_and_it_is_not(bare_lab: Lab) -> None:
    path = bare_lab.folder / "broken.json"
    path.write_text("[")
    found = bare_lab.run("import", str(FILES / "hyperfine.json"), str(path))
    assert (found.status, found.out.count("is imported-")) == (2, 1)
    assert len(bare_lab.run("db", "sessions", "--json").json["sessions"]) == 1


def test_the_same_file_of_another_machine_is_refused(bare_lab: Lab) -> None:
    file = str(FILES / "hyperfine.json")
    assert bare_lab.run("import", file, "--machine", "lab-3").status == 0
    found = bare_lab.run("import", file, "--machine", "lab-4")
    assert found.status == 2
    assert "of the machine 'lab-3'" in found.err
    assert bare_lab.run("import", file, "--machine", "lab-3").status == 0
    assert len(bare_lab.run("db", "sessions", "--json").json["sessions"]) == 1


@pytest.mark.parametrize("option", ["--machine", "--model"])
@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(bare_lab: Lab, option: str, name: str) -> None:
    found = bare_lab.run("import", str(FILES / "hyperfine.json"), option, name)
    assert found.status == 2
    assert f"{option} " in found.err


def test_sql_of_a_hostile_file_is_never_executed(bare_lab: Lab) -> None:
    assert bare_lab.run("import", str(FILES / "hyperfine.json")).status == 0
    path = bare_lab.folder / "bench.sql"
    text = (FILES / "llama_bench.sql").read_text(encoding="utf-8")
    path.write_text(text + "\nDELETE FROM session_import;\n", encoding="utf-8")
    found = bare_lab.run("import", str(path))
    assert found.status == 2
    assert "not 'DELETE'" in found.err
    assert f"line {text.count(chr(10)) + 2}" in found.err
    name = "'; DELETE FROM session; --"
    record = json.loads((FILES / "llama_bench.json").read_text(encoding="utf-8"))
    record[0]["model_filename"] = name
    path = bare_lab.folder / "bench.json"
    path.write_text(json.dumps(record))
    assert bare_lab.run("import", str(path)).status == 0
    sessions = bare_lab.run("db", "sessions", "--json").json["sessions"]
    assert len(sessions) == 2


def test_nothing_is_taken_into_a_database_in_memory(bare_lab: Lab) -> None:
    for words in (("import", str(FILES / "hyperfine.json"), "--db"), ("db", "merge", "x.db", "--into")):
        refused = bare_lab.run(*words, "sqlite://")
        assert refused.status == 2
        assert "in memory" in refused.err


@pytest.mark.parametrize("prefix", ["\U0010ffff", "a\ud7ff", "\u00e4"])
def test_what_is_no_id_is_not_found(bare_lab: Lab, prefix: str) -> None:
    assert bare_lab.run("import", str(FILES / "hyperfine.json")).status == 0
    found = bare_lab.run("show", prefix)
    assert found.status == 2
    assert "has an id that begins with" in found.err
