"""What Datasette is told of a database, and that it shows it: a scripted one, and the real one where installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from fake_lab import Lab, finish, wait_until
from make_store_sessions import store_sessions

from harness.cli import db_datasette
from harness.store import Store, datasette, records
from harness.store.tables import models
from harness.store.views import VIEWS

NAME = "edgebench"


@pytest.fixture
def filled(lab: Lab) -> Lab:
    lab.database.parent.mkdir()
    with Store.open(lab.database) as store:
        store_sessions(store, 1, 6)
    return lab


@pytest.fixture
def document(filled: Lab) -> dict[str, Any]:
    assert filled.run("db", "datasette", "--no-serve").status == 0
    made: dict[str, Any] = json.loads(
        (filled.database.parent / "edgebench.datasette.json").read_text("utf-8")
    )
    return made


def columns(path: Path) -> dict[str, set[str]]:
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    found = {
        name: {column[1] for column in connection.execute(f"PRAGMA table_info({name})")} for (name,) in names
    }
    connection.close()
    return found


def test_every_table_view_and_column_is_described_and_none_else(
    filled: Lab, document: dict[str, Any]
) -> None:
    there = columns(filled.database)
    described = document["databases"][NAME]["tables"]
    assert set(described) == set(there)
    for name, found in described.items():
        if name == "alembic_version":
            assert found == {"hidden": True}
            continue
        assert found["description"]
        assert set(found["columns"]) == there[name], name
        assert all(found["columns"].values())
        mentioned = {*found.get("units", ()), *found.get("facets", ()), found.get("sort_desc", "id")}
        assert mentioned - {"id"} <= there[name], name
    assert set(described) == {*models(), *(view.name for view in VIEWS), "alembic_version"}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("decode_tps", "token / second"),
        ("peak_rss_bytes", "byte"),
        ("bytes", "byte"),
        ("read_bytes_per_s", "byte / second"),
        ("energy_joules_per_decode_token", "joule / token"),
        ("gross_joules", "joule"),
        ("idle_watts_before", "watt"),
        ("prompt_tokens", "token"),
        ("ttft_s", "second"),
        ("seconds", "second"),
        ("fp32_median_flops", "operation / second"),
        ("status", None),
        ("bits_per_weight", None),
        ("kld_mean", None),
    ],
)
def test_a_unit_is_what_a_name_ends_in(name: str, unit: str | None) -> None:
    assert datasette.unit(name) == unit


def test_json_columns_have_no_unit(document: dict[str, Any]) -> None:
    run = document["databases"][NAME]["tables"]["run"]
    assert "phases_s" in run["columns"]
    assert "phases_s" not in run["units"]
    assert run["units"]["duration_s"] == "second"


@pytest.mark.parametrize("query", datasette.QUERIES, ids=lambda query: query.name)
def test_a_ready_made_query_finds_something(filled: Lab, query: datasette.Query) -> None:
    with Store.open(filled.database) as store:
        store.record_artifact(make.artifact("broken", make.sha("F16")))
        session = store.newest_session()
        assert session is not None
        score = make.score(make.sha("broken"), verdict=records.VerdictRecord("broken", "KLD 9"))
        store.record_run(make.run(session, make.cell().id, 9, kind="score", samples=(), score=score))
    connection = sqlite3.connect(filled.database)
    [(run_id,)] = connection.execute("SELECT run_id FROM v_samples LIMIT 1").fetchall()
    known = {"cell_id": make.cell().id, "run_id": run_id, "artifact_id": make.sha("Q4_K_M")}
    asked = set(re.findall(r":(\w+)", query.sql))
    assert asked <= {*known, "model", "framework", "session_id"}
    assert connection.execute(query.sql, {name: known.get(name, "") for name in asked}).fetchall()
    # Datasette asks with empty words first: that is no error, and finds the newest or nothing.
    connection.execute(query.sql, dict.fromkeys(asked, "")).fetchall()
    connection.close()


def test_a_description_goes_where_it_is_asked_to_go(filled: Lab, tmp_path: Path) -> None:
    result = filled.run("db", "datasette", "--no-serve", "--output", str(tmp_path / "new" / "d.json"))
    assert result.status == 0
    assert str(tmp_path / "new" / "d.json") in result.out
    assert json.loads((tmp_path / "new" / "d.json").read_text("utf-8"))["databases"]
    assert not (filled.database.parent / "edgebench.datasette.json").exists()


def test_without_datasette_the_next_step_is_told(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_datasette, "_datasette", lambda: None)
    result = filled.run("db", "datasette")
    assert result.status == 0
    assert "pip install 'edgebench[datasette]'" in result.out


def test_what_is_no_file_is_refused_without_asking_the_server(filled: Lab) -> None:
    result = filled.run("db", "datasette", "--db", "postgresql+psycopg://bench:hunter2@127.0.0.1:1/edgebench")
    assert result.status == 2
    assert "is not a file" in result.one_message()
    assert "hunter2" not in result.err


def test_a_database_that_is_not_there_is_refused(lab: Lab) -> None:
    assert "there is no database" in lab.run("db", "datasette").one_message()


# -- serving, by a scripted Datasette --------------------------------------------------------------------------------

SCRIPT = """#!{python}
import json, os, signal, sys, time
from pathlib import Path
Path("told.json").write_text(json.dumps([sys.argv[1:], [one for one in os.environ if one.startswith("DATASETTE")]]))
def end(number, frame):
    Path("ended").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
