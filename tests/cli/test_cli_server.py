"""The commands on a PostgreSQL server, end to end with the scripted framework; its password is seen nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_lab import Lab, Result, finish
from sqlalchemy import create_engine
from store_servers import new_database

from harness.runner import process
from harness.runner.launch import Launch

pytestmark = pytest.mark.stocked

SECRET = "hunter2"


@pytest.fixture
def url(postgresql_database: str) -> str:
    """With a password, which this server does not ask for."""
    return postgresql_database.replace("bench@", f"bench:{SECRET}@")


def told(result: Result, status: int = 0) -> Result:
    assert result.status == status, result.err
    assert SECRET not in result.out + result.err
    return result


def everything_stored(url: str) -> str:
    """All rows of all tables as text."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).scalars()
        text = "\n".join(
            str(tuple(row)) for name in names for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')
        )
    engine.dispose()
    return text


def test_a_night_is_measured_shown_and_taken_away_on_a_server(
    lab: Lab, url: str, postgresql_server: str
) -> None:
    done = told(finish(lab.start("run", "fake.yaml", "--trigger", "nightly", "--db", url, "--traceback")))
    assert "fp16" in done.out
    in_json = told(finish(lab.start("run", "fake.yaml", "--json", f"--db={url}"))).json
    assert in_json["rows"]
    told(finish(lab.start("run", "fake.yaml", "--resume", EDGEBENCH_DB=url)))
    told(lab.run("run", "fake.yaml", "--dry-run", "--db", url))

    sessions = told(lab.run("db", "sessions", "--json", "--db", url)).json["sessions"]
    assert [one["trigger"] for one in sessions] == ["manual", "nightly"]
    assert sessions[0]["status"] == sessions[1]["status"] == "ok"
    commands = [one["command_line"] for one in sessions]
    assert any("bench:***@" in word for words in commands for word in words)
    assert SECRET not in json.dumps(commands)

    table = told(lab.run("table", "--format", "json", "--db", url)).json
    assert table["rows"] == in_json["rows"]
    for format_ in ("table", "markdown", "csv", "html", "latex"):
        told(lab.run("table", "--format", format_, "--db", url))
    session = told(lab.run("show", sessions[0]["id"], "--json", "--db", url)).json
    run = next(one for one in session["runs"] if one["kind"] == "timed")
    assert told(lab.run("show", run["id"], "--json", "--db", url)).json["samples"]
    told(lab.run("show", session["cells"][0]["id"], "--db", url))
    assert "bench:***@" in told(lab.run("db", "info", "--db", url)).out
    told(lab.run("db", "sessions", "--db", url))
    checked = told(lab.run("db", "check", "--db", url)).out
    assert "rows were not checked" in checked
    assert "is whole" not in checked
    told(lab.run("db", "upgrade", "--db", url))
    told(lab.run("db", "backup", "copy.db", "--db", url), status=2)
    told(lab.run("plot", "roofline", "--json", "--db", url), status=2)

    # Away from the server, into a file, and into another server's database: the same table.
    told(lab.run("export", "all.jsonl", "--db", url))
    told(lab.run("export", "night.db", "--session", sessions[0]["id"], "--db", url))
    told(lab.run("db", "merge", url, "--into", "merged.db"))
    other = new_database(postgresql_server).replace("bench@", f"bench:{SECRET}@")
    told(lab.run("db", "merge", "merged.db", url, "--into", other))
    for database in ("night.db", "merged.db", other):
        assert told(lab.run("table", "--format", "json", "--db", database)).json["rows"] == table["rows"]
    told(lab.run("export", "again.jsonl", "--db", other))
    assert (lab.folder / "again.jsonl").read_bytes() == (lab.folder / "all.jsonl").read_bytes()

    assert SECRET not in everything_stored(url)
    for path in [*lab.folder.rglob("*.log"), *lab.folder.rglob("*.html"), *lab.folder.rglob("*.md")]:
        assert SECRET not in path.read_text(encoding="utf-8", errors="replace"), path


def test_a_server_that_does_not_answer_is_said_without_the_password(lab: Lab) -> None:
    url = f"postgresql+psycopg://bench:{SECRET}@127.0.0.1:1/edgebench?connect_timeout=2"
    for words in (
        ("run", "fake.yaml"),
        ("table",),
        ("show", "2026"),
        ("db", "sessions"),
        ("db", "check"),
        ("export", "all.jsonl"),
    ):
        refused = told(lab.run(*words, "--db", url, "--traceback"), status=1)
        assert "cannot be reached" in refused.err
        assert "bench:***@127.0.0.1" in refused.err
    told(lab.run("db", "merge", url, "--into", "merged.db"), status=1)
    assert not (lab.folder / "merged.db").exists()


def test_a_worker_does_not_inherit_where_results_go(
    fake_launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A framework that dies may print its environment, and a worker's last words are stored."""
    monkeypatch.setenv("EDGEBENCH_DB", f"postgresql+psycopg://bench:{SECRET}@server/edgebench")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    given: dict[str, Any] = {}

    def start(command: list[str], **where: Any) -> None:
        given.update(where, command=command)

    monkeypatch.setattr("subprocess.Popen", start)
    process._popen(fake_launch, 0, 1, 2, "mark")
    assert given["env"]["EDGEBENCH_FAKE"] == "1"
    assert SECRET not in str(given)
