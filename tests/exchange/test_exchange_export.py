"""Exports of real databases: exact, closed, the same bytes, and read back."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from fake_lab import Lab as FakeLab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_databases import CELL, MOST_RUNS, OTHER, Night, contents, make_database

from harness.errors import EdgebenchError, UsageError
from harness.exchange import export, header, merging, own_import, tabular, values
from harness.exchange.choosing import ALL, Wish
from harness.exchange.shape import TableShape
from harness.exchange.source import SHAPE, opened
from harness.store import Store, schema
from harness.store.ids import canonical_json

LAB = {0: Night(MOST_RUNS, 3), 1: Night(MOST_RUNS, 1), 2: Night(2, 0)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_database(tmp_path / "source.db", LAB)
    return tmp_path / "source.db"


def write(source: str | Path, target: Path, wish: Wish = ALL, format_: str | None = None) -> dict[str, int]:
    with opened(source) as read:
        return export.export(read, target, export.format_of(target, format_), wish)


def take_in(path: Path, target: str | Path) -> merging.Outcome:
    assert own_import.is_own_export(path)
    with Store.open(target) as store:
        return own_import.import_own(store, path)


def session_ids(path: Path) -> list[str]:
    return [row[0] for row in contents(path)["session"]]


# -- JSON lines -----------------------------------------------------------------------------------------------------


def test_json_lines_come_back_as_an_equal_database_and_an_equal_export(source: Path, tmp_path: Path) -> None:
    counts = write(source, tmp_path / "all.jsonl")
    outcome = take_in(tmp_path / "all.jsonl", tmp_path / "target.db")
    assert contents(tmp_path / "target.db") == contents(source)
    assert counts == {name: len(rows) for name, rows in contents(source).items()}
    assert dict(outcome.added) == counts
    write(tmp_path / "target.db", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()
    again = take_in(tmp_path / "all.jsonl", tmp_path / "target.db")
    assert not any(again.added.values())


def test_json_lines_do_not_depend_on_the_keys_of_a_file(source: Path, tmp_path: Path) -> None:
    """Merged in another order, runs and metrics have other keys."""
    other = tmp_path / "other.db"
    make_database(tmp_path / "late.db", {2: Night(2, 0)})
    for path in (tmp_path / "late.db", source):
        with opened(path) as read, Store.open(other) as store:
            merging.merge(read, store)
    keys = []
    for path in (source, other):
        connection = sqlite3.connect(path)
        keys.append(dict(connection.execute("SELECT id, key FROM run")))
        connection.close()
    assert keys[0] != keys[1]
    write(source, tmp_path / "one.jsonl")
    write(other, tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_program_reads_the_lines_without_this_one(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["edgebench_export"] == 1
    assert lines[0]["schema"] == schema.newest()
    samples = [line["row"] for line in lines[1:-1] if line["table"] == "sample"]
    assert samples[0].keys() == {"run_id", "metric_name", "repetition", "warmup", "value"}
    assert lines[-1]["rows"]["sample"] == len(samples)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    # The smallest whole numbers of any column; larger ones are refused by the column's type.
    "int": st.integers(-(2**15), 2**15 - 1),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "time": st.datetimes(timezones=st.just(UTC)),
    "bytes": st.binary(),
    "json": st.recursive(
        st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        ),
    ).map(canonical_json),
}


@settings(max_examples=150)
@given(data=st.data())
def test_every_row_comes_back_from_its_line(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(list(SHAPE)))
    kinds = dict(VALUES)
    if shape.name in ("sample", "statistic"):
        kinds["float"] = st.floats(allow_nan=False, allow_infinity=False)
    row = tuple(
        data.draw(st.none() | kinds[field.kind] if field.nullable else kinds[field.kind])
        for field in shape.fields
    )
    line = json.dumps(values.to_json(shape, row), ensure_ascii=False, allow_nan=False)
    assert values.from_json(shape, json.loads(line)) == row


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 10**9), noise=st.binary(min_size=1, max_size=80), cut=st.booleans())
def test_a_damaged_file_gives_an_error_or_the_whole_and_never_a_part(
    tmp_path: Path, start: int, noise: bytes, cut: bool
) -> None:
    sound = tmp_path / "sound.jsonl"
    if not sound.exists():
        make_database(tmp_path / "sound.db", {0: Night(2, 1)})
        write(tmp_path / "sound.db", sound)
    content = sound.read_bytes()
    start %= len(content)
    hostile, target = tmp_path / "hostile.jsonl", tmp_path / "target.db"
    hostile.write_bytes(content[:start] + (b"" if cut else noise + content[start + len(noise) :]))
    with Store.open(target) as store:
        try:
            own_import.import_own(store, hostile)
        except EdgebenchError as error:
            assert error.next_step  # noqa: PT017 - that it is one with a next step is all that is asked
            assert not any(contents(store).values())
        else:
            assert {name: len(rows) for name, rows in contents(store).items()} == {
                name: len(rows) for name, rows in contents(tmp_path / "sound.db").items()
            }
        assert store.check() == []
    for left in tmp_path.glob("target.db*"):
        left.unlink()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"table":"sqlite_master","row":{}}', "a row of no table"),
        ('{"table":"schema_revision","row":{}}', "a row of no table"),
        ('{"table":["run"],"row":{}}', "a row of no table"),
        ('{"table":"metric","row":{"name":"x","key":1}}', "not the columns"),
        ('{"table":"metric","row":{"name":7}}', "holds no text"),
        ('{"table":"metric","row":{"name":null}}', "is missing"),
        (
            '{"table":"verdict","row":{"run_id":"none","artifact_id":"a","verdict":"ok","reason":null}}',
            "not there",
        ),
        ("[" * 100_000, "no JSON"),
        ("7", "it is no row"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "hostile.jsonl"
    counts = {**dict.fromkeys(SHAPE.tables, 0), "verdict": 1}
    header = {"edgebench_export": 1, "edgebench_version": "9", "schema": schema.newest()}
    path.write_text(f"{json.dumps(header)}\n{line}\n{json.dumps({'rows': counts})}\n")
    with Store.open(tmp_path / "target.db") as store, pytest.raises(EdgebenchError) as caught:
        own_import.import_own(store, path)
    assert words in str(caught.value)
    assert "line 2" in str(caught.value) or "not there" in words
    assert str(path) in str(caught.value)


def test_a_line_of_a_newer_program_is_refused_with_its_version(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    path.write_text('{"edgebench_export":1,"edgebench_version":"9.1.0","schema":"9999"}\n')
    with (
        Store.open(tmp_path / "target.db") as store,
        pytest.raises(EdgebenchError, match=r"edgebench 9\.1\.0"),
    ):
        own_import.import_own(store, path)


def test_lines_of_an_older_schema_are_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    rows = [
        ("model", {"id": "m", "name": "tiny", "source": "s", "sha256": "ab", "licence": None, "architecture": "llama",
                   "parameters": 5}),
        ("cell", {"id": "c", "framework": "f", "model": "tiny", "precision": "int4", "recipe": "r", "device": "cpu",
                  "api": "cpu", "workload": "pp8+tg4", "prompt_tokens": 8, "decode_tokens": 4, "depth": 0,
                  "options": {"b": 1, "a": [2.5, None]}}),
    ]  # fmt: skip
    names = ["artifact", "cell", "energy_reading", "environment", "environment_package", "lineage", "machine",
             "memory_reading", "metric", "model", "planned_run", "run", "sample", "score", "score_window", "session",
             "session_cell", "session_score", "trace", "verdict"]  # fmt: skip
    lines: list[dict[str, Any]] = [{"edgebench_export": 1, "edgebench_version": "0.1.0", "schema": "0001"}]
    lines += [{"table": table, "row": row} for table, row in rows]
    lines.append({"rows": {name: sum(table == name for table, _ in rows) for name in names}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    take_in(path, tmp_path / "target.db")
    found = contents(tmp_path / "target.db")
    cell = dict(zip(SHAPE["cell"].names, found["cell"][0], strict=True))
    assert cell["batch"] == 1
    assert cell["options"] == '{"a":[2.5,null],"b":1}'
    assert found["model"][0][SHAPE["model"].at("configuration")] is None


# -- parts ----------------------------------------------------------------------------------------------------------


def test_one_session_brings_along_what_it_refers_to_and_no_more(source: Path, tmp_path: Path) -> None:
    sessions = session_ids(source)
    part = tmp_path / "part.db"
    counts = write(source, part, Wish(sessions=[sessions[1]]))
    with Store.open(part, read_only=True) as store:
        assert store.check() == []
        facts = store.session_facts(sessions[1])
        whole = contents(source)
        found = contents(store)
    with Store.open(source, read_only=True) as store:
        assert store.session_facts(sessions[1]) == facts
    assert counts == {name: len(rows) for name, rows in found.items()}
    for name, rows in found.items():
        assert set(rows) <= set(whole[name]), name
    # The reference of its score is another session's run: that run is here, and of that session nothing else.
    runs = SHAPE["run"]
    by_session = {
        session: [row for row in found["run"] if row[runs.at("session_id")] == session]
        for session in sessions
    }
    assert len(by_session[sessions[1]]) == MOST_RUNS
    assert [row[runs.at("kind")] for row in by_session[sessions[0]]] == ["reference"]
    assert by_session[sessions[2]] == []
    assert [row[0] for row in found["session"]] == sessions[:2]
    assert {row[0] for row in found["planned_run"]} == {sessions[1]}
    # How its artifacts were made, back to the model, and the packages of both environments.
    recipes = {row[SHAPE["lineage"].at("recipe")] for row in found["lineage"]}
    assert recipes == {"F16", "Q4_K_M"}
    assert len(found["environment_package"]) == 2 * len(found["environment"])
    assert found["machine_bench"]
    assert len(found["model"]) == 1


def test_a_side_of_a_gate_brings_along_its_second_look(source: Path, tmp_path: Path) -> None:
    with Store.open(source) as store:
        machine = store.session_facts(session_ids(source)[0]).machine.id
        begun = [
            store.start_session(
                make.session(machine, later_s=10**6 + place, settings={"gate": {"side": "head", **about}}), []
            )
            for place, about in enumerate(({}, {"again": "another"}))
        ]
        again = make.session(machine, later_s=10**6 + 2, settings={"gate": {"again": begun[0]}})
        begun.append(store.start_session(again, []))
    for asked, there in ((begun[0], {begun[0], begun[2]}), (begun[2], {begun[2]})):
        part = tmp_path / f"{asked}.db"
        write(source, part, Wish(sessions=[asked]))
        assert set(session_ids(part)) == there


def test_a_part_is_merged_back_into_what_it_came_from_without_a_trace(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "part.db", Wish(sessions=[session_ids(source)[1]]))
    before = contents(source)
    outcome = take_in(tmp_path / "part.db", source)
    assert not any(outcome.added.values())
    assert outcome.changed == 0
    assert contents(source) == before


def test_all_parts_together_are_the_whole(source: Path, tmp_path: Path) -> None:
    for session in reversed(session_ids(source)):
        write(source, tmp_path / f"{session}.db", Wish(sessions=[session]))
        take_in(tmp_path / f"{session}.db", tmp_path / "together.db")
    whole, together = contents(source), contents(tmp_path / "together.db")
    for shape in SHAPE:
        if shape.level == "shared":
            # What no session refers to is in no part: an artifact that was made and never run.
            assert set(together[shape.name]) <= set(whole[shape.name])
        else:
            assert together[shape.name] == whole[shape.name]
    assert len(whole["artifact"]) - len(together["artifact"]) == 1


@pytest.mark.parametrize(
    ("wish", "sessions"),
    [
        (Wish(suite="quickstart"), {0, 1, 2}),
        (Wish(since=datetime(2026, 11, 24, tzinfo=UTC)), {1, 2}),
        (Wish(where="precision=int4"), {0, 1, 2}),
        (Wish(where="device=gpu:0.cuda"), {0, 1, 2}),
        (Wish(since=datetime(2026, 11, 25, tzinfo=UTC), where="framework~llama,precision=int8"), {2}),
    ],
)
def test_a_part_is_chosen_by_suite_time_and_cell(
    source: Path, tmp_path: Path, wish: Wish, sessions: set[int]
) -> None:
    ids = session_ids(source)
    part = tmp_path / "part.db"
    write(source, part, wish)
    found = contents(part)
    with Store.open(part, read_only=True) as store:
        assert store.check() == []
    planned = {row[0] for row in found["session_cell"]}
    assert planned == {ids[number] for number in sessions}
    cells = {row[1] for row in found["session_cell"]}
    if wish.where == "precision=int4":
        assert OTHER.id not in cells
        assert CELL.id in cells
    elif wish.where is not None:
        assert CELL.id not in cells
        # Its run is here, where another cell's score rests on it.
        assert {row[SHAPE["run"].at("kind")] for row in found["run"]} <= {"reference"}


def test_what_is_nowhere_is_said(source: Path, tmp_path: Path) -> None:
    for wish in (
        Wish(suite="nothing"),
        Wish(where="framework=mlx"),
        Wish(since=datetime(2100, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(UsageError, match="no session like that"):
            write(source, tmp_path / "part.db", wish)
    with pytest.raises(UsageError, match="is no column of a cell"):
        write(source, tmp_path / "part.db", Wish(where="decode_tps>10"))
    assert [one.name for one in tmp_path.iterdir()] == ["source.db"]


# -- SQLite ---------------------------------------------------------------------------------------------------------


def test_an_sqlite_export_is_the_same_bytes_each_time_and_a_whole_database(
    source: Path, tmp_path: Path
) -> None:
    write(source, tmp_path / "one.db")
    write(source, tmp_path / "two.sqlite")
    assert (tmp_path / "one.db").read_bytes() == (tmp_path / "two.sqlite").read_bytes()
    assert contents(tmp_path / "one.db") == contents(source)
    with Store.open(tmp_path / "one.db") as store:
        assert store.upgraded is None
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert {one.name for one in tmp_path.iterdir()} == {"source.db", "one.db", "two.sqlite"}


# -- CSV and Parquet ------------------------------------------------------------------------------------------------


def read_csv(path: Path, name: str) -> list[dict[str, str]]:
    with (path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_file_for_every_table_and_two_for_people(source: Path, tmp_path: Path) -> None:
    counts = write(source, tmp_path / "tables", format_="csv")
    names = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert names == set(SHAPE.tables) | {"runs", "samples"}
    for name in names:
        assert len(read_csv(tmp_path / "tables", name)) == counts[name], name
    runs = read_csv(tmp_path / "tables", "runs")
    timed = next(row for row in runs if row["kind"] == "timed" and row["status"] == "ok")
    # The median of the three repetitions; the warm-up (0.01) is left out.
    assert float(timed["prefill_s"]) == pytest.approx(0.012)
    assert timed["peak_rss_bytes"] == "215000000"
    assert timed["machine"] in ("Example CPU @ 2.50GHz", "Other CPU")
    failed = next(row for row in runs if row["status"] == "failed")
    assert failed["prefill_s"] == ""
    sample = read_csv(tmp_path / "tables", "samples")[0]
    assert {"framework", "metric", "repetition", "warmup", "value", "validity"} <= sample.keys()


def test_no_cell_of_a_csv_file_is_a_formula_and_the_text_can_be_had_again(
    source: Path, tmp_path: Path
) -> None:
    write(source, tmp_path / "tables", format_="csv")
    failed = next(row for row in read_csv(tmp_path / "tables", "run") if row["status"] == "failed")
    assert failed["reason"] == "'=cmd|'/C calc'!A0"
    for path in (tmp_path / "tables").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    assert cell[:1] not in set("=+@\t\r\n")
                    assert cell[:1] != "-" or _is_number(cell)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


TABLES = [("csv", "tables"), ("csv", "tables.zip"), ("parquet", "tables"), ("parquet", "tables.zip")]


@pytest.mark.parametrize(("format_", "name"), TABLES)
def test_tables_come_back_as_an_equal_database(source: Path, tmp_path: Path, format_: str, name: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    with Store.open(source) as store, store.writing() as connection:
        failed = "WHERE status = 'failed'"
        connection.exec_driver_sql(f"UPDATE run SET reason = '', error = char(39, 39) || '=1+1' {failed}")
    write(source, tmp_path / name, format_=format_)
    outcome = take_in(tmp_path / name, tmp_path / "target.db")
    assert contents(tmp_path / "target.db") == contents(source)
    assert dict(outcome.added) == {table: len(rows) for table, rows in contents(source).items()}
    again = take_in(tmp_path / name, tmp_path / "target.db")
    assert not any(again.added.values())
    assert again.changed == 0


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_table_that_is_gone_or_cut_off_is_named(source: Path, tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    write(source, tmp_path / "tables", format_=format_)
    file = tmp_path / "tables" / f"sample.{format_}"
    whole = file.read_bytes()
    for content in (None, b"", whole[: len(whole) // 2], whole[: whole.rindex(b"\n", 0, -1) + 1]):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        with Store.open(tmp_path / "target.db") as store:
            with pytest.raises(EdgebenchError, match=rf"sample\.{format_}"):
                own_import.import_own(store, tmp_path / "tables")
            assert not any(contents(store).values())


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("value", "fast", "could not convert"),
        ("value", "inf", "is no figure"),
        ("value", "", "is missing"),
        ("warmup", "1", "neither true nor false"),
        ("repetition", "70000", "no whole number of 16 bits"),
        ("repetition", "1.0", "is no whole number"),
    ],
)
def test_a_wrong_cell_is_named_by_its_row(
    source: Path, tmp_path: Path, column: str, cell: str, words: str
) -> None:
    write(source, tmp_path / "tables", format_="csv")
    rows = read_csv(tmp_path / "tables", "sample")
    rows[6][column] = cell
    with (tmp_path / "tables" / "sample.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with Store.open(tmp_path / "target.db") as store:
        with pytest.raises(EdgebenchError, match=words) as caught:
            own_import.import_own(store, tmp_path / "tables")
        assert "sample.csv, row 7" in str(caught.value)
        assert not any(contents(store).values())


def test_tables_without_a_sound_description_are_refused(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "tables", format_="csv")
    about = tmp_path / "tables" / tabular.ABOUT
    told = json.loads(about.read_text("utf-8"))
    for content, words in (
        ("{", "no JSON"),
        ("[]", "which tables"),
        (json.dumps({**told, header.MARK: 1}), "cannot read"),
        (json.dumps({**told, "schema": "9999"}), "cannot read"),
        (json.dumps({**told, "schema": ["0017"]}), "cannot read"),
        (json.dumps({key: value for key, value in told.items() if key != "schema"}), "cannot read"),
    ):
        about.write_text(content, encoding="utf-8")
        with (
            Store.open(tmp_path / "target.db") as store,
            pytest.raises(EdgebenchError, match=words),
        ):
            own_import.import_own(store, tmp_path / "tables")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 10**9), noise=st.binary(min_size=1, max_size=80), cut=st.booleans())
def test_a_damaged_zip_gives_an_error_or_the_whole(
    tmp_path: Path, start: int, noise: bytes, cut: bool
) -> None:
    sound = tmp_path / "sound.zip"
    if not sound.exists():
        make_database(tmp_path / "sound.db", {0: Night(2, 1)})
        write(tmp_path / "sound.db", sound, format_="csv")
    content = sound.read_bytes()
    start %= len(content)
    hostile, target = tmp_path / "hostile.zip", tmp_path / "target.db"
    hostile.write_bytes(content[:start] + (b"" if cut else noise + content[start + len(noise) :]))
    if not own_import.is_own_export(hostile):
        return
    with Store.open(target) as store:
        try:
            own_import.import_own(store, hostile)
        except EdgebenchError as error:
            assert error.next_step  # noqa: PT017 - that it is one with a next step is all that is asked
            assert not any(contents(store).values())
        else:
            assert contents(store) == contents(tmp_path / "sound.db")
    for left in tmp_path.glob("target.db*"):
        left.unlink()


@given(st.text())
def test_the_guard_is_undone_by_taking_one_apostrophe_away(text: str) -> None:
    made = tabular.told(text)
    assert made
    assert made[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert made.removeprefix("'") == text


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_zip_file_is_the_same_bytes_each_time_and_holds_the_same_files(
    source: Path, tmp_path: Path, format_: str
) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    write(source, tmp_path / "one.zip", format_=format_)
    write(source, tmp_path / "two.zip", format_=format_)
    write(source, tmp_path / "folder", format_=format_)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert inside == {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()}
    assert json.loads(inside["export.json"])["schema"] == schema.newest()
    assert {one.name for one in tmp_path.iterdir()} == {"source.db", "one.zip", "two.zip", "folder"}


def test_parquet_holds_every_value_with_its_type(source: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write(source, tmp_path / "tables", format_="parquet")
    whole = contents(source)
    for shape in SHAPE:
        table = pq.read_table(tmp_path / "tables" / f"{shape.name}.parquet")
        assert tuple(table.column_names) == shape.names
        assert [tuple(row.values()) for row in table.to_pylist()] == whole[shape.name], shape.name
    assert table.schema.metadata[b"edgebench_schema"].decode() == schema.newest()
    runs = pq.read_table(tmp_path / "tables" / "runs.parquet").to_pylist()
    assert len(runs) == len(whole["run"])
    assert {row["prefill_s"] is None for row in runs} == {True, False}


def test_without_pyarrow_the_next_step_is_said(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EdgebenchError, match="pyarrow") as caught:
        write(source, tmp_path / "tables", format_="parquet")
    assert "edgebench[parquet]" in caught.value.next_step
    assert not (tmp_path / "tables").exists()


# -- around ---------------------------------------------------------------------------------------------------------


def test_what_exists_is_not_written_over_and_nothing_half_is_left(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write(source, tmp_path / "there.jsonl")
    assert (tmp_path / "there.jsonl").read_text() == "mine"

    def interrupted(shape: TableShape, row: values.Row) -> None:
        del shape, row
        raise KeyboardInterrupt

    monkeypatch.setattr(values, "to_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(source, tmp_path / "half.jsonl")
    assert {one.name for one in tmp_path.iterdir()} == {"source.db", "there.jsonl"}


def test_an_export_is_told_from_other_files(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "all.jsonl")
    assert own_import.is_own_export(tmp_path / "all.jsonl")
    assert own_import.is_own_export(source)
    for name, content in (
        ("a.jsonl", b'{"build": 1}\n'),
        ("b.csv", b"a,b\n1,2\n"),
        ("c", b""),
        ("d", b"\xff" * 99),
    ):
        (tmp_path / name).write_bytes(content)
        assert not own_import.is_own_export(tmp_path / name)


def test_the_commands_tell_what_they_did(measured_lab: FakeLab) -> None:
    out = measured_lab.run("export", "night.db")
    assert out.status == 0, out.err
    assert "1 sessions" in out.out
    shown = measured_lab.run("table", "--format", "json", "--db", "night.db").json
    assert shown["rows"] == measured_lab.rows()
    merged = measured_lab.run("db", "merge", "night.db", "--into", "other.db", "--json").json
    assert merged["refused"] == []
    assert merged["merged"][0]["added"]["session"] == 1
    again = measured_lab.run("db", "merge", "night.db", str(measured_lab.database), "--into", "other.db")
    assert again.status == 0, again.err
    assert again.out.count("nothing that is not there already") == 2
    assert measured_lab.run("db", "check", "--db", "other.db").status == 0
    refused = measured_lab.run("export", "night.db", "--format", "jsonl")
    assert refused.status == 2
    assert "exists already" in refused.one_message()
    assert "does not say what to write" in measured_lab.run("export", "night").one_message()
    connection = sqlite3.connect(measured_lab.folder / "other.db")
    connection.execute("UPDATE run SET duration_s = 99")
    connection.commit()
    connection.close()
    shutil.copy(measured_lab.folder / "night.db", measured_lab.folder / "more.db")
    contradicted = measured_lab.run("db", "merge", "night.db", "more.db", "--into", "other.db")
    assert contradicted.status == 1
    assert contradicted.err.count("contradicts") == 2


def test_a_record_whose_text_is_strange_travels_exactly(tmp_path: Path) -> None:
    with Store.open(tmp_path / "strange.db") as store:
        machine = store.record_machine(make.machine(name='a\u2028"b\\\x7f\n\U0001f600'))
        store.start_session(make.session(machine, suite_text="\ufeffname: é\r\n", command_line=["\x1b[31m"]))
    write(tmp_path / "strange.db", tmp_path / "strange.jsonl")
    take_in(tmp_path / "strange.jsonl", tmp_path / "target.db")
    assert contents(tmp_path / "target.db") == contents(tmp_path / "strange.db")
    assert len(io.BytesIO((tmp_path / "strange.jsonl").read_bytes()).readlines()) == 4