if {status} is None:
    time.sleep(600)
sys.exit({status})
"""


def scripted(lab: Lab, status: int | None) -> dict[str, str]:
    """A `datasette` on the path of a process whose Python has none."""
    folder = lab.folder / "bin"
    folder.mkdir()
    program = folder / "datasette"
    program.write_text(SCRIPT.format(python=sys.executable, status=status), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "DATASETTE_LOAD_PLUGINS": "evil"}


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="the scripted Datasette is a script with #!")
no_real = pytest.mark.skipif(
    importlib.util.find_spec("datasette") is not None, reason="the real Datasette goes before one on the path"
)


@needs_posix
@no_real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_ended_and_takes_datasette_with_it(filled: Lab, number: int) -> None:
    process = filled.start("db", "datasette", "--port", "8765", **scripted(filled, None))
    told = filled.folder / "told.json"
    wait_until(lambda: told.exists() and told.read_text(), "Datasette was started")
    process.send_signal(number)
    result = finish(process)
    assert (result.status, result.err) == (0, "")
    assert (filled.folder / "ended").exists()
    words, settings = json.loads(told.read_text())
    assert words[0] == "serve"
    assert str(filled.database) in words
    assert "--immutable" not in words
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--port") + 1] == "8765"
    assert settings == []


@needs_posix
@no_real
def test_a_datasette_that_fails_is_told_as_an_error(filled: Lab) -> None:
    result = finish(filled.start("db", "datasette", **scripted(filled, 1)))
    assert result.status == 1
    assert "Datasette ended with status 1" in result.one_message()
    assert "--port" in result.err


@needs_posix
@no_real
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_nobody_can_write_beside_is_shown_as_unchangeable(filled: Lab) -> None:
    filled.database.parent.chmod(0o555)
    try:
        output = ("--output", str(filled.folder / "d.json"))
        result = finish(filled.start("db", "datasette", *output, **scripted(filled, 0)))
    finally:
        filled.database.parent.chmod(0o755)
    assert result.status == 0
    words, _ = json.loads((filled.folder / "told.json").read_text())
    assert words[1:3] == ["--immutable", str(filled.database)]


# -- the real one ----------------------------------------------------------------------------------------------------

REAL = importlib.util.find_spec("datasette") is not None or shutil.which("datasette") is not None


@pytest.fixture
def served(filled: Lab) -> Iterator[tuple[Lab, str, subprocess.Popen[str]]]:
    """A database behind a real Datasette, and the address of it."""
    process = filled.start("db", "datasette", "--port", "0")
    assert process.stderr is not None
    seen = []
    try:
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield filled, found[0], process
                break
        else:
            pytest.fail(f"it never began: {''.join(seen)}")
    finally:
        process.terminate()
        process.communicate()


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return str(answer.read().decode())


@pytest.mark.skipif(not REAL, reason="Datasette is not installed (pip install 'edgebench[datasette]')")
def test_the_real_datasette_shows_the_database_while_it_is_written(
    served: tuple[Lab, str, subprocess.Popen[str]],
) -> None:
    lab, address, process = served
    assert "edgebench results" in fetch(address)
    page = fetch(f"{address}/{NAME}/v_history")
    assert "medians over the session" in page
    assert "generated tokens per second" in page
    # Values carry their unit.
    assert re.search(r"[\d.]+&nbsp;(B|kB|MB|GB)\b", page)
    for view in VIEWS:
        shown = json.loads(fetch(f"{address}/{NAME}/{view.name}.json?_shape=array"))
        connection = sqlite3.connect(lab.database)
        [(count,)] = connection.execute(f"SELECT count(*) FROM {view.name}").fetchall()
        connection.close()
        assert len(shown) == min(count, 100), view.name
    for query in datasette.QUERIES:
        answer = json.loads(fetch(f"{address}/{NAME}/{query.name}.json"))
        assert answer.get("ok", True), (query.name, answer)
    before = json.loads(fetch(f"{address}/{NAME}.json?sql=select+count(*)+as+n+from+session&_shape=array"))
    with Store.open(lab.database) as store:
        machine = store.record_machine(make.machine())
        store.start_session(make.session(machine, later_s=9000))
        after = json.loads(fetch(f"{address}/{NAME}.json?sql=select+count(*)+as+n+from+session&_shape=array"))
    assert after[0]["n"] == before[0]["n"] + 1
    wrong = urllib.parse.quote("delete from session")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        fetch(f"{address}/{NAME}.json?sql={wrong}")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
